"""What a process remembers of the ids that were seen: of each the first four bytes, and the page that has the rest.

Runs of `SMALL` ids or more are never merged on disk; here their first bytes are, as they pile up, so that 5,000,000 ids are some
twenty arrays to look into and not 10,000. It costs 8 bytes an id. A run never changes and its number never comes again: what
was read stays right, and a page that is gone leads nowhere.
"""

import os
import threading
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from fairlens_backend import config
from fairlens_backend.storage import driver_sql
from fairlens_backend.storage.driver_sql import among, list_of
from fairlens_backend.storage.ingest_state import State

PAGE_ENTRIES: Final = (
    128  # 3 KB: a late label reads the page of its id, and on SQLite one row then is one page of the file
)
PAGE_BITS: Final = 20
SMALL: Final = 256
FAN: Final = 8
_LARGEST: Final = 1_048_576  # larger arrays are not merged: that would keep writers waiting
_AT_ONCE: Final = 1000
_LOW: Final = np.uint64(0xFFFFFFFF)
_HALF: Final = np.uint64(32)

Prints = npt.NDArray[np.uint32]
Sorted = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class _Pending:
    """A run that a transaction under way has written, and those that it was merged from."""

    state: State
    run: int
    prints: Prints
    merged: list[int]


@dataclass
class Known:
    """The runs as they were before the run `as_of`, and what the transaction under way adds.

    Parameters
    ----------
    small : the first bytes of the runs that may still be merged on disk
    levels : those of the others, sorted: in the upper half the first bytes, in the lower the number of the page
    runs, starts : the other runs, and the number of the first page of each
    n_pages : the next page's number
    """

    as_of: int = 0
    small: dict[int, Prints] = field(default_factory=dict)
    levels: list[Sorted] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    n_pages: int = 0
    pending: _Pending | None = None

    def pages_of(self, sorted_prints: Prints) -> set[int]:
        """The pages that may hold ids that begin with these bytes."""
        pages: set[int] = set()
        small = list(self.small.items())
        if self.pending is not None:
            small.append((self.pending.run, self.pending.prints))
        for run, prints in small:
            left = prints.searchsorted(sorted_prints)
            hit = np.flatnonzero(prints[np.minimum(left, len(prints) - 1)] == sorted_prints)
            if len(hit):
                right = prints.searchsorted(sorted_prints[hit], side="right") - 1
                for first, last in zip(left[hit] // PAGE_ENTRIES, right // PAGE_ENTRIES, strict=True):
                    pages.update((run << PAGE_BITS) + page for page in range(int(first), int(last) + 1))
        lowest = sorted_prints.astype(np.uint64) << _HALF
        for level in self.levels:
            left = level.searchsorted(lowest)
            # Behind the last one the last one itself is smaller, and so no hit.
            hit = np.flatnonzero(level[np.minimum(left, len(level) - 1)] >> _HALF == sorted_prints)
            if len(hit):
                right = level.searchsorted(lowest[hit] | _LOW, side="right")
                pages.update(self._page(one) for one in _between(level, left[hit], right))
        return pages

    def adopt(self, run: int, prints: Prints) -> None:
        """Remember a run for good."""
        if len(prints) < SMALL:
            self.small[run] = prints
            return
        numbers = self.n_pages + np.arange(len(prints), dtype=np.uint64) // np.uint64(PAGE_ENTRIES)
        self.runs.append(run)
        self.starts.append(self.n_pages)
        self.n_pages += -(-len(prints) // PAGE_ENTRIES)
        level = prints.astype(np.uint64) << _HALF | numbers
        while len(level) < _LARGEST:
            same = [one for one in self.levels if tier(len(one)) == tier(len(level))]
            if len(same) < FAN - 1:
                break
            self.levels = [one for one in self.levels if tier(len(one)) != tier(len(level))]
            level = np.sort(np.concatenate([*same, level]))
        self.levels.append(level)

    def drop_before(self, run: int) -> None:
        """Forget runs that are gone. Of the large ones only when they are a fourth: looking through all takes its time."""
        self.small = {one: prints for one, prints in self.small.items() if one >= run}
        gone = bisect_left(self.runs, run)
        first = self.starts[gone] if gone < len(self.runs) else self.n_pages
        if gone and 4 * (first - self.starts[0]) >= self.n_pages - self.starts[0]:
            kept = [level[level & _LOW >= first] for level in self.levels]
            self.levels = [level for level in kept if len(level)]
            self.runs, self.starts = self.runs[gone:], self.starts[gone:]

    def _page(self, number: int) -> int:
        at = bisect_right(self.starts, number) - 1
        return (self.runs[at] << PAGE_BITS) + number - self.starts[at]


_memory: dict[str, Known] = {}
_lock = threading.Lock()


def known_as_of(state: State) -> Known:
    """Every run, for the holder of the writers' lock.

    What runs there are is read only when the state says that another process has written or dropped one.
    """
    with _lock:
        known = _memory.setdefault(config.current().sqlalchemy_url, Known())
        pending = known.pending
        if pending is not None and pending.state is state:
            return known
        if pending is not None:
            known.pending = None
            if state.next_run > pending.run == known.as_of:
                for run in pending.merged:
                    known.small.pop(run, None)
                known.adopt(pending.run, pending.prints)
                known.as_of = pending.run + 1
        if known.as_of != state.next_run:
            _catch_up(known, state.next_run)
        return known


def note(state: State, run: int, prints: Prints, merged: list[int]) -> None:
    """A transaction wrote a run in the place of some; it counts for good when another transaction begins, unless `take_back`."""
    with _lock:
        _memory[config.current().sqlalchemy_url].pending = _Pending(state, run, prints, merged)


def take_back() -> None:
    """The transaction under way failed: what it wrote is not so."""
    with _lock:
        for known in _memory.values():
            known.pending = None


def forget_all() -> None:
    """Drop everything, as in a new process."""
    with _lock:
        _memory.clear()


def tier(n: int) -> int:
    """0 for up to 7 entries, 1 for up to 63, and so on."""
    return (n.bit_length() - 1) // 3


def _catch_up(known: Known, next_run: int) -> None:
    """Read what other processes have written since; numbers that are missing were merged or purged by then."""
    there = list_of(list(known.small))
    if known.small:
        kept = {run for (run,) in driver_sql.rows(f"SELECT id FROM event_id_runs WHERE {among('id')}", there)}
        known.small = {run: prints for run, prints in known.small.items() if run in kept}
    n, expected = 0, next_run - known.as_of
    while known.as_of < next_run:
        found = driver_sql.rows(
            "SELECT id, prints FROM event_id_runs WHERE id >= ? ORDER BY id LIMIT ?", known.as_of, _AT_ONCE
        )
        for run, prints in found:
            known.adopt(run, np.frombuffer(prints, dtype="<u4"))
        n += len(found)
        known.as_of = found[-1][0] + 1 if len(found) == _AT_ONCE else next_run
    if n < expected:
        first = driver_sql.rows("SELECT min(id) FROM event_id_runs")[0][0]
        known.drop_before(next_run if first is None else first)


def _between(level: Sorted, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> set[int]:
    """The lower halves of several stretches."""
    n = right - left
    at = np.repeat(left - (np.cumsum(n) - n), n) + np.arange(n.sum())
    return set((level[at] & _LOW).tolist())


def _after_fork() -> None:
    """A lock that another thread of the parent held stays shut in the child."""
    global _lock
    _lock = threading.Lock()
    _memory.clear()


os.register_at_fork(after_in_child=_after_fork)
