"""The CUSUM of a whole series: its baseline, both sums at every check, and when each alarm began."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairlens_backend.core.drift.cusum import CusumState, cusum_state
from fairlens_backend.core.drift.drift_settings import BaselineWindow, DriftSettings
from fairlens_backend.core.drift.series import Check, Series


@dataclass(frozen=True)
class Baseline:
    """What the checks are compared with.

    Parameters
    ----------
    mean, sigma : μ0 and σ0, the latter at least the standard error that the counts of its checks imply
    standard_error : that standard error, the median of its checks; None where no variance is known
    checks : those it was taken from
    declared : whether a window was declared, or the first checks were taken
    """

    mean: float
    sigma: float
    standard_error: float | None
    checks: tuple[Check, ...]
    declared: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "mean": self.mean,
            "sigma": self.sigma,
            "standard_error": self.standard_error,
            "n_checks": len(self.checks),
            "since": self.checks[0].time.isoformat(),
            "until": self.checks[-1].time.isoformat(),
            "declared": self.declared,
        }


@dataclass(frozen=True)
class CusumRun:
    """Both sums after each check of a series, None before and during the baseline; a check without a value moves neither."""

    baseline: Baseline
    high: tuple[float | None, ...]
    low: tuple[float | None, ...]


def take_baseline(series: Series, settings: DriftSettings, declared: BaselineWindow | None) -> Baseline | str:
    """The baseline of a series, or a sentence that says why there is none."""
    if declared is None:
        checks, needed, where = series.known[: settings.baseline], settings.baseline, ""
    else:
        checks, needed, where = series.between(*declared).known, 2, " in the declared baseline window"
    if len(checks) < needed:
        return f"{len(checks)} check{'s' * (len(checks) != 1)} with a value{where}, {needed} needed for a baseline."
    errors = [math.sqrt(check.variance) for check in checks if check.variance is not None]
    error = float(np.median(errors)) if errors else None
    state = cusum_state((), error or 0.0, baseline=_values(checks), k=settings.k)
    if state is None:
        return "The values of the baseline are all the same and no standard error is known: there is no unit to measure a shift in."
    return Baseline(state.mean, state.sigma, error, checks, declared is not None)


def run_cusum(series: Series, baseline: Baseline, settings: DriftSettings) -> CusumRun:
    """Both sums after each check.

    A check with fewer rows than those of the baseline has a greater standard error, and counts in that one: a quiet
    night is no drift.
    """
    state = CusumState(baseline.mean, baseline.sigma, k=settings.k)
    begin = baseline.checks[-1].time
    high: list[float | None] = []
    low: list[float | None] = []
    for check in series.checks:
        if check.time <= begin:
            high.append(None)
            low.append(None)
            continue
        if check.value is not None:
            error = 0.0 if check.variance is None else math.sqrt(check.variance)
            shrink = baseline.sigma / max(baseline.sigma, error)
            state = state.step(baseline.mean + (check.value - baseline.mean) * shrink)
        high.append(state.high)
        low.append(state.low)
    return CusumRun(baseline, tuple(high), tuple(low))


def alarm_episodes(series: Series, run: CusumRun, h: float) -> list[dict[str, Any]]:
    """When each sum went beyond h, since when it had been above 0, and when it came back.

    Returns
    -------
    by time: {time, since (the check at which the sum left 0: about where the shift began), until (the check at which it
    was at most h again; None while it lasts), direction "up" or "down", worsening, cusum}.

    Source: Montgomery, Statistical quality control, chapter 9 (the counters N⁺ and N⁻).
    """
    found: list[dict[str, Any]] = []
    for direction, sums in (("up", run.high), ("down", run.low)):
        left: int | None = None
        open_one: dict[str, Any] | None = None
        for place, value in enumerate(sums):
            if value is None or value <= 0:
                left = None
            elif left is None:
                left = place
            if value is not None and value > h and open_one is None:
                open_one = {
                    "time": series.checks[place].time.isoformat(),
                    "since": series.checks[place if left is None else left].time.isoformat(),
                    "until": None,
                    "direction": direction,
                    "worsening": worsens(series, run.baseline.mean, direction),
                    "cusum": value,
                }
                found.append(open_one)
            elif open_one is not None and (value is None or value <= h):
                open_one["until"] = series.checks[place].time.isoformat()
                open_one = None
    return sorted(found, key=lambda one: str(one["time"]))


def worsens(series: Series, mean: float, direction: str) -> bool:
    """Whether a shift from the baseline leads toward the limit; a signed metric has one on either side of 0."""
    if series.breached_when == "outside":
        return (direction == "up") == (mean >= 0)
    return (direction == "down") == (series.breached_when == "below")


def toward_limit(series: Series, run: CusumRun) -> tuple[float | None, ...]:
    """At each check the sum that leads toward the limit; for a signed metric the larger, since either side has one."""
    if series.breached_when == "outside":
        return tuple(
            None if up is None or down is None else max(up, down)
            for up, down in zip(run.high, run.low, strict=True)
        )
    return run.low if series.breached_when == "below" else run.high


def _values(checks: tuple[Check, ...]) -> list[float]:
    return [check.value for check in checks if check.value is not None]
