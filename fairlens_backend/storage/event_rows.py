"""Some of a window's raw rows with their details: batches drawn by a seed, a bounded number, whatever the window holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.columns import CELLS, SCORE_UNKNOWN, TRUTH_UNKNOWN
from fairlens_backend.storage import count_series, driver_sql, event_details
from fairlens_backend.storage.count_series import Series
from fairlens_backend.storage.driver_sql import among, list_of
from fairlens_backend.storage.event_blocks import MINUTE_US, ROWS
from fairlens_backend.storage.event_details import Details

_BINS: Final = SCORE_UNKNOWN + 1
_AT_ONCE: Final = 50
_PRIME: Final = 2_147_483_647


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one batch that lie in the window.

    Parameters
    ----------
    groups : the group of each row, in the order of the series' attributes
    at_us, decision, truth, score : shape (n_rows,); truth is −1 and score NaN where not known
    details : of the whole batch, None where nothing was kept; `places` are the rows' places in it
    """

    series: Series
    groups: list[tuple[str, ...]]
    at_us: npt.NDArray[np.int64]
    decision: npt.NDArray[np.int64]
    truth: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    details: Details | None
    places: npt.NDArray[np.int64]


def drawn(
    series_ids: Sequence[int], first_minute: int, end_minute: int, *, batches: int, seed: int
) -> Iterator[Rows]:
    """Rows of at most so many batches that reach into a window, drawn by the seed, in the order of their numbers.

    The same rows and seed give the same draw. The batches' numbers are read from an index alone; rows are read of those that
    are drawn.
    """
    chosen: list[tuple[int, int]] = []
    # A random line over the integers modulo a prime orders the numbers; neighbours by seed have nothing in common.
    factor, offset = np.random.default_rng(seed).integers(1, _PRIME, size=2).tolist()
    for number in series_ids:
        # Done by the database: no list of all batches leaves it.
        chosen += driver_sql.rows(
            "SELECT ((id % ?) * ? + ?) % ? AS drawn, id FROM event_batches WHERE series_id = ?"
            " AND last_minute >= ? AND first_minute < ? ORDER BY drawn, id LIMIT ?",
            _PRIME, factor, offset, _PRIME, number, first_minute, end_minute, batches,
        )  # fmt: skip
    ids = sorted(batch for _, batch in sorted(tuple(row) for row in chosen)[:batches])
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        details = dict(event_details.read(some))
        sql = f"{ROWS} WHERE {among('event_batches.id')} ORDER BY event_batches.id"
        for batch, number, n, numbers, cells in driver_sql.rows(sql, list_of(some)):
            rows = _rows(number, n, numbers, cells, details.get(batch), first_minute, end_minute)
            if len(rows.places):
                yield rows


def _rows(
    number: int,
    n: int,
    numbers: bytes,
    cells: bytes,
    details: Details | None,
    first_minute: int,
    end_minute: int,
) -> Rows:
    at_us = np.frombuffer(numbers, dtype="<i8", count=n)
    minutes = at_us // MINUTE_US
    inside = (minutes >= first_minute) & (minutes < end_minute)
    if details is not None and None in details.event_id:
        # Of an erased row nothing is left that could be compared or explained; its cell is counted elsewhere.
        inside &= np.array([one is not None for one in details.event_id])
    places = np.flatnonzero(inside)
    cell = np.frombuffer(cells, dtype="<i4").astype(np.int64)[places]
    groups, within = np.divmod(cell, CELLS)
    outcome = within // _BINS
    decision, truth = np.divmod(outcome, TRUTH_UNKNOWN + 1)
    labels = _labels(number, set(groups.tolist()))
    return Rows(
        count_series.by_id(number),
        [labels[group] for group in groups.tolist()],
        at_us[places],
        decision,
        np.where(truth == TRUTH_UNKNOWN, -1, truth),
        np.frombuffer(numbers, dtype="<f8", offset=8 * n)[places],
        details,
        places,
    )


def _labels(number: int, wanted: set[int]) -> dict[int, tuple[str, ...]]:
    known: dict[int, Any] = {n: group for group, n in count_series.remembered_groups(number, set()).items()}
    if not wanted <= known.keys():
        known = {n: group for group, n in count_series.groups_of(number).items()}
    return known
