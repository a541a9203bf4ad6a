"""How a metric moves: slope per day with its interval, velocity, rolling average, pre-alert (STATISTICS section 5)."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import numpy as np
from scipy.special import stdtrit

from fairlens_backend.core.drift.prediction import least_value, relative_weights, weighted_line
from fairlens_backend.core.drift.series import TOLERANCE, Series

LEVEL: Final = 0.95
_DAY: Final = timedelta(days=1)


def velocity(values: Sequence[float]) -> float | None:
    """Mean of the later half less mean of the earlier half, per check; None of fewer than two values.

    The middle value of an odd number is in neither half. The centres of the halves are n − ⌊n/2⌋ checks apart.

    Examples
    --------
    >>> velocity([0.9, 0.9, 0.8, 0.8])
    -0.05
    """
    half = len(values) // 2
    if half == 0:
        return None
    gap = math.fsum(values[-half:]) / half - math.fsum(values[:half]) / half
    return round(gap / (len(values) - half), 12)


def rolling_average(series: Series, window: int) -> list[float | None]:
    """At each check the mean of the values among the last `window` checks; None while there is none.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from fairlens_backend.core.drift.series import Check
    >>> at = datetime(2026, 3, 1, tzinfo=UTC)
    >>> checks = [Check(at + place * _DAY, x) for place, x in enumerate([0.5, None, 0.7])]
    >>> rolling_average(Series("m", "sex", "dir", 0.8, "below", checks), 2)
    [0.5, 0.5, 0.7]
    """
    averages: list[float | None] = []
    for end in range(1, len(series.checks) + 1):
        known = [
            check.value for check in series.checks[max(0, end - window) : end] if check.value is not None
        ]
        averages.append(math.fsum(known) / len(known) if known else None)
    return averages


def current_trend(series: Series, window: int | None = None) -> dict[str, Any]:
    """The slope per day of the last `window` checks (None: of all), by least squares weighted by 1/variance.

    Returns
    -------
    slope_per_day, confidence_interval {lower, upper, level, method "weighted least squares"}, direction ("worsening",
    "improving", or "steady" where the interval covers 0), n_checks, since, until, status, reason.

    The interval is Student's, from the residuals; where variances are known the noise is taken to be at least what they
    say, for the same reason as σ0. Fewer than three values at different times: "insufficient_data", all else None.

    Source: Draper & Smith, Applied regression analysis, weighted least squares.
    """
    known = (series.checks if window is None else series.checks[-window:]) or ()
    used = [check for check in known if check.value is not None]
    blank = {
        "slope_per_day": None,
        "confidence_interval": None,
        "direction": None,
        "n_checks": len(used),
        "since": used[0].time.isoformat() if used else None,
        "until": used[-1].time.isoformat() if used else None,
    }
    if len(used) < 3:
        reason = (
            f"{len(used)} check{'s' * (len(used) != 1)} with a value, 3 needed for a trend: it is unknown."
        )
        return {**blank, "status": "insufficient_data", "reason": reason}
    x = np.array([(check.time - used[-1].time) / _DAY for check in used])
    y = np.array([check.value for check in used], dtype=np.float64)
    variances = np.array([check.variance or math.nan for check in used])
    weight, _ = relative_weights(variances)
    line = weighted_line(x, y, weight)
    freedom = len(used) - 2
    noise = float(np.sum(weight * (y - line.at_zero - line.slope * x) ** 2)) / freedom
    if (variances > 0).any():
        # The most precise check has the weight 1, so the noise of weight 1 is its variance.
        noise = max(noise, float(np.nanmin(variances)))
    around = x - np.average(x, weights=weight)
    arm = float(stdtrit(freedom, (1 + LEVEL) / 2)) * math.sqrt(noise / float(np.sum(weight * around**2)))
    low, high = line.slope - arm, line.slope + arm
    direction = "steady"
    if low > 0 or high < 0:
        direction = "worsening" if _worsens(series, line.at_zero, line.slope) else "improving"
    per_day = f"{line.slope:+.4f} a day (95 % interval {low:+.4f} to {high:+.4f})"
    return {
        **blank,
        "slope_per_day": line.slope,
        "confidence_interval": {
            "lower": low,
            "upper": high,
            "level": LEVEL,
            "method": "weighted least squares",
        },
        "direction": direction,
        "status": "ok",
        "reason": f"A line through {len(used)} checks changes by {per_day}: {direction}.",
    }


def pre_alert(series: Series, window: int, horizon: int) -> dict[str, Any]:
    """Whether the average of the last `window` checks breaches, or will within `horizon` checks at its velocity.

    Returns
    -------
    pre_alert (None with fewer than two values: unknown, not fair), beyond (the average breaches already), moving_average,
    velocity, projected (not under 0 where the metric cannot be), window, horizon, threshold, n_checks, reasons.

    Source: STATISTICS section 5.
    """
    values = [check.value for check in series.checks[-window:] if check.value is not None]
    answer = {
        "window": window,
        "horizon": horizon,
        "threshold": series.threshold,
        "n_checks": len(values),
    }
    speed = velocity(values)
    if speed is None:
        blank = dict.fromkeys(("pre_alert", "beyond", "moving_average", "velocity", "projected"))
        reason = f"{len(values)} check{'s' * (len(values) != 1)} with a value, at least 2 are needed: this says nothing about fairness."
        return {**blank, **answer, "reasons": [reason]}
    average = math.fsum(values) / len(values)
    projected = average + speed * horizon
    beyond = series.is_beyond(average)
    heading = series.is_beyond(projected) and _worsens(series, projected, speed)
    if beyond:
        reason = f"The average of {len(values)} checks, {average:.3f}, is beyond {series.threshold:g}."
    elif heading:
        reason = f"At {speed:+.4f} a check the average of {average:.3f} passes {series.threshold:g} within {horizon} checks."
    else:
        reason = f"The average of {average:.3f} is within {series.threshold:g} and does not get there in {horizon} checks."
    return {
        "pre_alert": beyond or heading,
        "beyond": beyond,
        "moving_average": average,
        "velocity": speed,
        "projected": max(least_value(series), projected),
        **answer,
        "reasons": [reason],
    }


def _worsens(series: Series, level: float, change: float) -> bool:
    """Whether a change at a level leads toward the limit."""
    if abs(change) <= TOLERANCE * TOLERANCE:
        return False
    if series.breached_when == "outside":
        return change * level > 0
    return (change < 0) == (series.breached_when == "below")
