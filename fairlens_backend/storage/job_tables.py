"""The tables of background work: jobs, the days whose counts are compared with raw rows, sums that are carried on, and
names without an account that somebody tried to log in with.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, Float, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from fairlens_backend.storage.tables import BIG_ID, ID, NAME, Base

NULLABLE_JSON = JSON(none_as_null=True)


class JobRow(Base):
    """A job in the database; the fields are those of `job_states.Job`."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("tenant", "name", "idempotency_key"),
        Index("ix_jobs_name_ready_at", "name", "ready_at"),
        Index("ix_jobs_tenant_state_job_id", "tenant", "state", "job_id"),
        Index("ix_jobs_state_finished_at", "state", "finished_at"),
    )
    job_id: Mapped[str] = mapped_column(ID, primary_key=True)
    """grows with the time it was made"""
    tenant: Mapped[str] = mapped_column(NAME)
    name: Mapped[str] = mapped_column(NAME)
    arguments: Mapped[dict[str, Any]]
    created_by: Mapped[str] = mapped_column(NAME)
    created_at: Mapped[datetime]
    idempotency_key: Mapped[str | None] = mapped_column(NAME)
    state: Mapped[str] = mapped_column(String(20))
    ready_at: Mapped[datetime | None]
    """from when on a worker may take it: its next try, or the end of another one's lease; none when it has ended"""
    attempts: Mapped[int]
    max_attempts: Mapped[int]
    progress: Mapped[float] = mapped_column(Float)
    checkpoint: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    token: Mapped[str | None] = mapped_column(String(64))
    cancel_requested: Mapped[bool] = mapped_column(Boolean)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    result: Mapped[dict[str, Any] | None] = mapped_column(NULLABLE_JSON)
    error: Mapped[str | None] = mapped_column(Text)


class CountedDay(Base):
    """A day of a series, and what the last comparison of its counts with its raw rows found."""

    __tablename__ = "counted_days"
    __table_args__ = (
        Index("ix_counted_days_next_check_at", "next_check_at"),
        Index("ix_counted_days_cells_wrong", "cells_wrong"),
    )
    series_id: Mapped[int] = mapped_column(
        ForeignKey("count_series.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """days since 1970, UTC"""
    next_check_at: Mapped[datetime]
    earliest_check_at: Mapped[datetime]
    """a day that keeps changing is not compared more often than this allows"""
    checked_at: Mapped[datetime | None]
    counted: Mapped[int | None] = mapped_column(BIG_ID)
    raw_rows: Mapped[int | None] = mapped_column(BIG_ID)
    cells_wrong: Mapped[int | None]


class Tally(Base):
    """A number that is carried on from one look at the rows to the next: how far it came, and a sum so far."""

    __tablename__ = "tallies"
    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    n: Mapped[int] = mapped_column(BIG_ID)


class Stranger(Base):
    """Failed logins of a name that has no account, by a keyed digest: people type their password into the wrong field."""

    __tablename__ = "login_strangers"
    digest: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    failed_logins: Mapped[int]
    last_failure_at: Mapped[datetime | None] = mapped_column(index=True)
    locked_until: Mapped[datetime | None]
