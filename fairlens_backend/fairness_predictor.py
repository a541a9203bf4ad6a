"""Where the disparate impact ratio is heading: `core.drift.prediction` of plain numbers, oldest first."""

import math
import numbers
import operator
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.drift import prediction
from fairlens_backend.core.drift.prediction import MIN_CHECKS, RETRAIN_AT, WARN_AT, Action
from fairlens_backend.core.drift.series import Check, Series
from fairlens_backend.errors import InvalidInput

__all__ = [
    "MIN_CHECKS",
    "RETRAIN_AT",
    "WARN_AT",
    "Action",
    "DriftPrediction",
    "predict_drift",
]

CONFIDENCE = 0.95

_Floats = npt.NDArray[np.float64]

# Beyond any ratio of two shares of a table, and small enough that squares stay finite.
_LARGEST = 1e12
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_APART = timedelta(hours=1)


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
    seed = _whole_number("seed", seed, 0, None)
    ratios = _series("recent_dirs", recent_dirs)
    spread = np.full(ratios.shape, np.nan) if variances is None else _series("variances", variances)
    if len(spread) != len(ratios):
        raise _refusal("variances", len(spread), f"{len(ratios)} entries, one for each of recent_dirs")

    answer = prediction.predict(
        _as_series(ratios, spread, threshold),
        last=max(1, len(ratios)),
        horizon=horizon,
        seed=seed,
        n_resamples=n_resamples,
    )
    return DriftPrediction(
        status=answer["status"],
        reason=answer["reason"],
        predicted_dir=answer["predicted"],
        interval=answer["interval"],
        confidence=CONFIDENCE,
        probability=answer["probability"],
        checks_to_breach=answer["checks_to_breach"],
        slope_per_check=answer["slope_per_check"],
        action=answer["action"],
        n_checks=answer["n_checks"],
        threshold=threshold,
        horizon=horizon,
    )


def _as_series(ratios: _Floats, spread: _Floats, threshold: float) -> Series:
    """The ratios as checks an hour apart; when they were made is not known and does not matter."""
    checks = [
        Check(
            _FIRST + place * _APART,
            None if math.isnan(ratio) else float(ratio),
            None if math.isnan(variance) else float(variance),
        )
        for place, (ratio, variance) in enumerate(zip(ratios, spread, strict=True))
    ]
    return Series("", "", "disparate_impact_ratio", threshold, "below", checks)


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
