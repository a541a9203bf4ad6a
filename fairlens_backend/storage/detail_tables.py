"""The tables of what events say beside their decision, of what a tenant wants kept of it, and of attributes that came early."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from fairlens_backend.storage.tables import BIG_ID, ID, NAME, Base


class EventDetails(Base):
    """Ids, features, tags, thresholds and proxies of a batch's decisions, without personal data, compressed."""

    __tablename__ = "event_details"
    batch_id: Mapped[int] = mapped_column(
        ForeignKey("event_batches.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    key_version: Mapped[int]
    """of the tenant's token key that made the tokens inside"""
    content: Mapped[bytes] = mapped_column(LargeBinary)


class TenantPrivacy(Base):
    """What a tenant wants done with personal data; no row means the defaults."""

    __tablename__ = "tenant_privacy"
    tenant: Mapped[str] = mapped_column(NAME, primary_key=True)
    switches: Mapped[dict[str, Any]]
    token_key_version: Mapped[int]
    updated_by: Mapped[str] = mapped_column(ID)
    updated_at: Mapped[datetime]


class EarlyAttributes(Base):
    """Protected attributes whose decision has not come yet; tokenised, as they came otherwise."""

    __tablename__ = "early_attributes"
    digest: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    attributes: Mapped[dict[str, Any]]
    received_at: Mapped[datetime] = mapped_column(index=True)


class CountHorizon(Base):
    """The minute from which on counts are kept by the minute; before it by the hour and day. One row."""

    __tablename__ = "count_horizon"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    minutes_from: Mapped[int] = mapped_column(BIG_ID)
