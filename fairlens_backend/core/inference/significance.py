"""Tests of equality, each with its own null, and what many tests do to their p-values (STATISTICS section 3)."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, gammaln

from fairlens_backend.core.columns import IntArray

FloatArray = npt.NDArray[np.float64]
Correction = Literal["bh", "holm", "none"]

# Of two outcomes with the same probability one may come out larger by rounding; R and scipy use the same slack.
_EQUALLY_LIKELY = 1 + 1e-7


Tested = tuple[float, str] | None
"""A p-value and the name of its test; None where there is nothing to test."""


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
    tested = rates_test(table)
    return tested[0] if tested else None


def rates_test(table: npt.ArrayLike) -> Tested:
    """`equality_of_rates` with the name of the test: "chi_square" or "fisher_exact"."""
    counts = np.asarray(table, dtype=np.float64)
    counts = counts[counts.sum(axis=1) > 0]
    if len(counts) < 2:
        return None
    columns = counts.sum(axis=0)
    if (columns == 0).any():
        return 1.0, "chi_square"
    expected = np.outer(counts.sum(axis=1), columns) / counts.sum()
    if len(counts) == 2 and expected.min() < 5:
        return _fisher_exact(counts), "fisher_exact"
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return float(chdtrc(len(counts) - 1, statistic)), "chi_square"


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


def selection_rate_test(n: IntArray) -> Tested:
    """Test of g × ŷ over all rows; n of shape (n_groups, 2, 3)."""
    return rates_test(n.sum(axis=2))


def true_positive_rate_test(n: IntArray) -> Tested:
    """Test of g × ŷ among the rows with y = 1; n of shape (n_groups, 2, 3)."""
    return rates_test(n[:, :, 1])


def false_positive_rate_test(n: IntArray) -> Tested:
    """Test of g × ŷ among the rows with y = 0; n of shape (n_groups, 2, 3)."""
    return rates_test(n[:, :, 0])


def precision_test(n: IntArray) -> Tested:
    """Test of g × y among the labelled rows with ŷ = 1; n of shape (n_groups, 2, 3)."""
    return rates_test(n[:, 1, :2])


def odds_test(n: IntArray) -> Tested:
    """The smaller p-value of the true and false positive rates, doubled for having looked twice, at most 1."""
    known = [one for one in (true_positive_rate_test(n), false_positive_rate_test(n)) if one is not None]
    if not known:
        return None
    p, name = min(known)
    return min(1.0, 2 * p), f"{name}, smaller of two doubled"


def calibration_test(scored: npt.ArrayLike, min_in_bin: int) -> Tested:
    """Test of g × y within each score bin, the statistics and their degrees of freedom summed.

    Parameters
    ----------
    scored : labelled rows by group, truth and score bin, shape (n_groups, 2, n_bins)
    min_in_bin : rows a group needs in a bin to take part there, as in metric 8

    Each statistic is Pearson's times (N − 1)/N, which has its nominal mean exactly, whatever the counts of a bin.

    Source: Campbell, Chi-squared and Fisher–Irwin tests of two-by-two tables (Statistics in Medicine 2007);
    STATISTICS section 3.
    """
    counts = np.asarray(scored, dtype=np.float64)
    statistic, freedom = 0.0, 0
    for table in np.moveaxis(counts, 2, 0):
        part = table[table.sum(axis=1) >= min_in_bin]
        columns, total = part.sum(axis=0), part.sum()
        if len(part) < 2 or (columns == 0).any():
            continue
        expected = np.outer(part.sum(axis=1), columns) / total
        statistic += float(((part - expected) ** 2 / expected).sum()) * (total - 1) / total
        freedom += len(part) - 1
    return (float(chdtrc(freedom, statistic)) if freedom else 1.0), "chi_square over score bins"


_TESTS: Final[dict[str, Callable[[IntArray], Tested]]] = {
    "selection_rate": selection_rate_test,
    "true_positive_rate": true_positive_rate_test,
    "false_positive_rate": false_positive_rate_test,
    "true_and_false_positive_rate": odds_test,
    "precision": precision_test,
}


def equality_test(n: IntArray, null: str) -> Tested:
    """The test of a metric's own null hypothesis.

    Parameters
    ----------
    n : counts, shape (n_groups, 2, 3), by decision and truth
    null : `Metric.null`, but for "calibration", which is tested on score bins
    """
    return _TESTS[null](n)


def not_beyond_test(draws: FloatArray, threshold: float) -> Tested:
    """Bootstrap test of "the figure is not above its threshold", for figures that compare no groups.

    Parameters
    ----------
    draws : the figure of each resampled table, shape (n_resamples,)

    Examples
    --------
    >>> not_beyond_test(np.full(999, 0.3), 0.2)
    (0.001, 'bootstrap')
    """
    known = draws[np.isfinite(draws)]
    return (1 + int((known <= threshold).sum())) / (1 + len(known)), "bootstrap"


def adjust_by_family(
    p_values: Sequence[float | None], compares_groups: Sequence[bool], method: Correction = "bh"
) -> list[float | None]:
    """`adjust` of the tests of equality between groups, and apart from them of the tests that compare no groups.

    The latter ask whether a figure of all people is beyond its limit. That may well be certain where no group differs
    from another, and one certain rejection would let each of the others through more easily: Benjamini and Hochberg's
    method bounds the share of false ones among all that are rejected.

    Parameters
    ----------
    compares_groups : for each p-value whether its test is one of equality between groups

    Examples
    --------
    >>> adjust_by_family([0.001, 0.04, 0.5], [False, True, True])
    [0.001, 0.08, 0.5]
    >>> adjust([0.001, 0.04, 0.5])
    [0.003, 0.06, 0.5]
    """
    between = adjust(
        [p if group else None for p, group in zip(p_values, compares_groups, strict=True)], method
    )
    of_people = adjust(
        [None if group else p for p, group in zip(p_values, compares_groups, strict=True)], method
    )
    return [
        one if group else other for one, other, group in zip(between, of_people, compares_groups, strict=True)
    ]


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
