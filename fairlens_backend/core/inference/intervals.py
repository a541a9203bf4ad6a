"""Intervals of rates, of gaps between rates in closed form, and from resampled values."""

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

FloatArray = npt.NDArray[np.float64]
Limits = tuple[FloatArray, FloatArray]

# The 97.5 % point of the standard normal distribution.
Z_95: Final = 1.959963984540054

# Values that differ by less are the same value: the rest is rounding of the last bits.
_TIE: Final = 1e-12


def wilson_interval(successes: int, n: int, z: float = Z_95) -> tuple[float, float] | None:
    """Wilson score interval of a proportion.

    Parameters
    ----------
    successes : rows that have the property, 0 to n
    n : rows
    z : two-sided normal quantile of the confidence, 95 % by default

    Returns
    -------
    (low, high) in [0, 1], always around successes / n; None when n is 0.

    Examples
    --------
    >>> [round(limit, 4) for limit in wilson_interval(8, 10)]
    [0.4902, 0.9433]
    >>> wilson_interval(0, 0) is None
    True

    Source: Wilson, Probable inference, the law of succession, and statistical inference (JASA 1927).
    """
    if n <= 0:
        return None
    p = successes / n
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At 0 and n one limit is exactly 0 or 1, and rounding would leave it just outside.
    low = 0.0 if successes == 0 else max(0.0, (centre - half) / scale)
    high = 1.0 if successes == n else min(1.0, (centre + half) / scale)
    return low, high


def wilson_limits(successes: Any, n: Any, z: float) -> Limits:
    """`wilson_interval` for arrays of one shape; every n above 0."""
    x, m = np.asarray(successes, dtype=np.float64), np.asarray(n, dtype=np.float64)
    p = x / m
    centre = p + z * z / (2 * m)
    half = z * np.sqrt(p * (1 - p) / m + z * z / (4 * m * m))
    scale = 1 + z * z / m
    low = np.where(x == 0, 0.0, np.clip((centre - half) / scale, 0, p))
    high = np.where(x == m, 1.0, np.clip((centre + half) / scale, p, 1))
    return low, high


def weighted_sum_limits(weights: FloatArray, rates: FloatArray, low: FloatArray, high: FloatArray) -> Limits:
    """Limits of Σ weight·rate over the last axis, from the limits of the independent rates.

    The square-and-add method: for a difference of two rates with Wilson limits it is Newcombe's interval. It needs no
    resampling and has width also where every rate is 0 or 1.

    Parameters
    ----------
    weights, rates, low, high : shapes that broadcast to (..., n_rates)

    Examples
    --------
    >>> low, high = wilson_limits([56, 48], [70, 80], Z_95)
    >>> found = weighted_sum_limits(np.array([1.0, -1.0]), np.array([0.8, 0.6]), low, high)
    >>> [round(float(limit), 4) for limit in found]
    [0.0524, 0.3339]

    Source: Newcombe, Interval estimation for the difference between independent proportions (Statistics in Medicine
    1998), method 10; Zou and Donner (Statistics in Medicine 2008) for sums.
    """
    value = (weights * rates).sum(axis=-1)
    down, up = weights * (rates - low), weights * (high - rates)
    shorter = np.where(weights >= 0, down, up)
    longer = np.where(weights >= 0, up, down)
    return value - np.sqrt((shorter**2).sum(axis=-1)), value + np.sqrt((longer**2).sum(axis=-1))


def ratio_limits(top: FloatArray, bottom: FloatArray, top_limits: Limits, bottom_limits: Limits) -> Limits:
    """Limits of top/bottom, from the limits of the two independent rates; bottom above 0.

    Where nobody of the group on top was selected the ratio is 0 and still has an upper limit.

    Source: Donner and Zou, Closed-form confidence intervals for functions of the normal mean and standard deviation
    (Statistical Methods in Medical Research 2012), the interval of a ratio.
    """
    (l1, u1), (l2, u2) = top_limits, bottom_limits
    product = top * bottom
    down = l1 * u2 * (2 * top - l1) * (2 * bottom - u2)
    up = u1 * l2 * (2 * top - u1) * (2 * bottom - l2)
    # the usual form of the lower limit divides by 2·bottom − u2, which may be 0
    at_bottom = product + np.sqrt(np.maximum(product**2 - down, 0))
    low = np.where(at_bottom > 0, l1 * (2 * top - l1) / np.where(at_bottom > 0, at_bottom, 1), 0.0)
    high = (product + np.sqrt(np.maximum(product**2 - up, 0))) / (l2 * (2 * bottom - l2))
    value = top / bottom
    return np.minimum(low, value), np.maximum(high, value)


def bca_limits(draws: FloatArray, value: float, acceleration: float, z: float = Z_95) -> tuple[float, float]:
    """The bias-corrected and accelerated bootstrap interval of one figure.

    Parameters
    ----------
    draws : the figure of each resampled table, shape (n_resamples,); those that are not finite are left out
    value : the figure of the table itself
    acceleration : how fast the standard error changes with the figure, from the jackknife
    z : two-sided normal quantile of the confidence

    Returns
    -------
    (low, high); a point when all draws are the same, for the caller to replace.

    Examples
    --------
    >>> low, high = bca_limits(np.arange(1001.0), 500.0, acceleration=0.0)
    >>> round(low), round(high)
    (25, 975)

    Source: Efron, Better bootstrap confidence intervals (JASA 1987). Draws equal to the value count half, since counts
    are discrete.
    """
    known = np.sort(draws[np.isfinite(draws)])
    if len(known) == 0:
        return value, value
    below = np.searchsorted(known, value - _TIE, side="left")
    equal = np.searchsorted(known, value + _TIE, side="right") - below
    share = (below + equal / 2) / len(known)
    bias = float(ndtri(min(max(share, 0.5 / len(known)), 1 - 0.5 / len(known))))
    shifted = np.array([bias - z, bias + z])
    levels = ndtr(bias + shifted / np.maximum(1 - acceleration * shifted, 1e-3))
    low, high = np.interp(levels * (len(known) - 1), np.arange(len(known)), known)
    return float(low), float(high)


def ratio_interval(
    selected: int, n: int, reference_selected: int, reference_n: int, z: float = Z_95
) -> tuple[float, float] | None:
    """Interval of the ratio of two independent proportions, from their Wilson limits.

    Returns
    -------
    (low, high) around the ratio; None when a group is empty or nobody of the reference is selected.

    Examples
    --------
    >>> [round(limit, 3) for limit in ratio_interval(30, 100, 60, 100)]
    [0.355, 0.696]
    >>> ratio_interval(0, 50, 25, 50)[0], ratio_interval(1, 5, 0, 5)
    (0.0, None)

    Source: as `ratio_limits`.
    """
    if min(n, reference_n) <= 0 or reference_selected <= 0:
        return None
    x, m = np.array([selected, reference_selected]), np.array([n, reference_n])
    low, high = wilson_limits(x, m, z)
    p = x / m
    found = ratio_limits(p[:1], p[1:], (low[:1], high[:1]), (low[1:], high[1:]))
    return float(found[0][0]), float(found[1][0])


def difference_interval(
    selected: int, n: int, reference_selected: int, reference_n: int, z: float = Z_95
) -> tuple[float, float] | None:
    """Newcombe's interval of the difference of two independent proportions; None when a group is empty.

    Examples
    --------
    >>> [round(limit, 4) for limit in difference_interval(56, 70, 48, 80)]
    [0.0524, 0.3339]

    Source: as `weighted_sum_limits`.
    """
    if min(n, reference_n) <= 0:
        return None
    x, m = np.array([selected, reference_selected]), np.array([n, reference_n])
    low, high = weighted_sum_limits(np.array([1.0, -1.0]), x / m, *wilson_limits(x, m, z))
    return float(low), float(high)
