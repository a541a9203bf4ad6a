"""The interval of the calibration gap, which is a mean of sizes and so never below 0."""

import numpy as np

from fairlens_backend.core.inference.intervals import Z_95, FloatArray, weighted_sum_limits, wilson_limits
from fairlens_backend.core.metrics._metric import Counts
from fairlens_backend.core.metrics.calibration_gap import bin_gaps

Interval = tuple[float, float, str]


def calibration_interval(
    scored: Counts, drawn: Counts, reference: int, worst: int, value: float, groups: int
) -> Interval:
    """The 95 % interval of metric 8 by percentiles of the draws.

    A mean of sizes grows by noise: without any difference it is above 0, and in the draws, which add their own noise,
    further above. So the lower limit is 0 unless the value exceeds what 95 % of the draws lie apart from the table
    bin by bin (of several groups, corrected for their number); and else it is the percentile less twice the draws'
    bias, once for the draws' own noise and once for the table's. Where no draw has moved (every outcome of a bin the
    same) the limits are Newcombe's of each bin, averaged.

    Parameters
    ----------
    scored, drawn : labelled rows by group, truth and bin, shape (n_groups, 2, 10), and of each resample
    reference, worst : indices of the groups compared
    groups : how many groups were compared with the reference group
    """
    pair = [worst, reference]
    both = np.asarray(scored, dtype=np.float64)[pair]
    gaps, weights = (part[0] for part in bin_gaps(both, 1))
    drawn_gaps, drawn_weights = (part[:, 0] for part in bin_gaps(drawn[:, pair], 1))
    whole = np.maximum(drawn_weights.sum(axis=1), 1)
    draws = (drawn_weights * np.abs(drawn_gaps)).sum(axis=1) / whole
    apart = np.where(drawn_weights > 0, np.abs(drawn_gaps - gaps), 0.0)
    noise = (drawn_weights * apart).sum(axis=1) / whole
    if noise.max(initial=0.0) == 0:
        return 0.0, max(value, _closed_form(both, weights)), "newcombe"
    low, high = np.quantile(draws, [0.025, 0.975])
    if value <= np.quantile(noise, 1 - 0.05 / max(1, groups)):
        low = 0.0
    else:
        low = max(0.0, low - 2 * max(0.0, float(draws.mean()) - value))
    return min(round(float(low), 9), value), max(round(float(high), 9), value), "percentile"


def _closed_form(scored: Counts, weights: FloatArray) -> float:
    used = weights > 0
    n = scored.sum(axis=1)[:, used].T
    positive = scored[:, 1][:, used].T
    low, high = wilson_limits(positive, n, Z_95)
    least, most = weighted_sum_limits(np.array([1.0, -1.0]), positive / n, low, high)
    return float((weights[used] * np.maximum(most, -least)).sum() / weights[used].sum())
