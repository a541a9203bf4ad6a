"""Counts of single decisions by period: many windows of one length beside each other, read in one statement."""

from collections import defaultdict
from typing import Final

import numpy as np
from sqlalchemy import literal, select, union_all

from fairlens_backend.core.counts import CountTable
from fairlens_backend.storage import count_series, window_counts
from fairlens_backend.storage.count_series import Series
from fairlens_backend.storage.event_tables import CountBucket, CountDelta
from fairlens_backend.storage.session import current_session
from fairlens_backend.storage.window_counts import DAY, ENTRY, HOUR, MINUTE, Entries

_CELL_BITS: Final = 24  # as in `window_counts`
_PERIOD: Final = np.dtype([("key", "<i8"), ("n", "<i8"), ("units", "<i8")])


def period_series(
    tenant: str, model: str, first_minute: int, step: int, n: int
) -> dict[int, list[tuple[Series, CountTable]]]:
    """The counts of a model's decisions in `n` periods of `step` minutes, the first from `first_minute` on.

    What is read is what was counted in the range: a bucket of each series and each hour, or day where the periods are of
    whole days, and the deltas that are not folded yet.

    Returns
    -------
    dict
        by the place of the period, as `window_counts.window_series` gives the window's; a period without decisions is not
        there
    """
    series = dict(count_series.of_model(tenant, model))
    found: dict[int, list[tuple[Series, CountTable]]] = defaultdict(list)
    for number, entries in _read(list(series), first_minute, step, n).items():
        groups = {place: labels for labels, place in count_series.groups_of(number).items()}
        keys, at = np.unique(entries["key"], return_inverse=True)
        made = np.zeros(len(keys), dtype=_PERIOD)
        made["key"] = keys
        np.add.at(made["n"], at, entries["n"])
        np.add.at(made["units"], at, entries["units"])
        made = made[(made["n"] != 0) | (made["units"] != 0)]
        period = made["key"] >> _CELL_BITS
        for some in np.split(made, np.flatnonzero(np.diff(period)) + 1):
            if len(some):
                bucket = np.zeros(len(some), dtype=window_counts.BUCKET)
                bucket["cell"] = some["key"] & (2**_CELL_BITS - 1)
                bucket["n"], bucket["units"] = some["n"], some["units"]
                table = window_counts.table_of(series[number].attributes, groups, bucket)
                found[int(some["key"][0]) >> _CELL_BITS].append((series[number], table))
    return dict(found)


def _read(series_ids: list[int], first: int, step: int, n: int) -> dict[int, Entries]:
    """What was counted in the periods, by series; `key` is the period's place and the cell."""
    end = first + n * step
    grain = next(one for one in (DAY, HOUR, MINUTE) if first % one == 0 and step % one == 0)
    folded = select(CountBucket.series_id, CountBucket.start_minute, CountBucket.entries).where(
        CountBucket.series_id.in_(series_ids),
        CountBucket.grain == grain,
        CountBucket.start_minute >= first,
        CountBucket.start_minute < end,
    )
    pending = select(CountDelta.series_id, literal(-1), CountDelta.entries).where(
        CountDelta.series_id.in_(series_ids), CountDelta.last_minute >= first, CountDelta.first_minute < end
    )
    parts: dict[int, list[Entries]] = defaultdict(list)
    for number, start, content in current_session().execute(union_all(folded, pending)):
        if start >= 0:
            entries = window_counts.unpacked(content)
            minutes = np.full(len(entries), start, dtype=np.int64)
        else:
            entries = np.frombuffer(content, dtype=ENTRY)
            entries = entries[(entries["minute"] >= first) & (entries["minute"] < end)]
            minutes = entries["minute"]
        keyed = np.zeros(len(entries), dtype=_PERIOD)
        keyed["key"] = ((minutes - first) // step << _CELL_BITS) + entries["cell"]
        keyed["n"], keyed["units"] = entries["n"], entries["units"]
        parts[number].append(keyed)
    return {number: np.concatenate(parts[number]) for number in series_ids if number in parts}
