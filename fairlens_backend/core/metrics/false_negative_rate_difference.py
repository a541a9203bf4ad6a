"""Metric 15, second part: how far groups are apart in being rejected when the true outcome is favourable."""

from fairlens_backend.core.metrics._metric import Computed, GroupRates, Metric, differences, largest_gap


def false_negative_rate_difference(rates: GroupRates, reference: int) -> Computed:
    """FNR_g − FNR_r for the group g whose false negative rate is furthest from that of the reference group r.

    Parameters
    ----------
    rates : the rates of the groups; rows without truth play no part
    reference : index of r

    Returns
    -------
    value in [−1, 1], a difference of proportions, 0 is parity; signed, the same; index of the worst group and of r.
        NaN when the reference group or every other group has no rows with a favourable truth.

    Examples
    --------
    >>> import numpy as np
    >>> n = np.zeros((2, 2, 3), dtype=int)
    >>> n[0, 0, 1], n[0, 1, 1] = 25, 75
    >>> n[1, 0, 1], n[1, 1, 1] = 50, 50
    >>> float(false_negative_rate_difference(GroupRates(n), reference=1).value)
    -0.25

    Source: Chouldechova, Fair prediction with disparate impact (Big Data 2017); STATISTICS section 2.
    """
    gap = largest_gap(differences(rates.false_negative, reference), reference)
    return gap._replace(value=gap.signed)


METRIC = Metric(
    name="false_negative_rate_difference",
    number=15,
    threshold=0.08,
    breached_when="outside",
    needs=frozenset({"decision", "truth"}),
    definition=(
        "Among rows whose true outcome is favourable: the rejection rate of the group furthest from the reference"
        " group minus that of the reference group."
    ),
    decides=False,
    compute=false_negative_rate_difference,
    rates=("false_negative",),
    null="true_positive_rate",
    undefined_because="{reference} or every other group has no row whose true outcome is favourable.",
)
