"""Deletes, a bounded number at a time, what has served its time: delivered messages, resolved alerts, notes of windows."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, select
from sqlalchemy.orm import aliased

from fairlens_backend.storage.alert_tables import Alert
from fairlens_backend.storage.schedule_tables import AuditWindow
from fairlens_backend.storage.session import current_session
from fairlens_backend.storage.tables import OutboxMessage


def delivered_before(before: datetime, limit: int) -> int:
    """Delete messages that were delivered before a time; how many.

    One stays while an earlier message of its order to its target is set aside: it tells that sending that one now would come late.
    """
    earlier = aliased(OutboxMessage)
    overtaken = (
        select(earlier.id)
        .where(
            earlier.order_key == OutboxMessage.order_key,
            earlier.target == OutboxMessage.target,
            earlier.id < OutboxMessage.id,
            earlier.delivered_at.is_(None),
        )
        .exists()
    )
    wanted = select(OutboxMessage.id).where(OutboxMessage.delivered_at < before, ~overtaken)
    return _delete(OutboxMessage, wanted, limit)


def alerts_resolved_before(before: datetime, limit: int) -> int:
    """Delete alerts that were resolved before a time, with their history; how many alerts."""
    return _delete(
        Alert, select(Alert.id).where(Alert.state == "resolved", Alert.resolved_at < before), limit
    )


def windows_before(before: datetime, limit: int) -> int:
    """Delete what became of windows that ended before a time, but for a model's newest one; how many."""
    later = aliased(AuditWindow)
    followed = select(later.id).where(
        later.tenant == AuditWindow.tenant,
        later.model == AuditWindow.model,
        later.window_end > AuditWindow.window_end,
    )
    old: ColumnElement[bool] = and_(AuditWindow.window_end < before, followed.exists())
    return _delete(AuditWindow, select(AuditWindow.id).where(old), limit)


def any_before(messages: datetime, alerts: datetime, windows: datetime) -> bool:
    """Whether there may be something to delete; asked in a snapshot."""
    some: list[Select[Any]] = [
        select(OutboxMessage.id).where(OutboxMessage.delivered_at < messages),
        select(Alert.id).where(Alert.state == "resolved", Alert.resolved_at < alerts),
        select(AuditWindow.id).where(AuditWindow.window_end < windows),
    ]
    return any(current_session().scalar(one.limit(1)) is not None for one in some)


def _delete(table: type, wanted: Select[Any], limit: int) -> int:
    key = table.id  # type: ignore[attr-defined]
    ids = list(current_session().scalars(wanted.order_by(key).limit(limit)))
    if ids:
        current_session().execute(
            delete(table).where(key.in_(ids)), execution_options={"synchronize_session": False}
        )
    return len(ids)
