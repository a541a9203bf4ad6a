"""An alarm before the threshold is crossed: the metric has moved, and where it is going is beyond the limit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from fairlens_backend.core.drift.cusum_run import (
    Baseline,
    CusumRun,
    run_cusum,
    take_baseline,
    toward_limit,
)
from fairlens_backend.core.drift.drift_settings import DEFAULT_SETTINGS, BaselineWindow, DriftSettings
from fairlens_backend.core.drift.prediction import predict
from fairlens_backend.core.drift.series import Check, Series
from fairlens_backend.core.drift.trend import pre_alert

_CALLING: Final = ("warn", "retrain")


@dataclass(frozen=True)
class Footing:
    """What an early warning stands on: the series at the chosen grain and its baseline.

    Parameters
    ----------
    series : in complete periods
    baseline : of that series
    resolution : standard errors of a period in the distance from the baseline to the limit; None where no standard
        error is known
    fine_enough : whether the resolution is as the settings ask; else the coarsest period was taken
    """

    series: Series
    baseline: Baseline
    resolution: float | None
    fine_enough: bool


def footing(
    series: Series, settings: DriftSettings = DEFAULT_SETTINGS, declared: BaselineWindow | None = None
) -> Footing | str:
    """The finest periods in which noise alone does not reach the limit, or a sentence why there are none yet.

    Only the checks of the baseline decide, so that the choice, once possible, never changes. σ0 stands in where no
    variance is known.
    """
    reason, coarsest = "There are no checks.", None
    for hours in settings.grains:
        at_grain = series.at_grain(hours, complete=True)
        baseline = take_baseline(at_grain, settings, declared)
        if isinstance(baseline, str):
            return f"In periods of {hours} h: {baseline}" if series.checks else reason
        resolution = series.room(baseline.mean) / (baseline.standard_error or baseline.sigma)
        coarsest = Footing(at_grain, baseline, resolution, resolution >= settings.resolution)
        # A baseline beyond the limit needs no early warning: no period makes it finer.
        if coarsest.fine_enough or resolution < 0:
            return coarsest
    return coarsest or reason


def early_warning(
    series: Series, settings: DriftSettings = DEFAULT_SETTINGS, declared: BaselineWindow | None = None
) -> dict[str, Any]:
    """Whether the series calls for a warning now.

    It does when the moving average is beyond the threshold, or when two questions are both answered yes: has it moved
    (the CUSUM toward the threshold is above h), and does it get there (the pre-alert says so, or the prediction says
    warn or retrain)? Each alone raises false alarms without end on a steady series that is checked every quarter of an
    hour: the CUSUM one in 465 checks by its construction, the others wherever the noise of a check reaches the
    threshold. So the checks are first put together to periods in which it does not (`footing`).

    Returns
    -------
    early_warning (None where there is no baseline yet, or the newest checks have no value: unknown, not fair), status ("ok",
    "no_baseline", "insufficient_data"), reasons, grain_hours, resolution, fine_enough, moved, gets_there, cusum (toward the
    limit), pre_alert, prediction (None where it was not needed), baseline.

    Source: STATISTICS section 5.
    """
    ground = footing(series, settings, declared)
    if isinstance(ground, str):
        names = ("early_warning", "grain_hours", "resolution", "fine_enough", "moved", "gets_there", "cusum")
        blank = dict.fromkeys((*names, "pre_alert", "prediction", "baseline"))
        return {**blank, "status": "no_baseline", "reasons": [ground]}
    sums = toward_limit(ground.series, run_cusum(ground.series, ground.baseline, settings))
    return judge(ground, sums, len(ground.series.checks), settings)


def judge(ground: Footing, sums: tuple[float | None, ...], n: int, settings: DriftSettings) -> dict[str, Any]:
    """The verdict after the first n checks of the footing's series; sums as `toward_limit` gives them."""
    span = max(settings.window, settings.predict_checks)
    recent = replace(ground.series, checks=ground.series.checks[max(0, n - span) : n])
    outlook = pre_alert(recent, settings.window, settings.horizon)
    now = sums[n - 1] if n else None
    moved = now is not None and now > settings.h
    prediction = None
    if moved and not outlook["pre_alert"]:
        prediction = predict(
            recent,
            last=settings.predict_checks,
            horizon=settings.predict_horizon,
            seed=settings.seed,
            n_resamples=settings.n_resamples,
        )
    called = prediction is not None and prediction["action"] in _CALLING
    gets_there = bool(outlook["pre_alert"]) or called
    warned = bool(outlook["beyond"]) or (moved and gets_there)
    # Checks without a value, one after the other, say nothing.
    known = warned or outlook["pre_alert"] is not None
    return {
        "early_warning": warned if known else None,
        "status": "ok" if known else "insufficient_data",
        "reasons": _reasons(now, moved, outlook, prediction, settings),
        "grain_hours": ground.series.grain_hours,
        "resolution": ground.resolution,
        "fine_enough": ground.fine_enough,
        "moved": moved,
        "gets_there": gets_there,
        "cusum": now,
        "pre_alert": outlook,
        "prediction": prediction,
        "baseline": ground.baseline.to_dict(),
    }


def warnings_over_time(
    series: Series, settings: DriftSettings = DEFAULT_SETTINGS, declared: BaselineWindow | None = None
) -> Iterator[tuple[Check, dict[str, Any]]]:
    """What `early_warning` would have said at each period after the baseline, oldest first; each sees its past alone."""
    ground = footing(series, settings, declared)
    if isinstance(ground, str):
        return
    run: CusumRun = run_cusum(ground.series, ground.baseline, settings)
    sums = toward_limit(ground.series, run)
    begin = ground.baseline.checks[-1].time
    for place, check in enumerate(ground.series.checks):
        if check.time > begin:
            yield check, judge(ground, sums, place + 1, settings)


def _reasons(
    cusum: float | None,
    moved: bool,
    outlook: dict[str, Any],
    prediction: dict[str, Any] | None,
    settings: DriftSettings,
) -> list[str]:
    if cusum is None:
        said = "The baseline lasts until now."
    elif moved:
        said = f"It has moved from its baseline: CUSUM {cusum:.1f} against {settings.h:g}."
    else:
        said = f"It has not moved from its baseline: CUSUM {cusum:.1f} against {settings.h:g}."
    return [said, *outlook["reasons"], *([prediction["reason"]] if prediction else [])]
