"""The tables of alerts: their lives, what was observed last, where messages go, which targets are away."""

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from fairlens_backend.storage.tables import BIG_ID, ID, NAME, Base

ALIVE = text("state <> 'resolved'")


class Alert(Base):
    """One alert of a metric of an attribute of a model. While it is not resolved, it is the only one of these."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index(
            "uq_alerts_alive",
            *("tenant", "model", "attribute", "metric"),
            unique=True,
            sqlite_where=ALIVE,
            postgresql_where=ALIVE,
        ),
        Index("ix_alerts_series", "tenant", "model", "attribute", "metric", "id"),
        Index("ix_alerts_remind_at", "remind_at"),
        Index("ix_alerts_silenced_until", "silenced_until"),
    )
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    alert_id: Mapped[str] = mapped_column(ID, unique=True)
    tenant: Mapped[str] = mapped_column(NAME)
    model: Mapped[str] = mapped_column(NAME)
    model_version: Mapped[str] = mapped_column(NAME)
    attribute: Mapped[str] = mapped_column(String(500))
    """a protected attribute or a crossing of two"""
    metric: Mapped[str] = mapped_column(String(80))
    state: Mapped[str] = mapped_column(String(20))
    severity: Mapped[str] = mapped_column(String(20))
    peak: Mapped[str] = mapped_column(String(20))
    opened_at: Mapped[datetime]
    """when it opened this time"""
    first_opened_at: Mapped[datetime]
    silenced_until: Mapped[datetime | None]
    remind_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    times_opened: Mapped[int] = mapped_column(Integer)
    breaches: Mapped[int] = mapped_column(BIG_ID)
    """observations beyond the limit, the one that opened it included"""
    late_windows: Mapped[int] = mapped_column(BIG_ID)
    """audits of windows older than the newest observed one: counted, and without effect"""
    audit_id: Mapped[str] = mapped_column(ID)
    record_id: Mapped[str] = mapped_column(ID)
    figures: Mapped[dict[str, Any]]
    """the newest value that was observed: value, interval, limits, groups, sizes, the finding in words, its window"""
    announced_at: Mapped[datetime | None]
    """when its first message was put out; None while nobody was told"""
    targets: Mapped[list[Any]]
    """where its messages went"""
    messages: Mapped[int] = mapped_column(Integer)


class AlertEvent(Base):
    """What happened to an alert: who, when, what. Never changed."""

    __tablename__ = "alert_events"
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    alert_id: Mapped[str] = mapped_column(ForeignKey("alerts.alert_id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(20))
    by: Mapped[str | None] = mapped_column(NAME)
    """the user; None for what the server did by itself"""
    detail: Mapped[dict[str, Any]]


class AlertWatch(Base):
    """What was last observed of an attribute: the newest window, and the verdicts that n-of-m needs."""

    __tablename__ = "alert_watches"
    tenant: Mapped[str] = mapped_column(NAME, primary_key=True)
    model: Mapped[str] = mapped_column(NAME, primary_key=True)
    attribute: Mapped[str] = mapped_column(String(500), primary_key=True)
    newest_at: Mapped[datetime | None]
    recent: Mapped[dict[str, Any]]
    """{metric: [[window end, window start or null, verdict], …]}, oldest first; only where something is under way"""


class AlertRoute(Base):
    """Where alerts that match go. The target is encrypted: addresses and keys are shown to nobody again."""

    __tablename__ = "alert_routes"
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(NAME, index=True)
    name: Mapped[str] = mapped_column(NAME)
    channel: Mapped[str] = mapped_column(String(20))
    severities: Mapped[list[Any]]
    models: Mapped[list[Any]]
    """names of models; empty for all"""
    enabled: Mapped[bool] = mapped_column(Boolean)
    shown: Mapped[str] = mapped_column(Text)
    """what of the target may be shown: a host, recipients"""
    encrypted_target: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(NAME)
    created_at: Mapped[datetime]


class DeliveryBreaker(Base):
    """A target that failed lately; without a row it is well. Shared by all workers."""

    __tablename__ = "delivery_breakers"
    target: Mapped[str] = mapped_column(NAME, primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    """failures in a row"""
    open_until: Mapped[datetime | None]
    """nothing is sent before; then one message tries, and until its answer no other"""
    trips: Mapped[int] = mapped_column(Integer)
    last_reason: Mapped[str | None] = mapped_column(Text)
