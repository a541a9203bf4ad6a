"""Counts of single decisions: signed deltas as they are written, folded into minutes, hours and days; summed for any window.

All three grains are kept. A window is summed from the days that lie in it whole, the hours and minutes at its edges, and the
deltas that are not folded yet, in one statement, so that a fold that goes on meanwhile counts nothing twice.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sqlalchemy import and_, delete, insert, literal, or_, select, union, union_all

from fairlens_backend.core.columns import CELL_SHAPE, CELLS
from fairlens_backend.core.counts import CountTable
from fairlens_backend.storage import checked_days, count_series, driver_sql
from fairlens_backend.storage.count_series import Group
from fairlens_backend.storage.event_tables import CountBucket, CountDelta, EventBatch
from fairlens_backend.storage.schedule_tables import CountChange
from fairlens_backend.storage.session import current_session

ENTRY: Final = np.dtype([("minute", "<i8"), ("cell", "<i4"), ("n", "<i4"), ("units", "<i8")])
"""One cell in one minute: how many decisions more or fewer, and the sum of their scores in units of 2**-32."""
BUCKET: Final = np.dtype([("cell", "<i4"), ("n", "<i8"), ("units", "<i8")])
MINUTE, HOUR, DAY = GRAINS = (1, 60, 1440)
FOLDED_AT_ONCE: Final = 64
_AT_ONCE: Final = 300
_CELL_BITS: Final = 24  # 66 cells of 20,000 groups are 1.3 million
_DENSE: Final = 4096

Entries = npt.NDArray[Any]


def entries_of(minutes: Any, cells: Any, n: Any, units: Any) -> Entries:
    """Deltas, one entry a minute and cell; those that cancel out are left out. `n` is None where each row is one more."""
    minutes, cells = np.asarray(minutes, dtype=np.int64), np.asarray(cells, dtype=np.int64)
    units = np.asarray(units, dtype=np.int64)
    if not len(minutes):
        return np.zeros(0, dtype=ENTRY)
    first, width = int(minutes.min()), int(cells.max()) + 1
    size = (int(minutes.max()) - first + 1) * width
    if size <= 4 * len(minutes) + _DENSE:
        # Counted in place: sorting the keys of 10,000,000 rows took 1.1 of 2.1 s.
        keys, at = np.arange(size), (minutes - first) * width + cells
        keys = (keys // width + first << _CELL_BITS) + keys % width
    else:
        keys, at = np.unique((minutes << _CELL_BITS) + cells, return_inverse=True)
    weights = None if n is None else np.asarray(n, dtype=np.float64)
    made_n = np.bincount(at, weights, len(keys)).astype(np.int64)
    # In halves of 16 bits the sums of floats are exact up to 2**37 rows.
    high = np.bincount(at, (units >> 16).astype(np.float64), len(keys)).astype(np.int64)
    low = np.bincount(at, (units & 0xFFFF).astype(np.float64), len(keys)).astype(np.int64)
    made_units = (high << 16) + low
    kept = np.flatnonzero((made_n != 0) | (made_units != 0))
    made = np.zeros(len(kept), dtype=ENTRY)
    made["minute"], made["cell"] = keys[kept] >> _CELL_BITS, keys[kept] & (2**_CELL_BITS - 1)
    made["n"], made["units"] = made_n[kept], made_units[kept]
    return made


def add_deltas(deltas: Mapping[int, Entries]) -> None:
    """Append what changed, by series; in the transaction that writes the rows."""
    driver_sql.run_many(
        "INSERT INTO count_deltas (series_id, first_minute, last_minute, entries) VALUES (?, ?, ?, ?)",
        [
            (series_id, int(entries["minute"].min()), int(entries["minute"].max()), entries.tobytes())
            for series_id, entries in deltas.items()
            if len(entries)
        ],
    )


def fold() -> int:
    """Move the oldest deltas into their minutes, hours and days, a bounded number a call; how many were moved.

    One caller at a time: behind `lock_for_append`, or SQLite's write lock.
    """
    session = current_session()
    rows = session.execute(
        select(CountDelta.id, CountDelta.series_id, CountDelta.entries)
        .order_by(CountDelta.id)
        .limit(FOLDED_AT_ONCE)
    ).all()
    by_series: dict[int, list[Entries]] = {}
    for row in rows:
        by_series.setdefault(row.series_id, []).append(np.frombuffer(row.entries, dtype=ENTRY))
    for series_id, parts in by_series.items():
        every = np.concatenate(parts)
        # Summed by minute first: that is an eighth of the rows or less, for each grain.
        entries = entries_of(every["minute"], every["cell"], every["n"], every["units"])
        for grain in GRAINS:
            _add_to_buckets(series_id, grain, entries)
        _note_touched(series_id, every)
    if rows:
        session.execute(delete(CountDelta).where(CountDelta.id.in_([row.id for row in rows])))
    return len(rows)


def replace_day(series_id: int, day: int, entries: Entries) -> None:
    """Put these counts in the place of a day's, in every grain; `day` is counted from 1970, deltas must be folded."""
    first = day * DAY
    session = current_session()
    session.execute(
        delete(CountBucket).where(
            CountBucket.series_id == series_id, CountBucket.start_minute.between(first, first + DAY - 1)
        )
    )
    for grain in GRAINS:
        _add_to_buckets(series_id, grain, entries)
    _note_touched(series_id, {"minute": np.arange(first, first + DAY)})


def window_series(
    tenant: str, model: str, first_minute: int, end_minute: int, version: str | None = None
) -> list[tuple[count_series.Series, CountTable]]:
    """The counts of a model's decisions in a window, for each series that has some, the oldest first."""
    found = []
    for series_id, one in count_series.of_model(tenant, model, version):
        entries = window_entries(series_id, first_minute, end_minute)
        if len(entries):
            found.append((one, _table(series_id, one.attributes, entries)))
    return found


def window_table(
    tenant: str,
    model: str,
    first_minute: int,
    end_minute: int,
    *,
    version: str | None = None,
    attributes: Sequence[str] | None = None,
) -> CountTable:
    """The counts of a model's decisions from one minute up to, not including, another.

    Parameters
    ----------
    version : None for all versions together
    attributes : the protected attributes of the table, in order; None for those counted last. Decisions that were
        counted by other attributes, some of these missing, are left out.
    """
    series = count_series.of_model(tenant, model, version)
    wanted = tuple(attributes) if attributes is not None else (series[-1][1].attributes if series else ())
    tables = [CountTable.empty(wanted)]
    for series_id, one in series:
        if set(wanted) <= set(one.attributes):
            table = _table(series_id, one.attributes, window_entries(series_id, first_minute, end_minute))
            tables.append(table.marginal(wanted))
    return CountTable.sum(tables)


def window_entries(series_id: int, first_minute: int, end_minute: int) -> Entries:
    """The counts of one series in a window as `BUCKET` entries, one a cell."""
    ranges = [
        and_(CountBucket.grain == grain, CountBucket.start_minute >= low, CountBucket.start_minute < high)
        for grain, low, high in tiles(first_minute, end_minute)
    ]
    if not ranges:
        return np.zeros(0, dtype=BUCKET)
    folded = select(literal(1).label("folded"), CountBucket.entries).where(
        CountBucket.series_id == series_id, or_(*ranges)
    )
    pending = select(literal(0), CountDelta.entries).where(
        CountDelta.series_id == series_id,
        CountDelta.last_minute >= first_minute,
        CountDelta.first_minute < end_minute,
    )
    parts = []
    for is_folded, content in current_session().execute(union_all(folded, pending)):
        if is_folded:
            parts.append(unpacked(content))
            continue
        entries = np.frombuffer(content, dtype=ENTRY)
        inside = (entries["minute"] >= first_minute) & (entries["minute"] < end_minute)
        parts.append(_bucket(entries["cell"][inside], entries["n"][inside], entries["units"][inside]))
    if not parts:
        return np.zeros(0, dtype=BUCKET)
    every = np.concatenate(parts)
    return _bucket(every["cell"], every["n"], every["units"])


def days_counted(series_ids: Sequence[int]) -> list[int]:
    """The days, counted from 1970, that some count or some raw row may be of; not only by the counts of days, which may be
    what is damaged."""
    first, last = CountDelta.first_minute // DAY, CountDelta.last_minute // DAY
    bucket = CountBucket.start_minute // DAY
    batch = EventBatch.first_minute // DAY, EventBatch.last_minute // DAY
    found = union(
        select(bucket, bucket).where(CountBucket.series_id.in_(series_ids), CountBucket.grain != MINUTE),
        select(first, last).where(CountDelta.series_id.in_(series_ids)),
        select(*batch).where(EventBatch.series_id.in_(series_ids)),
    )
    days: set[int] = set()
    for begin, end in current_session().execute(found):
        days.update(range(begin, end + 1))
    return sorted(days)


def tiles(first: int, end: int) -> list[tuple[int, int, int]]:
    """The coarsest grains that tile a window, finer ones at its edges: (grain, first minute, end minute).

    >>> tiles(1439, 3 * 1440 + 61)
    [(1440, 1440, 4320), (1, 1439, 1440), (60, 4320, 4380), (1, 4380, 4381)]
    """
    return _tiles(first, end, list(GRAINS)) if first < end else []


def by_cell(entries: Entries) -> Entries:
    """Deltas summed over their minutes, as `window_entries` gives them."""
    return _bucket(entries["cell"], entries["n"], entries["units"])


def table_of(attributes: tuple[str, ...], groups: Mapping[int, Group], entries: Entries) -> CountTable:
    """The count table of `BUCKET` entries, one a cell; `groups` are the series' by number."""
    occurring, at = np.unique(entries["cell"] // CELLS, return_inverse=True)
    n = np.zeros((len(occurring), CELLS), dtype=np.int64)
    units = np.zeros_like(n)
    n[at, entries["cell"] % CELLS], units[at, entries["cell"] % CELLS] = entries["n"], entries["units"]
    shape = (len(occurring), *CELL_SHAPE)
    labels = tuple(groups[int(one)] for one in occurring)
    return CountTable(attributes, labels, n.reshape(shape), units.reshape(shape))


def _table(series_id: int, attributes: tuple[str, ...], entries: Entries) -> CountTable:
    groups = {number: labels for labels, number in count_series.groups_of(series_id).items()}
    return table_of(attributes, groups, entries)


def _tiles(first: int, end: int, grains: list[int]) -> list[tuple[int, int, int]]:
    grain = grains[-1]
    low, high = -(-first // grain) * grain, end // grain * grain
    if low >= high:
        return _tiles(first, end, grains[:-1]) if first < end else []
    found = [(grain, low, high)]
    if len(grains) > 1:
        found += _tiles(first, low, grains[:-1]) + _tiles(high, end, grains[:-1])
    return found


def _add_to_buckets(series_id: int, grain: int, entries: Entries) -> None:
    session = current_session()
    starts = entries["minute"] // grain * grain
    order = np.argsort(starts, kind="stable")
    starts, entries = starts[order], entries[order]
    distinct, first = np.unique(starts, return_index=True)
    for begin in range(0, len(distinct), _AT_ONCE):
        some = distinct[begin : begin + _AT_ONCE].tolist()
        here = (
            CountBucket.series_id == series_id,
            CountBucket.grain == grain,
            CountBucket.start_minute.in_(some),
        )
        there = {
            row.start_minute: unpacked(row.entries)
            for row in session.execute(select(CountBucket.start_minute, CountBucket.entries).where(*here))
        }
        rows = []
        for i, start in enumerate(some, begin):
            part = entries[first[i] : first[i + 1] if i + 1 < len(first) else None]
            old = there.get(start, np.zeros(0, dtype=BUCKET))
            summed = _bucket(
                np.concatenate([old["cell"], part["cell"]]),
                np.concatenate([old["n"], part["n"]]),
                np.concatenate([old["units"], part["units"]]),
            )
            packed = zlib.compress(summed.tobytes(), 1)
            rows.append({"series_id": series_id, "grain": grain, "start_minute": start, "entries": packed})
        if there:
            session.execute(delete(CountBucket).where(*here))
        if rows:
            session.execute(insert(CountBucket), rows)


def _note_touched(series_id: int, entries: Any) -> None:
    """Say which minutes are no longer what an audit may have read: see `audit_windows.mark_changed`."""
    minutes = np.unique(entries["minute"]).astype("<i8")
    checked_days.mark(series_id, np.unique(minutes // DAY).tolist())
    packed = zlib.compress(minutes.tobytes(), 1)
    current_session().execute(insert(CountChange), [{"series_id": series_id, "minutes": packed}])


def _bucket(cells: Any, n: Any, units: Any) -> Entries:
    """One entry a cell, in order; those that are zero are left out."""
    keys, at = np.unique(cells, return_inverse=True)
    made = np.zeros(len(keys), dtype=BUCKET)
    made["cell"] = keys
    np.add.at(made["n"], at, n)
    np.add.at(made["units"], at, units)
    return _without_zeros(made)


def _without_zeros(made: Entries) -> Entries:
    kept: Entries = made[(made["n"] != 0) | (made["units"] != 0)]
    return kept


def unpacked(content: bytes) -> Entries:
    """The `BUCKET` entries of a stored bucket."""
    return np.frombuffer(zlib.decompress(content), dtype=BUCKET)
