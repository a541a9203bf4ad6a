"""What intervals of gaps are made of: a rate of several groups with its draws, and limits of its gaps."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Final, Literal

import numpy as np

from fairlens_backend.core.inference.intervals import (
    Z_95,
    FloatArray,
    Limits,
    bca_limits,
    ratio_limits,
    weighted_sum_limits,
    wilson_limits,
)
from fairlens_backend.core.metrics._metric import Counts, RateName, cases

Interval = tuple[float, float, str]
PairSet = Literal["all", "reference"]

ENOUGH: Final = 20
"""Rows with and rows without the property that each rate needs for the bootstrap of a gap to cover as often as it says."""

# Beyond so many pairs the largest studentised gap of a draw is bounded from its two most deviating groups.
_PAIRS_DRAWN: Final = 500


@dataclass(frozen=True)
class DrawnRate:
    """One rate of the groups that have it."""

    groups: tuple[int, ...]
    x: FloatArray
    n: FloatArray
    drawn_x: FloatArray
    drawn_n: FloatArray

    @classmethod
    def of(cls, name: RateName, n: Counts, drawn: Counts) -> "DrawnRate":
        x, among = (np.asarray(part, dtype=np.float64) for part in cases(n, name))
        has = np.flatnonzero(among > 0)
        drawn_x, drawn_n = (np.asarray(part, dtype=np.float64) for part in cases(drawn, name))
        return cls(tuple(has.tolist()), x[has], among[has], drawn_x[:, has], drawn_n[:, has])

    @cached_property
    def p(self) -> FloatArray:
        return self.x / self.n

    @cached_property
    def drawn(self) -> FloatArray:
        """A group without rows in a draw has its rate of the table there: it says nothing new."""
        return np.where(self.drawn_n > 0, self.drawn_x / np.maximum(self.drawn_n, 1), self.p)

    @cached_property
    def variance(self) -> FloatArray:
        return self.p * (1 - self.p) / self.n

    @cached_property
    def skew(self) -> FloatArray:
        """The third moment of a rate's influence: for the acceleration, the jackknife over cells in closed form."""
        return self.p * (1 - self.p) * (1 - 2 * self.p) / self.n**2

    @property
    def few(self) -> bool:
        return bool(np.minimum(self.x, self.n - self.x).min() < ENOUGH)

    def log(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """log rate, its draws and variance; half a row added, so that a draw of 0 has a logarithm."""
        value = np.log((self.x + 0.5) / (self.n + 0.5))
        drawn = np.log((self.drawn_x + 0.5) / (self.drawn_n + 0.5))
        return value, drawn, 1 / (self.x + 0.5) - 1 / (self.n + 0.5)

    def pairs(self, which: PairSet, reference: int) -> tuple[list[int], list[int]]:
        """Indices into this rate's groups of the two sides of each pair."""
        places = range(len(self.groups))
        if which == "all":
            found = list(combinations(places, 2))
            return [i for i, _ in found], [j for _, j in found]
        r = self.groups.index(reference)
        return [i for i in places if i != r], [r] * (len(self.groups) - 1)


def sum_limits(
    rates: Sequence[DrawnRate], weights: FloatArray, places: Sequence[tuple[int, ...]], z: float, method: str
) -> tuple[FloatArray, FloatArray, str]:
    """Limits of weighted sums of rates, one for each row of weights; the method that was used in the end."""
    pairs = list(zip(rates, map(list, places), strict=True))
    p, variance, skew = (
        np.concatenate([getattr(rate, what)[at] for rate, at in pairs]) for what in ("p", "variance", "skew")
    )
    if method == "bca":
        drawn = np.concatenate([rate.drawn[:, at] for rate, at in pairs], axis=1) @ weights.T
        acceleration = (weights**3 * skew).sum(axis=1) / (6 * (weights**2 * variance).sum(axis=1) ** 1.5)
        found = [
            bca_limits(drawn[:, k], float(weights[k] @ p), float(acceleration[k]), z)
            for k in range(len(weights))
        ]
        return np.array([low for low, _ in found]), np.array([high for _, high in found]), method
    limits = [wilson_limits(rate.x[at], rate.n[at], z) for rate, at in pairs]
    low, high = (np.concatenate(side) for side in zip(*limits, strict=True))
    return *weighted_sum_limits(weights, p, low, high), method


def two_group_ratio(rate: DrawnRate, g: int, r: int, *, size: bool) -> Interval:
    if rate.few:
        low, high = pair_ratio_limits(rate, wilson_limits(rate.x, rate.n, Z_95), [g], [r])
        method = "donner_zou"
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = rate.drawn[:, g] / rate.drawn[:, r]
        each = np.array([1, -1]) / rate.p[[g, r]]
        acceleration = (each**3 @ rate.skew[[g, r]]) / (6 * (each**2 @ rate.variance[[g, r]]) ** 1.5)
        found = bca_limits(drawn, float(rate.p[g] / rate.p[r]), float(acceleration))
        low, high = np.array([found[0]]), np.array([found[1]])
        method = "bca"
    if size:
        low, high = ratio_sizes(low, high)
    return float(low[0]), float(high[0]), method


def difference_limits(rate: DrawnRate, limits: Limits, i: list[int], j: list[int]) -> Limits:
    low, high = limits
    p, q = rate.p[i], rate.p[j]
    down, up = np.hypot(p - low[i], high[j] - q), np.hypot(high[i] - p, q - low[j])
    return p - q - down, p - q + up


def pair_ratio_limits(rate: DrawnRate, limits: Limits, i: list[int], j: list[int]) -> Limits:
    low, high = limits
    return ratio_limits(rate.p[i], rate.p[j], (low[i], high[i]), (low[j], high[j]))


def sizes(low: FloatArray, high: FloatArray) -> Limits:
    """The image of intervals under the absolute value."""
    return np.maximum(0.0, np.maximum(low, -high)), np.maximum(high, -low)


def ratio_sizes(low: FloatArray, high: FloatArray) -> Limits:
    """The image of intervals of a ratio under "the larger over the smaller"."""
    inverse = 1 / np.maximum(low, 1e-300)
    return np.maximum(1.0, np.maximum(low, 1 / high)), np.maximum(high, inverse)


def largest_studentised(rate: DrawnRate, scale: str, which: PairSet, reference: int) -> FloatArray:
    """The largest studentised gap of each draw, shape (n_resamples,)."""
    value, drawn, variance = rate.log() if scale == "ratio" else (rate.p, rate.drawn, rate.variance)
    moved = drawn - value
    i, j = rate.pairs(which, reference)
    if len(i) > _PAIRS_DRAWN:
        # |a − b| ≤ √(se_a² + se_b²)·√(z_a² + z_b²), by Cauchy and Schwarz: at most a little too wide
        z2 = moved**2 / np.where(variance > 0, variance, np.inf)
        return np.asarray(np.sqrt(np.partition(z2, -2, axis=1)[:, -2:].sum(axis=1)))
    error = np.sqrt(variance[i] + variance[j])
    studentised = np.abs(moved[:, i] - moved[:, j]) / np.where(error > 0, error, np.inf)
    return np.asarray(studentised.max(axis=1, initial=0.0))
