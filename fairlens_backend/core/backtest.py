"""A back-test: how often, and how early, given settings would have alerted on the audits that were kept."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from fairlens_backend.core.assessment import assess
from fairlens_backend.core.audit_series import series_of_audits
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.drift.backtest import DETECTORS, ChangePoint, alarms_over_time, score
from fairlens_backend.core.drift.cusum_run import take_baseline
from fairlens_backend.core.drift.drift_settings import DEFAULT_SETTINGS, BaselineWindow, DriftSettings
from fairlens_backend.core.drift.series import Series
from fairlens_backend.core.policy import DEFAULT_POLICY, Policy
from fairlens_backend.core.policy_replay import StoredAudit, replay
from fairlens_backend.errors import InvalidInput

Result = dict[str, Any]

MAX_SERIES: Final = 200
# Enough for the standard error of a check; its own interval was made with more.
_RESAMPLES: Final = 200
_TOLD: Final = ("n_alarms", "false_alarms", "false_per_1000_windows", "median_delay_hours", "n_in_time")


@dataclass(frozen=True)
class BacktestSettings:
    """Settings to try.

    Parameters
    ----------
    policy : thresholds, alpha, sizes: what an audit's own alert follows from
    drift : the detectors
    baseline : a declared baseline window
    grain : periods for the detectors; None: the audits as they were made
    """

    policy: Policy = DEFAULT_POLICY
    drift: DriftSettings = DEFAULT_SETTINGS
    baseline: BaselineWindow | None = None
    grain: int | str | None = None

    def to_dict(self) -> Result:
        """Plain values."""
        return {
            "policy": self.policy.to_dict(),
            "drift": self.drift.to_dict(),
            "baseline": [time.isoformat() for time in self.baseline] if self.baseline else None,
            "grain": self.grain,
        }


DEFAULT: Final = BacktestSettings()


@dataclass(frozen=True)
class CountedWindow:
    """The counts of one window, where no audit was made of it.

    Parameters
    ----------
    reason : why there are none although something was decided; None otherwise
    folded : which values are not told apart in them, in a sentence; None where all are
    """

    start: datetime
    end: datetime
    counts: CountTable
    reference_groups: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    folded: str | None = None


def audits_of_windows(
    windows: Iterable[CountedWindow], *, model: str = "", policy: Policy = DEFAULT_POLICY, seed: int = 0
) -> list[StoredAudit]:
    """Each window assessed, as if it had been audited at its end; the ids are its place, "window 0" and so on."""
    return [
        StoredAudit(
            {
                "audit_id": f"window {place}",
                "model_id": model,
                "audit_timestamp": window.end.astimezone(UTC).isoformat(),
                "window_start": window.start.astimezone(UTC).isoformat(),
                "window_end": window.end.astimezone(UTC).isoformat(),
                **assess(
                    window.counts, None, window.reference_groups, policy, seed=seed, n_resamples=_RESAMPLES
                ),
            },
            window.counts.to_dict(),
        )
        for place, window in enumerate(windows)
    ]


def backtest(
    audits: Iterable[StoredAudit | tuple[Any, Any]],
    settings: BacktestSettings = DEFAULT,
    *,
    changes: Sequence[ChangePoint] | None = None,
    metrics: Collection[str] | None = None,
    attributes: Collection[str] | None = None,
    detectors: Collection[str] = DETECTORS,
    audited: bool = True,
) -> Result:
    """Try settings on a stored history. Nothing is written and nobody is alerted.

    Parameters
    ----------
    audits : (result, counts or None) of one model, in any order
    changes : drifts known to have begun, for all series alike; an empty list says that nothing changed, so that every
        alarm is false; None that nobody knows
    metrics, attributes : the series to look at; None for all. At most 200 series
    audited : false for windows that were only counted (`audits_of_windows`): then nobody was alerted `before`

    Returns
    -------
    dict of plain values: n_audits, since, until; severity {n_alerts, alert_share, first_alert,
    before, changed (both None where nothing was audited)}: the audits' own alerts by the policy (`policy_replay.replay`, which sees the whole policy; the series
    below have its thresholds, their values stay as stored); series [{model, attribute, metric, threshold, n_checks,
    reason (why no detector could work, or None), detectors {detector: see `drift.backtest.score`}}]; totals {detector:
    n_alarms, n_windows, false_alarms, false_per_1000_windows, n_changes, n_detected, n_in_time}; settings; sentence.

    Raises
    ------
    InvalidInput
        There are more than 200 series, or a detector is not known.
    """
    stored = [StoredAudit(*one) for one in audits]
    unknown = sorted(set(detectors) - set(DETECTORS))
    if unknown:
        raise InvalidInput(
            f"detectors names {unknown[0]!r}, some of {', '.join(DETECTORS)} were expected",
            field="detectors",
            got=unknown[0],
            expected=", ".join(DETECTORS),
        )
    every = series_of_audits(
        [one.result for one in stored],
        metrics=metrics,
        attributes=attributes,
        thresholds=settings.policy.thresholds,
    )
    if len(every) > MAX_SERIES:
        raise InvalidInput(
            f"there are {len(every)} series, at most {MAX_SERIES} are tried at once: name metrics or attributes",
            field="metrics",
            got=len(every),
            expected=f"at most {MAX_SERIES} series",
        )
    tried = [_try(series, settings, changes, detectors) for series in every]
    times = [check.time for series in every for check in series.checks]
    replayed = replay(stored, settings.policy)
    totals = {name: _total([one["detectors"][name] for one in tried]) for name in detectors}
    return {
        "n_audits": len(stored),
        "since": min(times).isoformat() if times else None,
        "until": max(times).isoformat() if times else None,
        "severity": {
            **{name: replayed[name] for name in ("n_alerts", "alert_share", "first_alert")},
            **{name: replayed[name] if audited else None for name in ("before", "changed")},
        },
        "series": tried,
        "totals": totals,
        "settings": settings.to_dict(),
        "sentence": _sentence(replayed, totals, audited),
    }


def compare(
    audits: Iterable[StoredAudit | tuple[Any, Any]],
    first: BacktestSettings,
    second: BacktestSettings,
    **wanted: Any,
) -> Result:
    """Two settings on one history, side by side.

    Parameters
    ----------
    wanted : changes, metrics, attributes, detectors, as of `backtest`

    Returns
    -------
    first, second (each as of `backtest`), severity {n_alerts: [first, second]}, and rows [{model, attribute, metric, detector,
    n_alarms, false_alarms, false_per_1000_windows, median_delay_hours, n_in_time, first_alarm, lead_hours}], each
    figure a pair [first, second].
    """
    stored = [StoredAudit(*one) for one in audits]
    one, other = backtest(stored, first, **wanted), backtest(stored, second, **wanted)
    rows = [
        {
            **{name: a[name] for name in ("model", "attribute", "metric")},
            "detector": detector,
            **{
                name: [a["detectors"][detector][name], b["detectors"][detector][name]]
                for name in (*_TOLD, "first_alarm", "lead_hours")
            },
        }
        for a, b in zip(one["series"], other["series"], strict=True)
        for detector in a["detectors"]
    ]
    alerts = [one["severity"]["n_alerts"], other["severity"]["n_alerts"]]
    return {"first": one, "second": other, "severity": {"n_alerts": alerts}, "rows": rows}


def _try(
    series: Series,
    settings: BacktestSettings,
    changes: Sequence[ChangePoint] | None,
    detectors: Collection[str],
) -> Result:
    taken = series.without_overlaps()
    taken = taken if settings.grain is None else taken.at_grain(settings.grain, complete=True)
    base = take_baseline(taken, settings.drift, settings.baseline)
    alarms = alarms_over_time(
        series, settings.drift, baseline=settings.baseline, grain=settings.grain, detectors=detectors
    )
    # Without a baseline no window could have alerted.
    last = taken.checks[-1].time if taken.checks else None
    until = last if isinstance(base, str) else base.checks[-1].time
    return {
        "model": series.model,
        "attribute": series.attribute,
        "metric": series.metric,
        "threshold": series.threshold,
        "n_checks": len(taken.known),
        "reason": base if isinstance(base, str) else None,
        "detectors": score(taken, alarms, changes, baseline_until=until, window=settings.drift.window),
    }


def _total(scores: Sequence[Result]) -> Result:
    known = [one for one in scores if one["false_alarms"] is not None]
    false = sum(one["false_alarms"] for one in known) if known else None
    told = [change for one in scores for change in one["changes"]]
    quiet = sum(one["n_quiet_windows"] for one in known)
    return {
        "n_alarms": sum(one["n_alarms"] for one in scores),
        "n_windows": sum(one["n_windows"] for one in scores),
        "false_alarms": false,
        "false_per_1000_windows": 1_000 * (false or 0) / quiet if quiet else None,
        "n_changes": len(told),
        "n_detected": sum(change["detected_at"] is not None for change in told),
        "n_in_time": sum(change["in_time"] is True for change in told),
    }


def _sentence(replayed: Result, totals: Mapping[str, Result], audited: bool) -> str:
    said = str(replayed["sentence"])
    if not audited and replayed["n_audits"]:
        said = (
            f"By these settings {replayed['n_alerts']} of {replayed['n_audits']} windows would have alerted, had each been"
            " audited."
        )
    early = totals.get("early_warning")
    if early is None or not replayed["n_audits"]:
        return said
    times = "once" if early["n_alarms"] == 1 else f"{early['n_alarms']} times"
    warned = f"Early warnings would have come {times} in {early['n_windows']} windows"
    if early["n_changes"]:
        warned += (
            f", before the threshold was crossed for {early['n_in_time']} of {early['n_changes']} changes"
        )
    return f"{said} {warned}."
