"""Intervals of metrics that are made of gaps between rates, for two groups and for many.

A rate of a group is a proportion, and the rates that one metric compares rest on different rows, so a gap's standard
error, its acceleration and its closed-form limits follow from the counts alone; the draws say how far the largest of
several gaps may go by chance.

| groups, gaps | method |
| --- | --- |
| one gap of two groups | `bca`; `newcombe` (differences) or `donner_zou` (ratios) where a rate rests on few rows of either kind |
| several gaps | `simultaneous`: limits of every gap in closed form, with the critical value that the largest studentised gap of the draws exceeds in 5 % of cases |
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fairlens_backend.core.inference.drawn_rates import (
    DrawnRate,
    Interval,
    PairSet,
    difference_limits,
    largest_studentised,
    pair_ratio_limits,
    ratio_sizes,
    sizes,
    sum_limits,
    two_group_ratio,
)
from fairlens_backend.core.inference.intervals import Z_95, wilson_limits
from fairlens_backend.core.metrics._metric import Counts, Metric, RateName

# A gap so many standard errors from 0 has a known sign.
_CLEAR: Final = 3.0
_LEVEL: Final = 0.95


@dataclass
class Gaps:
    """The gaps between the rates of some groups, of a table and of its draws.

    Parameters
    ----------
    n : counts, shape (n_groups, 2, 3)
    drawn : the same of each resample, shape (n_resamples, n_groups, 2, 3)
    reference : index of the reference group
    """

    n: Counts
    drawn: Counts
    reference: int
    _rates: dict[RateName, DrawnRate] = field(default_factory=dict)
    _critical: dict[tuple[object, ...], float] = field(default_factory=dict)

    def interval(self, metric: Metric, value: float, worst: int) -> Interval:
        """The 95 % interval of a metric that has a value.

        Parameters
        ----------
        metric : one with `rates`
        value, worst : its value, and the index of the group that has it

        Returns
        -------
        (low, high, method); it contains the value and is never a point. For the size of a gap it starts at 0 (at 1
        for metric 6) where the gap itself may be 0.
        """
        rates = [self._rate(name) for name in metric.rates]
        # The reference of a selection rate is often the group that was selected most, so all pairs were looked at.
        searched: PairSet = (
            "all" if metric.compared == "extremes" or metric.rates == ("selection",) else "reference"
        )
        if metric.combine == "mean":
            low, high, method = self._mean_of_sizes(rates)
        elif len(rates) == 1 and len(rates[0].groups) == 2:
            low, high, method = self._one_gap(rates[0], metric)
        else:
            low, high, method = self._many_gaps(rates, metric, searched, worst)
        low, high = round(low, 9), round(high, 9)
        return min(low, value), max(high, value), method

    def _rate(self, name: RateName) -> DrawnRate:
        if name not in self._rates:
            self._rates[name] = DrawnRate.of(name, self.n, self.drawn)
        return self._rates[name]

    def _one_gap(self, rate: DrawnRate, metric: Metric) -> Interval:
        """Two groups, one rate: g against the reference group, or the two in either order."""
        r = rate.groups.index(self.reference) if self.reference in rate.groups else 1
        g = 1 - r
        if metric.scale == "ratio":
            return two_group_ratio(rate, g, r, size=metric.compared == "extremes")
        low, high, method = sum_limits(
            [rate], np.array([[1.0, -1.0]]), [(g, r)], Z_95, "newcombe" if rate.few else "bca"
        )
        if metric.breached_when == "outside":
            return float(low[0]), float(high[0]), method
        low, high = sizes(low, high)
        return float(low[0]), float(high[0]), method

    def _many_gaps(
        self, rates: Sequence[DrawnRate], metric: Metric, searched: PairSet, worst: int
    ) -> Interval:
        z = self._z(tuple(metric.rates), rates, metric.scale, searched)
        if all(len(rate.groups) == 2 for rate in rates) and max(map(_clearness, rates)) > _CLEAR:
            z = Z_95  # as for the mean of sizes: once a sign is known two gaps at most can be the largest
        reported: PairSet = "all" if metric.compared == "extremes" else "reference"
        lows, highs = [], []
        for rate in rates:
            i, j = rate.pairs(reported, self.reference)
            limits = wilson_limits(rate.x, rate.n, z)
            if metric.scale == "ratio":
                low, high = pair_ratio_limits(rate, limits, i, j)
                if metric.compared == "extremes":
                    low, high = ratio_sizes(low, high)
            else:
                low, high = difference_limits(rate, limits, i, j)
                if metric.breached_when == "outside":
                    at = i.index(rate.groups.index(worst))
                    low, high = low[at : at + 1], high[at : at + 1]
                else:
                    low, high = sizes(low, high)
            lows.append(low)
            highs.append(high)
        low, high = np.concatenate(lows), np.concatenate(highs)
        if metric.breached_when == "below":
            return float(low.min()), float(high.min()), "simultaneous"
        return float(low.max()), float(high.max()), "simultaneous"

    def _z(self, names: tuple[str, ...], rates: Sequence[DrawnRate], scale: str, which: PairSet) -> float:
        """What the largest studentised gap of the draws exceeds in 5 % of cases; never under that of one gap."""
        key = (names, scale, which)
        if key not in self._critical:
            largest = np.max(
                [largest_studentised(rate, scale, which, self.reference) for rate in rates], axis=0
            )
            self._critical[key] = max(Z_95, float(np.quantile(largest, _LEVEL)))
        return self._critical[key]

    def _mean_of_sizes(self, rates: Sequence[DrawnRate]) -> Interval:
        """½(|a| + |b|) is the larger of |½(a + b)| and |½(a − b)|: two gaps, or two for each group."""
        shared = sorted(set(rates[0].groups) & set(rates[1].groups) - {self.reference})
        cells = [
            tuple(
                place for rate in rates for place in (rate.groups.index(g), rate.groups.index(self.reference))
            )
            for g in shared
        ]
        weights = np.array([[0.5, -0.5, 0.5, -0.5], [0.5, -0.5, -0.5, 0.5]])
        size, distance = [], []
        for g, r, g2, r2 in cells:
            drawn = [
                rates[0].drawn[:, [g, r]] - rates[0].p[[g, r]],
                rates[1].drawn[:, [g2, r2]] - rates[1].p[[g2, r2]],
            ]
            moved = np.concatenate(drawn, axis=1)
            var = np.concatenate([rates[0].variance[[g, r]], rates[1].variance[[g2, r2]]])
            error = np.sqrt((weights**2 * var).sum(axis=1))
            size.append(np.abs(moved @ weights.T) / np.where(error > 0, error, np.inf))
            distance += [_clearness(rate, [a, b]) for rate, a, b in ((rates[0], g, r), (rates[1], g2, r2))]
        z = max(Z_95, float(np.quantile(np.concatenate(size, axis=1).max(axis=1), _LEVEL)))
        if len(cells) == 1:
            # Once a sign is known only two of the four gaps can be the largest, and at 1.96 they miss in 5 % together.
            z = Z_95 if max(distance) > _CLEAR else z
            method = "newcombe" if any(rate.few for rate in rates) else "bca"
        else:
            method = "simultaneous"
        lows, highs = [], []
        for cell in cells:
            low, high = sizes(*sum_limits(rates, weights, [cell[:2], cell[2:]], z, method)[:2])
            lows.append(float(low.max()))
            highs.append(float(high.max()))
        return max(lows), max(highs), method


def _clearness(rate: DrawnRate, pair: Sequence[int] = (0, 1)) -> float:
    """The gap of two groups in standard errors."""
    error = float(np.sqrt(rate.variance[list(pair)].sum()))
    return float(abs(rate.p[pair[0]] - rate.p[pair[1]])) / error if error else 0.0
