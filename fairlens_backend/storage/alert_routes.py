"""Rows of routes: which alerts of a tenant go to which channel and target."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, select

from fairlens_backend.storage import row_numbers
from fairlens_backend.storage.alert_tables import AlertRoute
from fairlens_backend.storage.session import current_session


def add(**columns: Any) -> AlertRoute:
    """A new route, under a number that no other one had: messages and the ledger name routes by it."""
    made = AlertRoute(id=row_numbers.fresh(AlertRoute), **columns)
    current_session().add(made)
    current_session().flush()
    return made


def find(tenant: str, route_id: int) -> AlertRoute | None:
    """The tenant's route of that number."""
    wanted = select(AlertRoute).where(AlertRoute.tenant == tenant, AlertRoute.id == route_id)
    return current_session().scalars(wanted).first()


def enabled(tenant: str) -> Sequence[AlertRoute]:
    """The tenant's routes that are in use, oldest first."""
    wanted = select(AlertRoute).where(AlertRoute.tenant == tenant, AlertRoute.enabled)
    return current_session().scalars(wanted.order_by(AlertRoute.id)).all()


def page(tenant: str, limit: int, after: int = 0) -> list[AlertRoute]:
    """At most `limit` of the tenant's routes behind the one with that number, oldest first."""
    wanted = select(AlertRoute).where(AlertRoute.tenant == tenant, AlertRoute.id > after)
    return list(current_session().scalars(wanted.order_by(AlertRoute.id).limit(limit)))


def remove(tenant: str, route_id: int) -> bool:
    """Delete a route; whether it was there."""
    gone = delete(AlertRoute).where(AlertRoute.tenant == tenant, AlertRoute.id == route_id)
    was_there = bool(current_session().execute(gone).rowcount)  # type: ignore[attr-defined]
    if was_there:
        row_numbers.note_deleted(AlertRoute, route_id)
    return was_there
