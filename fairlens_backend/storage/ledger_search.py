"""Entries of the ledger by what they are about."""

from collections.abc import Sequence

from sqlalchemy import select

from fairlens_backend.core.merkle import HASH_BYTES
from fairlens_backend.storage import ledger
from fairlens_backend.storage.ledger import ENTRY, Entry, as_entry
from fairlens_backend.storage.ledger_tables import LedgerEntry
from fairlens_backend.storage.session import current_session


def last_about(event_type: str, subject: str, tenant: str, *, before: str | None = None) -> Entry | None:
    """The last entry of this type about a model; None when there is none.

    Parameters
    ----------
    before : of the entries with an earlier time only (as entries spell it)
    """
    wanted = select(*ENTRY).where(
        LedgerEntry.tenant == tenant, LedgerEntry.subject == subject, LedgerEntry.type == event_type
    )
    if before is not None:
        wanted = wanted.where(LedgerEntry.at < before)
    row = current_session().execute(wanted.order_by(LedgerEntry.leaf_index.desc()).limit(1)).first()
    return None if row is None else as_entry(row)


def indexes_about(event_type: str, subject: str, tenant: str, since: str, until: str) -> list[int]:
    """The places of the entries of this type about a model from one time to another, and of the first one after."""
    mine = (LedgerEntry.tenant == tenant, LedgerEntry.subject == subject, LedgerEntry.type == event_type)
    wanted = (
        select(LedgerEntry.leaf_index).where(*mine, LedgerEntry.at >= since).order_by(LedgerEntry.leaf_index)
    )
    session = current_session()
    found = list(session.scalars(wanted.where(LedgerEntry.at < until)))
    return [*found, *session.scalars(wanted.where(LedgerEntry.at >= until).limit(1))]


def indexes_of_type(event_type: str, start: int) -> list[int]:
    """The places of all entries of a type from `start` on, whoever's they are."""
    wanted = select(LedgerEntry.leaf_index).where(
        LedgerEntry.type == event_type, LedgerEntry.leaf_index >= start
    )
    return list(current_session().scalars(wanted.order_by(LedgerEntry.leaf_index)))


def at(indexes: Sequence[int]) -> list[Entry]:
    """The entries at these places, in order."""
    wanted = select(*ENTRY).where(LedgerEntry.leaf_index.in_(indexes))
    return [as_entry(row) for row in current_session().execute(wanted.order_by(LedgerEntry.leaf_index))]


def about_record(event_type: str, record_id: str, tenant: str) -> list[Entry]:
    """The entries of this type about a record, in order."""
    wanted = select(*ENTRY).where(
        LedgerEntry.record_id == record_id, LedgerEntry.type == event_type, LedgerEntry.tenant == tenant
    )
    return [as_entry(row) for row in current_session().execute(wanted.order_by(LedgerEntry.leaf_index))]


def index_of_hash(wanted: bytes, batch: int = 10_000) -> int | None:
    """The index of the newest entry with this leaf hash.

    Hashes have no index of their own, which would cost each append a write at a random place; an entry names its index, so
    who has the entry need not ask. All are looked through, the newest first.
    """
    statement = select(LedgerEntry.leaf_index, LedgerEntry.nodes)
    end = ledger.size()
    while end > 0:
        start = max(0, end - batch)
        some = statement.where(LedgerEntry.leaf_index >= start, LedgerEntry.leaf_index < end)
        for index, nodes in current_session().execute(some.order_by(LedgerEntry.leaf_index.desc())):
            if nodes[:HASH_BYTES] == wanted:
                return int(index)
        end = start
    return None
