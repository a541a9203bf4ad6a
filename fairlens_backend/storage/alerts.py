"""Rows of alerts, their history, and what was last observed of each attribute."""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.dialects import postgresql, sqlite

from fairlens_backend.core.alerting import Life
from fairlens_backend.storage.alert_tables import Alert, AlertEvent, AlertWatch
from fairlens_backend.storage.session import current_session, is_postgresql

ALIVE = Alert.state != "resolved"


def lock_watches(tenant: str, model: str, attributes: Iterable[str]) -> dict[str, AlertWatch]:
    """The watches of these attributes, made where they are missing, held until the transaction ends.

    In one order for everybody: of two audits of a model at once one waits, and neither for the other in a circle.
    """
    session = current_session()
    names = sorted(set(attributes))
    insert = postgresql.insert if is_postgresql() else sqlite.insert
    found = _watches(tenant, model, names)
    missing = [name for name in names if name not in found]
    if missing:
        rows = [{"tenant": tenant, "model": model, "attribute": name, "recent": {}} for name in missing]
        session.execute(insert(AlertWatch).on_conflict_do_nothing(), rows)
        found = _watches(tenant, model, names)
    return found


def _watches(tenant: str, model: str, names: Sequence[str]) -> dict[str, AlertWatch]:
    wanted = (
        select(AlertWatch)
        .where(AlertWatch.tenant == tenant, AlertWatch.model == model, AlertWatch.attribute.in_(names))
        .order_by(AlertWatch.attribute)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {row.attribute: row for row in current_session().scalars(wanted)}


def forget(tenant: str, model: str, attribute: str, metric: str) -> None:
    """Forget the verdicts of a metric: a person has changed the alert's life, and they are of the time before."""
    watch = lock_watches(tenant, model, [attribute])[attribute]
    watch.recent = {name: seen for name, seen in watch.recent.items() if name != metric}


def silenced(tenant: str, model: str, now: datetime) -> list[Alert]:
    """A model's alerts that are to be silent beyond now, also those that ended meanwhile."""
    wanted = select(Alert).where(Alert.tenant == tenant, Alert.model == model, Alert.silenced_until > now)
    return list(current_session().scalars(wanted))


def alive(tenant: str, model: str) -> dict[tuple[str, str], Alert]:
    """The alerts of a model that are not resolved, by attribute and metric, held until the transaction ends."""
    wanted = select(Alert).where(Alert.tenant == tenant, Alert.model == model, ALIVE)
    wanted = wanted.order_by(Alert.id).with_for_update()
    return {
        (row.attribute, row.metric): row
        for row in current_session().scalars(wanted.execution_options(populate_existing=True))
    }


def last(tenant: str, model: str, attribute: str, metric: str) -> Alert | None:
    """The newest alert of a metric, whatever its state."""
    wanted = select(Alert).where(
        Alert.tenant == tenant, Alert.model == model, Alert.attribute == attribute, Alert.metric == metric
    )
    return current_session().scalars(wanted.order_by(Alert.id.desc()).limit(1)).first()


def add(now: datetime, **facts: Any) -> Alert:
    """A new alert; its id sorts by time."""
    alert_id = f"alr_{int(now.timestamp() * 1000):012x}{secrets.token_hex(6)}"
    made = Alert(alert_id=alert_id, first_opened_at=now, late_windows=0, targets=[], messages=0, **facts)
    current_session().add(made)
    current_session().flush()
    return made


def note(alert: Alert, kind: str, now: datetime, by: str | None = None, **detail: Any) -> None:
    """Add to the alert's history."""
    current_session().add(AlertEvent(alert_id=alert.alert_id, at=now, kind=kind, by=by, detail=detail))


def life_of(alert: Alert) -> Life:
    """The row as the machine knows it."""
    return Life(
        state=alert.state,  # type: ignore[arg-type]
        severity=alert.severity,  # type: ignore[arg-type]
        peak=alert.peak,  # type: ignore[arg-type]
        opened_at=alert.opened_at,
        silenced_until=alert.silenced_until,
        remind_at=alert.remind_at,
        resolved_at=alert.resolved_at,
    )


def set_life(alert: Alert, life: Life) -> None:
    """Keep where the alert stands now."""
    for name, value in vars(life).items():
        setattr(alert, name, value)
    current_session().flush()


def find(tenant: str, alert_id: str, *, lock: bool = False) -> Alert | None:
    """The tenant's alert of that id; with `lock` held until the transaction ends."""
    wanted = select(Alert).where(Alert.tenant == tenant, Alert.alert_id == alert_id)
    if lock:
        wanted = wanted.with_for_update().execution_options(populate_existing=True)
    return current_session().scalars(wanted).first()


def page(
    tenant: str,
    limit: int,
    before: int,
    *,
    model: str | None = None,
    state: str | None = None,
    severity: str | None = None,
) -> list[Alert]:
    """At most `limit` of the tenant's alerts older than the row with that number, newest first."""
    wanted = select(Alert).where(Alert.tenant == tenant, Alert.id < before)
    for column, value in ((Alert.model, model), (Alert.state, state), (Alert.severity, severity)):
        if value is not None:
            wanted = wanted.where(column == value)
    return list(current_session().scalars(wanted.order_by(Alert.id.desc()).limit(limit)))


def history(alert: Alert) -> list[AlertEvent]:
    """What happened to an alert, oldest first."""
    wanted = select(AlertEvent).where(AlertEvent.alert_id == alert.alert_id).order_by(AlertEvent.id)
    return list(current_session().scalars(wanted))


def any_due(now: datetime) -> bool:
    """Whether an alert has a reminder or the end of a silence due; asked in a snapshot."""
    return current_session().scalars(select(Alert.id).where(_due(now)).limit(1)).first() is not None


def take_due(now: datetime, limit: int) -> list[Alert]:
    """Alerts with a reminder or the end of a silence due, held; those that another worker holds are left to it."""
    wanted = select(Alert).where(_due(now)).order_by(Alert.id).limit(limit)
    wanted = wanted.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    return list(current_session().scalars(wanted))


def _due(now: datetime) -> Any:
    return or_(Alert.remind_at <= now, Alert.silenced_until <= now)
