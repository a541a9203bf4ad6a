"""Rows of erasures: asked for, under way, finished. A finished one says what went, never of whom."""

from sqlalchemy import select

from fairlens_backend.storage.erasure_tables import Erasure
from fairlens_backend.storage.session import current_session


def add(row: Erasure) -> Erasure:
    """Keep a request; it has its number then."""
    session = current_session()
    session.add(row)
    session.flush()
    return row


def find(tenant: str, erasure_id: int) -> Erasure | None:
    """The tenant's erasure of that number."""
    wanted = select(Erasure).where(Erasure.tenant == tenant, Erasure.id == erasure_id)
    return current_session().scalars(wanted.execution_options(populate_existing=True)).first()


def locked(tenant: str, erasure_id: int) -> Erasure | None:
    """As `find`; nobody else changes the row until the transaction ends."""
    wanted = select(Erasure).where(Erasure.tenant == tenant, Erasure.id == erasure_id).with_for_update()
    return current_session().scalars(wanted.execution_options(populate_existing=True)).first()


def page(tenant: str, limit: int, before: int) -> list[Erasure]:
    """At most `limit` of the tenant's erasures before the one with that number, newest first."""
    wanted = select(Erasure).where(Erasure.tenant == tenant, Erasure.id < before)
    return list(current_session().scalars(wanted.order_by(Erasure.id.desc()).limit(limit)))
