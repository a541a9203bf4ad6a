"""Audits as rows: the whole result and the count table that it came from."""

from datetime import datetime
from typing import Any

from sqlalchemy import select

from fairlens_backend.storage.session import current_session
from fairlens_backend.storage.tables import Audit


def insert(audit_id: str, tenant: str, result: dict[str, Any], counts: dict[str, Any], now: datetime) -> None:
    """Keep one audit, within the unit of work that keeps its record."""
    current_session().add(
        Audit(audit_id=audit_id, tenant=tenant, created_at=now, result=result, counts=counts)
    )
    current_session().flush()


def find(audit_id: str, tenant: str) -> Audit | None:
    """The tenant's audit of this id, or None."""
    wanted = select(Audit).where(Audit.audit_id == audit_id, Audit.tenant == tenant)
    return current_session().scalars(wanted).one_or_none()
