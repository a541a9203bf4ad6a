"""Where the disparate impact ratio is heading: a line through the last checks and what it implies."""

import math
import numbers
import operator
from collections.abc import Iterable
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from fairlens_backend.errors import InvalidInput

CONFIDENCE = 0.95
MIN_CHECKS = 3
RETRAIN_AT = 0.8
WARN_AT = 0.3

Action = Literal["retrain", "warn", "none"]
_Floats = npt.NDArray[np.float64]

# Comparisons with a threshold are made with this tolerance (STATISTICS section 3).
_TOLERANCE = 1e-9
# Beyond any ratio of two shares of a table, and small enough that squares stay finite.
_LARGEST = 1e12
# Resampled residuals held in memory at once: 32 MB.
_BLOCK = 4_000_000


class DriftPrediction(TypedDict):
    """What `predict_drift` returns; Python numbers only, so it goes into JSON as it is."""

    status: Literal["ok", "insufficient_data"]
    reason: str
    predicted_dir: float | None
    interval: list[float] | None
    confidence: float
    probability: float | None
    checks_to_breach: int | None
    slope_per_check: float | None
    action: Action | None
    n_checks: int
    threshold: float
    horizon: int


def predict_drift(
    recent_dirs: Iterable[float | None],
    threshold: float = 0.8,
    variances: Iterable[float | None] | None = None,
    horizon: int = 1,
    seed: int = 0,
    n_resamples: int = 1000,
) -> DriftPrediction:
    """Predict the disparate impact ratio of a coming check, with its interval and what to do about it.

    Parameters
    ----------
    recent_dirs : ratios ≥ 0, oldest first, equally spaced in time, shape (n_checks,). None or NaN marks a check
        whose ratio was undefined: it is left out of the fit and keeps its place in time.
    threshold : ratio > 0 under which a check breaches
    variances : sampling variance of each ratio, same shape. Each check weighs 1/variance. None, NaN or 0 (as the plug-in
        gives when everybody is selected) is a variance not known: the median of the known ones stands in.
    horizon : how many checks after the last place the prediction is for, 1 to 1000
    seed : whole number ≥ 0; the same arguments and seed give the same answer
    n_resamples : bootstrap draws, 100 to 100,000

    Returns
    -------
    dict
        predicted_dir (≥ 0), interval ([lo, hi] of the coming check itself, not of the line), confidence (0.95),
        probability (that the coming check is under the threshold), checks_to_breach (the first coming check whose point on
        the line is under the threshold; 0 when the line is there already, None when it never gets there),
        slope_per_check, n_checks (usable ones), threshold, horizon, action ("retrain", "warn", "none"), status and reason.
        With fewer than 3 usable checks the status is "insufficient_data" and every figure and the action are
        None: unknown, not fair.

    Raises
    ------
    InvalidInput : when an argument is not as described; the error's details name it

    Notes
    -----
    Residuals are divided by √(1 − leverage) and each resample is scaled by √(df/χ²) with df = n − 2, so that
    intervals from few checks are as wide as Student's t and not as the normal law. The coming check is taken
    to be as precise as the median one.

    Examples
    --------
    >>> falling = predict_drift([0.96, 0.94, 0.92, 0.90, 0.88])
    >>> round(falling["predicted_dir"], 6), falling["checks_to_breach"], falling["action"]
    (0.86, 5, 'none')
    >>> predict_drift([0.86, 0.84, 0.82, 0.80, 0.78])["action"]
    'retrain'
    >>> predict_drift([0.9, None])["status"]
    'insufficient_data'

    Source: STATISTICS section 5; Davison & Hinkley, Bootstrap Methods and their Application (1997), sections 6.3.2 and 6.3.3.
    """
    if not (limit := _entry("threshold", threshold)) > 0:
        raise _refusal("threshold", threshold, "a number above 0")
    threshold = limit
    horizon = _whole_number("horizon", horizon, 1, 1000)
    n_resamples = _whole_number("n_resamples", n_resamples, 100, 100_000)
    rng = np.random.default_rng(_whole_number("seed", seed, 0, None))
    ratios = _series("recent_dirs", recent_dirs)
    spread = np.full(ratios.shape, np.nan) if variances is None else _series("variances", variances)
    if len(spread) != len(ratios):
        raise _refusal("variances", len(spread), f"{len(ratios)} entries, one for each of recent_dirs")

    place = np.flatnonzero(~np.isnan(ratios))
    n_checks = len(place)
    if n_checks < MIN_CHECKS:
        reason = (
            f"{n_checks} usable checks of {len(ratios)}, {MIN_CHECKS} needed: where the disparate impact ratio "
            "is heading is unknown, which does not mean fair"
        )
        return DriftPrediction(
            status="insufficient_data",
            reason=reason,
            predicted_dir=None,
            interval=None,
            confidence=CONFIDENCE,
            probability=None,
            checks_to_breach=None,
            slope_per_check=None,
            action=None,
            n_checks=n_checks,
            threshold=threshold,
            horizon=horizon,
        )

    # Places are counted from the last one, so the line's constant is its value now.
    x = (place - (len(ratios) - 1)).astype(np.float64)
    y, weight, next_weight = ratios[place], *_weights(spread[place])
    now, slope = _weighted_line(x, y, weight)
    predicted = now + slope * horizon
    error = _prediction_errors(
        x, y - (now + slope * x), weight, next_weight, float(horizon), n_resamples, rng
    )
    tail = (1.0 - CONFIDENCE) / 2.0
    lo, hi = np.quantile(predicted + error, [tail, 1.0 - tail]).tolist()
    probability = float(np.mean(predicted + error < threshold - _TOLERANCE))
    checks_to_breach = _checks_to_breach(now, slope, threshold)
    ahead = "the next check" if horizon == 1 else f"the check {horizon} ahead"
    return DriftPrediction(
        status="ok",
        reason=(
            f"a line through {n_checks} checks stands at {max(0.0, now):.3f} and changes by {slope:+.4f} a check; {ahead} "
            f"is under {threshold:g} with probability {probability:.2f}"
        ),
        predicted_dir=max(0.0, predicted),
        # An interval always contains its own value, also where few draws leave a quantile just past it.
        interval=[max(0.0, min(lo, predicted)), max(0.0, hi, predicted)],
        confidence=CONFIDENCE,
        probability=probability,
        checks_to_breach=checks_to_breach,
        slope_per_check=slope,
        action=recommended_action(probability, already_under=checks_to_breach == 0, slope=slope),
        n_checks=n_checks,
        threshold=threshold,
        horizon=horizon,
    )


def recommended_action(probability: float, *, already_under: bool, slope: float) -> Action:
    """What the probability of a breach calls for.

    Parameters
    ----------
    probability : that the coming check is under the threshold, in [0, 1]
    already_under : whether the line is under the threshold now
    slope : of the line, a check; a rising line that is still under does not call for retraining by itself

    Examples
    --------
    >>> recommended_action(0.8, already_under=False, slope=-0.01)
    'retrain'
    >>> recommended_action(0.3, already_under=False, slope=-0.01)
    'warn'

    Source: STATISTICS section 5.
    """
    if probability >= RETRAIN_AT or (already_under and slope <= 0):
        return "retrain"
    return "warn" if probability >= WARN_AT else "none"


def _weights(variances: _Floats) -> tuple[_Floats, float]:
    """Relative weights of the checks, the most precise 1, and the weight of the coming check."""
    known = variances > 0
    if not known.any():
        return np.ones(len(variances)), 1.0
    filled = np.where(known, variances, np.median(variances[known]))
    # A check a thousand times noisier than the best one says nothing; below that its weight would only lose digits.
    weight = np.maximum(filled.min() / filled, 1e-6)
    return weight, float(max(filled.min() / np.median(filled), 1e-6))


def _weighted_line(x: _Floats, y: _Floats, weight: _Floats) -> tuple[float, float]:
    """Value at x = 0 and slope of the weighted least-squares line."""
    x_mean, y_mean = np.average(x, weights=weight), np.average(y, weights=weight)
    slope = float(np.sum(weight * (x - x_mean) * (y - y_mean)) / np.sum(weight * (x - x_mean) ** 2))
    # Rounding of a level series is no trend.
    slope = 0.0 if abs(slope) < 1e-12 else slope
    return float(y_mean - slope * x_mean), slope


def _prediction_errors(
    x: _Floats,
    residual: _Floats,
    weight: _Floats,
    next_weight: float,
    x_next: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> _Floats:
    """Draws of (coming check − its prediction): noise of that check and error of the fitted line, shape (n_resamples,)."""
    n = len(x)
    total, x_mean = weight.sum(), np.average(x, weights=weight)
    around = x - x_mean
    sum_squares = np.sum(weight * around**2)
    left_over = 1.0 - weight * (1.0 / total + around**2 / sum_squares)
    # A check that the line must pass through (leverage 1) tells nothing about the noise.
    adjusted = np.sqrt(weight) * residual / np.sqrt(np.maximum(left_over, _TOLERANCE))
    adjusted -= adjusted.mean()
    # The refitted line is linear in the resampled residuals, so a refit is one product with this row.
    pull = np.sqrt(weight) * (1.0 / total + around * (x_next - x_mean) / sum_squares)

    line_error = np.empty(n_resamples)
    step = max(1, _BLOCK // n)
    for start in range(0, n_resamples, step):
        stop = min(start + step, n_resamples)
        line_error[start:stop] = adjusted[rng.integers(0, n, (stop - start, n))] @ pull
    own_noise = adjusted[rng.integers(0, n, n_resamples)] / math.sqrt(next_weight)
    scale: _Floats = np.sqrt((n - 2) / rng.chisquare(n - 2, n_resamples))
    errors: _Floats = scale * (own_noise - line_error)
    return errors


def _checks_to_breach(now: float, slope: float, threshold: float) -> int | None:
    """The first coming check, from 1, at which the line is under the threshold; 0 when it is now, None for never."""
    room = now - (threshold - _TOLERANCE)
    if room < 0:
        return 0
    if slope > -_TOLERANCE:
        return None
    return math.floor(room / -slope) + 1


def _series(field: str, values: Any) -> _Floats:
    """The values as floats, NaN for an absent one; anything else than a number from 0 up is refused with its place."""
    if isinstance(values, (str, bytes, dict)) or not isinstance(values, Iterable):
        raise _refusal(field, values, "a list of numbers of at least 0, None where undefined")
    return np.array([_entry(f"{field}[{i}]", value) for i, value in enumerate(values)], dtype=np.float64)


def _entry(field: str, value: Any) -> float:
    """One value of a series as a float in [0, `_LARGEST`], NaN where it is absent."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return math.nan
    if (
        not isinstance(value, (int, float, np.integer, np.floating))
        or isinstance(value, bool)
        or not 0 <= value <= _LARGEST
    ):
        raise _refusal(field, value, f"a number from 0 to {_LARGEST:g}, or None where undefined")
    return float(value)


def _whole_number(field: str, value: Any, least: int, most: int | None) -> int:
    """The value as an int in [least, most]; True, 3.0 and "3" are refused."""
    expected = (
        f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    )
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise _refusal(field, value, expected)
    number = operator.index(value)
    if number < least or (most is not None and number > most):
        raise _refusal(field, number, expected)
    return number


def _refusal(field: str, value: Any, expected: str) -> InvalidInput:
    # Details go into JSON, which knows neither NaN nor numpy: those are named as text.
    value = float(value) if isinstance(value, float) else value
    speakable = isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))
    got = value if speakable else repr(value)[:80]
    return InvalidInput(
        f"{field} is {value!r:.80}, {expected} was expected", field=field, got=got, expected=expected
    )
