"""How long a recount of 10,000,000 stored decisions takes, from their stored cells, against reading them one by one.

    .venv/bin/python -m benchmarks.recount [--events 10000000] [--postgres]

Writes batches of 500 decisions of one day straight into the tables (as `events.write` does, without HTTP), then counts them
anew with `events.recount`, which is what `check_counts` and `rebuild-counts` do, and compares with the counts that were
written. The peer, in the same run: SELECT sex, label, count(*) … GROUP BY over one table of the same rows, a tenth of them,
its time taken ten times. Prints seconds and the ratio.
"""

import argparse
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sqlalchemy import create_engine, text

from benchmarks.ingest_throughput import database, settings

GROUPS = 12
AT_ONCE = 20  # batches of 500 a transaction
DAY_US = 86_400_000_000


def put_in(n: int, start_us: int) -> int:
    """Decisions of one day in 12 groups, in the order of time; the number of their series."""
    from fairlens_backend.storage import count_series, events
    from fairlens_backend.storage.count_series import Series
    from fairlens_backend.storage.events import EventColumns
    from fairlens_backend.storage.session import unit_of_work

    chance, series = np.random.default_rng(3), Series("default", "hiring", "v1", ("group",))
    groups = [(f"g{i}",) for i in range(GROUPS)]
    now, size = datetime.now(UTC), 500
    for first in range(0, n, size * AT_ONCE):
        parts = []
        for k in range(first, min(first + size * AT_ONCE, n), size):
            at = start_us + (np.arange(k, k + size) * (DAY_US / n)).astype(np.int64)
            digests = chance.bytes(16 * size)
            listed = [digests[i * 16 : i * 16 + 16] for i in range(size)]
            cells = chance.integers(0, 66, size)
            codes = chance.integers(0, GROUPS, size)
            parts.append(EventColumns(series, listed, at, cells, chance.random(size), codes, groups))
        with unit_of_work():
            events.lock()
            events.write(parts, lambda series, label: 0, now)
    with unit_of_work():
        return count_series.id_of(series)


def peer(url: str, n: int) -> float:
    """Seconds of a GROUP BY over so many rows of one table."""
    engine = create_engine(url)
    chance = np.random.default_rng(4)
    with engine.begin() as rows:
        rows.execute(text("CREATE TABLE peer (id BIGINT PRIMARY KEY, sex TEXT, label TEXT, score FLOAT)"))
        for first in range(0, n, 50_000):
            sexes, labels = chance.integers(0, GROUPS, 50_000), chance.integers(0, 2, 50_000)
            values = [
                {"i": first + i, "x": f"g{sexes[i]}", "l": "yes" if labels[i] else "no", "s": i / 50_000}
                for i in range(50_000)
            ]
            rows.execute(text("INSERT INTO peer VALUES (:i, :x, :l, :s)"), values)
    with engine.connect() as rows:
        begun = time.perf_counter()
        rows.execute(text("SELECT sex, label, count(*), sum(score) FROM peer GROUP BY 1, 2")).all()
        return time.perf_counter() - begun


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--postgres", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, database(wanted.postgres) as (url, _):
        environ = settings(Path(made), url)
        os.environ.update(environ)
        from fairlens_backend.storage import events, migrate, session, window_counts
        from fairlens_backend.storage.session import read_snapshot, unit_of_work

        migrate.upgrade()
        day = int(time.time()) // 86_400 - 2
        begun = time.perf_counter()
        series = put_in(wanted.events, day * DAY_US)
        print(
            f"{wanted.events:,} decisions written in {time.perf_counter() - begun:.0f} s, no HTTP", flush=True
        )
        with unit_of_work():
            while window_counts.fold():
                pass
        with read_snapshot():
            cpu, begun = time.process_time(), time.perf_counter()
            raw = window_counts.by_cell(events.recount(series, day * 1440, (day + 1) * 1440))
            seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
            counted = window_counts.window_entries(series, day * 1440, (day + 1) * 1440)
        if not np.array_equal(raw, counted) or int(raw["n"].sum()) != wanted.events:
            sys.exit("the counts are not those of the rows")
        other = 10 * peer(environ["PEER_URL"], wanted.events // 10)
        print(
            f"recount from stored cells: {seconds:.2f} s ({cpu:.2f} s of processor, load {os.getloadavg()[0]:.1f})\n"
            f"peer, GROUP BY over one row a decision: {other:.2f} s; {other / seconds:.1f} times as long"
        )
        session.dispose_engines()


if __name__ == "__main__":
    main()
