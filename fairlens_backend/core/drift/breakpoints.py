"""Where the level of a series changed: PELT with a quadratic cost."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

MIN_SEGMENT: Final = 3
# From a median absolute deviation to a standard deviation, for Gaussian noise: 1/Φ⁻¹(3/4).
MAD_TO_SIGMA: Final = 1.4826022185056018


def breakpoints(
    series: Sequence[float], *, penalty: float | None = None, min_segment: int = MIN_SEGMENT
) -> list[int]:
    """The places at which a new level starts.

    Parameters
    ----------
    series : floats, shape (n,), in order of time, none missing
    penalty : what one more breakpoint must save in squared distance; None: 3·σ²·ln n, where σ comes from the
        median absolute difference of neighbours, which a few jumps do not move
    min_segment : least number of values between two breakpoints

    Returns
    -------
    indices in (0, n) at which a segment starts, ascending; empty when the level never changes, when the
    series is shorter than two segments, or when it does not vary at all

    Examples
    --------
    >>> breakpoints([0.9, 0.91, 0.9, 0.89, 0.6, 0.61, 0.59, 0.6])
    [4]

    Source: Killick, Fearnhead, Eckley (2012), Optimal detection of changepoints with a linear computational
    cost, JASA 107(500), algorithm PELT; cost: squared distance to the segment's mean.
    """
    values = np.asarray(series, dtype=np.float64)
    n = len(values)
    if n < 2 * min_segment or np.ptp(values) == 0:
        return []
    if penalty is None:
        penalty = 3 * noise_level(values) ** 2 * float(np.log(n))
    return _pelt(values - values.mean(), penalty, min_segment)


def noise_level(values: NDArray[np.float64]) -> float:
    """The standard deviation of the noise, from the differences of neighbours (shape (n,), n ≥ 2).

    Never 0 for a series that varies: a staircase without noise has neighbours that are mostly equal, and then
    the mean absolute difference serves.
    """
    steps = np.abs(np.diff(values))
    typical = float(np.median(steps)) * MAD_TO_SIGMA
    return (typical or float(steps.mean())) / float(np.sqrt(2))


def _pelt(values: NDArray[np.float64], penalty: float, min_segment: int) -> list[int]:
    n = len(values)
    total = np.concatenate(([0.0], np.cumsum(values)))
    squares = np.concatenate(([0.0], np.cumsum(values**2)))
    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    came_from = np.zeros(n + 1, dtype=np.int64)
    # A start that is beaten at `end` cannot be the best for any end from which the breakpoint at `end` is
    # allowed too: it is dropped `min_segment` later (pruning at once is not exact with a least segment).
    candidates, dropped_from = np.array([0]), np.array([n + 1])
    for end in range(min_segment, n + 1):
        span = end - candidates
        cost = squares[end] - squares[candidates] - (total[end] - total[candidates]) ** 2 / span
        reached = best[candidates] + cost + penalty
        choice = int(np.argmin(reached))
        best[end], came_from[end] = reached[choice], candidates[choice]
        beaten = best[candidates] + cost > best[end]
        dropped_from = np.where(beaten, np.minimum(dropped_from, end + min_segment), dropped_from)
        kept = dropped_from > end + 1
        candidates = np.append(candidates[kept], end + 1 - min_segment)
        dropped_from = np.append(dropped_from[kept], n + 1)
    places: list[int] = []
    place = int(came_from[n])
    while place > 0:
        places.append(place)
        place = int(came_from[place])
    return places[::-1]
