"""Sharp bounds on the rates of groups that are known by proxy only (STATISTICS section 6).

Within a stratum of the proxy the decisions are known and so is each group's share, but not how they go together. All
couplings of the two are possible, and nothing else is; the bounds are the least and the greatest rate among them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from fairlens_backend.core.proxies.membership import MEMBERSHIP_UNITS, FloatArray, IntArray
from fairlens_backend.core.proxies.soft_counts import SoftCounts
from fairlens_backend.errors import InvalidInput

Cells = tuple[tuple[int, int], ...]

EVERY: Final[Cells] = tuple((d, y) for d in (0, 1) for y in (0, 1, 2))
LABELLED: Final[Cells] = tuple((d, y) for d in (0, 1) for y in (0, 1))

RATE_CELLS: Final[dict[str, tuple[Cells, Cells, Cells]]] = {
    "selection_rate": (((1, 0), (1, 1), (1, 2)), ((0, 0), (0, 1), (0, 2)), EVERY),
    "true_positive_rate": (((1, 1),), ((0, 1),), LABELLED),
    "false_positive_rate": (((1, 0),), ((0, 0),), LABELLED),
    "positive_predictive_value": (((1, 1),), ((1, 0),), LABELLED),
}
"""Of each rate the cells (ŷ, y) that it counts, the further cells of its denominator, and the rows it is taken from."""

MIN_STRATUM_SIZE: Final = 30
"""Strata with fewer rows are taken as one: the decisions of a few rows are no distribution, and would narrow the bounds."""

# Sums of probabilities in fixed point are off by up to 1e-10 a row: less than this is none.
_NO_ROWS: Final = 1e-6


@dataclass(frozen=True, eq=False)
class RateBounds:
    """The least and greatest possible rate of each group, float arrays, shape (..., n_groups); NaN where undefined.

    `lower` and `upper` of different groups are attained together, in opposite directions: where one group takes the
    selected rows of a stratum first, the other gets the fewest. So the bounds of a difference are
    [lower_g − upper_r, upper_g − lower_r] and those of a ratio [lower_g / upper_r, upper_g / lower_r], and both are sharp.
    """

    lower: FloatArray
    upper: FloatArray

    def difference(self, group: int, reference: int) -> tuple[FloatArray, FloatArray]:
        """Sharp bounds of rate_g − rate_r, each of shape (...)."""
        return (
            np.asarray(self.lower[..., group] - self.upper[..., reference]),
            np.asarray(self.upper[..., group] - self.lower[..., reference]),
        )

    def ratio(self, group: int, reference: int) -> tuple[FloatArray, FloatArray]:
        """Sharp bounds of rate_g / rate_r, each of shape (...); NaN where the divisor is 0, so without upper bound."""
        limits = []
        for top, bottom in ((self.lower, self.upper), (self.upper, self.lower)):
            whole = bottom[..., reference]
            limits.append(
                np.divide(top[..., group], whole, out=np.full(whole.shape, np.nan), where=whole > 0)
            )
        return limits[0], limits[1]


@dataclass(frozen=True, eq=False)
class Pooling:
    """Which rows of a `SoftCounts` are one stratum for the bounds: those with one label, and all that are small."""

    order: IntArray
    starts: IntArray

    @classmethod
    def of(cls, soft: SoftCounts, min_stratum_size: int = MIN_STRATUM_SIZE) -> "Pooling":
        """By the declared strata; those with fewer rows than `min_stratum_size` as one."""
        index = {label: i for i, label in enumerate(dict.fromkeys(label for label, _ in soft.strata))}
        at = np.array([index[label] for label, _ in soft.strata], dtype=np.int64)
        sizes = np.bincount(at, weights=soft.n.sum(axis=(1, 2)), minlength=len(index))
        at = np.where(sizes[at] < min_stratum_size, len(index), at)
        order = np.argsort(at, kind="stable")
        return cls(order.astype(np.int64), np.unique(at[order], return_index=True)[1].astype(np.int64))

    def sums(self, counts: FloatArray, axis: int) -> FloatArray:
        """Counts added up along an axis of strata."""
        if not len(self.starts):
            return counts
        return np.asarray(np.add.reduceat(np.take(counts, self.order, axis=axis), self.starts, axis=axis))


def bounds_of(n: FloatArray, membership: FloatArray, rate: str) -> RateBounds:
    """The bounds of one rate from counts by stratum, over any batch.

    In each stratum, of N rows with A counted and B more in the denominator, a group of Q members has between
    max(0, A+Q−N) and min(A, Q) of the A, and alike of the B; the most of one goes with the least of the other.

    Parameters
    ----------
    n : shape (..., n_strata, 2, 3); membership : shape (..., n_strata, n_groups, 2, 3)

    Returns
    -------
    NaN for a group that can have no row in the denominator.

    Source: Kallus, Mao and Zhou, Assessing algorithmic fairness with unobserved protected class using data combination
    (Management Science 2022), sections 5 and 6; Fréchet 1951.
    """
    counted, further, base = (_take(n, cells)[..., None] for cells in RATE_CELLS[rate])
    members = np.minimum(_take(membership, RATE_CELLS[rate][2]), base)
    most, least = np.minimum(counted, members), np.maximum(0.0, counted + members - base)
    other_most, other_least = np.minimum(further, members), np.maximum(0.0, further + members - base)
    upper = _share(most.sum(axis=-2), other_least.sum(axis=-2))
    lower = _share(least.sum(axis=-2), other_most.sum(axis=-2))
    # Where the extreme coupling leaves no denominator, none of the counted rows (or none of the others) can be the group's.
    possible = (most + other_most).sum(axis=-2) > _NO_ROWS
    return RateBounds(
        np.where(possible & np.isnan(lower), 1.0, lower), np.where(possible & np.isnan(upper), 0.0, upper)
    )


def rate_bounds(soft: SoftCounts, rate: str, *, min_stratum_size: int = MIN_STRATUM_SIZE) -> RateBounds:
    """Sharp bounds of a rate of every group, given only each stratum's decisions and each group's share in it.

    Rates that need the truth use the labelled rows, which takes labels to be missing for all groups of a stratum alike.
    Bounds describe these rows; what is uncertain because the rows are a sample comes on top (`estimate_with_proxies`).

    Parameters
    ----------
    rate : "selection_rate", "true_positive_rate", "false_positive_rate" or "positive_predictive_value"
    min_stratum_size : strata with fewer rows are pooled; never wrong, since coarser strata have wider bounds

    Examples
    --------
    >>> soft = SoftCounts.from_arrays("sex", ["F", "M"], [[0.4, 0.6]] * 100, decision=[1] * 70 + [0] * 30)
    >>> bounds = rate_bounds(soft, "selection_rate")
    >>> bounds.lower.round(6).tolist(), bounds.upper.round(6).tolist()
    ([0.25, 0.5], [1.0, 1.0])

    Source: as `bounds_of`.
    """
    if rate not in RATE_CELLS:
        raise InvalidInput(
            f"no bounds of {rate}; there are {', '.join(RATE_CELLS)}",
            field="rate",
            got=rate,
            expected=f"one of {list(RATE_CELLS)}",
        )
    if soft.negative:
        raise InvalidInput("counts below zero are a change, no window", field="soft_counts")
    pooling = Pooling.of(soft, min_stratum_size)
    membership = soft.membership_units / MEMBERSHIP_UNITS
    return bounds_of(pooling.sums(soft.n.astype(np.float64), 0), pooling.sums(membership, 0), rate)


def _take(counts: FloatArray, cells: Cells) -> FloatArray:
    return np.asarray(sum(counts[..., d, y] for d, y in cells), dtype=np.float64)


def _share(part: FloatArray, rest: FloatArray) -> FloatArray:
    whole = part + rest
    return np.asarray(np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > _NO_ROWS))
