"""Metric 15, first part: how far groups are apart in being selected when the true outcome is unfavourable."""

from fairlens_backend.core.metrics._metric import Computed, GroupRates, Metric, differences, largest_gap


def false_positive_rate_difference(rates: GroupRates, reference: int) -> Computed:
    """FPR_g − FPR_r for the group g whose false positive rate is furthest from that of the reference group r.

    Parameters
    ----------
    rates : the rates of the groups; rows without truth play no part
    reference : index of r

    Returns
    -------
    value in [−1, 1], a difference of proportions, 0 is parity; signed, the same; index of the worst group and of r.
        NaN when the reference group or every other group has no rows with an unfavourable truth.

    Examples
    --------
    >>> import numpy as np
    >>> n = np.zeros((2, 2, 3), dtype=int)
    >>> n[0, 1, 0], n[0, 0, 0] = 25, 75
    >>> n[1, 1, 0], n[1, 0, 0] = 50, 50
    >>> float(false_positive_rate_difference(GroupRates(n), reference=1).value)
    -0.25

    Source: Chouldechova, Fair prediction with disparate impact (Big Data 2017); STATISTICS section 2.
    """
    gap = largest_gap(differences(rates.false_positive, reference), reference)
    return gap._replace(value=gap.signed)


METRIC = Metric(
    name="false_positive_rate_difference",
    number=15,
    threshold=0.08,
    breached_when="outside",
    needs=frozenset({"decision", "truth"}),
    definition=(
        "Among rows whose true outcome is unfavourable: the selection rate of the group furthest from the reference"
        " group minus that of the reference group."
    ),
    decides=False,
    compute=false_positive_rate_difference,
    rates=("false_positive",),
    null="false_positive_rate",
    undefined_because="{reference} or every other group has no row whose true outcome is unfavourable.",
)
