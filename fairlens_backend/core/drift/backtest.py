"""How often, and how early, detectors would have alerted on a stored series."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from fairlens_backend.core.drift.adwin import adwin_changes
from fairlens_backend.core.drift.cusum_run import run_cusum, take_baseline, toward_limit
from fairlens_backend.core.drift.drift_settings import DEFAULT_SETTINGS, BaselineWindow, DriftSettings
from fairlens_backend.core.drift.early_warning import warnings_over_time
from fairlens_backend.core.drift.prediction import predict
from fairlens_backend.core.drift.series import Series
from fairlens_backend.core.drift.trend import pre_alert

Result = dict[str, Any]
DETECTORS: Final = ("threshold", "cusum", "adwin", "pre_alert", "prediction", "early_warning")
_HOUR: Final = timedelta(hours=1)
_PER: Final = 1_000


@dataclass(frozen=True)
class ChangePoint:
    """A drift that is known to have begun, by injection or by hindsight.

    Parameters
    ----------
    time : when it began
    crosses : when the metric crossed its threshold; None: taken from the series, the first average beyond it afterwards
    """

    time: datetime
    crosses: datetime | None = None


def alarms_over_time(
    series: Series,
    settings: DriftSettings = DEFAULT_SETTINGS,
    *,
    baseline: BaselineWindow | None = None,
    grain: int | str | None = None,
    detectors: Iterable[str] = DETECTORS,
) -> dict[str, list[datetime]]:
    """When each detector's alarm came on, oldest first; none sees what came later.

    Parameters
    ----------
    grain : the periods for all but the early warning, which chooses its own; None: the checks as they were made
    detectors : "threshold" a single value beyond the limit; "cusum" the sum toward the limit above h; "adwin" any
        change; "pre_alert"; "prediction" warn or retrain; "early_warning"

    An alarm that stays on counts once. Only checks after the baseline count, for all detectors alike; without one
    there are none.
    """
    taken = series.without_overlaps()
    taken = taken if grain is None else taken.at_grain(grain, complete=True)
    base = take_baseline(taken, settings, baseline)
    wanted = list(detectors)
    found: dict[str, list[datetime]] = {name: [] for name in wanted}
    if isinstance(base, str):
        return found
    begin = base.checks[-1].time
    sums = toward_limit(taken, run_cusum(taken, base, settings))
    changes = set(adwin_changes(taken.values, settings.adwin)[0]) if "adwin" in found else set()
    on = dict.fromkeys(wanted, False)
    for place, check in enumerate(taken.checks):
        if check.time <= begin or check.value is None:
            continue
        now = {
            name: _alarm(name, taken, place, sums, changes, settings)
            for name in wanted
            if name != "early_warning"
        }
        for name, alarm in now.items():
            if alarm and (not on[name] or name == "adwin"):
                found[name].append(check.time)
        on.update(now)
    if "early_warning" in found:
        before = False
        for check, verdict in warnings_over_time(series, settings, baseline):
            if verdict["early_warning"] and not before:
                found["early_warning"].append(check.time)
            before = verdict["early_warning"]
    return found


def _alarm(
    name: str,
    series: Series,
    place: int,
    sums: Sequence[float | None],
    changes: set[int],
    settings: DriftSettings,
) -> bool:
    value, now = series.checks[place].value, sums[place]
    if name == "threshold":
        return value is not None and series.is_beyond(value)
    if name == "cusum":
        return now is not None and now > settings.h
    if name == "adwin":
        return place in changes
    span = max(settings.window, settings.predict_checks)
    recent = replace(series, checks=series.checks[max(0, place + 1 - span) : place + 1])
    if name == "pre_alert":
        return bool(pre_alert(recent, settings.window, settings.horizon)["pre_alert"])
    predicted = predict(
        recent,
        last=settings.predict_checks,
        horizon=settings.predict_horizon,
        seed=settings.seed,
        n_resamples=settings.n_resamples,
    )
    return predicted["action"] in ("warn", "retrain")


def score(
    series: Series,
    alarms: Mapping[str, Sequence[datetime]],
    changes: Sequence[ChangePoint] | None,
    *,
    baseline_until: datetime | None = None,
    window: int = DEFAULT_SETTINGS.window,
) -> dict[str, Result]:
    """How the alarms of each detector stand to what is known to have changed.

    Parameters
    ----------
    alarms : times at which an alarm came on, by detector
    changes : by time; an empty list says that nothing changed, so every alarm is false; None says that nobody knows
    baseline_until : the checks up to it are no windows that could have alerted
    window : checks of the average that says when the threshold was crossed

    Returns
    -------
    by detector: n_alarms, alarms (times), first_alarm, n_windows, false_alarms, n_quiet_windows (those before the first
    change) and false_per_1000_windows (of them; None where nobody knows or there were none), crossed (when the average
    first was beyond the limit; None for never), lead_hours (from the first alarm to it; negative when later), changes [{time, crosses, detected_at, delay_hours, delay_windows, lead_hours,
    in_time}], median_delay_hours, n_in_time.

    An alarm belongs to the last change before it; one before any is false. `in_time` is None where nothing was crossed.
    """
    known = [check.time for check in series.known]
    windows = [time for time in known if baseline_until is None or time > baseline_until]
    crossings = _crossings(series, window, windows)
    ordered = None if changes is None else sorted(changes, key=lambda change: change.time)
    return {name: _score_one(sorted(times), windows, crossings, ordered) for name, times in alarms.items()}


def _crossings(series: Series, window: int, windows: Sequence[datetime]) -> list[datetime]:
    """The windows at which the average of the last checks came to be beyond the limit."""
    found: list[datetime] = []
    beyond = False
    places = {check.time: place for place, check in enumerate(series.checks)}
    for time in windows:
        place = places[time]
        recent = [check.value for check in series.checks[max(0, place + 1 - window) : place + 1]]
        values = [value for value in recent if value is not None]
        now = series.is_beyond(sum(values) / len(values))
        if now and not beyond:
            found.append(time)
        beyond = now
    return found


def _score_one(
    alarms: Sequence[datetime],
    windows: Sequence[datetime],
    crossings: Sequence[datetime],
    changes: Sequence[ChangePoint] | None,
) -> Result:
    first, crossed = next(iter(alarms), None), next(iter(crossings), None)
    answer: Result = {
        "n_alarms": len(alarms),
        "alarms": [time.isoformat() for time in alarms],
        "first_alarm": _text(first),
        "n_windows": len(windows),
        "false_alarms": None,
        "n_quiet_windows": None,
        "false_per_1000_windows": None,
        "crossed": _text(crossed),
        "lead_hours": _hours(first, crossed),
        "changes": [],
        "median_delay_hours": None,
        "n_in_time": None,
    }
    if changes is None:
        return answer
    false = [time for time in alarms if not changes or time < changes[0].time]
    quiet = [time for time in windows if not changes or time < changes[0].time]
    told = [
        _told(change, following.time if following else None, alarms, windows, crossings)
        for change, following in zip(changes, [*changes[1:], None], strict=False)
    ]
    delays = [one["delay_hours"] for one in told if one["delay_hours"] is not None]
    return {
        **answer,
        "false_alarms": len(false),
        "n_quiet_windows": len(quiet),
        "false_per_1000_windows": _PER * len(false) / len(quiet) if quiet else None,
        "changes": told,
        "median_delay_hours": statistics.median(delays) if delays else None,
        "n_in_time": sum(one["in_time"] is True for one in told),
    }


def _told(
    change: ChangePoint,
    until: datetime | None,
    alarms: Sequence[datetime],
    windows: Sequence[datetime],
    crossings: Sequence[datetime],
) -> Result:
    """What one detector said of one change."""
    after = [time for time in alarms if time >= change.time and (until is None or time < until)]
    crossed = [time for time in crossings if time >= change.time and (until is None or time < until)]
    crosses = change.crosses or next(iter(crossed), None)
    detected = next(iter(after), None)
    return {
        "time": change.time.isoformat(),
        "crosses": _text(crosses),
        "detected_at": _text(detected),
        "delay_hours": _hours(change.time, detected),
        "delay_windows": None
        if detected is None
        else sum(change.time <= time <= detected for time in windows),
        "lead_hours": _hours(detected, crosses),
        "in_time": None if crosses is None else detected is not None and detected < crosses,
    }


def _hours(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start) / _HOUR


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
