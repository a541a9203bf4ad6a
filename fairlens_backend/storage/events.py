"""Rows of single decisions: written in batches with their counts, each id once, labels joined, recounted, purged.

Everything here runs behind the writers' lock (`lock`), so that what was looked up is still so when it is written.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.columns import CELLS, SCORE_UNKNOWN, TRUTH_UNKNOWN, units_of
from fairlens_backend.storage import (
    count_series,
    driver_sql,
    early_labels,
    event_details,
    event_ids,
    event_refusals,
    ingest_state,
    window_counts,
)
from fairlens_backend.storage.count_series import Series
from fairlens_backend.storage.driver_sql import among, list_of
from fairlens_backend.storage.event_blocks import MINUTE_US, ROWS, Block
from fairlens_backend.storage.event_details import Draft
from fairlens_backend.storage.event_refusals import Unfit
from fairlens_backend.storage.ingest_state import lock, raw_from_minute
from fairlens_backend.storage.window_counts import Entries

__all__ = ["EventColumns", "join", "lock", "purge", "raw_from_minute", "recount", "write"]

BINS: Final = SCORE_UNKNOWN + 1
MAX_BATCH: Final = (
    512  # a late label reads and writes the row of its batch: small ones, since labels come scattered
)
_AT_ONCE: Final = 300
_READ_AT_ONCE: Final = 4000
_POSITION: Final = 2**event_ids.POSITION_BITS - 1
_ODD: Final = 2

TruthOf = Callable[[Series, bytes], int]
"""1 when a label, by its digest, is favourable in a series, 0 when it is not; 2 counts as 0 and is told apart; -1 is no label there."""


@dataclass
class EventColumns:
    """Decisions of one series, as columns of n values.

    Parameters
    ----------
    digests : of their ids
    at_us : int64, µs since 1970
    cells : int64 in 0..65, (ŷ · 3 + y) · 11 + score bin
    scores : float64, NaN where there is none
    codes, groups : the group of each decision, as a place in the list of those that occur
    details : what they say beside, packed in blocks of `MAX_BATCH`; None when nothing is kept
    fresh : after writing, bool: taken now, and not seen before
    refused : after writing, by place what cannot be taken, as only the writer can tell
    early : after writing, by place what a label that waited for the decision is, unless 0 or 1
    origin : whoever hands them in finds here where they came from
    """

    series: Series
    digests: list[bytes]
    at_us: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    codes: npt.NDArray[np.int64]
    groups: list[tuple[str, ...]]
    details: Draft | None = None
    fresh: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    refused: dict[int, Unfit] = field(default_factory=dict)
    early: dict[int, int] = field(default_factory=dict)
    origin: Any = None


def write(parts: Sequence[EventColumns], truth_of: TruthOf, now: datetime) -> None:
    """Store and count decisions whose ids are new; sets `fresh` and `refused`. One call a transaction."""
    digests = [digest for part in parts for digest in part.digests]
    if not digests:
        return
    places = event_ids.find(digests)
    new = places == event_ids.NOT_SEEN
    if len(set(digests)) < len(digests):
        seen: set[bytes] = set()
        for i, digest in enumerate(digests):
            new[i] &= digest not in seen
            seen.add(digest)
    ends = np.cumsum([len(part.digests) for part in parts])
    for part, fresh in zip(parts, np.split(new, ends[:-1]), strict=True):
        part.fresh, part.refused, part.early = fresh, {}, {}
    if not new.all():
        event_refusals.refuse_ids_of_others(parts, places)
    numbers = [event_refusals.number_groups(part) if part.fresh.any() else None for part in parts]
    # Of what is refused the label waits on.
    waiting = early_labels.take([digest for part in parts for digest in _kept(part.digests, part.fresh)])
    by_series: dict[int, list[_Piece]] = {}
    for part, numbered in zip(parts, numbers, strict=True):
        if numbered is not None and part.fresh.any():
            piece = _piece(part, numbered, waiting, truth_of)
            by_series.setdefault(count_series.id_of(part.series), []).append(piece)
    if by_series:
        _store(by_series, now)


def join(digests: Sequence[bytes], labels: Sequence[bytes], truth_of: TruthOf) -> list[str]:
    """Give decisions their true outcome; for each id "joined", "unchanged", "expired" (its row was purged), "waiting",
    "undeclared" (it is no label of the model), or "odd" (joined as unfavourable, though nobody said that it is).

    An id may stand there once. Rows are worked on as one array for some hundred batches: one by one took 3 times as long.
    """
    places = event_ids.find(digests)
    seen = np.flatnonzero(places != event_ids.NOT_SEEN)
    outcome = np.full(len(digests), "waiting", dtype=object)
    outcome[seen] = "expired"
    seen = seen[np.argsort(places[seen], kind="stable")]
    batches = places[seen] >> event_ids.POSITION_BITS
    distinct = np.unique(batches)
    series: dict[int, Series] = {}
    truths: dict[tuple[int, bytes], int] = {}
    moved: dict[int, list[Entries]] = {}
    for start in range(0, len(distinct), _AT_ONCE):
        rows = driver_sql.rows(
            f"{ROWS} WHERE {among('event_batches.id')} ORDER BY event_batches.id",
            list_of(distinct[start : start + _AT_ONCE].tolist()),
        )
        if not rows:
            continue
        block = Block.of(rows)
        at = np.minimum(np.searchsorted(block.ids, batches), len(rows) - 1)
        here = np.flatnonzero(block.ids[at] == batches)
        chosen, row = seen[here], at[here]
        cells_at = block.starts[row] + (places[chosen] & _POSITION)
        for number in set(block.series.tolist()) - series.keys():
            series[number] = count_series.by_id(number)
        keys = [(one, labels[i]) for one, i in zip(block.series[row].tolist(), chosen.tolist(), strict=True)]
        for key in set(keys) - truths.keys():
            truths[key] = truth_of(series[key[0]], key[1])
        old = block.cells[cells_at]
        said = np.array([truths[key] for key in keys], dtype=np.int32)
        new = np.where(said < 0, old, _with_truth(old, said % _ODD))
        outcome[chosen] = np.where(new != old, np.where(said == _ODD, "odd", "joined"), "unchanged")
        outcome[chosen[said < 0]] = "undeclared"
        moves = np.flatnonzero(new != old)
        if len(moves):
            block.put(row[moves], cells_at[moves], new[moves])
            minutes, units = block.minutes_and_units(row[moves], cells_at[moves])
            for number in np.unique(block.series[row[moves]]).tolist():
                own = block.series[row[moves]] == number
                moved.setdefault(number, []).append(
                    _changes(minutes[own], old[moves][own], new[moves][own], units[own])
                )
    window_counts.add_deltas({number: _summed(parts) for number, parts in moved.items()})
    return list(outcome)


def recount(series_id: int, first_minute: int, end_minute: int) -> Entries:
    """The counts of the raw rows in a window, as deltas from nothing."""
    parts = [np.zeros(0, dtype=window_counts.ENTRY)]
    last = -1
    while True:
        rows = driver_sql.rows(
            f"{ROWS} WHERE event_batches.series_id = ? AND event_batches.last_minute >= ?"
            " AND event_batches.first_minute < ? AND event_batches.id > ? ORDER BY event_batches.id LIMIT ?",
            series_id,
            first_minute,
            end_minute,
            last,
            _READ_AT_ONCE,
        )
        if not rows:
            return _summed(parts)
        last = rows[-1][0]
        block = Block.of(rows)
        minutes, units = block.every_minute_and_unit()
        cells = block.cells
        if int(minutes.min()) < first_minute or int(minutes.max()) >= end_minute:
            inside = (minutes >= first_minute) & (minutes < end_minute)
            cells, minutes, units = cells[inside], minutes[inside], units[inside]
        parts.append(window_counts.entries_of(minutes, cells, None, units))


def purge(before_minute: int, limit: int) -> int:
    """Delete at most `limit` of the oldest batches whose decisions were all made before a minute; the counts stay."""
    found = driver_sql.rows(
        "SELECT id FROM event_batches WHERE last_minute < ? ORDER BY last_minute LIMIT ?",
        before_minute,
        limit,
    )
    state = lock()
    state.raw_from_minute = max(state.raw_from_minute, before_minute)
    ingest_state.save()
    if found:
        old = list_of([batch for (batch,) in found])
        driver_sql.run(f"DELETE FROM event_cells WHERE {among('batch_id')}", old)
        driver_sql.run(f"DELETE FROM event_batches WHERE {among('id')}", old)
        oldest = driver_sql.rows("SELECT min(id) FROM event_batches")[0][0]
        event_ids.forget_before(state.next_batch if oldest is None else oldest)
    return len(found)


@dataclass(frozen=True)
class _Piece:
    """New decisions of one series; `blocks` hold the details of `MAX_BATCH` rows each."""

    digests: list[bytes]
    at_us: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    cells: npt.NDArray[np.int64]
    key_version: int = 0
    blocks: Sequence[bytes] = ()

    def batches(self) -> Iterator["_Piece"]:
        """Cut at every `MAX_BATCH` rows."""
        if len(self.digests) <= MAX_BATCH:
            yield self
            return
        for start in range(0, len(self.digests), MAX_BATCH):
            some = slice(start, start + MAX_BATCH)
            blocks = self.blocks[start // MAX_BATCH :][:1]
            arrays = self.at_us[some], self.scores[some], self.cells[some]
            yield _Piece(self.digests[some], *arrays, self.key_version, blocks)


def _piece(part: EventColumns, numbers: Any, waiting: dict[bytes, bytes], truth_of: TruthOf) -> _Piece:
    cells = numbers[part.codes[part.fresh]] * CELLS + part.cells[part.fresh]
    kept = _kept(part.digests, part.fresh)
    if waiting:
        known = {i: truth_of(part.series, waiting[one]) for i, one in enumerate(kept) if one in waiting}
        for i, said in known.items():
            cells[i] = _with_truth(cells[i], said % _ODD) if said >= 0 else cells[i]
        places = np.flatnonzero(part.fresh)
        part.early = {int(places[i]): said for i, said in known.items() if said not in (0, 1)}
    arrays = part.at_us[part.fresh], part.scores[part.fresh], cells
    if part.details is None:
        return _Piece(kept, *arrays)
    details = part.details.kept(part.fresh)
    return _Piece(kept, *arrays, details.key_version, details.packed)


def _kept(digests: list[bytes], fresh: npt.NDArray[np.bool_]) -> list[bytes]:
    if fresh.all():
        return digests
    return [digest for digest, is_new in zip(digests, fresh.tolist(), strict=True) if is_new]


def _store(by_series: dict[int, list[_Piece]], now: datetime) -> None:
    """Write what one transaction takes. A batch holds rows of one request: their details were packed together."""
    state = lock()
    received_at = driver_sql.moment(now)
    batches: list[tuple[Any, ...]] = []
    cells_of: list[tuple[int, bytes]] = []
    digests: list[bytes] = []
    details: list[tuple[int, int, bytes]] = []
    places, deltas = [], {}
    for series_id, pieces in by_series.items():
        parts = []
        for piece in (batch for one in pieces for batch in one.batches()):
            batch, n, minutes = state.next_batch, len(piece.cells), piece.at_us // MINUTE_US
            state.next_batch = batch + 1
            digests += piece.digests
            places.append((batch << event_ids.POSITION_BITS) + np.arange(n))
            parts.append((minutes, piece.cells, units_of(piece.scores)))
            cells_of.append((batch, piece.cells.astype("<i4").tobytes()))
            numbers = piece.at_us.astype("<i8").tobytes() + piece.scores.astype("<f8").tobytes()
            first, last = int(minutes.min()), int(minutes.max())
            batches.append((batch, series_id, received_at, first, last, n, numbers))
            details += [(batch, piece.key_version, block) for block in piece.blocks]
        minutes, cells, units = (np.concatenate(one) for one in zip(*parts, strict=True))
        deltas[series_id] = window_counts.entries_of(minutes, cells, None, units)
    driver_sql.run_many(
        "INSERT INTO event_batches (id, series_id, received_at, first_minute, last_minute, n, numbers)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        batches,
    )
    driver_sql.run_many("INSERT INTO event_cells (batch_id, cells) VALUES (?, ?)", cells_of)
    event_details.write(details)
    event_ids.add(digests, np.concatenate(places))  # saves the state too
    window_counts.add_deltas(deltas)


def _with_truth(cells: Any, truths: Any) -> Any:
    return cells + (truths - cells // BINS % (TRUTH_UNKNOWN + 1)) * BINS


def _changes(minutes: Any, old: Any, new: Any, units: Any) -> Entries:
    """-1 in the cells that decisions leave, +1 in those that they go to."""
    n = np.repeat([-1, 1], len(minutes))
    return window_counts.entries_of(np.tile(minutes, 2), np.concatenate([old, new]), n, n * np.tile(units, 2))


def _summed(parts: Sequence[Entries]) -> Entries:
    if len(parts) == 1:
        return parts[0]
    every = np.concatenate(parts)
    return window_counts.entries_of(every["minute"], every["cell"], every["n"], every["units"])
