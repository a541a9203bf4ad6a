"""Data keys: wrapped by the master key, never deleted, the newest first."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select

from fairlens_backend.storage.session import current_session, lock_for_append
from fairlens_backend.storage.tables import DataKey

KEYS_LOCK = 7002
"""the name under which those who add data keys queue; taken after `checks.CHAIN_LOCK`, never before"""


def newest_first() -> Sequence[DataKey]:
    """Every data key, wrapped; the first one encrypts."""
    return current_session().scalars(select(DataKey).order_by(DataKey.id.desc())).all()


def lock() -> None:
    """Let one transaction at a time add a data key."""
    lock_for_append(KEYS_LOCK)


def add(wrapped_key: str, created_by: str, now: datetime) -> DataKey:
    """Keep a wrapped key; from here on it is the newest."""
    row = DataKey(wrapped_key=wrapped_key, created_by=created_by, created_at=now)
    session = current_session()
    session.add(row)
    session.flush()
    return row
