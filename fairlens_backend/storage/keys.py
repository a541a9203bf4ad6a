"""Keys that the master key wraps: data keys, and the server's own by kind, owner and version. The newest comes first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, inspect, select, update

from fairlens_backend.storage.key_tables import WrappedKey
from fairlens_backend.storage.session import current_session, lock_for_append
from fairlens_backend.storage.tables import DataKey

KEYS_LOCK = 7002
"""the name under which those who add or change keys queue; taken after `checks.CHAIN_LOCK` and before the ledger's, never
the other way round"""
ROOT: Final = "root"
JWT: Final = "jwt"
TOKENS: Final = "tokens"


def newest_first() -> Sequence[DataKey]:
    """Every data key, wrapped; the first one encrypts."""
    wanted = select(DataKey).order_by(DataKey.id.desc())
    return current_session().scalars(wanted.execution_options(populate_existing=True)).all()


def newest_id() -> tuple[int, int] | None:
    """The number of the newest data key, and how many there are; None before the first."""
    number, n = current_session().execute(select(func.max(DataKey.id), func.count(DataKey.id))).one()
    return (number, n) if n else None


def lock() -> None:
    """Let one transaction at a time add or change keys."""
    lock_for_append(KEYS_LOCK)


def add(wrapped_key: str, created_by: str, now: datetime) -> DataKey:
    """Keep a wrapped data key; from here on it is the newest."""
    row = DataKey(wrapped_key=wrapped_key, created_by=created_by, created_at=now)
    session = current_session()
    session.add(row)
    session.flush()
    return row


def remove(ids: Sequence[int]) -> None:
    """Destroy data keys."""
    current_session().execute(delete(DataKey).where(DataKey.id.in_(ids)))


def own(kind: str, owner: str = "") -> Sequence[WrappedKey]:
    """The server's keys of a kind and an owner, the newest first."""
    wanted = select(WrappedKey).where(WrappedKey.kind == kind, WrappedKey.owner == owner)
    wanted = wanted.order_by(WrappedKey.version.desc()).execution_options(populate_existing=True)
    return current_session().scalars(wanted).all()


def all_own() -> Sequence[WrappedKey]:
    """Every one of the server's own keys."""
    wanted = select(WrappedKey).order_by(WrappedKey.id).execution_options(populate_existing=True)
    return current_session().scalars(wanted).all()


def add_own(
    kind: str, owner: str, version: int, wrapped_key: str | None, by: str, now: datetime
) -> WrappedKey:
    """Keep one of the server's own keys; none for a version that lives elsewhere."""
    row = WrappedKey(
        kind=kind, owner=owner, version=version, wrapped_key=wrapped_key, created_by=by, created_at=now
    )
    session = current_session()
    session.add(row)
    session.flush()
    return row


def end_own(kind: str, owner: str, before_version: int, ends_at: datetime) -> None:
    """Let the older keys end then, those that do not end earlier."""
    older = (WrappedKey.kind == kind, WrappedKey.owner == owner, WrappedKey.version < before_version)
    later = WrappedKey.ends_at.is_(None) | (WrappedKey.ends_at > ends_at)
    current_session().execute(update(WrappedKey).where(*older, later).values(ends_at=ends_at))


def destroy_ended(kind: str, owner: str, now: datetime) -> int:
    """Destroy the keys that came to their end; their rows stay, so that no version is given twice. How many there were."""
    ended = (WrappedKey.kind == kind, WrappedKey.owner == owner, WrappedKey.ends_at <= now)
    statement = update(WrappedKey).where(*ended, WrappedKey.wrapped_key.is_not(None)).values(wrapped_key=None)
    return int(current_session().execute(statement).rowcount)  # type: ignore[attr-defined]


def table_is_there() -> bool:
    """Whether the database has the table of the server's own keys: one that is not migrated yet has not."""
    return inspect(current_session().connection()).has_table(WrappedKey.__tablename__)
