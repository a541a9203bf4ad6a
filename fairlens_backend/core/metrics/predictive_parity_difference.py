"""Metric 7: how far apart groups are in how often a favourable decision was right."""

from fairlens_backend.core.metrics._metric import Computed, GroupRates, Metric, differences, largest_gap


def predictive_parity_difference(rates: GroupRates, reference: int) -> Computed:
    """The size of the gap PPV_g − PPV_r of the group g whose precision is furthest from the reference group's.

    Parameters
    ----------
    rates : the rates of the groups; rows without truth play no part
    reference : index of r

    Returns
    -------
    value in [0, 1], the size of the gap, 0 is parity; signed in [−1, 1], the gap; index of the worst group and of r.
        NaN when the reference group or every other group has no labelled row with a favourable decision.

    Examples
    --------
    >>> import numpy as np
    >>> n = np.zeros((2, 2, 3), dtype=int)
    >>> n[0, 1, 1], n[0, 1, 0] = 25, 75
    >>> n[1, 1, 1], n[1, 1, 0] = 50, 50
    >>> value, signed, *_ = predictive_parity_difference(GroupRates(n), reference=1)
    >>> float(value), float(signed)
    (0.25, -0.25)

    Source: Chouldechova, Fair prediction with disparate impact (Big Data 2017); STATISTICS section 2.
    """
    return largest_gap(differences(rates.precision, reference), reference)


METRIC = Metric(
    name="predictive_parity_difference",
    number=7,
    threshold=0.08,
    breached_when="above",
    needs=frozenset({"decision", "truth"}),
    definition=(
        "Among rows with a favourable decision: the size of the gap in the share whose true outcome is favourable"
        " between the reference group and the group furthest from it."
    ),
    decides=True,
    compute=predictive_parity_difference,
    rates=("precision",),
    null="precision",
    undefined_because="{reference} or every other group has no favourable decision whose true outcome is known.",
)
