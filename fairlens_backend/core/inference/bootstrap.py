"""Resampling of a count table: one set of draws from which every figure of an audit gets its uncertainty.

Drawing rows with replacement and collapsing them is the same as one multinomial draw of the cells of the table. The
cost depends on the number of cells that occur, never on the number of rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.columns import SCORE_UNKNOWN, TRUTH_UNKNOWN
from fairlens_backend.core.counts import CountTable

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Cells drawn at a time, over all resamples: bounds the memory of tables with many crossings at 64 MB.
_AT_ONCE: Final = 8_000_000


@dataclass(frozen=True)
class Draws:
    """Resampled tables of some attributes, in the order of the groups of that marginal table.

    Parameters
    ----------
    n : shape (n_resamples, n_groups, 2, 3), by decision and truth
    scored : labelled rows by truth and score bin, shape (n_resamples, n_groups, 2, 10); None where not wanted
    """

    n: FloatArray
    scored: FloatArray | None


@dataclass(frozen=True)
class _Sum:
    """How columns of cells are added up into columns of a result, and which of these occur."""

    order: IntArray
    starts: IntArray
    targets: IntArray
    width: int

    @classmethod
    def onto(cls, targets: IntArray, width: int) -> "_Sum":
        order = np.argsort(targets, kind="stable")
        found, starts = np.unique(targets[order], return_index=True)
        return cls(order, starts, found, width)

    def of(self, columns: IntArray) -> FloatArray:
        """Shape (n_rows, width) from (n_rows, n_cells)."""
        result = np.zeros((len(columns), self.width))
        if len(self.targets):
            result[:, self.targets] = np.add.reduceat(columns[:, self.order], self.starts, axis=1)
        return result


def draw_tables(
    table: CountTable,
    views: Sequence[Sequence[str]],
    *,
    scored: bool,
    n_resamples: int,
    seed: int | Sequence[int],
) -> list[Draws]:
    """Draw the joint table `n_resamples` times and sum each draw onto every view.

    Parameters
    ----------
    table : the counts; none may be negative
    views : for each view the attributes that are kept; one set of draws serves all of them
    scored : whether score bins are needed, which makes more cells to draw
    seed : the same table and seed give the same draws; numpy's PCG64 and its multinomial draw

    Examples
    --------
    >>> table = CountTable.from_arrays({"sex": ["F"] * 5 + ["M"] * 5}, decision=[0, 1] * 5)
    >>> (draws,) = draw_tables(table, [["sex"]], scored=False, n_resamples=3, seed=1)
    >>> draws.n.shape, draws.n.sum(axis=(1, 2, 3))
    ((3, 2, 2, 3), array([10., 10., 10.]))

    Source: Efron and Tibshirani, An introduction to the bootstrap (1993).
    """
    counts, group, decision, truth, score_bin = _cells(table, scored)
    decided = _Sum.onto((group * 2 + decision) * 3 + truth, len(table.groups) * 6)
    has_bin = (truth < TRUTH_UNKNOWN) & (score_bin < SCORE_UNKNOWN)
    used = np.flatnonzero(has_bin)
    sums: list[tuple[_Sum, _Sum | None, int]] = []
    places, kinds = np.divmod(decided.targets, 6)
    for view in views:
        marginal = table.marginal(view)
        index = {label: i for i, label in enumerate(marginal.groups)}
        columns = [table.attributes.index(name) for name in view]
        of_group = np.array([index[tuple(g[i] for i in columns)] for g in table.groups], dtype=np.int64)
        size = len(marginal.groups)
        # planes first: each rate of all groups is then one contiguous block
        onto_view = _Sum.onto(kinds * size + of_group[places], size * 6)
        onto_bins = (
            _Sum.onto((truth[used] * 10 + score_bin[used]) * size + of_group[group[used]], size * 20)
            if scored
            else None
        )
        sums.append((onto_view, onto_bins, size))
    rng = np.random.Generator(np.random.PCG64(seed))
    total = int(counts.sum())
    pieces: list[list[tuple[FloatArray, FloatArray | None]]] = [[] for _ in views]
    left = n_resamples
    while left > 0:
        rows = min(left, max(1, _AT_ONCE // max(1, len(counts))))
        left -= rows
        # drawn cell after cell from one stream, so the pieces do not change the draws
        drawn = rng.multinomial(total, counts / total, size=rows) if total else np.zeros((rows, 0), np.int64)
        by_group = drawn[:, decided.order]
        by_group = np.add.reduceat(by_group, decided.starts, axis=1) if len(counts) else by_group
        with_bin = drawn[:, used] if scored else drawn
        for piece, (onto_view, onto_bins, _) in zip(pieces, sums, strict=True):
            piece.append((onto_view.of(by_group), onto_bins.of(with_bin) if onto_bins else None))
    return [_shaped(piece, size) for piece, (_, _, size) in zip(pieces, sums, strict=True)]


def _cells(table: CountTable, scored: bool) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray]:
    """The cells that occur: counts, group, decision, truth, score bin. Bins are kept where they tell something."""
    n = np.array(table.n)
    if not scored:
        n[..., SCORE_UNKNOWN] = n.sum(axis=3)
        n[..., :SCORE_UNKNOWN] = 0
    else:
        n[:, :, TRUTH_UNKNOWN, SCORE_UNKNOWN] = n[:, :, TRUTH_UNKNOWN].sum(axis=-1)
        n[:, :, TRUTH_UNKNOWN, :SCORE_UNKNOWN] = 0
    where = np.nonzero(n)
    group, decision, truth, score_bin = (np.asarray(axis, dtype=np.int64) for axis in where)
    return n[where], group, decision, truth, score_bin


def _shaped(piece: Sequence[tuple[FloatArray, FloatArray | None]], size: int) -> Draws:
    n = np.concatenate([one for one, _ in piece]) if piece else np.zeros((0, size * 6))
    bins = [one for _, one in piece if one is not None]
    return Draws(
        np.moveaxis(n.reshape(len(n), 2, 3, size), -1, 1),
        np.moveaxis(np.concatenate(bins).reshape(len(n), 2, 10, size), -1, 1) if bins else None,
    )


def jackknife_acceleration(cells: npt.ArrayLike, statistic: Callable[[Any], FloatArray]) -> float:
    """The acceleration of a BCa interval: each row left out once, which is each cell with its count as the weight.

    Parameters
    ----------
    cells : counts, of the shape that `statistic` takes
    statistic : a figure of a batch of tables, shape (..., *cells.shape) → (...)

    Returns
    -------
    0 when leaving rows out changes nothing, or leaves nothing.

    Source: Efron, Better bootstrap confidence intervals (JASA 1987), equation 6.6.
    """
    n = np.asarray(cells, dtype=np.float64)
    occurring = np.argwhere(n > 0)
    tables = np.broadcast_to(n, (len(occurring), *n.shape)).copy()
    tables[(np.arange(len(occurring)), *occurring.T)] -= 1
    without = statistic(tables)
    weight = n[tuple(occurring.T)] * np.isfinite(without)
    if weight.sum() == 0:
        return 0.0
    without = np.where(np.isfinite(without), without, 0.0)
    apart = (weight * without).sum() / weight.sum() - without
    spread = (weight * apart**2).sum()
    return float((weight * apart**3).sum() / (6 * spread**1.5)) if spread > 0 else 0.0
