"""Where a metric is heading: a weighted line through its last checks, and what the residual bootstrap says of the next one."""

import math
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.drift.series import TOLERANCE, Series

Action = Literal["retrain", "warn", "none"]
FloatArray = npt.NDArray[np.float64]

MIN_CHECKS: Final = 3
RETRAIN_AT: Final = 0.8
WARN_AT: Final = 0.3
_TAIL: Final = 0.025
# Resampled residuals held in memory at once: 32 MB.
_BLOCK: Final = 4_000_000


class Line(NamedTuple):
    """A weighted least-squares line: its value at x = 0 and its slope."""

    at_zero: float
    slope: float


def predict(
    series: Series, *, last: int = 20, horizon: int = 1, seed: int = 0, n_resamples: int = 1_000
) -> dict[str, Any]:
    """Predict the value of a coming check, and what that calls for.

    Parameters
    ----------
    series : the checks; they count as equally spaced, and one without a value keeps its place
    last : checks that the line goes through
    horizon : checks ahead
    seed, n_resamples : of the residual bootstrap

    Returns
    -------
    dict of plain values: status ("ok" or "insufficient_data" with fewer than 3 values: then every figure is None),
    reason, predicted, interval [lower, upper] of the coming check itself, confidence, probability (that it breaches),
    checks_to_breach (the first coming check at which the line breaches, 0 when it does now, None for never),
    slope_per_check, action ("retrain" at a probability of 0.8, or when the line breaches now and does not lead back;
    "warn" at 0.3; else "none"), n_checks, threshold, horizon.

    For a disparate impact ratio the figures are those of `fairness_predictor.predict_drift`.

    Source: STATISTICS section 5; Davison & Hinkley, Bootstrap methods and their application (1997), section 6.3.3.
    """
    checks = series.checks[-last:]
    place = np.array([i for i, check in enumerate(checks) if check.value is not None], dtype=np.int64)
    answer = {"confidence": 1 - 2 * _TAIL, "threshold": series.threshold, "horizon": horizon}
    if len(place) < MIN_CHECKS:
        figures = (
            "predicted",
            "interval",
            "probability",
            "checks_to_breach",
            "slope_per_check",
            "action",
        )
        reason = f"{len(place)} check{'s' * (len(place) != 1)} with a value, {MIN_CHECKS} needed: unknown, which does not mean fair."
        blank = dict.fromkeys(figures)
        return {"status": "insufficient_data", "reason": reason, **blank, **answer, "n_checks": len(place)}
    values = np.array([checks[i].value for i in place], dtype=np.float64)
    spread = np.array([checks[i].variance or math.nan for i in place], dtype=np.float64)
    # Places are counted from the last one, so the line's constant is its value now.
    x = (place - (len(checks) - 1)).astype(np.float64)
    weight, next_weight = relative_weights(spread)
    line = weighted_line(x, values, weight)
    predicted = line.at_zero + line.slope * horizon
    rng = np.random.default_rng(seed)
    residual = values - (line.at_zero + line.slope * x)
    drawn = predicted + _errors(x, residual, weight, next_weight, float(horizon), n_resamples, rng)
    low, high = np.quantile(drawn, [_TAIL, 1 - _TAIL]).tolist()
    probability = float(np.mean(_beyond(series, drawn)))
    to_breach = _checks_to_breach(series, line)
    least = least_value(series)
    return {
        "status": "ok",
        "reason": (
            f"A line through {len(place)} checks stands at {max(least, line.at_zero):.3f} and changes by"
            f" {line.slope:+.4f} a check; the check {horizon} ahead breaches {series.threshold:g} with probability"
            f" {probability:.2f}."
        ),
        "predicted": max(least, predicted),
        # An interval always contains its own value, also where few draws leave a quantile just past it.
        "interval": [max(least, min(low, predicted)), max(least, high, predicted)],
        "probability": probability,
        "checks_to_breach": to_breach,
        "slope_per_check": line.slope,
        "action": action_for(
            probability, already_beyond=series.is_beyond(line.at_zero), outward=_outward(series, line)
        ),
        **answer,
        "n_checks": len(place),
    }


def action_for(probability: float, *, already_beyond: bool, outward: float) -> Action:
    """What the probability of a breach calls for; `outward` is the slope toward the limit, positive is worse."""
    if probability >= RETRAIN_AT or (already_beyond and outward >= 0):
        return "retrain"
    return "warn" if probability >= WARN_AT else "none"


def least_value(series: Series) -> float:
    """The least value that a metric has, whatever a line says: a ratio and a difference without its sign are not under 0."""
    return -math.inf if series.breached_when == "outside" else 0.0


def weighted_line(x: FloatArray, y: FloatArray, weight: FloatArray) -> Line:
    """The weighted least-squares line through points, shape (n,), n ≥ 2 with two different x.

    Examples
    --------
    >>> weighted_line(np.array([-1.0, 0.0]), np.array([0.5, 0.25]), np.ones(2))
    Line(at_zero=0.25, slope=-0.25)
    """
    x_mean, y_mean = np.average(x, weights=weight), np.average(y, weights=weight)
    slope = float(np.sum(weight * (x - x_mean) * (y - y_mean)) / np.sum(weight * (x - x_mean) ** 2))
    # Rounding of a level series is no trend.
    slope = 0.0 if abs(slope) < 1e-12 else slope
    return Line(float(y_mean - slope * x_mean), slope)


def relative_weights(variances: FloatArray) -> tuple[FloatArray, float]:
    """1/variance of the checks, the most precise 1, and the weight of the median one; an unknown one gets the median."""
    known = variances > 0
    if not known.any():
        return np.ones(len(variances)), 1.0
    middle = float(np.median(variances[known]))
    filled = np.where(known, variances, middle)
    # A check a thousand times noisier than the best one says nothing; below that its weight would only lose digits.
    weight = np.maximum(filled.min() / filled, 1e-6)
    return weight, max(float(filled.min()) / middle, 1e-6)


def _errors(
    x: FloatArray,
    residual: FloatArray,
    weight: FloatArray,
    next_weight: float,
    x_next: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Draws of (coming check − its prediction), shape (n_resamples,): its own noise and the error of the line."""
    n = len(x)
    total, x_mean = weight.sum(), np.average(x, weights=weight)
    around = x - x_mean
    sum_squares = np.sum(weight * around**2)
    left_over = 1.0 - weight * (1.0 / total + around**2 / sum_squares)
    # A check that the line must pass through (leverage 1) tells nothing about the noise.
    adjusted = np.sqrt(weight) * residual / np.sqrt(np.maximum(left_over, TOLERANCE))
    adjusted -= adjusted.mean()
    # The refitted line is linear in the resampled residuals, so a refit is one product with this row.
    pull = np.sqrt(weight) * (1.0 / total + around * (x_next - x_mean) / sum_squares)
    line_error = np.empty(n_resamples)
    step = max(1, _BLOCK // n)
    for start in range(0, n_resamples, step):
        stop = min(start + step, n_resamples)
        line_error[start:stop] = adjusted[rng.integers(0, n, (stop - start, n))] @ pull
    own_noise = adjusted[rng.integers(0, n, n_resamples)] / math.sqrt(next_weight)
    # As wide as Student's t: few residuals know little of their own spread.
    scale: FloatArray = np.sqrt((n - 2) / rng.chisquare(n - 2, n_resamples))
    errors: FloatArray = scale * (own_noise - line_error)
    return errors


def _beyond(series: Series, values: FloatArray) -> npt.NDArray[np.bool_]:
    if series.breached_when == "below":
        return values < series.threshold - TOLERANCE
    size = values if series.breached_when == "above" else np.abs(values)
    return size > series.threshold + TOLERANCE


def _outward(series: Series, line: Line) -> float:
    """The slope in the direction of the limit that the line stands nearer to: positive is worse."""
    if series.breached_when == "below":
        return -line.slope
    if series.breached_when == "outside" and line.at_zero < 0:
        return -line.slope
    return line.slope


def _checks_to_breach(series: Series, line: Line) -> int | None:
    if series.is_beyond(line.at_zero):
        return 0
    if abs(line.slope) <= TOLERANCE or (series.breached_when != "outside" and _outward(series, line) <= 0):
        return None
    limit = series.threshold + TOLERANCE if series.breached_when != "below" else series.threshold - TOLERANCE
    if series.breached_when == "outside":
        limit = math.copysign(limit, line.slope)
    return math.floor((limit - line.at_zero) / line.slope) + 1
