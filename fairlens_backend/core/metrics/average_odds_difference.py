"""Metric 5: the mean of the gaps in true and in false positive rate."""

import numpy as np

from fairlens_backend.core.metrics._metric import (
    Computed,
    GroupRates,
    Metric,
    differences,
    furthest,
    pick,
)


def average_odds_difference(rates: GroupRates, reference: int) -> Computed:
    """½(|FPR_g − FPR_r| + |TPR_g − TPR_r|) for the one group g where this is greatest.

    Both gaps are of the same group, and their sizes are added, so that opposite gaps do not cancel.

    Parameters
    ----------
    rates : the rates of the groups; rows without truth play no part
    reference : index of r

    Returns
    -------
    value in [0, 1], 0 is parity; signed = ½((FPR_g − FPR_r) + (TPR_g − TPR_r)) in [−1, 1], which may be 0 where the
    value is not; index of the worst group and of r. NaN when either rate is undefined for r, or for every other group.

    Examples
    --------
    >>> n = np.zeros((2, 2, 3), dtype=int)
    >>> n[0] = [[50, 75, 0], [50, 25, 0]]  # FPR 0.5, TPR 0.25
    >>> n[1] = [[75, 50, 0], [25, 50, 0]]  # FPR 0.25, TPR 0.5
    >>> value, signed, *_ = average_odds_difference(GroupRates(n), reference=1)
    >>> float(value), float(signed)
    (0.25, 0.0)

    Source: Bellamy et al., AI Fairness 360 (2018), in absolute form; STATISTICS section 2.
    """
    fpr = differences(rates.false_positive, reference)
    tpr = differences(rates.true_positive, reference)
    size = (np.abs(fpr) + np.abs(tpr)) / 2
    signed = (fpr + tpr) / 2
    worst = furthest(size, signed)
    return Computed(pick(size, worst), pick(signed, worst), worst, np.where(worst < 0, -1, reference))


METRIC = Metric(
    name="average_odds_difference",
    short_name="aod",
    number=5,
    threshold=0.07,
    breached_when="above",
    needs=frozenset({"decision", "truth"}),
    definition=(
        "The mean of the sizes of the gaps in false positive rate and in true positive rate between the reference"
        " group and the group furthest from it."
    ),
    decides=True,
    compute=average_odds_difference,
    rates=("true_positive", "false_positive"),
    combine="mean",
    null="true_and_false_positive_rate",
    undefined_because="{reference} or every other group lacks rows whose true outcome is favourable, or rows where it is not.",
)
