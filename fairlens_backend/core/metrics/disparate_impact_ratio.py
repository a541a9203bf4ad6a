"""Metric 4: the lowest selection rate over the reference group's, the four-fifths rule."""

import numpy as np

from fairlens_backend.core.metrics._metric import (
    Computed,
    GroupRates,
    Metric,
    furthest,
    pick,
    ratios,
)


def disparate_impact_ratio(rates: GroupRates, reference: int) -> Computed:
    """The smallest SR_g / SR_r over the groups g other than the reference group r.

    Parameters
    ----------
    rates : the rates of the groups
    reference : index of r

    Returns
    -------
    value in [0, ∞), unitless, 1 is parity; signed, always NaN: a ratio has no sign; index of the worst group and of r.
        NaN when the reference group received no favourable decision: the ratio is then undefined,
        neither fair nor unfair.

    Examples
    --------
    >>> n = np.zeros((2, 2, 3), dtype=int)
    >>> n[0, 1, 2], n[0, 0, 2] = 30, 70
    >>> n[1, 1, 2], n[1, 0, 2] = 60, 40
    >>> value, _, worst, _ = disparate_impact_ratio(GroupRates(n), reference=1)
    >>> float(value), int(worst)
    (0.5, 0)

    Source: EEOC Uniform Guidelines, 29 CFR 1607.4(D), the four-fifths rule; STATISTICS section 2.
    """
    against = ratios(rates.selection, reference)
    worst = furthest(-against, against)
    value = pick(against, worst)
    return Computed(value, np.full(value.shape, np.nan), worst, np.where(worst < 0, -1, reference))


METRIC = Metric(
    name="disparate_impact_ratio",
    short_name="dir",
    number=4,
    threshold=0.80,
    breached_when="below",
    needs=frozenset({"decision"}),
    definition="The lowest selection rate of any other group divided by the selection rate of the reference group.",
    decides=True,
    compute=disparate_impact_ratio,
    rates=("selection",),
    scale="ratio",
    null="selection_rate",
    undefined_because="No row of {reference} got the favourable decision, so there is no rate to divide by.",
)
