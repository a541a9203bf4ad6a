"""The ledger of evidence: events appended in one sequence, each a leaf of the Merkle tree, and what proofs are made of.

An event is appended inside the unit of work of the act that it records, so that there is neither without the other, and as its
last: whoever has appended holds the ledger's lock until the transaction ends, and others that append wait for it. Locks are
taken in the order of their numbers (7001 chain of records, 7002 data keys, 7003 ledger).
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, func, select

from fairlens_backend.core.audit_notation import entry_version
from fairlens_backend.core.canonical_json import canonical_json
from fairlens_backend.core.merkle import HASH_BYTES, Frontier, Node, leaf_hash, peaks
from fairlens_backend.errors import InvalidInput
from fairlens_backend.storage.driver_sql import among, list_of, rows
from fairlens_backend.storage.ledger_insert import COLUMNS, LEDGER_LOCK, insert_after, insert_all
from fairlens_backend.storage.ledger_tables import LedgerEntry
from fairlens_backend.storage.session import (
    at_end,
    current_session,
    engine,
    lock_for_append,
    not_at_end,
)
from fairlens_backend.telemetry import timestamp

SALT_BYTES: Final = 16
EVENT_TYPES: Final = frozenset(
    {
        "AUDIT_COMPLETED",
        "MITIGATION_TRIGGERED",
        "MITIGATION_COMPLETED",
        "MODEL_PROMOTED",
        "MODEL_REGISTERED",
        "BIAS_ALERT_SENT",
        "ALERT_DECRYPTED",
        "KEY_ROTATED",
        "USER_CHANGED",
        "API_KEY_CHANGED",
        "DATA_ERASED",
        "EVIDENCE_EXPORTED",
    }
)
"""What is recorded. Mitigations and promotions have no source yet; their names are fixed so that verifiers know them."""

Event = tuple[str, str, Mapping[str, Any]]
"""(event type, tenant, body)"""


@dataclass(frozen=True)
class Tail:
    """Where the ledger ends: the tree, the latest time of an entry or head, and the last entry's `nodes`."""

    tree: Frontier = field(default_factory=Frontier)
    at: str = ""
    nodes: bytes = b""


@dataclass(frozen=True)
class Entry:
    """One event as it is kept; `leaf` is its canonical JSON."""

    index: int
    at: str
    type: str
    tenant: str
    subject: str | None
    record_id: str | None
    leaf_hash: bytes
    leaf: bytes


class _Spelled(NamedTuple):
    """An event with the canonical JSON of its body and its time."""

    type: str
    tenant: str
    body: Mapping[str, Any]
    text: bytes
    at: str


# What this process saw last. A guess only: each insert is on condition that the entry before it is the one seen.
_seen: WeakKeyDictionary[Engine, Tail] = WeakKeyDictionary()


def append_at_end(event_type: str, tenant: str, body: Mapping[str, Any], now: datetime) -> None:
    """Append one event as the last that the unit of work under way does; it is there when that is committed, and not otherwise.

    So nobody waits for the ledger while the rest of the act goes on, and an event that is all that a unit of work does is one
    statement. Events of one unit of work keep their order. Where the index is asked for, or a head must cover it: `append`.

    Parameters
    ----------
    event_type : one of `EVENT_TYPES`
    tenant : whose event it is
    body : JSON; its `model` and `record_id`, where it has them, can be searched by. Ids, figures, names of models and of
        groups, never a person's name or address: an entry can never be erased
    now : the entry's time, unless the ledger is already further

    Raises
    ------
    InvalidInput : an unknown type, or a body without canonical JSON
    """
    _check(event_type)
    event = _Spelled(event_type, tenant, body, canonical_json(body), timestamp(now))
    at_end(_append_all).append(event)


def append(event_type: str, tenant: str, body: Mapping[str, Any], now: datetime) -> int:
    """Append one event now, inside the caller's unit of work; its index, from 0, without gaps. Else as `append_at_end`.

    Raises
    ------
    InvalidInput : as `append_at_end`
    """
    return append_many([(event_type, tenant, body)], now)[0]


def append_many(events: Sequence[Event], now: datetime) -> range:
    """Append events in this order inside the caller's unit of work; their indexes.

    Raises
    ------
    InvalidInput : as `append_at_end`; then none of them is appended
    """
    for event_type, _, _ in events:
        _check(event_type)
    at = timestamp(now)
    spelled = [_Spelled(*event, canonical_json(event[2]), at) for event in events]
    _append_waiting()
    if not events:
        end = size()
        return range(end, end)
    return _append(spelled)


def read_tail() -> Tail:
    """Where the ledger ends, as this transaction sees it. Behind the lock nobody else can move it."""
    _append_waiting()
    return _tail()


def lock() -> None:
    """Let one transaction at a time append or sign."""
    lock_for_append(LEDGER_LOCK)


def size() -> int:
    """How many entries there are."""
    last: int | None = current_session().scalar(select(func.max(LedgerEntry.leaf_index)))
    return 0 if last is None else last + 1


def frontier(size: int) -> Frontier:
    """The tree of the first `size` entries; all of them must be there."""
    nodes = peaks(0, size)
    known = hashes_of(nodes)
    return Frontier(size, tuple(known[node] for node in nodes))


def hashes_of(nodes: Iterable[Node]) -> dict[Node, bytes]:
    """The hashes of complete subtrees, in one query.

    Raises
    ------
    KeyError : the ledger is too short for one of them, or damaged
    """
    completed_by = {(level, index): ((index + 1) << level) - 1 for level, index in nodes}
    wanted = list_of(sorted(set(completed_by.values())))
    kept = dict(rows(f"SELECT leaf_index, nodes FROM ledger_entries WHERE {among('leaf_index')}", wanted))
    return {
        (level, index): kept[entry][HASH_BYTES * level : HASH_BYTES * (level + 1)]
        for (level, index), entry in completed_by.items()
    }


def entries(start: int, end: int) -> list[Entry]:
    """The entries start … end − 1, in order."""
    wanted = select(*ENTRY).where(LedgerEntry.leaf_index >= start, LedgerEntry.leaf_index < end)
    return [as_entry(row) for row in current_session().execute(wanted.order_by(LedgerEntry.leaf_index))]


ENTRY: Final = tuple(getattr(LedgerEntry, name) for name in COLUMNS)
_TAIL: Final = (
    "SELECT head.at, entry.leaf_index, entry.at, entry.nodes FROM (SELECT max(at) AS at FROM ledger_heads) AS head LEFT JOIN "
    "(SELECT leaf_index, at, nodes FROM ledger_entries ORDER BY leaf_index DESC LIMIT 1) AS entry ON 1 = 1"
)


def as_entry(row: Any) -> Entry:
    """The entry of a row with the columns `ENTRY`."""
    index, at, kind, tenant, subject, record_id, nodes, leaf = row
    return Entry(index, at, kind, tenant, subject, record_id, bytes(nodes[:HASH_BYTES]), bytes(leaf))


def _check(event_type: str) -> None:
    if event_type not in EVENT_TYPES:
        known = ", ".join(sorted(EVENT_TYPES))
        raise InvalidInput(
            f"The ledger knows no event {event_type!r}; there are {known}.",
            field="event_type", got=event_type, expected=f"one of {known}",
        )  # fmt: skip


def _append_waiting() -> None:
    """What waits for the unit of work's end is appended before what comes now."""
    waiting = not_at_end(_append_all)
    if waiting:
        _append(waiting)


def _append_all(events: Sequence[_Spelled]) -> None:
    _append(events, is_all=len(events) == 1)


def _append(events: Sequence[_Spelled], *, is_all: bool = False) -> range:
    """Append the events; their indexes. `is_all`: nothing comes after, so that where nothing came before it commits itself."""
    here = engine()
    for guess in (_seen.get(here), None):
        if guess is None:
            lock()
        tail = guess or _tail()
        made, following = _rows(tail, events)
        if insert_after(tail.nodes, made[0], is_all=is_all):
            insert_all(made[1:])  # the lock is taken: what follows, follows
            _seen[here] = following
            return range(tail.tree.size, following.tree.size)
    raise RuntimeError("the ledger's tail moved under its own lock")


def _tail() -> Tail:
    ((head_at, index, at, nodes),) = rows(_TAIL)
    if index is None:
        return Tail(at=head_at or "")
    return Tail(frontier(index + 1), max(at, head_at or ""), bytes(nodes))


def _rows(tail: Tail, events: Sequence[_Spelled]) -> tuple[list[tuple[Any, ...]], Tail]:
    """The entries that follow the tail, as the values of `COLUMNS`, and the tail after them."""
    # A clock that was set back must not put an event before one that was there.
    at = max(tail.at, *(event.at for event in events))
    first, leaves = tail.tree.size, []
    salts = secrets.token_hex(SALT_BYTES * len(events)).encode()
    for place, (event_type, tenant, body, text, _) in enumerate(events):
        # The canonical JSON of {body, index, salt, tenant, time, type, version}, whose keys are in order. The salt keeps those
        # who see but an entry's hash from guessing what it says.
        leaf = b'{"body":%b,"index":%d,"salt":"%b","tenant":%b,"time":"%b","type":"%b","version":%d}' % (
            text,
            first + place,
            salts[2 * SALT_BYTES * place : 2 * SALT_BYTES * (place + 1)],
            canonical_json(tenant),
            at.encode(),
            event_type.encode(),
            entry_version(body),
        )
        leaves.append(leaf)
    tree, completed = tail.tree.extend(map(leaf_hash, leaves))
    nodes = [b"".join(some) for some in completed]
    made = [
        (index, at, event_type, tenant, _text(body.get("model")), _text(body.get("record_id")), hashes, leaf)
        for index, (event_type, tenant, body, _, _), hashes, leaf in zip(
            range(first, tree.size), events, nodes, leaves, strict=True
        )
    ]
    return made, Tail(tree, at, nodes[-1])


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
