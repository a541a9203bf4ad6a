"""Tests of equality, each with its own null, and what many tests do to their p-values (STATISTICS section 3)."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, gammaln

from fairlens_backend.core.columns import IntArray

Correction = Literal["bh", "holm", "none"]

# Of two outcomes with the same probability one may come out larger by rounding; R and scipy use the same slack.
_EQUALLY_LIKELY = 1 + 1e-7


def equality_of_rates(table: npt.ArrayLike) -> float | None:
    """p-value of "the rate is the same in every group".

    χ² without continuity correction; Fisher's exact test, two-sided, for two groups when an expected count is
    under 5.

    Parameters
    ----------
    table : counts, shape (n_groups, 2): rows without and with the property. Groups without rows are left out.

    Returns
    -------
    float in [0, 1]; 1 when every row has the same property, so that nothing speaks against equality.
        None with fewer than two groups that have rows.

    Examples
    --------
    >>> round(equality_of_rates([[70, 30], [40, 60]]), 8)
    2.008e-05
    >>> round(equality_of_rates([[8, 2], [1, 5]]), 6)
    0.034965

    Source: Pearson 1900; Fisher, Statistical methods for research workers; Agresti, Categorical data analysis.
    """
    counts = np.asarray(table, dtype=np.float64)
    counts = counts[counts.sum(axis=1) > 0]
    if len(counts) < 2:
        return None
    columns = counts.sum(axis=0)
    if (columns == 0).any():
        return 1.0
    expected = np.outer(counts.sum(axis=1), columns) / counts.sum()
    if len(counts) == 2 and expected.min() < 5:
        return _fisher_exact(counts)
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return float(chdtrc(len(counts) - 1, statistic))


def _fisher_exact(table: npt.NDArray[np.float64]) -> float:
    """Two-sided p-value of a 2×2 table: the tables with its margins that are no likelier than it.

    Computed here, since importing scipy.stats costs more than a second of every start.
    """
    (a, b), (c, d) = table
    row, column, total = a + b, a + c, a + b + c + d
    x = np.arange(max(0.0, row + column - total), min(row, column) + 1)
    log_p = _log_choose(column, x) + _log_choose(total - column, row - x) - _log_choose(total, row)
    p = np.exp(log_p - log_p.max())
    observed = p[int(a - x[0])]
    return min(1.0, float(p[p <= observed * _EQUALLY_LIKELY].sum() / p.sum()))


def _log_choose(n: Any, k: Any) -> Any:
    return gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)


def selection_rate_p(n: IntArray) -> float | None:
    """Test of g × ŷ over all rows; n of shape (n_groups, 2, 3)."""
    return equality_of_rates(n.sum(axis=2))


def true_positive_rate_p(n: IntArray) -> float | None:
    """Test of g × ŷ among the rows with y = 1; n of shape (n_groups, 2, 3)."""
    return equality_of_rates(n[:, :, 1])


def false_positive_rate_p(n: IntArray) -> float | None:
    """Test of g × ŷ among the rows with y = 0; n of shape (n_groups, 2, 3)."""
    return equality_of_rates(n[:, :, 0])


def odds_p(n: IntArray) -> float | None:
    """The smaller p-value of the true and false positive rates, doubled for having looked twice, at most 1."""
    both = (true_positive_rate_p(n), false_positive_rate_p(n))
    known = [p for p in both if p is not None]
    return min(1.0, 2 * min(known)) if known else None


_TESTS = {
    "selection_rate": selection_rate_p,
    "true_positive_rate": true_positive_rate_p,
    "true_and_false_positive_rate": odds_p,
}


def p_value(n: IntArray, null: str | None) -> float | None:
    """The p-value of a metric's own null hypothesis; None for a metric that compares no rates.

    Parameters
    ----------
    n : counts, shape (n_groups, 2, 3), by decision and truth
    null : `Metric.null`
    """
    return None if null is None else _TESTS[null](n)


def adjust(p_values: Sequence[float | None], method: Correction = "bh") -> list[float | None]:
    """p-values adjusted for their number, in their order; None stays None and is not counted.

    Parameters
    ----------
    method : "bh" Benjamini–Hochberg (false discovery rate), "holm" (family-wise error), "none"

    Examples
    --------
    >>> adjust([0.01, None, 0.04, 0.03], "bh")
    [0.03, None, 0.04, 0.04]
    >>> adjust([0.01, None, 0.04, 0.03], "holm")
    [0.03, None, 0.06, 0.06]

    Source: Benjamini and Hochberg (JRSS B 1995); Holm (Scandinavian Journal of Statistics 1979).
    """
    adjusted: list[float | None] = [None] * len(p_values)
    ranked = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    m = len(ranked)
    if method == "none":
        return list(p_values)
    if method == "holm":
        running = 0.0
        for rank, (p, i) in enumerate(ranked):
            running = max(running, min(1.0, (m - rank) * p))
            adjusted[i] = running
        return adjusted
    running = math.inf
    for rank, (p, i) in reversed(list(enumerate(ranked, start=1))):
        running = min(running, 1.0, p * m / rank)
        adjusted[i] = running
    return adjusted
