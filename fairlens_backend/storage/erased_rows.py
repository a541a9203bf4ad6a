"""Rows of single decisions made anonymous: their details go, time and score become coarse, their cell stays counted.

Everything runs behind the writers' lock (`ingest_state.lock`). The number of decisions in each cell of each minute does not
change. The sum of the scores moves by what the score became coarser, as a signed delta like those of late labels, so that the
counts are still those of the rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.columns import SCORE_UNKNOWN, units_of
from fairlens_backend.storage import driver_sql, event_details, event_ids, window_counts
from fairlens_backend.storage.driver_sql import among, list_of
from fairlens_backend.storage.event_blocks import MINUTE_US, ROWS
from fairlens_backend.storage.window_counts import Entries

_AT_ONCE: Final = 100
_POSITION: Final = 2**event_ids.POSITION_BITS - 1
_BINS: Final = SCORE_UNKNOWN + 1


def there(places: Sequence[int]) -> list[int]:
    """Those of the places at which a row is kept still."""
    sizes: dict[int, int] = {}
    for some in _pieces(sorted(_by_batch(places))):
        sql = f"SELECT id, n FROM event_batches WHERE {among('id')}"
        sizes.update(tuple(row) for row in driver_sql.rows(sql, list_of(some)))
    return [one for one in places if one & _POSITION < sizes.get(one >> event_ids.POSITION_BITS, 0)]


def make_anonymous(places: Sequence[int]) -> None:
    """Take from the rows at these places all but their cell, their minute and the tenth of the scale that their score is in."""
    rows = _by_batch(places)
    deltas: dict[int, list[Entries]] = {}
    for some in _pieces(sorted(rows)):
        sql = f"{ROWS} WHERE {among('event_batches.id')} ORDER BY event_batches.id"
        for batch, series_id, n, numbers, cells in driver_sql.rows(sql, list_of(some)):
            at = np.array(sorted(set(rows[batch])), dtype=np.int64)
            coarse, delta = _coarse(n, numbers, cells, at)
            driver_sql.run("UPDATE event_batches SET numbers = ? WHERE id = ?", coarse, batch)
            deltas.setdefault(series_id, []).append(delta)
    event_details.blank(rows)
    window_counts.add_deltas({number: np.concatenate(parts) for number, parts in deltas.items()})


def _coarse(n: int, numbers: bytes, cells: bytes, at: npt.NDArray[np.int64]) -> tuple[bytes, Entries]:
    """A batch's numbers with coarse ones at some positions, and what that changes in the sums of scores."""
    at_us = np.frombuffer(numbers, dtype="<i8", count=n).copy()
    scores = np.frombuffer(numbers, dtype="<f8", offset=8 * n).copy()
    cell = np.frombuffer(cells, dtype="<i4")[at].astype(np.int64)
    minutes, old = at_us[at] // MINUTE_US, units_of(scores[at])
    at_us[at] = minutes * MINUTE_US
    # The middle of the bin that the cell names, so that a count made anew puts the row where it is.
    score_bin = cell % _BINS
    scores[at] = np.where(score_bin == SCORE_UNKNOWN, np.nan, (score_bin + 0.5) / 10)
    signs = np.repeat([-1, 1], len(at))
    units = np.concatenate([-old, units_of(scores[at])])
    delta = window_counts.entries_of(np.tile(minutes, 2), np.tile(cell, 2), signs, units)
    return at_us.tobytes() + scores.tobytes(), delta


def _by_batch(places: Sequence[int]) -> Mapping[int, list[int]]:
    rows: dict[int, list[int]] = {}
    for one in places:
        rows.setdefault(one >> event_ids.POSITION_BITS, []).append(one & _POSITION)
    return rows


def _pieces(batches: Sequence[int]) -> Sequence[Any]:
    return [batches[start : start + _AT_ONCE] for start in range(0, len(batches), _AT_ONCE)]
