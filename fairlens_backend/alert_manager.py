"""Alerts as lives: what each audit and the clock do to them, and who is told.

audit_runner, in its unit of work: observe ─► alerts, their history ─► alert_speaker ─► the outbox
the clock:                         remind_due ─┘                                         │
people: alert_actions ─────────┘                                     alert_delivery ◄───┘
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fairlens_backend import alert_speaker, config, telemetry
from fairlens_backend.alert_sightings import RATIO, Sighting, sightings
from fairlens_backend.core import alerting
from fairlens_backend.core.alerting import AlertPolicy, Life, Verdict, same_gap, worse_than
from fairlens_backend.core.severity import SEVERITIES
from fairlens_backend.storage import alerts
from fairlens_backend.storage.alert_tables import Alert, AlertWatch
from fairlens_backend.storage.session import read_snapshot, unit_of_work

AT_ONCE = 50
ROUNDS = 200  # what is left after so many is left to the next tick
SPOKEN = ("opened", "reopened", "worse", "resolved")


@dataclass(frozen=True)
class _Change:
    """What happened to an alert, and its life before."""

    alert: Alert
    kind: str
    before: Life | None


def policy() -> AlertPolicy:
    """As the settings have it."""
    settings = config.current()
    return AlertPolicy(
        closing_margin=settings.alert_closing_margin,
        open_n=settings.alert_open_breaches,
        open_m=settings.alert_open_windows,
        close_n=settings.alert_close_clear,
        close_m=settings.alert_close_windows,
        reminder_s=settings.alert_reminder_h * 3600,
        reopen_s=settings.alert_reopen_h * 3600,
    )


def observe(tenant: str, result: Mapping[str, Any], record_id: str, now: datetime) -> list[str]:
    """Let an audit open, worsen, ease or close alerts, in the unit of work that keeps it.

    Order is that of the audited windows: an audit of a window that ends before the newest one observed is counted and
    changes nothing, so that late labels or audits of old data let no alert flap. Without a window its own time counts.
    UNKNOWN, too little data or an undefined value neither open nor close anything.

    Parameters
    ----------
    result : the BiasAuditResult, with `model`
    record_id : the audit's record

    Returns
    -------
    list of ids : alerts that were opened, opened again, became worse or were closed
    """
    rules, changed = policy(), list[_Change]()
    seen = list(sightings(result, rules))
    if not seen:
        return []
    start, end = _time_of(result, now)
    with unit_of_work():
        watches = alerts.lock_watches(tenant, result["model"], (one.attribute for one in seen))
        alive = alerts.alive(tenant, result["model"])
        late = {name for name, watch in watches.items() if watch.newest_at and end < watch.newest_at}
        for one in seen:
            alert = alive.get((one.attribute, one.metric))
            if one.attribute in late:
                if alert is not None and one.verdict != "unknown":
                    alert.late_windows += 1
                continue
            if one.verdict == "unknown":
                continue
            watch = watches[one.attribute]
            watch.newest_at = end
            recent = _remembered(watch, one, start, end, rules, alert is not None)
            if not recent:
                continue
            alert, change = _take(_Step(tenant, result, record_id, one, now), alert, recent, rules)
            if alert is not None:
                alive[one.attribute, one.metric] = alert
            if change is not None and change.kind in SPOKEN:
                watch.recent = {name: known for name, known in watch.recent.items() if name != one.metric}
                changed.append(change)
        _speak_of(changed, alive, set(watches) - late, now)
        return [change.alert.alert_id for change in changed]


def remind_due(now: datetime) -> int:
    """End the silences that are over and bring open alerts to mind; how many. Called by the clock."""
    done = 0
    for _ in range(ROUNDS):
        with read_snapshot():
            if not alerts.any_due(now):
                break
        with unit_of_work():
            found = alerts.take_due(now, AT_ONCE)
            for alert in found:
                life, kinds = alerting.pass_time(alerts.life_of(alert), policy(), now)
                if life is not None:
                    alerts.set_life(alert, life)
                for kind in kinds:
                    told = alert_speaker.speak(alert, kind, now) if alert.announced_at else 0
                    if told or kind != "reminder":
                        alerts.note(alert, kind, now, told=told)
        if not found:
            break  # another worker has them
        done += len(found)
    return done


@dataclass(frozen=True)
class _Step:
    tenant: str
    result: Mapping[str, Any]
    record_id: str
    sighting: Sighting
    now: datetime

    def facts(self) -> dict[str, Any]:
        """What the row keeps of the newest observation."""
        return {
            "model_version": self.result["model_version"],
            "audit_id": self.result["audit_id"],
            "record_id": self.record_id,
            "figures": self.sighting.figures,
        }


def _take(
    step: _Step, alert: Alert | None, recent: list[Verdict], rules: AlertPolicy
) -> tuple[Alert | None, _Change | None]:
    """One observation's step of one alert: the row, None while there is none alive, and what happened."""
    one = step.sighting
    if alert is None and recent[-1] == "breach":
        alert = alerts.last(step.tenant, step.result["model"], one.attribute, one.metric)
    before = None if alert is None else alerts.life_of(alert)
    life, kinds = alerting.observe(before, recent, one.severity, rules, step.now)
    kind = kinds[0] if kinds else None
    if life is None or (not life.alive and kind != "resolved"):
        return None, None
    names = {"model": step.result["model"], "attribute": one.attribute, "metric": one.metric}
    if kind == "opened" or alert is None:
        alert = alerts.add(
            step.now, tenant=step.tenant, times_opened=1, breaches=0, **names, **step.facts(), **vars(life)
        )
    elif kind == "reopened":
        alert.times_opened, alert.breaches = alert.times_opened + 1, 0
        # In silence it goes on speaking for the others of its gap, and says nothing.
        if life.state != "silenced":
            alert.announced_at = None
    for name, value in step.facts().items():
        setattr(alert, name, value)
    alert.breaches += recent[-1] == "breach"
    alerts.set_life(alert, life)
    if kind is not None:
        was = {"was": before.severity} if before is not None and kind in ("worse", "eased") else {}
        alerts.note(alert, kind, step.now, severity=life.severity, **was, **_noted(step))
        telemetry.log(
            f"ALERT_{kind.upper()}",
            alert_id=alert.alert_id,
            **names,
            severity=life.severity,
            tenant=step.tenant,
        )
    return alert, None if kind is None else _Change(alert, kind, before)


def _noted(step: _Step) -> dict[str, Any]:
    figures = step.sighting.figures
    kept = {name: figures[name] for name in ("value", "threshold", "closing_limit", "window_end")}
    return {**kept, "audit_id": step.result["audit_id"], "record_id": step.record_id}


def _speak_of(
    changed: list[_Change], alive: Mapping[tuple[str, str], Alert], attributes: set[str], now: datetime
) -> None:
    """Tell of what changed, and of what nobody spoke for any more: of metrics that restate one gap, one speaks for all."""
    for change in changed:
        if change.before is None or not change.alert.announced_at:
            continue
        if change.kind == "worse":
            alert_speaker.speak(change.alert, "worse", now, previous_severity=change.before.severity)
        elif change.kind == "resolved":
            alert_speaker.speak(change.alert, "resolved", now, quiet=change.before.state == "silenced")
    silent = [
        alert
        for alert in alive.values()
        if alert.attribute in attributes and alert.announced_at is None and alert.state == "open"
    ]
    # The worst first, and of equals the ratio of the four-fifths rule, which most people know.
    silent.sort(key=lambda one: (SEVERITIES.index(one.severity), one.metric != RATIO, one.metric))
    if not silent:
        return
    # Who silenced one metric silenced its gap: that it ended, and another one of the gap has not, wakes nobody.
    speakers = [one for one in alive.values() if one.state != "resolved"]
    speakers += alerts.silenced(silent[0].tenant, silent[0].model, now)
    for alert in silent:
        if not any(_speaks_for(other, alert) for other in speakers):
            alert_speaker.speak(alert, "reopened" if alert.times_opened > 1 else "opened", now)


def _speaks_for(other: Alert, alert: Alert) -> bool:
    return (
        other is not alert
        and other.announced_at is not None
        and other.attribute == alert.attribute
        and same_gap(other.metric) == same_gap(alert.metric)
        and not worse_than(alert.severity, other.peak)  # type: ignore[arg-type]
    )


def _remembered(
    watch: AlertWatch, one: Sighting, start: str | None, end: datetime, rules: AlertPolicy, alive: bool
) -> list[Verdict]:
    """The metric's last verdicts with this one; the same window audited again replaces its own. Empty: nothing to decide."""
    known = list(watch.recent.get(one.metric, ()))
    mark = telemetry.timestamp(end)
    if start is not None:
        known = [entry for entry in known if entry[:2] != [mark, start]]
    known.append([mark, start, one.verdict])
    if not alive:
        # Before an alert only breaches count: what lies before the first of them need not be kept.
        first = next((place for place, entry in enumerate(known) if entry[2] == "breach"), len(known))
        known = known[first:]
    known = known[-rules.memory :]
    if known != watch.recent.get(one.metric, []):
        watch.recent = {**watch.recent, one.metric: known}
        if not known:
            watch.recent = {name: seen for name, seen in watch.recent.items() if name != one.metric}
    return [entry[2] for entry in known]


def _time_of(result: Mapping[str, Any], now: datetime) -> tuple[str | None, datetime]:
    end = result["window_end"]
    return result["window_start"], datetime.fromisoformat(end) if end else now
