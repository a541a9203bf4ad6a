"""Which ids of events were seen, and where their decisions are: sorted runs that are merged as they pile up.

A caller's ids come in any order; a table that is ordered by them would change a page of the file for each event. So each
commit writes its ids as one sorted run. Each process keeps the first four bytes of every id in memory (4 bytes an event)
and reads a page of the rest only where those are found.
"""

import hashlib
import os
import secrets
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fairlens_backend import config
from fairlens_backend.storage import driver_sql, erased_ids, ingest_state
from fairlens_backend.storage.driver_sql import among, list_of

ENTRY: Final = np.dtype([("key", "<u8"), ("check", "<u8"), ("place", "<i8")])
POSITION_BITS: Final = 16
"""A place is the batch's number and, in the lowest bits, the row in it."""
PAGE_ENTRIES: Final = (
    128  # 3 KB: a late label reads the page of its id, and on SQLite one row then is one page of the file
)
_PAGE_BITS: Final = 20
_FAN: Final = 8
_MAX_MERGED: Final = 262_144  # larger runs stay as they are: merging them would keep writers waiting
_AT_ONCE: Final = 400
DIGEST_BYTES: Final = 16
NOT_SEEN: Final = -1
ERASED: Final = 0
"""Where an erased event was: in no batch, since these are numbered from 1."""

Prints = npt.NDArray[np.uint32]


@dataclass
class _Memory:
    """What a process knows of the runs: their first bytes, and their sizes, as they were before the run `as_of`."""

    as_of: int = -1
    prints: dict[int, Prints] = field(default_factory=dict)


_memory: dict[str, _Memory] = {}
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
    """Where the decision of each id is, shape (n_ids,); `NOT_SEEN` for an id that was never taken, `ERASED` for an erased one.

    Call it where nobody else can add ids: behind the writers' lock.
    """
    places = np.full(len(digests), NOT_SEEN, dtype=np.int64)
    if not digests:
        return places
    keys = np.frombuffer(b"".join(digests), dtype="<u8")[::2]
    sorted_prints = np.sort((keys >> np.uint64(32)).astype(np.uint32))
    pages = _pages_of(sorted_prints)
    if pages:
        there = _matching(sorted(pages), np.unique(keys))
        for i, digest in enumerate(digests):
            places[i] = there.get(digest, NOT_SEEN)
    unseen = np.flatnonzero(places == NOT_SEEN).tolist()
    erased = erased_ids.known([digests[i] for i in unseen])
    if erased:
        places[unseen] = [ERASED if digests[i] in erased else NOT_SEEN for i in unseen]
    return places


def add(digests: Sequence[bytes], places: npt.NDArray[np.int64]) -> None:
    """Note where the decisions of new ids are; call it behind the writers' lock, once a transaction."""
    if not digests:
        return
    entries = np.empty(len(digests), dtype=ENTRY)
    parts = np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)
    entries["key"], entries["check"], entries["place"] = parts[:, 0], parts[:, 1], places
    sizes = {run: len(prints) for run, prints in _runs().prints.items()}
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
        entries = entries[entries["place"] != ERASED]
    _write(entries)
    _remove(merged)
    with _memory_lock:
        for run in merged:
            _known().prints.pop(run, None)


def forget_before(batch: int) -> None:
    """Drop the runs that only name batches before this one, whose rows are gone."""
    old = [run for (run,) in driver_sql.rows("SELECT id FROM event_id_runs WHERE last_batch < ?", batch)]
    if old:
        _remove(old)
        # The next number is what processes compare to know whether their memory is still right.
        ingest_state.lock().next_run += 1
        ingest_state.save()
        with _memory_lock:
            _known().as_of = -1


def erase(digests: Sequence[bytes]) -> None:
    """Let these ids lead nowhere; behind the writers' lock.

    Of an entry only the first four bytes stay, by which processes find its page: what they remember stays right. With the
    next merge the entry is gone.
    """
    if not digests:
        return
    wanted, keys = set(digests), np.frombuffer(b"".join(digests), dtype="<u8")[::2]
    for page in sorted(_pages_of(np.sort((keys >> np.uint64(32)).astype(np.uint32)))):
        ((content,),) = driver_sql.rows("SELECT entries FROM event_id_pages WHERE id = ?", page)
        entries = np.frombuffer(content, dtype=ENTRY).copy()
        named = np.stack([entries["key"], entries["check"]], axis=1).tobytes()
        each = (named[i : i + DIGEST_BYTES] for i in range(0, len(named), DIGEST_BYTES))
        hit = [i for i, digest in enumerate(each) if digest in wanted]
        if hit:
            low = np.array([secrets.randbits(32) for _ in hit], dtype=np.uint64)
            entries["key"][hit] = entries["key"][hit] & np.uint64(0xFFFFFFFF00000000) | low
            entries["check"][hit] = [secrets.randbits(64) for _ in hit]
            entries["place"][hit] = ERASED
            driver_sql.run("UPDATE event_id_pages SET entries = ? WHERE id = ?", entries.tobytes(), page)


def digests_at(places: Iterable[int]) -> dict[int, bytes]:
    """The digests of the ids whose decisions are at these places, by place. Reads every run that may name them."""
    wanted = np.unique(np.array(list(places), dtype=np.int64))
    found: dict[int, bytes] = {}
    if not len(wanted):
        return found
    first = int(wanted[0]) >> POSITION_BITS
    for (run,) in driver_sql.rows("SELECT id FROM event_id_runs WHERE last_batch >= ? ORDER BY id", first):
        entries = _entries_of(run)
        at = np.minimum(np.searchsorted(wanted, entries["place"]), len(wanted) - 1)
        for one in entries[wanted[at] == entries["place"]]:
            found[int(one["place"])] = one.tobytes()[:DIGEST_BYTES]
        if len(found) == len(wanted):
            break
    return found


def _write(entries: npt.NDArray[Any]) -> None:
    # Stable: merged runs are sorted already, and this sort finds that out.
    entries = entries[np.argsort(entries["key"], kind="stable")]
    state = ingest_state.lock()
    run, state.next_run = state.next_run, state.next_run + 1
    prints = (entries["key"] >> np.uint64(32)).astype("<u4")
    driver_sql.run(
        "INSERT INTO event_id_runs (id, n, last_batch, prints) VALUES (?, ?, ?, ?)",
        run,
        len(entries),
        int(entries["place"].max()) >> POSITION_BITS,
        prints.tobytes(),
    )
    content, size = entries.tobytes(), PAGE_ENTRIES * ENTRY.itemsize
    driver_sql.run_many(
        "INSERT INTO event_id_pages (id, entries) VALUES (?, ?)",
        [
            ((run << _PAGE_BITS) + i, content[i * size : (i + 1) * size])
            for i in range(-(-len(content) // size))
        ],
    )
    with _memory_lock:
        known = _known()
        if known.as_of == run:
            known.prints[run], known.as_of = prints, run + 1
    ingest_state.save()


def _remove(runs: Sequence[int]) -> None:
    for run in runs:
        low = run << _PAGE_BITS
        driver_sql.run("DELETE FROM event_id_pages WHERE id BETWEEN ? AND ?", low, low + 2**_PAGE_BITS - 1)
    if runs:
        driver_sql.run(f"DELETE FROM event_id_runs WHERE {among('id')}", list_of(runs))


def _entries_of(run: int) -> npt.NDArray[Any]:
    low = run << _PAGE_BITS
    pages = driver_sql.rows(
        "SELECT entries FROM event_id_pages WHERE id BETWEEN ? AND ? ORDER BY id",
        low,
        low + 2**_PAGE_BITS - 1,
    )
    return np.frombuffer(b"".join(page for (page,) in pages), dtype=ENTRY)


def _pages_of(sorted_prints: Prints) -> set[int]:
    """The pages that may hold ids that begin with these bytes."""
    pages: set[int] = set()
    for run, prints in _runs().prints.items():
        left = np.searchsorted(prints, sorted_prints, side="left")
        hit = np.flatnonzero(prints[np.minimum(left, len(prints) - 1)] == sorted_prints)
        hit = hit[left[hit] < len(prints)]
        if len(hit):
            right = np.searchsorted(prints, sorted_prints[hit], side="right") - 1
            for first, last in zip(left[hit] // PAGE_ENTRIES, right // PAGE_ENTRIES, strict=True):
                pages.update((run << _PAGE_BITS) + page for page in range(int(first), int(last) + 1))
    return pages


def _matching(pages: list[int], keys: npt.NDArray[np.uint64]) -> dict[bytes, int]:
    there: dict[bytes, int] = {}
    for start in range(0, len(pages), _AT_ONCE):
        some = list_of(pages[start : start + _AT_ONCE])
        found = driver_sql.rows(f"SELECT entries FROM event_id_pages WHERE {among('id')}", some)
        entries = np.frombuffer(b"".join(page for (page,) in found), dtype=ENTRY)
        at = np.minimum(np.searchsorted(keys, entries["key"]), len(keys) - 1)
        entries = entries[keys[at] == entries["key"]]
        digests = np.stack([entries["key"], entries["check"]], axis=1).tobytes()
        for i, place in enumerate(entries["place"].tolist()):
            there[digests[i * DIGEST_BYTES : (i + 1) * DIGEST_BYTES]] = place
    return there


def _runs() -> _Memory:
    """Every run; a run never changes and its number never comes again, so what was read stays right.

    What runs there are is read only when the state says that another process has written or dropped one.
    """
    as_of = ingest_state.lock().next_run
    with _memory_lock:
        known = _known()
        if known.as_of != as_of:
            there = {run for (run,) in driver_sql.rows("SELECT id FROM event_id_runs")}
            for gone in known.prints.keys() - there:
                del known.prints[gone]
            missing = sorted(there - known.prints.keys())
            for start in range(0, len(missing), _AT_ONCE):
                some = list_of(missing[start : start + _AT_ONCE])
                found = driver_sql.rows(f"SELECT id, prints FROM event_id_runs WHERE {among('id')}", some)
                known.prints.update((run, np.frombuffer(prints, dtype="<u4")) for run, prints in found)
            known.as_of = as_of
        return known


def _known() -> _Memory:
    return _memory.setdefault(config.current().sqlalchemy_url, _Memory())


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
