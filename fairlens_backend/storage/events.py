"""Rows of single decisions: written in batches with their counts, each id once, labels joined, recounted, purged.

Everything here runs behind the writers' lock (`lock`), so that what was looked up is still so when it is written.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import bindparam, delete, insert, select, update

from fairlens_backend.core.columns import CELLS, SCORE_UNITS, SCORE_UNKNOWN, TRUTH_UNKNOWN, units_of
from fairlens_backend.core.counts import MAX_GROUPS
from fairlens_backend.errors import InvalidInput
from fairlens_backend.storage import count_series, early_labels, event_ids, window_counts
from fairlens_backend.storage.count_series import Series
from fairlens_backend.storage.event_tables import EventBatch, EventCells, IngestState
from fairlens_backend.storage.session import current_session, lock_for_append
from fairlens_backend.storage.window_counts import Entries

WRITERS_LOCK: Final = 0x6576656E7473  # "events": any number that no other appender takes
MINUTE_US: Final = 60_000_000
BINS: Final = SCORE_UNKNOWN + 1
MAX_BATCH: Final = (
    512  # a late label reads and writes the row of its batch: small ones, since labels come scattered
)
_STATE: Final = 1
_AT_ONCE: Final = 300
_POSITION: Final = 2**event_ids.POSITION_BITS - 1

_WRITE_CELLS: Final = (
    update(EventCells).where(EventCells.batch_id == bindparam("batch")).values(cells=bindparam("content"))
)

TruthOf = Callable[[Series, bytes], int]
"""1 when a label, by its digest, is favourable in a series, else 0."""


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
    fresh : after writing, bool: taken now, and not seen before
    """

    series: Series
    digests: list[bytes]
    at_us: npt.NDArray[np.int64]
    cells: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    codes: npt.NDArray[np.int64]
    groups: list[tuple[str, ...]]
    fresh: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))


def lock() -> None:
    """Let one writer at a time past this point, until its transaction ends; makes the state's row at the first time."""
    lock_for_append(WRITERS_LOCK)
    session = current_session()
    if session.get(IngestState, _STATE) is None:
        session.add(IngestState(id=_STATE, next_batch=1, next_run=1, raw_from_minute=0))
        session.flush()


def write(parts: Sequence[EventColumns], truth_of: TruthOf, now: datetime) -> None:
    """Store and count decisions whose ids are new; sets `fresh`. One call a transaction.

    Raises
    ------
    InvalidInput : a series would have more than 20,000 groups; nothing of that call may be kept then
    """
    digests = [digest for part in parts for digest in part.digests]
    if not digests:
        return
    new = event_ids.find(digests) == event_ids.NOT_SEEN
    seen: set[bytes] = set()
    for i, digest in enumerate(digests):
        if digest in seen:
            new[i] = False
        else:
            seen.add(digest)
    ends = np.cumsum([len(part.digests) for part in parts])
    for part, fresh in zip(parts, np.split(new, ends[:-1]), strict=True):
        part.fresh = fresh
    waiting = early_labels.take([digest for digest, is_new in zip(digests, new, strict=True) if is_new])
    by_series: dict[int, list[_Piece]] = {}
    for part in parts:
        if part.fresh.any():
            series_id = count_series.id_of(part.series)
            by_series.setdefault(series_id, []).append(_piece(part, series_id, waiting, truth_of))
    if by_series:
        _store(by_series, now)


def join(digests: Sequence[bytes], labels: Sequence[bytes], truth_of: TruthOf) -> list[str]:
    """Give decisions their true outcome; for each id "joined", "unchanged", "expired" (its row was purged) or "waiting"."""
    places = event_ids.find(digests)
    by_batch: dict[int, list[int]] = {}
    for i, place in enumerate(places.tolist()):
        if place != event_ids.NOT_SEEN:
            by_batch.setdefault(place >> event_ids.POSITION_BITS, []).append(i)
    outcome = ["waiting" if place == event_ids.NOT_SEEN else "expired" for place in places.tolist()]
    session = current_session()
    series: dict[int, Series] = {}
    moved: dict[int, list[tuple[int, int, int, int]]] = {}
    for rows in _in_pieces(sorted(by_batch)):
        written = []
        for row in rows:
            cells = np.frombuffer(row.cells, dtype="<i4").copy()
            at_us = np.frombuffer(row.numbers, dtype="<i8", count=row.n)
            scores = np.frombuffer(row.numbers, dtype="<f8", offset=8 * row.n)
            if row.series_id not in series:
                series[row.series_id] = count_series.by_id(row.series_id)
            changes = moved.setdefault(row.series_id, [])
            changed = False
            for i in by_batch[row.id]:
                at = int(places[i]) & _POSITION
                old = int(cells[at])
                new = _with_truth(old, truth_of(series[row.series_id], labels[i]))
                outcome[i] = "unchanged" if new == old else "joined"
                if new != old:
                    score = float(scores[at])
                    units = (
                        0 if score != score else round(score * SCORE_UNITS)
                    )  # as `units_of`, without an array
                    minute = int(at_us[at]) // MINUTE_US
                    changes += [(minute, old, -1, -units), (minute, new, 1, units)]
                    cells[at], changed = new, True
            if changed:
                written.append({"batch": row.id, "content": cells.tobytes()})
        if written:
            session.connection().execute(_WRITE_CELLS, written)
    window_counts.add_deltas(
        {
            one: window_counts.entries_of(*zip(*changes, strict=True))
            for one, changes in moved.items()
            if changes
        }
    )
    return outcome


def recount(series_id: int, first_minute: int, end_minute: int) -> Entries:
    """The counts of the raw rows in a window, as deltas from nothing."""
    parts = [np.zeros(0, dtype=window_counts.ENTRY)]
    for rows in _overlapping(series_id, first_minute, end_minute):
        n = [row.n for row in rows]
        numbers = [np.frombuffer(row.numbers, dtype="<i8") for row in rows]
        minutes = np.concatenate([one[:k] for one, k in zip(numbers, n, strict=True)]) // MINUTE_US
        units = units_of(np.concatenate([one[k:] for one, k in zip(numbers, n, strict=True)]).view("<f8"))
        cells = np.concatenate([np.frombuffer(row.cells, dtype="<i4") for row in rows])
        inside = (minutes >= first_minute) & (minutes < end_minute)
        cells, minutes, units = cells[inside], minutes[inside], units[inside]
        parts.append(window_counts.entries_of(minutes, cells, np.ones(len(cells)), units))
    return _summed(parts)


def raw_from_minute() -> int:
    """The minute from which on no raw row was purged."""
    found = current_session().get(IngestState, _STATE, populate_existing=True)
    return 0 if found is None else found.raw_from_minute


def purge(before_minute: int, limit: int) -> int:
    """Delete at most `limit` of the oldest batches whose decisions were all made before a minute; the counts stay."""
    session = current_session()
    old = session.scalars(
        select(EventBatch.id)
        .where(EventBatch.last_minute < before_minute)
        .order_by(EventBatch.last_minute)
        .limit(limit)
    ).all()
    state = session.get_one(IngestState, _STATE, populate_existing=True)
    state.raw_from_minute = max(state.raw_from_minute, before_minute)
    if old:
        session.execute(delete(EventCells).where(EventCells.batch_id.in_(old)))
        session.execute(delete(EventBatch).where(EventBatch.id.in_(old)))
        oldest = session.scalars(select(EventBatch.id).order_by(EventBatch.id).limit(1)).first()
        event_ids.forget_before(state.next_batch if oldest is None else oldest)
    return len(old)


@dataclass(frozen=True)
class _Piece:
    """New decisions of one series."""

    digests: list[bytes]
    at_us: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    cells: npt.NDArray[np.int64]


def _piece(part: EventColumns, series_id: int, waiting: dict[bytes, bytes], truth_of: TruthOf) -> _Piece:
    cells = _cells(part, series_id)
    kept = [digest for digest, is_new in zip(part.digests, part.fresh, strict=True) if is_new]
    if waiting:
        for i, digest in enumerate(kept):
            if digest in waiting:
                cells[i] = _with_truth(cells[i], truth_of(part.series, waiting[digest]))
    return _Piece(kept, part.at_us[part.fresh], part.scores[part.fresh], cells)


def _store(by_series: dict[int, list[_Piece]], now: datetime) -> None:
    """Write what one transaction takes: of each series as few batches as hold it."""
    session = current_session()
    state = session.get_one(IngestState, _STATE)  # read by `lock`, behind the lock
    batches, cells_of, digests, places, deltas = [], [], [], [], {}
    for series_id, pieces in by_series.items():
        at_us = np.concatenate([piece.at_us for piece in pieces])
        scores = np.concatenate([piece.scores for piece in pieces])
        cells = np.concatenate([piece.cells for piece in pieces])
        minutes = at_us // MINUTE_US
        digests += [digest for piece in pieces for digest in piece.digests]
        deltas[series_id] = window_counts.entries_of(minutes, cells, np.ones(len(cells)), units_of(scores))
        for start in range(0, len(cells), MAX_BATCH):
            some = slice(start, start + MAX_BATCH)
            batch, n = state.next_batch, len(cells[some])
            state.next_batch = batch + 1
            places.append((batch << event_ids.POSITION_BITS) + np.arange(n))
            cells_of.append({"batch_id": batch, "cells": cells[some].astype("<i4").tobytes()})
            batches.append(
                {
                    "id": batch,
                    "series_id": series_id,
                    "received_at": now,
                    "first_minute": int(minutes[some].min()),
                    "last_minute": int(minutes[some].max()),
                    "n": n,
                    "numbers": at_us[some].astype("<i8").tobytes() + scores[some].astype("<f8").tobytes(),
                }
            )
    session.execute(insert(EventBatch), batches)
    session.execute(insert(EventCells), cells_of)
    event_ids.add(digests, np.concatenate(places))
    window_counts.add_deltas(deltas)


def _cells(part: EventColumns, series_id: int) -> npt.NDArray[np.int64]:
    """The cell of each new decision in its series; groups that are new there get their numbers."""
    codes = part.codes[part.fresh]
    there = {part.groups[code] for code in np.unique(codes)}
    known = count_series.remembered_groups(series_id, there)
    occurring = sorted(there - known.keys())
    if len(known) + len(occurring) > MAX_GROUPS:
        raise InvalidInput(
            f"The protected attributes {', '.join(part.series.attributes)} would make more than {MAX_GROUPS} groups; an"
            " identifier is no protected attribute.",
            field="demographic_tags",
            got=len(known) + len(occurring),
            expected=f"at most {MAX_GROUPS} groups",
        )
    new = [(group, number) for number, group in enumerate(occurring, len(known))]
    count_series.add_groups(series_id, new)
    known.update(new)
    numbers = np.array([known.get(group, -1) for group in part.groups], dtype=np.int64)
    return numbers[codes] * CELLS + part.cells[part.fresh]


def _with_truth(cell: int, truth: int) -> int:
    truth_now = int(cell) // BINS % (TRUTH_UNKNOWN + 1)
    return int(cell) + (truth - truth_now) * BINS


def _summed(parts: Sequence[Entries]) -> Entries:
    if len(parts) == 1:
        return parts[0]
    every = np.concatenate(parts)
    return window_counts.entries_of(every["minute"], every["cell"], every["n"], every["units"])


def _rows() -> Any:
    columns = (EventBatch.id, EventBatch.series_id, EventBatch.n, EventBatch.numbers, EventCells.cells)
    return select(*columns).join(EventCells, EventCells.batch_id == EventBatch.id)


def _in_pieces(batches: Sequence[int]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(batches), _AT_ONCE):
        some = batches[start : start + _AT_ONCE]
        yield current_session().execute(_rows().where(EventBatch.id.in_(some))).all()


def _overlapping(series_id: int, first_minute: int, end_minute: int) -> Iterator[Sequence[Any]]:
    wanted = _rows().where(
        EventBatch.series_id == series_id,
        EventBatch.last_minute >= first_minute,
        EventBatch.first_minute < end_minute,
    )
    yield from current_session().execute(wanted).partitions(_AT_ONCE * 10)
