"""Do labels, where they exist, contradict that the score is the probability of y = 1? (STATISTICS sections 1 and 3)"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.columns import SCORE_UNITS, SCORE_UNKNOWN, IntArray

FloatArray = npt.NDArray[np.float64]
Verdict = Literal["consistent", "contradicted", "not_checked"]

# Up to here the exact distribution of the number of positives is computed; beyond it the normal one is close enough.
_EXACT_ROWS: Final = 2_000


@dataclass(frozen=True)
class CalibrationCheck:
    """Positives expected from the scores and observed in the labels, of the labelled rows of one group.

    Parameters
    ----------
    labelled : labelled rows with a score, by decision (0, 1)
    expected, observed : positives among them, by decision
    p_values : two-sided, by decision; None without such rows
    p_value : the smaller of the two, doubled when both exist; None without labels
    """

    labelled: tuple[int, int]
    expected: tuple[float, float]
    observed: tuple[int, int]
    p_values: tuple[float | None, float | None]

    @property
    def p_value(self) -> float | None:
        """Of "the scores are calibrated within either decision"."""
        known = [p for p in self.p_values if p is not None]
        return min(1.0, len(known) * min(known)) if known else None

    def to_dict(self, verdict: Verdict, p_adjusted: float | None) -> dict[str, Any]:
        """JSON-ready, with what was made of it."""
        return {
            "verdict": verdict,
            "p_value": self.p_value,
            "p_adjusted": p_adjusted,
            "by_decision": [
                {
                    "decision": decision,
                    "labelled_size": self.labelled[decision],
                    "expected_positives": self.expected[decision],
                    "observed_positives": self.observed[decision],
                    "p_value": self.p_values[decision],
                }
                for decision in (0, 1)
            ],
        }


def check_calibration(n: IntArray, score_units: IntArray) -> CalibrationCheck:
    """Compare the labels of one group with its scores, within each decision.

    Within each decision, since the estimated rates rest on the expected positives among the selected and among the
    others, and on nothing finer: errors of bins that cancel there do them no harm. Within a score bin the rows are
    taken to have their mean score. The true variance, Σ s(1−s), is at most that (Hoeffding 1956), so the p-values
    are, if anything, too large; by little, since a bin is 0.1 wide.

    Parameters
    ----------
    n, score_units : int arrays, shape (2, 3, 11), the cells of the group as in a count table

    Examples
    --------
    >>> n, units = np.zeros((2, 3, 11), dtype=np.int64), np.zeros((2, 3, 11), dtype=np.int64)
    >>> n[1, 1, 8], n[1, 0, 8] = 40, 60
    >>> units[1, :2, 8] = n[1, :2, 8] * int(0.8 * SCORE_UNITS)
    >>> check = check_calibration(n, units)
    >>> round(check.expected[1], 6), check.observed[1], check.p_value < 1e-9
    (80.0, 40, True)

    Source: Cox, Two further applications of a model for binary regression (Biometrika 1958), calibration in the large;
    Hoeffding, On the distribution of the number of successes in independent trials (1956).
    """
    known = np.asarray(n[:, :2, :SCORE_UNKNOWN], dtype=np.int64)
    sizes = known.sum(axis=1)
    sums = score_units[:, :2, :SCORE_UNKNOWN].sum(axis=1) / SCORE_UNITS
    observed = known[:, 1].sum(axis=1)
    p_values = [_two_sided(sizes[d], sums[d], int(observed[d])) for d in (0, 1)]
    return CalibrationCheck(
        labelled=(int(sizes[0].sum()), int(sizes[1].sum())),
        expected=(float(sums[0].sum()), float(sums[1].sum())),
        observed=(int(observed[0]), int(observed[1])),
        p_values=(p_values[0], p_values[1]),
    )


def _two_sided(sizes: IntArray, sums: FloatArray, observed: int) -> float | None:
    """p-value of the number of positives, the sum of one binomial a bin; twice the smaller tail."""
    held = sizes > 0
    trials, total = sizes[held], int(sizes.sum())
    if total == 0:
        return None
    chance = np.clip(sums[held] / trials, 0.0, 1.0)
    if total > _EXACT_ROWS:
        spread = math.sqrt(float((trials * chance * (1 - chance)).sum()))
        # Half a row for continuity. Without spread every score is 0 or 1, and one row otherwise is proof.
        off = max(0.0, abs(observed - float((trials * chance).sum())) - 0.5)
        return math.erfc(off / spread / math.sqrt(2)) if spread > 0 else float(off <= 0)
    distribution = np.ones(1)
    for size, p in zip(trials.tolist(), chance.tolist(), strict=True):
        distribution = np.convolve(distribution, _binomial(size, p))
    below, above = float(distribution[: observed + 1].sum()), float(distribution[observed:].sum())
    return min(1.0, 2 * min(below, above))


def _binomial(size: int, p: float) -> FloatArray:
    """P(k of size) for k = 0 … size."""
    if p in (0.0, 1.0):
        certain = np.zeros(size + 1)
        certain[size if p else 0] = 1.0
        return certain
    k = np.arange(size + 1)
    logs = np.array([math.lgamma(i + 1) for i in range(size + 1)])
    log_p = logs[-1] - logs - logs[::-1] + k * math.log(p) + (size - k) * math.log1p(-p)
    return np.asarray(np.exp(log_p), dtype=np.float64)
