"""Every table. Rows belong to a tenant; times are UTC; JSON columns hold what is only ever read whole."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy import DateTime as SqlDateTime
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAME = String(200)
ID = String(64)
BIG_ID = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER keys


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept and given back in UTC: SQLite forgets the zone, and a naive time is refused."""

    impl = SqlDateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a time without a zone; store the others in UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the time back with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Names constraints, so that migrations can drop them on every database."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


Base.metadata.naming_convention = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class User(Base):
    """A person's account. Names are unique on the server, since a login names no tenant."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(NAME, index=True)
    username: Mapped[str] = mapped_column(NAME, unique=True)
    password_hash: Mapped[str] = mapped_column(Text)
    role: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime]
    failed_logins: Mapped[int] = mapped_column(default=0)
    last_failure_at: Mapped[datetime | None]
    locked_until: Mapped[datetime | None]


class RefreshToken(Base):
    """One refresh token by its id. Those that came from one login share a family."""

    __tablename__ = "refresh_tokens"
    jti: Mapped[str] = mapped_column(ID, primary_key=True)
    family: Mapped[str] = mapped_column(ID, index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class ApiKey(Base):
    """A machine's key, by its hash: the key itself is shown once and never kept."""

    __tablename__ = "api_keys"
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(NAME, index=True)
    name: Mapped[str] = mapped_column(NAME)
    prefix: Mapped[str] = mapped_column(String(20), unique=True)
    key_hash: Mapped[str] = mapped_column(String(64))
    scope: Mapped[str] = mapped_column(String(40))
    created_by: Mapped[str] = mapped_column(NAME)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class RegisteredModel(Base):
    """A model's name, version and declarations; its artefact by path and digest."""

    __tablename__ = "models"
    __table_args__ = (UniqueConstraint("tenant", "name", "version"),)
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(NAME, index=True)
    name: Mapped[str] = mapped_column(NAME)
    version: Mapped[str] = mapped_column(NAME)
    declarations: Mapped[dict[str, Any]]
    """columns, favourable, reference_groups, features, thresholds, use_case, description: as the request had them"""
    artefact_path: Mapped[str | None] = mapped_column(Text)
    artefact_sha256: Mapped[str | None] = mapped_column(String(64))
    created_by: Mapped[str] = mapped_column(NAME)
    created_at: Mapped[datetime]


class FairnessCheck(Base):
    """What is kept of a check. The evidence hash is made of these columns alone (see `compliance_logger`)."""

    __tablename__ = "fairness_checks"
    __table_args__ = (Index("ix_fairness_checks_tenant_model_id", "tenant", "model", "id"),)
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    seq: Mapped[int] = mapped_column(BIG_ID, unique=True)
    """place in the chain of this server's records, from 1, without gaps"""
    record_id: Mapped[str] = mapped_column(ID, unique=True)
    timestamp: Mapped[datetime]
    tenant: Mapped[str] = mapped_column(NAME, index=True)
    model: Mapped[str] = mapped_column(NAME)
    model_version: Mapped[str] = mapped_column(NAME)
    audit_id: Mapped[str] = mapped_column(ID, unique=True)
    sample_size: Mapped[int] = mapped_column(BIG_ID)
    severity: Mapped[str] = mapped_column(String(20))
    alert: Mapped[bool] = mapped_column(Boolean)
    dir: Mapped[float | None] = mapped_column(Float)
    spd: Mapped[float | None] = mapped_column(Float)
    eod: Mapped[float | None] = mapped_column(Float)
    aod: Mapped[float | None] = mapped_column(Float)
    theil: Mapped[float | None] = mapped_column(Float)
    drift_level: Mapped[float | None] = mapped_column(Float)
    female_rate: Mapped[float | None] = mapped_column(Float)
    male_rate: Mapped[float | None] = mapped_column(Float)
    alert_text_sha256: Mapped[str | None] = mapped_column(String(64))
    """digest of the alert's text, so that the record stays the same when its encryption key is rotated"""
    audit_sha256: Mapped[str] = mapped_column(String(64))
    """digest of the audit's result and counts, which are kept in `audits`"""
    prev_hash: Mapped[str] = mapped_column(String(64))
    hash_value: Mapped[str] = mapped_column(String(64), index=True)
    encrypted_alert: Mapped[str | None] = mapped_column(Text)


class Audit(Base):
    """An audit's whole result and the count table that it was computed from."""

    __tablename__ = "audits"
    __table_args__ = (Index("ix_audits_counted", "tenant", "model", "submitted", "created_at"),)
    audit_id: Mapped[str] = mapped_column(ID, primary_key=True)
    tenant: Mapped[str] = mapped_column(NAME, index=True)
    model: Mapped[str] = mapped_column(NAME)
    submitted: Mapped[bool] = mapped_column(Boolean)
    """whether its counts came with it, and so are a part of their window; a window's own audit is no part of another"""
    created_at: Mapped[datetime]
    result: Mapped[dict[str, Any]]
    counts: Mapped[dict[str, Any]]


class AuditFigure(Base):
    """One metric of one attribute of one audit: what series over time are read from, so that no result is opened."""

    __tablename__ = "audit_figures"
    __table_args__ = (
        # Ends in the value, so that the values of a series are read from the index alone.
        Index(
            "ix_audit_figures_series",
            *("tenant", "model", "attribute", "metric", "apart", "known", "at", "id", "value"),
        ),
    )
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    audit_id: Mapped[str] = mapped_column(ForeignKey("audits.audit_id", ondelete="CASCADE"), index=True)
    tenant: Mapped[str] = mapped_column(NAME)
    model: Mapped[str] = mapped_column(NAME)
    model_version: Mapped[str] = mapped_column(NAME)
    attribute: Mapped[str] = mapped_column(NAME)
    metric: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime]
    """the end of the audited window; of a submission when it was audited"""
    window_start: Mapped[datetime | None]
    apart: Mapped[bool] = mapped_column(Boolean)
    """whether a detector may take it for independent: its window shares no rows with one that was apart before it, and no
    later audit of the same window has taken its place"""
    known: Mapped[bool] = mapped_column(Boolean)
    """whether there is a value; a column, so that an index finds the first and the last of those that have one"""
    value: Mapped[float | None] = mapped_column(Float)
    lower: Mapped[float | None] = mapped_column(Float)
    upper: Mapped[float | None] = mapped_column(Float)
    standard_error: Mapped[float | None] = mapped_column(Float)
    n: Mapped[int] = mapped_column(BIG_ID)
    threshold: Mapped[float] = mapped_column(Float)
    status: Mapped[str] = mapped_column(String(40))
    severity: Mapped[str] = mapped_column(String(20))


class EvidenceState(Base):
    """How far the compliance log and the anchors have followed the rows; one row."""

    __tablename__ = "evidence_state"
    id: Mapped[int] = mapped_column(primary_key=True)
    published_seq: Mapped[int] = mapped_column(BIG_ID, default=0)
    log_bytes: Mapped[int] = mapped_column(BIG_ID, default=0)
    anchor_bytes: Mapped[int] = mapped_column(BIG_ID, default=0)
    damage: Mapped[str | None] = mapped_column(Text)
    """what was found that no crash explains; kept until an operator acknowledges it"""


class AlertDecryption(Base):
    """Who read an alert's text, when, from where."""

    __tablename__ = "alert_decryptions"
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    record_id: Mapped[str] = mapped_column(ID, index=True)
    tenant: Mapped[str] = mapped_column(NAME, index=True)
    username: Mapped[str] = mapped_column(NAME)
    at: Mapped[datetime]
    address: Mapped[str] = mapped_column(String(100))


class DataKey(Base):
    """A Fernet key, wrapped by the master key. The newest encrypts; all decrypt."""

    __tablename__ = "data_keys"
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    wrapped_key: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(NAME)
    created_at: Mapped[datetime]


class OutboxMessage(Base):
    """A message written with the record that caused it, delivered afterwards, at least once."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_due", "delivered_at", "dead_at", "next_attempt_at"),
        Index("ix_outbox_order_key", "order_key", "target", "id"),
    )
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    message_id: Mapped[str] = mapped_column(ID, unique=True)
    tenant: Mapped[str] = mapped_column(NAME)
    target: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime]
    claimed_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    delivered_at: Mapped[datetime | None]
    dead_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    order_key: Mapped[str | None] = mapped_column(ID)
    """messages of one key to one target go out in the order they came in: a resolve never overtakes its trigger"""


class Heartbeat(Base):
    """When a background job last finished a round, and by which process."""

    __tablename__ = "heartbeats"
    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    holder: Mapped[str] = mapped_column(NAME)
    beat_at: Mapped[datetime]


# Last, since they are made on the Base above: whoever knows the tables knows these too.
from fairlens_backend.storage import (  # noqa: E402
    alert_tables,  # noqa: F401
    detail_tables,  # noqa: F401
    erasure_tables,  # noqa: F401
    event_tables,  # noqa: F401
    job_tables,  # noqa: F401
    key_tables,  # noqa: F401
    ledger_tables,  # noqa: F401
    schedule_tables,  # noqa: F401
    witness_tables,  # noqa: F401
)
