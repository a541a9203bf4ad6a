"""Which ids of events were seen, and where their decisions are: sorted runs that are merged as they pile up.

A caller's ids come in any order; a table that is ordered by them would change a page of the file for each event. So each
commit writes its ids as one sorted run; small runs are merged. Each process keeps the first four bytes of every id in memory
(`id_memory`, 8 bytes an event) and reads a page of the rest only where those are found.
"""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.storage import driver_sql, erased_ids, id_memory, ingest_state
from fairlens_backend.storage.driver_sql import among, list_of
from fairlens_backend.storage.id_memory import FAN, PAGE_BITS, PAGE_ENTRIES, SMALL, Prints, tier

ENTRY: Final = np.dtype([("key", "<u8"), ("check", "<u8"), ("place", "<i8")])
POSITION_BITS: Final = 16
"""A place is the batch's number and, in the lowest bits, the row in it."""
_AT_ONCE: Final = 400
_RUNS_AT_ONCE: Final = 64
DIGEST_BYTES: Final = 16
NOT_SEEN: Final = -1
ERASED: Final = 0
"""Where an erased event was: in no batch, since these are numbered from 1."""


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
    known = id_memory.known_as_of(ingest_state.lock())
    sizes = {run: len(prints) for run, prints in known.small.items()}
    merged: list[int] = []
    # Eight runs of about one size become one: an id is written again at each eightfold growth, not at each commit. A run of a
    # usual batch stays as it is: merging 512 of them kept writers waiting for 0.4 s, and a lookup has no need of it.
    total = len(entries)
    while total < SMALL:
        same = [run for run, n in sizes.items() if tier(n) == tier(total) and run not in merged]
        if len(same) < FAN - 1:
            break
        merged += same
        total += sum(sizes[run] for run in same)
    if merged:
        entries = np.concatenate([entries, *(_entries_of(run, run) for run in merged)])
        entries = entries[entries["place"] != ERASED]
    _write(entries, merged)
    for run in merged:
        low = run << PAGE_BITS
        driver_sql.run("DELETE FROM event_id_pages WHERE id BETWEEN ? AND ?", low, low + 2**PAGE_BITS - 1)
    if merged:
        driver_sql.run(f"DELETE FROM event_id_runs WHERE {among('id')}", list_of(merged))


def forget_before(batch: int) -> None:
    """Drop the runs that only name batches before this one, whose rows are gone."""
    # A later run has no earlier last batch, since it was written behind the same lock.
    end = 0
    while True:
        some = driver_sql.rows(
            "SELECT id, last_batch FROM event_id_runs WHERE id >= ? ORDER BY id LIMIT ?", end, _AT_ONCE
        )
        old = [run for run, last in some if last < batch]
        end = old[-1] + 1 if old else end
        if len(old) < _AT_ONCE:
            break
    if end:
        driver_sql.run("DELETE FROM event_id_pages WHERE id < ?", end << PAGE_BITS)
        driver_sql.run("DELETE FROM event_id_runs WHERE id < ?", end)
        # A number that is missing tells processes to look what else is gone.
        ingest_state.lock().next_run += 1
        ingest_state.save()


def erase(digests: Sequence[bytes]) -> None:
    """Let these ids lead nowhere; behind the writers' lock.

    Of an entry only the first four bytes stay, by which processes find its page: what they remember stays right. When its
    run is merged or purged the entry is gone.
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
    runs = driver_sql.rows("SELECT id FROM event_id_runs WHERE last_batch >= ? ORDER BY id", first)
    for start in range(0, len(runs), _RUNS_AT_ONCE):
        some = runs[start : start + _RUNS_AT_ONCE]
        entries = _entries_of(some[0][0], some[-1][0])
        at = np.minimum(np.searchsorted(wanted, entries["place"]), len(wanted) - 1)
        for one in entries[wanted[at] == entries["place"]]:
            found[int(one["place"])] = one.tobytes()[:DIGEST_BYTES]
        if len(found) == len(wanted):
            break
    return found


def _write(entries: npt.NDArray[Any], merged: list[int]) -> None:
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
            ((run << PAGE_BITS) + i, content[i * size : (i + 1) * size])
            for i in range(-(-len(content) // size))
        ],
    )
    id_memory.note(state, run, prints, merged)
    ingest_state.save()


def _entries_of(first_run: int, last_run: int) -> npt.NDArray[Any]:
    """The entries of all runs from one to another."""
    pages = driver_sql.rows(
        "SELECT entries FROM event_id_pages WHERE id BETWEEN ? AND ? ORDER BY id",
        first_run << PAGE_BITS,
        (last_run + 1 << PAGE_BITS) - 1,
    )
    return np.frombuffer(b"".join(page for (page,) in pages), dtype=ENTRY)


def _pages_of(sorted_prints: Prints) -> set[int]:
    """The pages that may hold ids that begin with these bytes."""
    return id_memory.known_as_of(ingest_state.lock()).pages_of(sorted_prints)


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


def take_back() -> None:
    """The transaction under way failed: what this process remembers of it is not so."""
    id_memory.take_back()


def forget_memory() -> None:
    """Drop what this process remembers, as in a new one."""
    id_memory.forget_all()
