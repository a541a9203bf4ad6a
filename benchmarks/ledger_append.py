"""How many events a second the ledger takes, durable and with its proofs, against a chain of hashes kept with the ORM.

    .venv/bin/python -m benchmarks.ledger_append [--postgres] [--one-by-one 10000] [--entries 1000000] [--group 1000]

In one process and thread, on an empty SQLite with synchronous=FULL or a PostgreSQL of its own with fsync: events one by one,
each in a unit of work and so with a commit of its own, which is how every act of the product appends; then in groups of 1,000
with a commit each, until there are so many entries; then proofs of entries drawn at random, read and made, and verified against
a root that is computed from all leaves. The peer, in the same run and on the same kind of database, is what audit logs commonly
do: an ORM row an event, whose hash column covers the row and the hash of the row before; it can prove nothing but by reading all.

Prints events a second, the processor time of this process in microseconds an event, milliseconds a proof, ratios to the peer,
and the machine's load before and after.
"""

import argparse
import gc
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, String, Text, create_engine, event, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BODY = {"model": "loan_model", "version": "v1", "artefact_sha256": "0" * 64, "by_user_id": 7}
KIND = "MODEL_REGISTERED"


class Base(DeclarativeBase):
    """Of the peer's one table."""


class Link(Base):
    """An event of the peer."""

    __tablename__ = "peer_chain"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tenant: Mapped[str] = mapped_column(String(200))
    type: Mapped[str] = mapped_column(String(40))
    body: Mapped[str] = mapped_column(Text)
    at: Mapped[str] = mapped_column(String(40))
    hash: Mapped[str] = mapped_column(String(64))


@contextmanager
def database(postgres: bool, folder: Path) -> Iterator[str]:
    """The address of an empty, durable database."""
    if not postgres:
        yield f"sqlite:///{folder / 'bench.db'}"
        return
    from tests.postgres_server import PostgresServer

    server = PostgresServer(durable=True)
    try:
        yield server.url
    finally:
        server.remove()


def peer_engine(url: str) -> Any:
    """The peer's database, as durable as ours."""
    made = create_engine(url)
    if url.startswith("sqlite"):

        @event.listens_for(made, "connect")
        def _(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")

    Base.metadata.create_all(made)
    return made


def peer_append(engine: Any, n: int) -> None:
    """Append n events in one transaction, each chained to the one before."""
    with Session(engine) as session:
        last = session.scalars(select(Link).order_by(Link.id.desc()).limit(1)).first()
        place, before = (last.id, last.hash) if last else (-1, "")
        for _ in range(n):
            place += 1
            body = json.dumps(BODY, sort_keys=True)
            row = Link(id=place, tenant="default", type=KIND, body=body, at=NOW.isoformat(), hash="")
            row.hash = before = sha256(
                f"{before}{place}{row.tenant}{row.type}{body}{row.at}".encode()
            ).hexdigest()
            session.add(row)
        session.commit()


def rate(name: str, calls: int, size: int, act: Callable[[], object]) -> float:
    """Events a second of so many calls of `size` events each, printed with the processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(calls):
        act()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    n = calls * size
    print(f"{name:58} {n / wall:10,.0f} events/s  {processor / n * 1e6:8.1f} µs of processor an event")
    return n / wall


def measure_proofs(n: int) -> None:
    """Milliseconds of a proof, read from the database, of entries and sizes drawn at random."""
    from fairlens_backend.core import merkle
    from fairlens_backend.storage import ledger
    from fairlens_backend.storage.session import read_snapshot

    chance = random.Random(1)
    took: dict[str, list[float]] = {"inclusion": [], "consistency": []}
    with read_snapshot():
        tree = merkle.Frontier()
        for start in range(0, n, 10_000):
            for entry in ledger.entries(start, min(start + 10_000, n)):
                tree, _ = tree.append(merkle.leaf_hash(entry.leaf))
        root = tree.root()
        for _ in range(1_000):
            index, first = chance.randrange(n), chance.randint(1, n)
            begun = time.perf_counter()
            proof = merkle.inclusion_proof(index, n, ledger.hashes_of)
            took["inclusion"].append(time.perf_counter() - begun)
            (own,) = ledger.hashes_of([(0, index)]).values()
            if not merkle.verify_inclusion(index, n, own, proof, root):
                sys.exit(f"the proof of entry {index} does not lead to the root")
            begun = time.perf_counter()
            proof = merkle.consistency_proof(first, n, ledger.hashes_of)
            took["consistency"].append(time.perf_counter() - begun)
            if not merkle.verify_consistency(first, n, proof, ledger.frontier(first).root(), root):
                sys.exit(f"the tree of {first} entries is not the beginning of that of {n}")
    for name, seconds in took.items():
        p99 = sorted(seconds)[int(0.99 * len(seconds))]
        print(
            f"{name + f' proof at {n:,} entries':58} {statistics.median(seconds) * 1e3:10.3f} ms at the median, {p99 * 1e3:.3f} ms p99"
        )


def main() -> None:
    """Measure ours and the peer, and print both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--one-by-one", type=int, default=10_000)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--group", type=int, default=1_000)
    given = parser.parse_args()
    from fairlens_backend import config
    from fairlens_backend.storage import ledger, migrate
    from fairlens_backend.storage.session import dispose_engines, unit_of_work

    print("load", *(f"{one:.1f}" for one in os.getloadavg()), "on", os.cpu_count(), "cores")
    with tempfile.TemporaryDirectory() as folder, database(given.postgres, Path(folder)) as url:
        config.use(config.load_settings({"DATA_DIR": folder, "DATABASE_URL": url, "LOG_LEVEL": "error"}))
        migrate.upgrade()
        gc.collect()
        gc.freeze()  # as gunicorn.conf.py does before it starts workers
        gc.set_threshold(50_000, 20, 50)
        n = given.one_by_one

        def in_unit_of_work() -> None:
            with unit_of_work():
                ledger.append_at_end(KIND, "default", BODY, NOW)

        def in_a_group() -> None:
            with unit_of_work():
                ledger.append_many([(KIND, "default", BODY)] * given.group, NOW)

        alone = rate("one by one, each in a unit of work", n, 1, in_unit_of_work)
        groups = max(1, (given.entries - n) // given.group)
        grouped = rate(f"in groups of {given.group:,}, a commit each", groups, given.group, in_a_group)
        measure_proofs(n + groups * given.group)
        dispose_engines()
        engine = peer_engine(url)
        chained = rate(
            "peer, one by one: a chain of hashes by ORM", n // 4, 1, lambda: peer_append(engine, 1)
        )
        together = rate(
            f"peer, in groups of {given.group:,}", max(1, min(groups, 50)), given.group,
            lambda: peer_append(engine, given.group),
        )  # fmt: skip
        engine.dispose()
    print(f"ratio to the peer: one by one {alone / chained:.1f}, in groups {grouped / together:.1f}")
    print("load", *(f"{one:.1f}" for one in os.getloadavg()))


if __name__ == "__main__":
    main()
