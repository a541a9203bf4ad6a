"""What people do with alerts: acknowledge, silence, resolve, reopen. Each act is kept with who and when."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from fairlens_backend import alert_reader, alert_speaker, telemetry
from fairlens_backend.alert_manager import policy
from fairlens_backend.core import alerting
from fairlens_backend.core.alerting import Life
from fairlens_backend.errors import Conflict, NotFound
from fairlens_backend.schemas.alerts import SilenceRequest
from fairlens_backend.storage import alerts
from fairlens_backend.storage.alert_tables import Alert
from fairlens_backend.storage.session import unit_of_work

Turn = Callable[[Life, datetime], Life]


def acknowledge(tenant: str, alert_id: str, by: str, reason: str | None, now: datetime) -> dict[str, Any]:
    """Somebody looks after it: no more reminders.

    Raises
    ------
    NotFound : no such alert in the tenant
    Conflict : it is acknowledged already, or resolved
    """
    return _act(tenant, alert_id, "acknowledged", alerting.acknowledge, by, reason, now)


def silence(tenant: str, alert_id: str, wanted: SilenceRequest, by: str, now: datetime) -> dict[str, Any]:
    """Say nothing until a time, then speak if it is still open.

    Raises
    ------
    NotFound, Conflict : as for `acknowledge`
    InvalidInput : the time is not ahead
    """
    until = wanted.until or now + timedelta(hours=wanted.hours or 0)
    return _act(
        *(tenant, alert_id, "silenced"),
        lambda life, at: alerting.silence(life, until, at),
        *(by, wanted.reason, now),
    )


def resolve(tenant: str, alert_id: str, by: str, reason: str, now: datetime) -> dict[str, Any]:
    """A person closes it. The next breach opens it again: who wants no word of a known breach silences it.

    Raises
    ------
    NotFound : no such alert in the tenant
    Conflict : it is resolved already
    """
    return _act(tenant, alert_id, "resolved", alerting.resolve, by, reason, now)


def reopen(tenant: str, alert_id: str, by: str, reason: str, now: datetime) -> dict[str, Any]:
    """A person opens a resolved alert again.

    Raises
    ------
    NotFound : no such alert in the tenant
    Conflict : it is not resolved, or a newer alert of the same metric is open
    """
    rules = policy()
    return _act(
        *(tenant, alert_id, "reopened"), lambda life, at: alerting.reopen(life, rules, at), *(by, reason, now)
    )


def _act(
    tenant: str, alert_id: str, kind: str, turn: Turn, by: str, reason: str | None, now: datetime
) -> dict[str, Any]:
    """One person's act, kept with who and when; the verdicts before it are forgotten."""
    with unit_of_work():
        alert = alerts.find(tenant, alert_id)
        if alert is None:
            raise NotFound(f"There is no alert {alert_id}.", id=alert_id)
        # The watch first, as an audit takes it: the two wait in one order.
        alerts.forget(tenant, alert.model, alert.attribute, alert.metric)
        alert = alerts.find(tenant, alert_id, lock=True)
        if alert is None:
            raise NotFound(f"There is no alert {alert_id}.", id=alert_id)
        before = alerts.life_of(alert)
        life = turn(before, now)
        if kind == "reopened":
            _refuse_second(alert)
            alert.times_opened, alert.announced_at = alert.times_opened + 1, None
        alerts.set_life(alert, life)
        said = {"reason": reason} if reason else {}
        until = {"until": telemetry.timestamp(life.silenced_until)} if life.silenced_until else {}
        alerts.note(alert, kind, now, by, **said, **until)
        if kind != "silenced" and (alert.announced_at or kind == "reopened"):
            alert_speaker.speak(alert, kind, now, quiet=before.state == "silenced", by=by, **said)
        shown = alert_reader.shown(alert)
    telemetry.log(f"ALERT_{kind.upper()}", alert_id=alert_id, tenant=tenant, by=by)
    return shown


def _refuse_second(alert: Alert) -> None:
    alive = alerts.alive(alert.tenant, alert.model).get((alert.attribute, alert.metric))
    if alive is not None and alive.alert_id != alert.alert_id:
        raise Conflict(
            f"{alive.alert_id} is {alive.state} for the same metric; there is one at a time.",
            alert_id=alive.alert_id,
        )
