"""Metric 2: the larger of the spreads of true and of false positive rates over all groups."""

import numpy as np

from fairlens_backend.core.metrics._metric import Computed, FloatArray, GroupRates, Metric, extremes


def equalized_odds_difference(rates: GroupRates, reference: int = -1) -> Computed:
    """max(max TPR − min TPR, max FPR − min FPR).

    Parameters
    ----------
    rates : the rates of the groups; rows without truth play no part
    reference : not used; every group is compared with every other

    Returns
    -------
    value in [0, 1], 0 is parity; signed, always NaN; indices of the group with the lowest and of the one with the
        highest rate, of the rate that is further apart. NaN unless two groups have a true positive rate and two have
        a false positive rate. fairlearn calls the rate of a group without such rows 0; here it has none.

    Examples
    --------
    >>> n = np.zeros((2, 2, 3), dtype=int)
    >>> n[0] = [[50, 75, 0], [50, 25, 0]]  # FPR 0.5, TPR 0.25
    >>> n[1] = [[60, 50, 0], [40, 50, 0]]  # FPR 0.4, TPR 0.5
    >>> float(equalized_odds_difference(GroupRates(n)).value)
    0.25

    Source: Hardt, Price and Srebro, Equality of opportunity in supervised learning (NeurIPS 2016);
    Agarwal et al., A reductions approach to fair classification (ICML 2018); STATISTICS section 2.
    """
    tpr_low, tpr_high, tpr_lowest, tpr_highest = extremes(rates.true_positive)
    fpr_low, fpr_high, fpr_lowest, fpr_highest = extremes(rates.false_positive)
    tpr, fpr = tpr_high - tpr_low, fpr_high - fpr_low
    value = np.maximum(tpr, fpr)
    absent = np.isnan(value)
    worst, other = np.where(tpr >= fpr, [tpr_lowest, tpr_highest], [fpr_lowest, fpr_highest])
    return Computed(
        value, np.full(value.shape, np.nan), np.where(absent, -1, worst), np.where(absent, -1, other)
    )


def true_positive_rate_gap(rates: GroupRates) -> FloatArray:
    """max TPR − min TPR; NaN without two groups that have one."""
    low, high, _, _ = extremes(rates.true_positive)
    return high - low


def false_positive_rate_gap(rates: GroupRates) -> FloatArray:
    """max FPR − min FPR; NaN without two groups that have one."""
    low, high, _, _ = extremes(rates.false_positive)
    return high - low


METRIC = Metric(
    name="equalized_odds_difference",
    number=2,
    threshold=0.08,
    breached_when="above",
    needs=frozenset({"decision", "truth"}),
    definition=(
        "The larger of two spreads between groups: of the selection rate among rows whose true outcome is favourable,"
        " and of the selection rate among rows where it is not."
    ),
    decides=True,
    compute=equalized_odds_difference,
    compared="extremes",
    rates=("true_positive", "false_positive"),
    null="true_and_false_positive_rate",
    undefined_because="Fewer than two groups have rows whose true outcome is favourable, or rows where it is not.",
    parts={
        "true_positive_rate_gap": true_positive_rate_gap,
        "false_positive_rate_gap": false_positive_rate_gap,
    },
)
