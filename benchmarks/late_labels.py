"""How long 100,000 late labels onto 1,000,000 events take, and whether the counts are right after every call.

    .venv/bin/python -m benchmarks.late_labels [--events 1000000] [--labels 100000] [--call 500] [--postgres]

In one process on an empty SQLite with synchronous=FULL, or a PostgreSQL of its own with fsync: puts the events in as columns,
then labels ids drawn at random by `prediction_ingest.add_labels`, JSON in, durable and counted at each call's end. After each
call the window's labelled decisions are read and compared. The peer, in the same run and on the same kind of database: one
table with an index on the event's id, `UPDATE … SET truth` by executemany in a transaction a call, and the counts by GROUP BY
when they are asked for (once, at the end). Prints seconds, calls a second, p99 of a call, and the ratio.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import create_engine, event, text

from benchmarks.ingest_throughput import database, settings

TENANT, MODEL, AT_ONCE = "default", "hiring", 10_000
MAX_LISTED = 500  # longer calls go as columns


def put_in(n: int, now: datetime) -> None:
    """Events of the last day, ids e0 to e{n-1}."""
    from fairlens_backend import model_registry, prediction_ingest
    from fairlens_backend.prediction_ingest import Sender

    declared = {
        "columns": {"decision": "hired", "protected": ["sex"]},
        "favourable": {"decision": ["yes"], "truth": ["good"]},
    }
    model_registry.register_model(
        MODEL, "v1", tenant=TENANT, declarations=declared, created_by="bench", now=now
    )
    chance = random.Random(1)
    for start in range(0, n, AT_ONCE):
        some = range(start, min(start + AT_ONCE, n))
        table = {
            "model_id": MODEL,
            "event_id": [f"e{i}" for i in some],
            "timestamp": [now.timestamp() - 86_400 * (1 - i / n) for i in some],
            "label": chance.choices(("yes", "no"), k=len(some)),
            "score": [round(chance.random(), 4) for _ in some],
            "demographic_tags": {"sex": chance.choices("FM", k=len(some))},
        }
        prediction_ingest.ingest(Sender(TENANT, "bench"), json.dumps(table).encode(), now)


def label_all(ids: list[str], call: int, now: datetime) -> list[float]:
    """The seconds of each call."""
    from fairlens_backend import count_keeper, prediction_ingest
    from fairlens_backend.prediction_ingest import Sender

    took, labelled = [], 0
    minute = now.replace(second=0, microsecond=0)
    for start in range(0, len(ids), call):
        some = ids[start : start + call]
        listed: object = {"labels": [{"event_id": one, "label": "good"} for one in some]}
        if call > MAX_LISTED:
            listed = {"event_id": some, "label": ["good"] * len(some)}
        body = json.dumps(listed).encode()
        begun = time.perf_counter()
        said = prediction_ingest.add_labels(Sender(TENANT, "bench"), body, now)
        took.append(time.perf_counter() - begun)
        labelled += len(some)
        if said["joined"] != len(some):
            sys.exit(f"{said} of {len(some)} labels")
        if start // call % 20 == 0 or labelled == len(ids):
            window = minute - timedelta(days=2), minute + timedelta(minutes=1)
            table = count_keeper.window_table(TENANT, MODEL, *window)
            if int(table.n[:, :, :2].sum()) != labelled:
                sys.exit(f"the counts say {int(table.n[:, :, :2].sum())} labelled, {labelled} are")
    return took


def peer(url: str, n: int, ids: list[str], call: int) -> float:
    """Seconds of the same labels on one table with an index."""
    engine = create_engine(url)
    if url.startswith("sqlite"):

        @event.listens_for(engine, "connect")
        def _(connection, _record):  # type: ignore[no-untyped-def]
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")

    chance = random.Random(1)
    with engine.begin() as rows:
        rows.execute(
            text(
                "CREATE TABLE peer (event_id TEXT PRIMARY KEY, minute BIGINT, label TEXT, score FLOAT, sex TEXT, truth TEXT)"
            )
        )
        for start in range(0, n, AT_ONCE):
            values = [
                {
                    "i": f"e{i}",
                    "m": i // 700,
                    "l": chance.choice(("yes", "no")),
                    "s": chance.random(),
                    "x": "F",
                }
                for i in range(start, min(start + AT_ONCE, n))
            ]
            rows.execute(text("INSERT INTO peer VALUES (:i, :m, :l, :s, :x, NULL)"), values)
    begun = time.perf_counter()
    for start in range(0, len(ids), call):
        with engine.begin() as rows:
            rows.execute(
                text("UPDATE peer SET truth = 'good' WHERE event_id = :i"),
                [{"i": one} for one in ids[start : start + call]],
            )
    with engine.connect() as rows:
        rows.execute(text("SELECT label, truth, sex, count(*) FROM peer GROUP BY 1, 2, 3")).all()
    return time.perf_counter() - begun


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--labels", type=int, default=100_000)
    parser.add_argument("--call", type=int, default=500)
    parser.add_argument("--postgres", action="store_true")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, database(wanted.postgres) as (url, _):
        environ = settings(Path(made), url)
        os.environ.update(environ)
        from fairlens_backend.storage import migrate, session

        migrate.upgrade()
        now = datetime.now(UTC)
        put_in(wanted.events, now)
        ids = [f"e{i}" for i in random.Random(2).sample(range(wanted.events), wanted.labels)]
        cpu = time.process_time()
        took = label_all(ids, wanted.call, now)
        cpu = time.process_time() - cpu
        other = peer(environ["PEER_URL"], wanted.events, ids, wanted.call)
        print(
            f"{wanted.labels:,} labels onto {wanted.events:,} events in calls of {wanted.call}: {sum(took):.2f} s"
            f" ({len(took) / sum(took):.0f} calls a second, p99 {statistics.quantiles(took, n=100, method='inclusive')[98] * 1e3:.0f} ms,"
            f" {cpu:.1f} s of processor with the checks, load {os.getloadavg()[0]:.1f})\n"
            f"peer, UPDATE by an index and GROUP BY at the end: {other:.2f} s; {other / sum(took):.1f} times as long"
        )
        session.dispose_engines()


if __name__ == "__main__":
    main()
