"""Metric 13: how much rarer or more frequent the favourable decision is than in the reference group."""

from fairlens_backend.core.metrics._metric import (
    Computed,
    GroupRates,
    Metric,
    differences,
    largest_gap,
)


def statistical_parity_difference(rates: GroupRates, reference: int) -> Computed:
    """SR_g − SR_r for the group g whose selection rate is furthest from that of the reference group r.

    Parameters
    ----------
    rates : the rates of the groups
    reference : index of r

    Returns
    -------
    value in [−1, 1], a difference of proportions, 0 is parity; signed, the same; index of the worst group and of r.
        NaN when the reference group or every other group has no rows.

    Examples
    --------
    >>> import numpy as np
    >>> n = np.zeros((2, 2, 3), dtype=int)
    >>> n[0, 1, 2], n[0, 0, 2] = 25, 75
    >>> n[1, 1, 2], n[1, 0, 2] = 50, 50
    >>> float(statistical_parity_difference(GroupRates(n), reference=1)[0])
    -0.25

    Source: Dwork et al., Fairness through awareness (ITCS 2012); STATISTICS section 2.
    """
    gap = largest_gap(differences(rates.selection, reference), reference)
    return gap._replace(value=gap.signed)


METRIC = Metric(
    name="statistical_parity_difference",
    short_name="spd",
    number=13,
    threshold=0.10,
    breached_when="outside",
    needs=frozenset({"decision"}),
    definition=(
        "The selection rate of the group furthest from the reference group minus the selection rate of the"
        " reference group."
    ),
    decides=False,
    compute=statistical_parity_difference,
    rates=("selection",),
    null="selection_rate",
    undefined_because="{reference} or every other group has no rows.",
)
