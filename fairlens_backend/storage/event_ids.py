"""Which ids of events were seen, and where their decisions are: sorted runs that are merged as they pile up.

A caller's ids come in any order; a table that is ordered by them would change a page of the file for each event. So each
commit writes its ids as one sorted run. Each process keeps the first four bytes of every id in memory (4 bytes an event)
and reads a page of the rest only where those are found.
"""

import hashlib
import os
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import delete, insert, select

from fairlens_backend import config
from fairlens_backend.storage.event_tables import EventIdPage, EventIdRun, IngestState
from fairlens_backend.storage.session import current_session

ENTRY: Final = np.dtype([("key", "<u8"), ("check", "<u8"), ("place", "<i8")])
POSITION_BITS: Final = 16
"""A place is the batch's number and, in the lowest bits, the row in it."""
PAGE_ENTRIES: Final = 512
_PAGE_BITS: Final = 20
_FAN: Final = 8
_MAX_MERGED: Final = 262_144  # larger runs stay as they are: merging them would keep writers waiting
_AT_ONCE: Final = 400
DIGEST_BYTES: Final = 16
NOT_SEEN: Final = -1

Prints = npt.NDArray[np.uint32]
_memory: dict[str, dict[int, Prints]] = {}
_memory_lock = threading.Lock()


def digest_of(tenant: str, event_id: str) -> bytes:
    """16 bytes that stand for an id within its tenant (BLAKE2b, RFC 7693)."""
    return hashlib.blake2b(f"{tenant}\0{event_id}".encode(), digest_size=DIGEST_BYTES).digest()


def digests_of(tenant: str, event_ids: Iterable[str]) -> list[bytes]:
    """The digest of each id."""
    start = hashlib.blake2b(f"{tenant}\0".encode(), digest_size=DIGEST_BYTES)
    found = []
    for one in event_ids:
        state = start.copy()
        state.update(one.encode())
        found.append(state.digest())
    return found


def find(digests: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """Where the decision of each id is, shape (n_ids,); `NOT_SEEN` for an id that was never taken.

    Call it where nobody else can add ids: behind the writers' lock.
    """
    places = np.full(len(digests), NOT_SEEN, dtype=np.int64)
    if not digests:
        return places
    wanted = np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)
    order = np.argsort(wanted[:, 0])
    sorted_prints = (wanted[order, 0] >> np.uint64(32)).astype(np.uint32)
    pages: set[int] = set()
    for run, prints in _runs().items():
        left = np.searchsorted(prints, sorted_prints, side="left")
        hit = np.flatnonzero(prints[np.minimum(left, len(prints) - 1)] == sorted_prints)
        hit = hit[left[hit] < len(prints)]
        if len(hit):
            right = np.searchsorted(prints, sorted_prints[hit], side="right") - 1
            for first, last in zip(left[hit] // PAGE_ENTRIES, right // PAGE_ENTRIES, strict=True):
                pages.update((run << _PAGE_BITS) + page for page in range(int(first), int(last) + 1))
    if pages:
        there = _matching(sorted(pages), np.unique(wanted[:, 0]))
        for i, digest in enumerate(digests):
            places[i] = there.get(digest, NOT_SEEN)
    return places


def add(digests: Sequence[bytes], places: npt.NDArray[np.int64]) -> None:
    """Note where the decisions of new ids are; call it behind the writers' lock, once a transaction."""
    if not digests:
        return
    entries = np.empty(len(digests), dtype=ENTRY)
    parts = np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)
    entries["key"], entries["check"], entries["place"] = parts[:, 0], parts[:, 1], places
    session = current_session()
    sizes = {row.id: row.n for row in session.execute(select(EventIdRun.id, EventIdRun.n))}
    merged: list[int] = []
    # Eight runs of about one size become one: an id is written again at each eightfold growth, not at each commit.
    total = len(entries)
    while True:
        same = [run for run, n in sizes.items() if _tier(n) == _tier(total) and run not in merged]
        if total >= _MAX_MERGED or len(same) < _FAN - 1:
            break
        merged += same
        total += sum(sizes[run] for run in same)
    if merged:
        entries = np.concatenate([entries, *(_entries_of(run) for run in merged)])
    _write(entries)
    _remove(merged)


def forget_before(batch: int) -> None:
    """Drop the runs that only name batches before this one, whose rows are gone."""
    old = current_session().scalars(select(EventIdRun.id).where(EventIdRun.last_batch < batch)).all()
    _remove(list(old))


def _write(entries: npt.NDArray[Any]) -> None:
    entries = entries[np.argsort(entries["key"])]
    session = current_session()
    state = session.get_one(IngestState, 1)
    run, state.next_run = state.next_run, state.next_run + 1
    prints = (entries["key"] >> np.uint64(32)).astype("<u4")
    last_batch = int(entries["place"].max()) >> POSITION_BITS
    session.execute(
        insert(EventIdRun),
        [{"id": run, "n": len(entries), "last_batch": last_batch, "prints": prints.tobytes()}],
    )
    session.execute(
        insert(EventIdPage),
        [
            {
                "id": (run << _PAGE_BITS) + i,
                "entries": entries[i * PAGE_ENTRIES : (i + 1) * PAGE_ENTRIES].tobytes(),
            }
            for i in range(-(-len(entries) // PAGE_ENTRIES))
        ],
    )


def _remove(runs: Sequence[int]) -> None:
    session = current_session()
    for run in runs:
        low = run << _PAGE_BITS
        session.execute(delete(EventIdPage).where(EventIdPage.id.between(low, low + 2**_PAGE_BITS - 1)))
    if runs:
        session.execute(delete(EventIdRun).where(EventIdRun.id.in_(runs)))


def _entries_of(run: int) -> npt.NDArray[Any]:
    low = run << _PAGE_BITS
    wanted = select(EventIdPage.entries).where(EventIdPage.id.between(low, low + 2**_PAGE_BITS - 1))
    pages = current_session().scalars(wanted.order_by(EventIdPage.id))
    return np.frombuffer(b"".join(pages), dtype=ENTRY)


def _matching(pages: list[int], keys: npt.NDArray[np.uint64]) -> dict[bytes, int]:
    there: dict[bytes, int] = {}
    for start in range(0, len(pages), _AT_ONCE):
        some = pages[start : start + _AT_ONCE]
        found = current_session().scalars(select(EventIdPage.entries).where(EventIdPage.id.in_(some)))
        entries = np.frombuffer(b"".join(found), dtype=ENTRY)
        at = np.minimum(np.searchsorted(keys, entries["key"]), len(keys) - 1)
        entries = entries[keys[at] == entries["key"]]
        digests = np.stack([entries["key"], entries["check"]], axis=1).tobytes()
        for i, place in enumerate(entries["place"].tolist()):
            there[digests[i * DIGEST_BYTES : (i + 1) * DIGEST_BYTES]] = place
    return there


def _runs() -> dict[int, Prints]:
    """Every run that is committed; a run never changes and its number never comes again, so what was read stays right."""
    session = current_session()
    there = set(session.scalars(select(EventIdRun.id)))
    url = config.current().sqlalchemy_url
    with _memory_lock:
        known = _memory.setdefault(url, {})
        for gone in set(known) - there:
            del known[gone]
        missing = sorted(there - set(known))
        for start in range(0, len(missing), _AT_ONCE):
            some = missing[start : start + _AT_ONCE]
            for row in session.execute(
                select(EventIdRun.id, EventIdRun.prints).where(EventIdRun.id.in_(some))
            ):
                known[row.id] = np.frombuffer(row.prints, dtype="<u4")
        return dict(known)


def _tier(n: int) -> int:
    """0 for up to 7 entries, 1 for up to 63, and so on."""
    return (n.bit_length() - 1) // 3


def forget_memory() -> None:
    """Drop what this process remembers: what was read in a transaction that failed may not be so."""
    with _memory_lock:
        _memory.clear()


def _after_fork() -> None:
    """A lock that another thread of the parent held stays shut in the child."""
    global _memory_lock
    _memory_lock = threading.Lock()
    _memory.clear()


os.register_at_fork(after_in_child=_after_fork)
