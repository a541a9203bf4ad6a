"""The tables of continuous auditing: when models are audited, which windows were, what changed since, sequences of looks."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Float, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from fairlens_backend.storage.tables import BIG_ID, ID, NAME, Base


class Schedule(Base):
    """When a model is audited and how; None where the server's settings say it. Also who audits it now, and how far."""

    __tablename__ = "schedules"
    __table_args__ = (
        UniqueConstraint("tenant", "model"),
        Index("ix_schedules_due", "enabled", "next_due_at"),
    )
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(NAME)
    model: Mapped[str] = mapped_column(NAME)
    by_default: Mapped[bool] = mapped_column(Boolean)
    """made by the server for a model that sends decisions, and never set by anybody"""
    enabled: Mapped[bool] = mapped_column(Boolean)
    cron: Mapped[str | None] = mapped_column(String(200))
    time_zone: Mapped[str | None] = mapped_column(String(100))
    window_minutes: Mapped[int | None]
    protected_attributes: Mapped[list[Any] | None]
    version: Mapped[str | None] = mapped_column(NAME)
    policy: Mapped[dict[str, Any]]
    sample_rows: Mapped[int | None]
    reaudit_share: Mapped[float | None] = mapped_column(Float)
    reaudit_decisions: Mapped[int | None] = mapped_column(BIG_ID)
    reaudit_days: Mapped[float | None] = mapped_column(Float)
    changed_by: Mapped[str] = mapped_column(NAME)
    changed_at: Mapped[datetime]
    planned_until: Mapped[datetime]
    """due times up to this one, included, have been dealt with"""
    next_due_at: Mapped[datetime | None]
    """when there is next something to do; None where the cron line never comes again"""
    attempts: Mapped[int] = mapped_column(default=0)
    """tries of the next window that failed for no fault of the window's"""
    holder: Mapped[str | None] = mapped_column(NAME)
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(BIG_ID, default=0)
    """grows with every lease; a holder whose number is no longer this one may write nothing"""
    last_window_end: Mapped[datetime | None]
    last_data_end: Mapped[datetime | None]
    """end of the last window that had decisions in its own part"""
    had_data: Mapped[bool] = mapped_column(Boolean, default=False)
    """whether the last window had decisions"""
    last_audit_id: Mapped[str | None] = mapped_column(ID)
    last_audit_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)


class AuditWindow(Base):
    """What became of one window of a model; of a later revision a row of its own."""

    __tablename__ = "audit_windows"
    __table_args__ = (
        # Named here: PostgreSQL cuts a name at 63 letters.
        UniqueConstraint(
            *("tenant", "model", "version", "window_start", "window_end", "revision"),
            name="uq_audit_windows_window",
        ),
        Index("ix_audit_windows_end", "tenant", "model", "window_end"),
        Index("ix_audit_windows_check", "check_at"),
    )
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(NAME)
    model: Mapped[str] = mapped_column(NAME)
    version: Mapped[str] = mapped_column(NAME)
    """empty for all versions together: a NULL would be unlike every other in a unique constraint"""
    window_start: Mapped[datetime]
    window_end: Mapped[datetime]
    own_start: Mapped[datetime]
    """from here on the window shares no decision with the window before it"""
    revision: Mapped[int]
    newest: Mapped[bool] = mapped_column(Boolean)
    """whether no later revision stands in its place"""
    state: Mapped[str] = mapped_column(String(20))
    """audited, empty, failed or skipped"""
    n_windows: Mapped[int] = mapped_column(BIG_ID)
    """1; of windows that were given up together, how many"""
    reason: Mapped[str | None] = mapped_column(Text)
    audit_id: Mapped[str | None] = mapped_column(ID, unique=True)
    sample_size: Mapped[int] = mapped_column(BIG_ID)
    labelled_size: Mapped[int] = mapped_column(BIG_ID)
    holder: Mapped[str] = mapped_column(NAME)
    done_at: Mapped[datetime]
    check_at: Mapped[datetime | None]
    """when to compare its counts with those of now; None when nothing says that they changed"""
    check_from: Mapped[datetime]
    """not before: each revision waits twice as long as the one before it"""
    changes: Mapped[int] = mapped_column(BIG_ID, default=0)
    """how often its counts were touched since; what is compared is only settled when this stayed the same"""
    looked: Mapped[dict[str, Any] | None]
    """what the window's own part gave to the sequences of looks: {attribute: {group: counts by decision and truth}}"""


class CountChange(Base):
    """The minutes of a series that one fold touched, until the windows that hold them are marked."""

    __tablename__ = "count_changes"
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("count_series.id"), index=True)
    minutes: Mapped[bytes] = mapped_column(LargeBinary)
    """distinct minutes since 1970 (int64), compressed"""


class SequentialSeries(Base):
    """The confidence sequences of one metric of one attribute: of each group against the reference since the baseline."""

    __tablename__ = "sequential_series"
    __table_args__ = (
        UniqueConstraint(
            *("tenant", "model", "version", "attribute", "metric"), name="uq_sequential_series_series"
        ),
    )
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(NAME)
    model: Mapped[str] = mapped_column(NAME)
    version: Mapped[str] = mapped_column(NAME)
    attribute: Mapped[str] = mapped_column(NAME)
    metric: Mapped[str] = mapped_column(String(80))
    since: Mapped[datetime]
    state: Mapped[dict[str, Any]]
    """reference, band, alpha, and of each group its watch and when it first alarmed"""
