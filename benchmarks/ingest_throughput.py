"""How many single decisions a second are taken through HTTP, durable and counted, against one `add_all` a request.

    .venv/bin/python -m benchmarks.ingest_throughput [--seconds 20] [--workers 2] [--senders 4] [--postgres]
        [--stored 5000000] [--open-loop 10000] [--forms rows,columns] [--no-peer]

Starts gunicorn on loopback in an empty folder on SQLite with synchronous=FULL, or with `--postgres` on a PostgreSQL of its
own with fsync and synchronous_commit on, and sends batches of 500 JSON events of one model from a process of its own on the
same machine: as rows, then as columns. The peer is a Flask view that reads the same body with Flask's JSON and adds one ORM
row an event with `add_all`, on the same database.

Prints events a second, p50, p99 and the longest of a batch in milliseconds, the processor time of the server (with
PostgreSQL's own) and of the sender in microseconds an event, the ratio to the peer, and the machine's load. `--stored N`
measures rows, fills up to N events and measures rows again. `--open-loop R` sends R events a second at fixed instants;
latencies count from the instant a batch was due. At the end the counts are compared with what was sent.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from benchmarks._load import BATCH, cpu_seconds, measure
from benchmarks.http_latency import PASSWORD, free_port
from tests.postgres_server import PostgresServer

ROOT = Path(__file__).resolve().parent.parent

PEER = """
import os
from datetime import datetime
from flask import Flask, request
from sqlalchemy import JSON, String, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
class Base(DeclarativeBase):
    pass
class Event(Base):
    __tablename__ = "peer_events"
    event_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    model_id: Mapped[str] = mapped_column(String(100))
    at: Mapped[datetime]
    label: Mapped[str] = mapped_column(String(50))
    score: Mapped[float]
    sex: Mapped[str] = mapped_column(String(50))
    features: Mapped[dict] = mapped_column(JSON)
engine = create_engine(os.environ["PEER_URL"], connect_args={"timeout": 30} if "sqlite" in os.environ["PEER_URL"] else {})
if "sqlite" in os.environ["PEER_URL"]:
    @event.listens_for(engine, "connect")
    def _(connection, _record):
        connection.execute("PRAGMA journal_mode=WAL"); connection.execute("PRAGMA synchronous=FULL")
try:
    Base.metadata.create_all(engine, checkfirst=True)
except Exception:  # another worker made it meanwhile
    Base.metadata.create_all(engine, checkfirst=True)
app = Flask("peer")
@app.get("/api/health")
def health():
    return {"alive": True}
@app.post("/v1/predictions/ingest")
def ingest():
    with Session(engine) as session:
        session.add_all(
            Event(event_id=e["event_id"], model_id=e["model_id"], at=datetime.fromisoformat(e["timestamp"]),
                  label=e["prediction"]["label"], score=e["prediction"]["score"], sex=e["demographic_tags"]["sex"],
                  features=e["features"])
            for e in request.get_json()
        )
        session.commit()
    return {"status": "success"}
"""
COLUMNS = ("what", "events/s", "p50 ms", "p99 ms", "max ms", "server µs", "sender µs", "load")


@contextmanager
def served(target: str, folder: Path, environ: dict[str, str], workers: int) -> Iterator[tuple[int, int]]:
    """gunicorn on a port of loopback, ready: its port and process; stopped at the end."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / "gunicorn.conf.py"), target]
    command += ["--workers", str(workers), "--bind", f"127.0.0.1:{port}", "--log-level", "error"]
    server = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environ, "PYTHONPATH": f"{ROOT}:{folder}"}
    )
    try:
        give_up = time.perf_counter() + 120
        while time.perf_counter() < give_up:
            try:
                if requests.get(f"http://127.0.0.1:{port}/api/health", timeout=30).ok:
                    break
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(0.05)
        else:
            sys.exit("the server did not start within 120 s")
        yield port, server.pid
    finally:
        server.terminate()
        server.wait()


@contextmanager
def database(wanted: bool) -> Iterator[tuple[str, int | None]]:
    """The address and the process of a PostgreSQL that waits for the disk, or of none."""
    if not wanted:
        yield "", None
        return
    server = PostgresServer(durable=True)
    try:
        yield server.url, server.pid
    finally:
        server.remove()


def settings(folder: Path, url: str) -> dict[str, str]:
    """The environment of both servers."""
    return {
        "DATA_DIR": str(folder / "data"), "MODELS_DIR": str(folder / "models"), "ADMIN_PASSWORD": PASSWORD,
        "DATABASE_URL": url, "LOG_LEVEL": "error", "RATE_LIMIT_INGEST": "10000000 per minute",
        "RATE_LIMIT_DEFAULT": "10000000 per minute", "OMP_NUM_THREADS": "1", "AUDIT_DEFAULT": "false",
        "PEER_URL": url or f"sqlite:///{folder / 'peer.db'}",
    }  # fmt: skip


def log_in(port: int) -> dict[str, str]:
    """Register the model and make a key; gives the headers that send."""
    base = f"http://127.0.0.1:{port}"
    token = requests.post(
        f"{base}/api/login", json={"username": "admin", "password": PASSWORD}, timeout=60
    ).json()["data"]["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    model = {
        "model_name": "hiring",
        "version": "v1",
        "columns": {"decision": "hired", "protected": ["sex", "age"]},
        "favourable": {"decision": ["yes"], "truth": ["good"]},
        "group_definitions": {"age": {"bands": [18, 30, 40, 50, 60]}},
    }
    requests.post(f"{base}/api/models/register", json=model, headers=bearer, timeout=60).raise_for_status()
    made = requests.post(
        f"{base}/api/admin/api_keys", json={"name": "load", "scope": "ingest"}, headers=bearer, timeout=60
    )
    return {"X-Api-Key": made.json()["data"]["key"]}


class Run:
    """One server under load: measures, tells, and remembers how much was sent."""

    def __init__(self, port: int, pids: list[int], headers: dict[str, str], senders: int) -> None:
        self.port, self.pids, self.headers, self.senders, self.sent = port, pids, headers, senders, 0

    def told(
        self, name: str, form: str, seconds: float, peer: float | None = None, rate: float | None = None
    ) -> float:
        """Measure, print one line of the table, and give events a second."""
        before = sum(cpu_seconds(pid) for pid in self.pids)
        said = measure(
            self.port, self.headers, form, seconds, self.senders if rate is None else 4 * self.senders, rate
        )
        server = sum(cpu_seconds(pid) for pid in self.pids) - before
        n = len(said["took"]) * BATCH
        self.sent += n
        speed, cuts = n / said["elapsed"], statistics.quantiles(said["took"], n=100)
        figures = (
            f"{speed:,.0f}", f"{cuts[49] * 1e3:.0f}", f"{cuts[98] * 1e3:.0f}", f"{max(said['took']) * 1e3:.0f}",
            f"{server / n * 1e6:.1f}", f"{said['cpu'] / n * 1e6:.1f}", f"{os.getloadavg()[0]:.1f}",
        )  # fmt: skip
        ratio = f"   {speed / peer:.1f} times the peer" if peer else ""
        print(line(name, *figures) + ratio, flush=True)
        return speed


def line(name: str, *figures: str) -> str:
    """One line of the table."""
    return f"{name:34}" + "".join(f"{one:>11}" for one in figures)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--stored", type=int, default=0)
    parser.add_argument("--open-loop", type=float, default=0)
    parser.add_argument("--forms", default="rows,columns")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--no-peer", action="store_true")
    wanted = parser.parse_args()
    print(line(*COLUMNS), flush=True)
    with tempfile.TemporaryDirectory() as made, database(wanted.postgres) as (url, database_pid):
        folder, also = Path(made), [] if database_pid is None else [database_pid]
        (folder / "peer.py").write_text(PEER)
        environ = settings(folder, url)
        peer = None
        if not wanted.no_peer:
            with served("peer:app", folder, environ, wanted.workers) as (port, pid):
                peer = Run(port, [pid, *also], {}, wanted.senders).told(
                    "peer: add_all a request", "rows", wanted.seconds
                )
        with served("fairlens_backend.app:create_app()", folder, environ, wanted.workers) as (port, pid):
            run = Run(port, [pid, *also], log_in(port), wanted.senders)
            _measure_all(run, wanted, peer)
        verify(environ, run.sent)


def _measure_all(run: Run, wanted: argparse.Namespace, peer: float | None) -> None:
    run.told("warming up", "columns", 2)
    for form in wanted.forms.split(","):
        run.told(f"FairLens: {form}", form, wanted.seconds, peer)
    if wanted.open_loop:
        run.told(
            f"open loop, {wanted.open_loop:,.0f} a second", "rows", wanted.seconds, rate=wanted.open_loop
        )
    if wanted.stored:
        early = run.told(f"rows, {run.sent:,} stored", "rows", wanted.seconds)
        while run.sent < wanted.stored:
            run.sent += len(measure(run.port, run.headers, "columns", 10, run.senders)["took"]) * BATCH
        late = run.told(f"rows, {run.sent:,} stored", "rows", wanted.seconds)
        print(f"{late / early:.0%} of the speed at the start")


def verify(environ: dict[str, str], sent: int) -> None:
    """The counts hold what was sent, no more and no less, and are those of the raw rows."""
    os.environ.update(environ)
    from fairlens_backend import count_keeper

    today = datetime.now(UTC).replace(second=0, microsecond=0)
    begun = time.perf_counter()
    window: Any = (today - timedelta(days=30), today + timedelta(minutes=5))
    table = count_keeper.window_table("default", "hiring", *window)
    read_s, begun = time.perf_counter() - begun, time.perf_counter()
    days = [today.date() - timedelta(days=1), today.date()]
    checked = [one for day in days for one in count_keeper.check_counts("default", "hiring", day)]
    recount_s, rows = time.perf_counter() - begun, sum(one["rows"] for one in checked)
    print(
        f"{sent:,} events sent, {table.total:,} counted (30 days read in {read_s * 1e3:.0f} ms), {rows:,} rows recounted in"
        f" {recount_s:.2f} s"
    )
    if table.total != sent or rows != sent or not all(one["equal"] for one in checked):
        sys.exit("the counts are wrong")


if __name__ == "__main__":
    main()
