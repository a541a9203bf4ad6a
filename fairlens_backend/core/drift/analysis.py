"""Everything that is said of one series: the body of the answer on a model's drift."""

import itertools
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from fairlens_backend.core.drift.adwin import adwin_changes
from fairlens_backend.core.drift.breakpoints import breakpoints
from fairlens_backend.core.drift.cusum_run import (
    CusumRun,
    alarm_episodes,
    run_cusum,
    take_baseline,
)
from fairlens_backend.core.drift.drift_settings import DEFAULT_SETTINGS, BaselineWindow, DriftSettings
from fairlens_backend.core.drift.early_warning import early_warning
from fairlens_backend.core.drift.prediction import predict
from fairlens_backend.core.drift.series import Series
from fairlens_backend.core.drift.trend import current_trend, pre_alert, rolling_average, velocity

Result = dict[str, Any]
_Z95: Final = 1.959963984540054


def analyse(
    series: Series,
    *,
    baseline: BaselineWindow | None = None,
    settings: DriftSettings = DEFAULT_SETTINGS,
    grain: int | str | None = None,
    shown_since: datetime | None = None,
) -> Result:
    """What a series of checks says about drift.

    Parameters
    ----------
    series : the checks; of windows that overlap those are taken that share no rows
    baseline : a declared baseline window; None: the first `settings.baseline` checks that have a value
    grain : the periods that checks are put together to; None: as they were made
    shown_since : a time; the checks up to it count for baseline and detectors, and are left out of what is listed

    Returns
    -------
    dict of plain values
        model, attribute, metric, threshold, breached_when, grain_hours, n_checks, n_undefined, n_overlapping (checks left
        out), since, until, status ("ok", "insufficient_data" without any value), reason;
        timeseries [{time, value, standard_error, n, status, reason, breached, interval {lower, upper} (95 %, from
        the standard error), rolling_average, cusum_high, cusum_low}];
        baseline {mean, sigma, standard_error, n_checks, since, until, declared} or None with baseline_reason;
        temporal_drift_index (the larger sum now; None without a baseline);
        cusum_breakpoints (see `alarm_episodes`), adwin_changes [{time, mean_before, mean_after, worsening}],
        breakpoints [the same] (PELT), current_trend, velocity {per_check, per_day}, pre_alert,
        prediction, early_warning, settings. Each part says its own status and reasons.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from fairlens_backend.core.drift.series import Check
    >>> at = [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day) for day in range(40)]
    >>> values = [0.92, 0.9] * 15 + [0.86, 0.84] * 5
    >>> found = analyse(Series("loans", "sex", "dir", 0.8, "below", list(map(Check, at, values))))
    >>> found["breakpoints"][0]["time"], found["cusum_breakpoints"][0]["worsening"]
    ('2026-03-31T00:00:00+00:00', True)

    Source: STATISTICS section 5.
    """
    taken = series.without_overlaps()
    left_out = len(series.checks) - len(taken.checks)
    if grain is not None:
        taken = taken.at_grain(grain)
    base = take_baseline(taken, settings, baseline)
    run = None if isinstance(base, str) else run_cusum(taken, base, settings)
    known = taken.known
    answer: Result = {
        "model": series.model,
        "attribute": series.attribute,
        "metric": series.metric,
        "threshold": series.threshold,
        "breached_when": series.breached_when,
        "grain_hours": taken.grain_hours,
        "n_checks": len(taken.checks),
        "n_undefined": len(taken.checks) - len(known),
        "n_overlapping": left_out,
        "since": taken.checks[0].time.isoformat() if taken.checks else None,
        "until": taken.checks[-1].time.isoformat() if taken.checks else None,
        "status": "ok" if known else "insufficient_data",
        "reason": None if known else _nothing(taken),
        "timeseries": _points(taken, run, settings),
        "baseline": None if isinstance(base, str) else base.to_dict(),
        "baseline_reason": base if isinstance(base, str) else None,
        "temporal_drift_index": _index(run),
        "cusum_breakpoints": [] if run is None else alarm_episodes(taken, run, settings.h),
        "adwin_changes": _adwin(taken, settings),
        "breakpoints": _breakpoints(taken),
        "current_trend": current_trend(taken, settings.window),
        "velocity": _velocity(taken, settings),
        "pre_alert": pre_alert(taken, settings.window, settings.horizon),
        "prediction": predict(
            taken,
            last=settings.predict_checks,
            horizon=settings.predict_horizon,
            seed=settings.seed,
            n_resamples=settings.n_resamples,
        ),
        "early_warning": early_warning(series, settings, baseline),
        "settings": settings.to_dict(),
    }
    return answer if shown_since is None else _shown(answer, shown_since)


def _nothing(series: Series) -> str:
    if not series.checks:
        return "No audit was made of it: whether it drifts is unknown."
    last = series.checks[-1]
    return f"None of {len(series.checks)} checks has a value; the last one: {last.reason or last.status}"


def _points(series: Series, run: CusumRun | None, settings: DriftSettings) -> list[Result]:
    averages = rolling_average(series, settings.window)
    points = []
    for place, point in enumerate(series.points()):
        value, error = point["value"], point["standard_error"]
        interval = None
        if value is not None and error is not None:
            interval = {"lower": value - _Z95 * error, "upper": value + _Z95 * error}
        points.append(
            {
                **point,
                "breached": None if value is None else series.is_beyond(value),
                "interval": interval,
                "rolling_average": averages[place],
                "cusum_high": None if run is None else run.high[place],
                "cusum_low": None if run is None else run.low[place],
            }
        )
    return points


def _index(run: CusumRun | None) -> float | None:
    """Metric 12 at the last check."""
    if run is None or not run.high or run.high[-1] is None or run.low[-1] is None:
        return None
    return max(run.high[-1], run.low[-1])


def _adwin(series: Series, settings: DriftSettings) -> list[Result]:
    places, _ = adwin_changes(series.values, settings.adwin)
    return _jumps(series, places)


def _breakpoints(series: Series) -> list[Result]:
    known = series.known
    inner = breakpoints([check.value for check in known if check.value is not None])
    return _jumps(replace(series, checks=known), inner)


def _jumps(series: Series, places: list[int]) -> list[Result]:
    """Each place with the mean of the stretch before it and of the one that it begins."""
    ends = [0, *places, len(series.checks)]
    found = []
    for before, place, after in zip(ends, places, ends[2:], strict=False):
        old, new = _mean(series, before, place), _mean(series, place, after)
        worse = None if old is None or new is None else series.room(new) < series.room(old)
        found.append(
            {
                "time": series.checks[place].time.isoformat(),
                "mean_before": old,
                "mean_after": new,
                "worsening": worse,
            }
        )
    return found


def _mean(series: Series, start: int, stop: int) -> float | None:
    values = [check.value for check in series.checks[start:stop] if check.value is not None]
    return math.fsum(values) / len(values) if values else None


def _velocity(series: Series, settings: DriftSettings) -> Result:
    """Of the last checks with a value; per day by the median distance of neighbours."""
    known = [check for check in series.checks[-settings.window :] if check.value is not None]
    speed = velocity([check.value for check in known if check.value is not None])
    steps = [(b.time - a.time).total_seconds() / 86_400 for a, b in itertools.pairwise(known)]
    step = float(np.median(steps)) if steps else 0.0
    return {
        "per_check": speed,
        "per_day": speed / step if speed is not None and step > 0 else None,
        "n_checks": len(known),
        "reason": None if speed is not None else f"{len(known)} checks with a value, 2 needed.",
    }


def _shown(answer: Result, since: datetime) -> Result:
    """Leave what lies before out of the lists."""
    from_then = since.astimezone(UTC).isoformat()
    points = [point for point in answer["timeseries"] if point["time"] > from_then]
    listed = {
        name: [one for one in answer[name] if one["time"] > from_then]
        for name in ("cusum_breakpoints", "adwin_changes", "breakpoints")
    }
    return {**answer, "timeseries": points, **listed}
