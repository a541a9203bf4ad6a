"""Intervals of rates."""

import math
from typing import Final

# The 97.5 % point of the standard normal distribution.
Z_95: Final = 1.959963984540054


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
