"""Pairs of thresholds on binned scores: what each would do, and which is the most accurate that meets a criterion.

A place on the scale of thresholds is a float in [0, 10]: at a whole number j the rows of the bins from j on are
selected, at j + f also none of bin j's first part: the share 1 − f of bin j, whoever it is. At 10 nobody is selected.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.columns import SCORE_UNKNOWN, IntArray

FloatArray = npt.NDArray[np.float64]
Criterion = Literal["demographic_parity", "equal_opportunity", "equalized_odds"]

BINS: Final = SCORE_UNKNOWN
# Rounding of the last bits decides nothing: neither whether a criterion is met nor which of two is more accurate.
SLACK: Final = 1e-9

EQUAL_RATES: Final[dict[Criterion, tuple[str, ...]]] = {
    "demographic_parity": ("selection_rate",),
    "equal_opportunity": ("true_positive_rate",),
    "equalized_odds": ("true_positive_rate", "false_positive_rate"),
}
"""The rates that a criterion wants equal."""


@dataclass(frozen=True)
class Selected:
    """How many rows of one or many windows a rule selects.

    Parameters
    ----------
    chosen, of : shape (..., 3), selected rows and all rows by truth (0, 1, 2 = not known)
    """

    chosen: FloatArray
    of: FloatArray

    def rate(self, name: str) -> FloatArray:
        """selection_rate, true_positive_rate, false_positive_rate or accuracy; NaN without such rows."""
        if name == "selection_rate":
            return ratio(self.chosen.sum(axis=-1), self.of.sum(axis=-1))
        if name == "true_positive_rate":
            return ratio(self.chosen[..., 1], self.of[..., 1])
        if name == "false_positive_rate":
            return ratio(self.chosen[..., 0], self.of[..., 0])
        return ratio(self.right, self.labelled)

    @property
    def right(self) -> FloatArray:
        """Rows decided as their truth says."""
        return np.asarray(self.chosen[..., 1] + self.of[..., 0] - self.chosen[..., 0])

    @property
    def labelled(self) -> FloatArray:
        """Rows whose truth is known."""
        return np.asarray(self.of[..., 0] + self.of[..., 1])


def ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """Part over whole, NaN where the whole is not above 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def decided(n: FloatArray | IntArray) -> Selected:
    """What the decisions themselves selected; n of shape (..., 2, 3, 10), by decision, truth and score bin."""
    by_truth = n.sum(axis=-1).astype(np.float64)
    return Selected(by_truth[..., 1, :], by_truth.sum(axis=-2))


def selected_from(n: FloatArray | IntArray, places: FloatArray | float) -> Selected:
    """What thresholds would select.

    Parameters
    ----------
    n : shape (..., 2, 3, 10); the decisions themselves are not looked at
    places : one for all windows, or for n of shape (2, 3, 10) an array of any shape (...)
    """
    by_truth = n.sum(axis=-3).astype(np.float64)
    above = np.zeros((*by_truth.shape[:-1], BINS + 1))
    above[..., :BINS] = by_truth[..., ::-1].cumsum(axis=-1)[..., ::-1]
    places = np.asarray(places, dtype=np.float64)
    lower = np.minimum(np.floor(places), BINS - 1).astype(np.int64)
    part = places - lower
    chosen = above[..., lower] * (1 - part) + above[..., lower + 1] * part
    if places.ndim:
        # (3, ...) → (..., 3)
        chosen = np.moveaxis(chosen, 0, -1)
    return Selected(chosen, by_truth.sum(axis=-1))


def gap(first: Selected, second: Selected, criterion: Criterion) -> FloatArray:
    """The largest distance of the rates that the criterion wants equal; NaN where one is undefined."""
    distances = [np.abs(first.rate(name) - second.rate(name)) for name in EQUAL_RATES[criterion]]
    return np.asarray(np.max(np.stack(distances), axis=0))


def best_pair(
    first: IntArray, second: IntArray, criterion: Criterion, tolerance: float, between_edges: bool
) -> tuple[float, float]:
    """The most accurate pair of places that meets the criterion.

    There always is one: to select everybody, or nobody, of both groups treats them alike. Where no truth is known,
    "the most accurate" is the one that selects a number nearest to what was selected.

    Of pairs that are equally accurate the one with the smallest gap is taken, then the one whose selection rates
    are nearest to those of today's decisions, then the one with the lower thresholds, the first group's first.

    Between edges the optimum is exact, no search on a grid: in each pair of bins every rate is linear in the two
    places and the pairs that meet the criterion are a polygon, so the best lies on a corner of one.

    Parameters
    ----------
    first, second : counts of the groups' rows with a score, shape (2, 3, 10)
    tolerance : the greatest gap that meets the criterion
    between_edges : whether a bin may be selected in part
    """
    corners = np.arange(BINS + 1, dtype=np.float64)
    grid = np.stack(np.meshgrid(corners, corners, indexing="ij"), axis=-1).reshape(-1, 2)
    pairs = [grid]
    labelled = bool(first[:, :2].sum()) and bool(second[:, :2].sum())
    if between_edges:
        rates = [
            (selected_from(first, corners).rate(name), selected_from(second, corners).rate(name))
            for name in EQUAL_RATES[criterion]
        ]
        for a, b in rates:
            pairs += [_on_an_edge(a, b, tolerance), _on_an_edge(b, a, tolerance)[:, ::-1]]
        if len(rates) == 2:
            pairs.append(_inside(rates, tolerance))
        if not labelled:
            pairs.append(_as_many_as_now(first, second, rates[0]))
    places = np.concatenate(pairs)
    at_first, at_second = selected_from(first, places[:, 0]), selected_from(second, places[:, 1])
    gaps = gap(at_first, at_second, criterion)
    now_first, now_second = decided(first), decided(second)
    if labelled:
        loss = -(at_first.right + at_second.right) / (at_first.labelled + at_second.labelled).sum()
    else:
        chosen = at_first.chosen.sum(axis=-1) + at_second.chosen.sum(axis=-1)
        loss = np.abs(chosen - now_first.chosen.sum() - now_second.chosen.sum())
        loss = loss / (at_first.of.sum() + at_second.of.sum())
    moved = sum(
        np.abs(at.rate("selection_rate") - now.rate("selection_rate"))
        for at, now in ((at_first, now_first), (at_second, now_second))
    )
    kept = np.flatnonzero(gaps <= tolerance + SLACK)
    for wanted in (loss, gaps, np.asarray(moved)):
        kept = kept[wanted[kept] <= wanted[kept].min() + SLACK]
    chosen_pair = min((float(places[i, 0]), float(places[i, 1])) for i in kept)
    return chosen_pair


def best_accuracy(first: IntArray, second: IntArray) -> float:
    """The accuracy of the best pair of thresholds without any criterion; it lies on edges. NaN without truth."""
    corners = np.arange(BINS + 1, dtype=np.float64)
    at = [selected_from(n, corners) for n in (first, second)]
    return float(ratio(sum(one.right.max() for one in at), sum(one.labelled.max() for one in at)))


def _on_an_edge(whole: FloatArray, part: FloatArray, tolerance: float) -> FloatArray:
    """Pairs with the first place on an edge and the second where the gap is just the tolerance, shape (n, 2).

    Parameters
    ----------
    whole, part : the rate of either group at each edge, shape (11,)
    """
    wanted = whole[:, None, None] + np.array([-tolerance, tolerance])[None, :, None]
    drop = part[:-1] - part[1:]
    share = ratio(part[:-1] - wanted, drop)
    i, _, j = np.nonzero((share >= 0) & (share <= 1))
    return np.stack([i, j + share[(share >= 0) & (share <= 1)]], axis=-1)


def _inside(rates: Sequence[tuple[FloatArray, FloatArray]], tolerance: float) -> FloatArray:
    """Pairs inside two bins where both gaps are just the tolerance, shape (n, 2)."""
    (a, b), (c, d) = rates
    # a_i − x·Δa_i − (b_j − y·Δb_j) = ±tolerance, and the same for c and d
    drop_a, drop_b, drop_c, drop_d = (np.asarray(rate[:-1] - rate[1:]) for rate in (a, b, c, d))
    determinant = -drop_a[:, None] * drop_d[None] + drop_b[None] * drop_c[:, None]
    found = []
    for sign in (-1, 1):
        for other in (-1, 1):
            p = a[:-1, None] - b[None, :-1] - sign * tolerance
            q = c[:-1, None] - d[None, :-1] - other * tolerance
            with np.errstate(divide="ignore", invalid="ignore"):
                x = (-p * drop_d[None] + q * drop_b[None]) / determinant
                y = (drop_a[:, None] * q - drop_c[:, None] * p) / determinant
            i, j = np.nonzero((x >= 0) & (x <= 1) & (y >= 0) & (y <= 1))
            found.append(np.stack([i + x[i, j], j + y[i, j]], axis=-1))
    return np.concatenate(found)


def _as_many_as_now(first: IntArray, second: IntArray, rates: tuple[FloatArray, FloatArray]) -> FloatArray:
    """The pair at which both groups are selected at the rate of both together today, shape (n, 2)."""
    both = decided(first + second).rate("selection_rate")
    places = []
    for rate in rates:
        share = ratio(rate[:-1] - both, rate[:-1] - rate[1:])
        inside = np.flatnonzero((share >= 0) & (share <= 1))
        if len(inside) == 0:
            return np.empty((0, 2))
        places.append(inside[0] + share[inside[0]])
    return np.array([places])
