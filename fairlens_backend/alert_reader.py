"""Alerts as people read them: a list, and one with its history and its messages."""

from typing import Any

from fairlens_backend import telemetry
from fairlens_backend.alert_messages import alert_path, public_link
from fairlens_backend.errors import NotFound
from fairlens_backend.schemas.alerts import AlertsQuery
from fairlens_backend.storage import alerts, outbox, pages
from fairlens_backend.storage.alert_tables import Alert
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.storage.tables import OutboxMessage

TIMES = ("opened_at", "first_opened_at", "silenced_until", "remind_at", "resolved_at", "announced_at")
PLAIN = (
    *(
        "alert_id",
        "model",
        "model_version",
        "attribute",
        "metric",
        "state",
        "severity",
        "peak",
        "times_opened",
    ),
    *("breaches", "late_windows", "audit_id", "record_id"),
)


def list_alerts(tenant: str, wanted: AlertsQuery) -> dict[str, Any]:
    """A page of the tenant's alerts, newest first: `{"items", "next_cursor"}`.

    Raises
    ------
    InvalidInput : a cursor that no page gave
    """
    before = pages.decode_cursor(wanted.cursor, pages.LARGEST_ID)
    with read_snapshot():
        rows = alerts.page(
            tenant,
            wanted.limit + 1,
            before,
            model=wanted.model,
            state=wanted.state,
            severity=wanted.severity,
        )
        items = [shown(row) for row in rows[: wanted.limit]]
    more = len(rows) > wanted.limit
    return {"items": items, "next_cursor": pages.encode_cursor(rows[wanted.limit - 1].id) if more else None}


def read_alert(tenant: str, alert_id: str) -> dict[str, Any]:
    """One alert with `history` (who, when, what) and `messages` (where they went and what came of it).

    Raises
    ------
    NotFound : no such alert in the tenant
    """
    with read_snapshot():
        row = alerts.find(tenant, alert_id)
        if row is None:
            raise NotFound(f"There is no alert {alert_id}.", id=alert_id)
        history = [
            {"at": telemetry.timestamp(one.at), "by": one.by, "what": one.kind, **one.detail}
            for one in alerts.history(row)
        ]
        messages = [shown_message(one) for one in outbox.of_order(alert_id)]
        return {**shown(row), "history": history, "messages": messages}


def shown(row: Alert) -> dict[str, Any]:
    """An alert as the API answers it."""
    end = row.resolved_at
    return {
        **{name: getattr(row, name) for name in PLAIN},
        **{name: _time(getattr(row, name)) for name in TIMES},
        "duration_s": (end - row.opened_at).total_seconds() if end else None,
        **row.figures,
        "url": public_link(alert_path(row.alert_id)),
    }


def shown_message(row: OutboxMessage) -> dict[str, Any]:
    """A message of the outbox as the API answers it; its words are the alert's."""
    status = "delivered" if row.delivered_at else "dead" if row.dead_at else "waiting"
    return {
        "id": row.id,
        "message_id": row.message_id,
        "alert_id": row.order_key,
        "kind": row.payload.get("kind"),
        "target": row.target,
        "status": status,
        "attempts": row.attempts,
        "created_at": _time(row.created_at),
        "next_attempt_at": _time(row.next_attempt_at) if status == "waiting" else None,
        "delivered_at": _time(row.delivered_at),
        "dead_at": _time(row.dead_at) if status == "dead" else None,
        "last_error": row.last_error,
    }


def _time(moment: Any) -> str | None:
    return None if moment is None else telemetry.timestamp(moment)
