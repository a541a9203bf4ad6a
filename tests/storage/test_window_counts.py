"""Counts by minute, hour and day: any window is tiled by the coarsest grains, and sums what lies in it."""

import itertools
import random

import numpy as np
import pytest
from sqlalchemy import event as sql_event

from fairlens_backend.storage import count_series, window_counts
from fairlens_backend.storage.count_series import Series
from fairlens_backend.storage.session import engine, read_snapshot, unit_of_work
from fairlens_backend.storage.window_counts import DAY, HOUR, MINUTE, tiles

DAYS = 40


def test_a_window_is_tiled_by_the_coarsest_grains() -> None:
    """Without gap or overlap, each tile on its grain, and few: at most 2 · (59 + 23) buckets beside the days."""
    chance = random.Random(2)
    for _ in range(300):
        first = chance.randrange(3 * DAY)
        end = first + chance.choice([0, 1, 59, 60, 61, 1439, 1440, 2881, chance.randrange(9 * DAY)])
        found = sorted(tiles(first, end), key=lambda tile: tile[1])
        assert [low for _, low, _ in found[:1]] == ([first] if end > first else [])
        assert all(one[2] == after[1] for one, after in itertools.pairwise(found))
        assert not found or found[-1][2] == end
        assert all(low % grain == 0 and high % grain == 0 and low < high for grain, low, high in found)
        assert sum((high - low) // grain for grain, low, high in found if grain == MINUTE) <= 118
        assert sum((high - low) // grain for grain, low, high in found if grain == HOUR) <= 46


@pytest.fixture
def counted(database: None) -> tuple[int, np.ndarray]:
    """A series with 4,000 signed changes over 40 days, half of them folded; its number and the changes."""
    chance = np.random.default_rng(3)
    changes = np.stack(
        [
            chance.integers(0, DAYS * DAY, 4000),
            chance.integers(0, 132, 4000),
            chance.choice([-1, 1, 1], 4000),
        ],
        axis=1,
    )
    with unit_of_work():
        series_id = count_series.id_of(Series("t", "m", "v", ("sex",)))
        count_series.add_groups(series_id, [(("F",), 0), (("M",), 1)])
    for part in np.split(changes, 80):
        with unit_of_work():
            minute, cell, n = part.T
            window_counts.add_deltas({series_id: window_counts.entries_of(minute, cell, n, n * 2**31)})
    with unit_of_work():
        assert window_counts.fold() == window_counts.FOLDED_AT_ONCE
    return series_id, changes


def test_any_window_sums_what_lies_in_it(counted: tuple[int, np.ndarray]) -> None:
    """Folded or not, before and after the fold: cell by cell the sum of the changes, score sums too."""
    series_id, changes = counted
    chance = random.Random(5)
    for _ in range(2):
        for _ in range(25):
            first = chance.randrange(DAYS * DAY)
            end = first + chance.randrange(1, 12 * DAY)
            inside = changes[(changes[:, 0] >= first) & (changes[:, 0] < end)]
            wanted = {int(cell): 0 for cell in inside[:, 1]}
            for _, cell, n in inside.tolist():
                wanted[cell] += n
            with read_snapshot():
                found = window_counts.window_entries(series_id, first, end)
            assert {int(one["cell"]): int(one["n"]) for one in found} == {
                c: n for c, n in wanted.items() if n
            }
            assert found["units"].tolist() == (found["n"] * 2**31).tolist()
        with unit_of_work():
            while window_counts.fold():
                pass


def test_rows_read_do_not_grow_with_the_history(counted: tuple[int, np.ndarray]) -> None:
    """A window of 30 days at odd minutes reads at most 30 days, 46 hours and 118 minutes, in one statement."""
    series_id, _ = counted
    with unit_of_work():
        while window_counts.fold():
            pass
    statements: list[str] = []
    sql_event.listen(engine(), "before_cursor_execute", lambda *given: statements.append(given[2]))
    with read_snapshot() as session:
        window_counts.window_entries(series_id, 5 * DAY + 17, 35 * DAY + 17)
        reading = [one for one in statements if "count_buckets" in one]
        assert len(reading) == 1
        starts = session.execute(
            window_counts.select(window_counts.CountBucket.grain, window_counts.CountBucket.start_minute)
        ).all()
    wanted = {
        (grain, start)
        for grain, start in starts
        for tile in tiles(5 * DAY + 17, 35 * DAY + 17)
        if tile[0] == grain and tile[1] <= start < tile[2]
    }
    assert len(wanted) <= 30 + 46 + 118 < len(starts)
