"""CUSUM: a running sum that remembers small shifts in one direction until they add up (STATISTICS section 5)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

K: Final = 0.5
"""Slack in σ0: half the shift that is to be found quickly, 1 σ0."""
H: Final = 5.0
"""The alarm limit in σ0."""
BASELINE: Final = 20
"""Checks that make the baseline where none is declared."""

FloatArray = npt.NDArray[np.float64]
# Nodes and weights by which a standard normal error is averaged over.
_ERRORS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_OVERSHOOT: Final = 1.166
_LARGEST_EXPONENT: Final = 600.0


@dataclass(frozen=True)
class CusumState:
    """The two one-sided sums after the last check.

    Parameters
    ----------
    mean, sigma : μ0 and σ0 of the baseline; sigma above 0
    high, low : C⁺ and C⁻, each at least 0, in units of σ0
    checks : checks since the baseline
    k : the slack
    baseline : checks that the mean was estimated from; None where it is known
    """

    mean: float
    sigma: float
    high: float = 0.0
    low: float = 0.0
    checks: int = 0
    k: float = K
    baseline: int | None = None

    def step(self, x: float) -> "CusumState":
        """The sums after one more check with the value x.

        Examples
        --------
        >>> state = CusumState(mean=0.0, sigma=1.0).step(2.0)
        >>> state.high, state.low, state.step(-3.0).high, state.step(-3.0).low
        (1.5, 0.0, 0.0, 2.5)
        """
        z = (x - self.mean) / self.sigma
        high, low = max(0.0, self.high + z - self.k), max(0.0, self.low - z - self.k)
        return replace(self, high=high, low=low, checks=self.checks + 1)

    def sides(self, x: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """C⁺ and C⁻ after one more check, for each of many values x, each in the shape of x."""
        z = (np.asarray(x, dtype=np.float64) - self.mean) / self.sigma
        return np.maximum(0.0, self.high + z - self.k), np.maximum(0.0, self.low - z - self.k)

    def image(self, low: float, high: float) -> tuple[float, float]:
        """The least and the largest that the larger sum can be for a check from low to high: it falls, then rises."""
        turn = self.mean + self.sigma * (self.low - self.high) / 2
        ends = np.maximum(*self.sides([low, high, min(max(turn, low), high)]))
        return float(ends.min()), float(ends.max())

    def chance(self, value: float) -> float:
        """The probability that either sum is or has been at this value or above by the coming check, while nothing has shifted.

        At any check so far, since the checks are looked at one after another: a sum passes a value after about as many
        checks as its average run length, exponentially distributed. A mean estimated from m checks is off by a normal error
        of 1/√m σ0, which every step repeats: that error is averaged over, else a baseline of 20 checks that happens to be
        a little low makes an alarm of every steady series in the end. Doubled for two sides. For independent normal checks
        whose σ0 is right. With a known mean a bound on the probability at any one check, exp(−2k·value), twice (Lundberg).

        Examples
        --------
        >>> known, estimated = CusumState(0.0, 1.0), CusumState(0.0, 1.0, checks=179, baseline=20)
        >>> round(known.chance(10.0), 4), round(estimated.chance(10.0), 3), round(estimated.chance(30.0), 3)
        (0.0001, 0.103, 0.013)

        Source: Siegmund, Sequential analysis (1985), chapter 2, the average run length with its correction of 1.166 for
        steps instead of a path.
        """
        if self.baseline is None:
            return min(1.0, 2 * math.exp(-2 * self.k * value))
        drift = _ERRORS / math.sqrt(self.baseline) - self.k
        level = value + _OVERSHOOT
        reach = -2 * drift * level
        # exp(reach) − 1 − reach, which is reach²/2 where the walk has next to no drift
        length = np.expm1(np.minimum(reach, _LARGEST_EXPONENT)) - reach
        flat = np.abs(reach) < 1e-6
        length = np.where(flat, level**2, length / np.where(flat, 1.0, 2 * drift**2))
        passed = -np.expm1(-(self.checks + 1) / np.maximum(length, 1.0))
        return min(1.0, 2 * float(_WEIGHTS @ passed))


def cusum_state(
    series: Sequence[float | None],
    least_sigma: float = 0.0,
    *,
    baseline: int | Sequence[float] = BASELINE,
    k: float = K,
) -> CusumState | None:
    """The CUSUM of a series of checks, oldest first.

    Parameters
    ----------
    series : the checks; None (a check without a value) is passed over
    least_sigma : the standard error that the counts of a check imply: σ0 is never below it, since a baseline that
        happens to be calm must not turn noise into alarms
    baseline : the number of first checks that give μ0 and σ0, or the values of a declared baseline window, which
        then are not part of the series
    k : the slack

    Returns
    -------
    None with fewer checks than the baseline needs (2 of a declared one), or when σ0 is 0.

    Examples
    --------
    >>> state = cusum_state([0.02, 0.04] * 10 + [0.06, 0.06])
    >>> round(state.high, 3), state.low
    (4.848, 0.0)

    Source: Page, Continuous inspection schemes (Biometrika 1954); Montgomery, Statistical quality control, chapter 9.
    """
    known = [float(value) for value in series if value is not None]
    if isinstance(baseline, int):
        first, rest = known[:baseline], known[baseline:]
        needed = max(baseline, 2)
    else:
        first, rest, needed = [float(value) for value in baseline], known, 2
    if len(first) < needed:
        return None
    mean = math.fsum(first) / len(first)
    variance = math.fsum((value - mean) ** 2 for value in first) / (len(first) - 1)
    sigma = max(math.sqrt(variance), least_sigma)
    if sigma <= 0:
        return None
    state = CusumState(mean, sigma, k=k, baseline=len(first))
    high = low = 0.0
    for value in rest:  # as `step`, without a state for each of thousands
        z = (value - mean) / sigma
        high, low = max(0.0, high + z - k), max(0.0, low - z - k)
    return replace(state, high=high, low=low, checks=len(rest))


def alarms(state: CusumState, h: float = H) -> bool:
    """Whether either sum is beyond the limit."""
    return max(state.high, state.low) > h


def average_run_length(shift: float, k: float = K, h: float = H, *, nodes: int = 80) -> float:
    """Checks until the first alarm of a two-sided CUSUM of independent normal checks with σ0 = 1, on average.

    Parameters
    ----------
    shift : how far the mean is from μ0, in σ0
    nodes : of the quadrature

    Examples
    --------
    >>> round(average_run_length(0.0)), round(average_run_length(1.0), 1)
    (465, 10.4)

    Source: Page's integral equation by Nyström's method; the sides combine as 1/ARL = 1/ARL⁺ + 1/ARL⁻
    (Kemp 1961), exact for equal slacks.
    """
    return 1 / (1 / _one_sided(shift, k, h, nodes) + 1 / _one_sided(-shift, k, h, nodes))


def _one_sided(shift: float, k: float, h: float, nodes: int) -> float:
    # L(u) = 1 + L(0)·Φ(k − u − δ) + ∫₀ʰ L(y)·φ(y + k − u − δ) dy
    x, weight = np.polynomial.legendre.leggauss(nodes)
    y, weight = (x + 1) * h / 2, weight * h / 2
    u = np.concatenate([[0.0], y])
    kernel = np.zeros((nodes + 1, nodes + 1))
    kernel[:, 1:] = weight * _density(y[None, :] + k - u[:, None] - shift)
    kernel[:, 0] = [0.5 * math.erfc(-(k - start - shift) / math.sqrt(2)) for start in u]
    lengths: Any = np.linalg.solve(np.eye(nodes + 1) - kernel, np.ones(nodes + 1))
    return float(lengths[0])


def _density(z: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-z * z / 2) / math.sqrt(2 * math.pi), dtype=np.float64)
