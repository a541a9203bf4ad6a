"""The tables of single decisions: rows in batches, ids in sorted runs, counts as deltas and buckets, what could not be read.

Numbers of a batch stand beside each other as arrays in little-endian order; which, say `events`, `event_ids` and
`window_counts`.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from fairlens_backend.storage.tables import BIG_ID, ID, NAME, Base


class IngestState(Base):
    """What the next batch and the next run of ids are called, and from which minute on raw rows are whole; one row."""

    __tablename__ = "ingest_state"
    id: Mapped[int] = mapped_column(primary_key=True)
    next_batch: Mapped[int] = mapped_column(BIG_ID)
    next_run: Mapped[int] = mapped_column(BIG_ID)
    raw_from_minute: Mapped[int] = mapped_column(BIG_ID)


class CountSeries(Base):
    """One version of a model counted by one list of protected attributes."""

    __tablename__ = "count_series"
    __table_args__ = (UniqueConstraint("tenant", "model", "version", "attributes"),)
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(NAME)
    model: Mapped[str] = mapped_column(NAME)
    version: Mapped[str] = mapped_column(NAME)
    attributes: Mapped[str] = mapped_column(Text)
    """their names as a JSON list, in the declared order"""


class CountGroup(Base):
    """A group that occurred in a series, and its number there: a cell is 66 times that number and the place in the group."""

    __tablename__ = "count_groups"
    series_id: Mapped[int] = mapped_column(
        ForeignKey("count_series.id"), primary_key=True, autoincrement=False
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    labels: Mapped[list[Any]]


class EventBatch(Base):
    """The decisions of one request and one series, as they came; the key grows with the time of arrival."""

    __tablename__ = "event_batches"
    __table_args__ = (Index("ix_event_batches_series_id_last_minute", "series_id", "last_minute"),)
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    series_id: Mapped[int] = mapped_column(ForeignKey("count_series.id"))
    received_at: Mapped[datetime]
    first_minute: Mapped[int] = mapped_column(BIG_ID)
    last_minute: Mapped[int] = mapped_column(BIG_ID, index=True)
    n: Mapped[int]
    numbers: Mapped[bytes] = mapped_column(LargeBinary)
    """times in µs since 1970 (int64), then scores (float64, NaN where there is none)"""


class EventCells(Base):
    """The cell of each decision of a batch (int32): apart from the batch, since late labels write it anew."""

    __tablename__ = "event_cells"
    batch_id: Mapped[int] = mapped_column(
        ForeignKey("event_batches.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    cells: Mapped[bytes] = mapped_column(LargeBinary)


class EventIdRun(Base):
    """A sorted run of ids; the first four bytes of each in one piece, so that a process can keep them in memory."""

    __tablename__ = "event_id_runs"
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(BIG_ID)
    last_batch: Mapped[int] = mapped_column(BIG_ID)
    prints: Mapped[bytes] = mapped_column(LargeBinary)


class EventIdPage(Base):
    """A piece of a run: the ids' digests and where their decisions are."""

    __tablename__ = "event_id_pages"
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    """the run's number times 2**20, and the page's"""
    entries: Mapped[bytes] = mapped_column(LargeBinary)


class CountDelta(Base):
    """What one commit changed in one series' counts, signed, not yet in the buckets."""

    __tablename__ = "count_deltas"
    __table_args__ = (Index("ix_count_deltas_series_id_last_minute", "series_id", "last_minute"),)
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("count_series.id"))
    first_minute: Mapped[int] = mapped_column(BIG_ID)
    last_minute: Mapped[int] = mapped_column(BIG_ID)
    entries: Mapped[bytes] = mapped_column(LargeBinary)


class CountBucket(Base):
    """The counts of one series in one minute, hour or day."""

    __tablename__ = "count_buckets"
    series_id: Mapped[int] = mapped_column(
        ForeignKey("count_series.id"), primary_key=True, autoincrement=False
    )
    grain: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """minutes that a bucket of this kind covers: 1, 60 or 1440"""
    start_minute: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    entries: Mapped[bytes] = mapped_column(LargeBinary)


class EarlyLabel(Base):
    """A label whose decision has not come yet."""

    __tablename__ = "early_labels"
    digest: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    label: Mapped[bytes] = mapped_column(LargeBinary(16))
    """the label's digest: it is only ever compared with the favourable labels of the decision's model"""
    received_at: Mapped[datetime] = mapped_column(index=True)


class DeadLetter(Base):
    """An event that could not be taken: why, and the event itself, encrypted."""

    __tablename__ = "dead_letters"
    __table_args__ = (
        Index("ix_dead_letters_tenant_id", "tenant", "id"),
        Index("ix_dead_letters_tenant_digest", "tenant", "digest", unique=True),
    )
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    tenant: Mapped[str] = mapped_column(NAME)
    model: Mapped[str | None] = mapped_column(String(100))
    received_at: Mapped[datetime]
    source: Mapped[str] = mapped_column(ID)
    """who sent it: a user's name or a key's prefix"""
    errors: Mapped[list[Any]]
    encrypted_event: Mapped[str] = mapped_column(Text)
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(16))
    """keyed, of the event as it came and the reasons; None where the event has no id, by which one is told from another"""


class SettledLetter(Base):
    """A dead letter whose event was taken, by its digest: the same event sent again as it was is no new letter."""

    __tablename__ = "settled_letters"
    tenant: Mapped[str] = mapped_column(NAME, primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    settled_at: Mapped[datetime] = mapped_column(index=True)
