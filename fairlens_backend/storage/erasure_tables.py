"""The tables of erasures: what was asked for and done, without saying of whom, and the ids that may not come again."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from fairlens_backend.storage.tables import BIG_ID, NAME, Base


class Erasure(Base):
    """A request to erase somebody's raw rows: how far it is, and its receipt."""

    __tablename__ = "erasures"
    __table_args__ = (Index("ix_erasures_tenant_id", "tenant", "id"),)
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(NAME)
    asked_by: Mapped[str] = mapped_column(String(20))
    """event_ids, token or value"""
    asked: Mapped[int]
    """how many ids, or 1"""
    request_digest: Mapped[str] = mapped_column(String(64))
    """keyed, of what was asked for"""
    sealed_request: Mapped[str | None] = mapped_column(Text)
    """what is looked for, encrypted; none any more once the erasure is finished"""
    dry_run: Mapped[bool] = mapped_column(Boolean)
    by_user_id: Mapped[int | None] = mapped_column(BIG_ID)
    requested_at: Mapped[datetime]
    progress: Mapped[dict[str, Any]]
    """{"stage", "after", "until", "erased", "remains"}"""
    job_id: Mapped[str | None] = mapped_column(String(64))
    finished_at: Mapped[datetime | None]
    ledger_index: Mapped[int | None] = mapped_column(BIG_ID)
    log_cleared: Mapped[bool | None] = mapped_column(Boolean)
    """whether SQLite's log of changes was emptied afterwards; none on PostgreSQL, and before"""


class ErasedId(Base):
    """The keyed digest of an erased event's id: the event is not taken again."""

    __tablename__ = "erased_ids"
    digest: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
