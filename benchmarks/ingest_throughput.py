"""How many single decisions a second are taken through HTTP, durable and counted, against one `add_all` a request.

    .venv/bin/python benchmarks/ingest_throughput.py [--seconds 20] [--workers 2] [--senders 4] [--stored 0]

Starts gunicorn on loopback in an empty folder on SQLite with synchronous=FULL (on PostgreSQL with DATABASE_URL set) and
sends batches of 500 JSON events of one model from a process of its own on the same machine: as rows, then as columns. The
peer is a Flask view that reads the same body with Flask's JSON and adds one ORM row an event with `add_all`. Prints events
a second, p50 and p99 of a batch in milliseconds, the ratio to the peer, and the machine's load beside them. Afterwards the
counts are compared with what was sent. `--stored N` puts N events in before it measures.
"""

import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from http_latency import PASSWORD, free_port

ROOT = Path(__file__).resolve().parent.parent

BATCH = 500
INGEST = "/v1/predictions/ingest"
PEER = """
import os
from datetime import datetime
from flask import Flask, request
from sqlalchemy import JSON, String, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
class Base(DeclarativeBase):
    pass
class Event(Base):
    __tablename__ = "events"
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


def bodies_as_rows(chance: random.Random) -> bytes:
    """A batch of events, one object each."""
    now = datetime.now(UTC).isoformat()
    events = [
        {
            "event_id": str(uuid.UUID(int=chance.getrandbits(128))),
            "model_id": "hiring",
            "model_version": "v1",
            "timestamp": now,
            "features": {"income": chance.randrange(20_000, 90_000), "years": chance.randrange(40)},
            "prediction": {
                "label": chance.choice(("yes", "no")),
                "score": round(chance.random(), 4),
                "threshold": 0.5,
            },
            "demographic_tags": {"sex": chance.choice("FM"), "age": chance.randrange(18, 80)},
            "session_context": {"use_case": "hiring"},
        }
        for _ in range(BATCH)
    ]
    return json.dumps(events).encode()


def bodies_as_columns(chance: random.Random) -> bytes:
    """The same as columns."""
    now = datetime.now(UTC).isoformat()
    draw: Callable[[Callable[[], Any]], list[Any]] = lambda one: [one() for _ in range(BATCH)]  # noqa: E731
    table = {
        "model_id": "hiring",
        "model_version": "v1",
        "use_case": "hiring",
        "event_id": draw(lambda: str(uuid.UUID(int=chance.getrandbits(128)))),
        "timestamp": [now] * BATCH,
        "label": draw(lambda: chance.choice(("yes", "no"))),
        "score": draw(lambda: round(chance.random(), 4)),
        "threshold": [0.5] * BATCH,
        "features": {
            "income": draw(lambda: chance.randrange(20_000, 90_000)),
            "years": draw(lambda: chance.randrange(40)),
        },
        "demographic_tags": {
            "sex": draw(lambda: chance.choice("FM")),
            "age": draw(lambda: chance.randrange(18, 80)),
        },
    }
    return json.dumps(table).encode()


def send(port: int, headers: dict[str, str], form: str, seconds: float, senders: int) -> None:
    """The load: keep-alive connections that each send the next batch when the last is answered; prints what it took."""
    make = bodies_as_rows if form == "rows" else bodies_as_columns
    took: list[float] = []
    failed: list[int] = []
    # Made before: the generator shares the cores with the server.
    ready = [
        make(random.Random(f"{form} {seconds} {os.getpid()} {k}"))
        for k in range(int(seconds * 240) + senders)
    ]
    end = time.perf_counter() + seconds
    started = time.perf_counter()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while time.perf_counter() < end and ready:
            body, begun = ready.pop(), time.perf_counter()
            connection.request("POST", INGEST, body, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            answer.read()
            took.append(time.perf_counter() - begun)
            if answer.status != 200:
                failed.append(answer.status)

    threads = [threading.Thread(target=work) for _ in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(
        json.dumps(
            {"took": took, "failed": failed, "elapsed": time.perf_counter() - started, "left": len(ready)}
        )
    )


def measure(
    port: int, headers: dict[str, str], form: str, seconds: float, senders: int
) -> tuple[float, list[float]]:
    """Events a second and the seconds of each batch, sent by a process of its own."""
    arguments = [str(port), json.dumps(headers), form, str(seconds), str(senders)]
    run = subprocess.run(
        [sys.executable, __file__, "--send", *arguments], capture_output=True, text=True, check=True
    )
    said = json.loads(run.stdout)
    if said["failed"] or not said["left"]:
        sys.exit(
            f"{form}: {len(said['failed'])} batches failed {said['failed'][:5]}, {said['left']} left to send"
        )
    return len(said["took"]) * BATCH / said["elapsed"], said["took"]


@contextmanager
def served(target: str, folder: Path, environ: dict[str, str], workers: int) -> Iterator[int]:
    """gunicorn on a port of loopback, ready; stopped at the end."""
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
        yield port
    finally:
        server.terminate()
        server.wait()


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
        "favourable": {"decision": ["yes"]},
        "group_definitions": {"age": {"bands": [18, 30, 40, 50, 60]}},
    }
    requests.post(f"{base}/api/models/register", json=model, headers=bearer, timeout=60).raise_for_status()
    made = requests.post(
        f"{base}/api/admin/api_keys", json={"name": "load", "scope": "ingest"}, headers=bearer, timeout=60
    )
    return {"X-Api-Key": made.json()["data"]["key"]}


def told(name: str, speed: float, took: list[float]) -> str:
    """One line of the table."""
    cuts = statistics.quantiles(took, n=100)
    load = os.getloadavg()[0]
    return f"{name:28}{speed:>12,.0f}{cuts[49] * 1000:>10.0f}{cuts[98] * 1000:>10.0f}{load:>8.1f}"


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--stored", type=int, default=0)
    wanted = parser.parse_args()
    database = os.environ.get("DATABASE_URL", "")
    print(f"{'what':28}{'events/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'load':>8}")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "peer.py").write_text(PEER)
        environ = {
            "DATA_DIR": str(folder / "data"), "MODELS_DIR": str(folder / "models"), "ADMIN_PASSWORD": PASSWORD,
            "LOG_LEVEL": "error", "RATE_LIMIT_INGEST": "10000000 per minute", "OMP_NUM_THREADS": "1",
            "PEER_URL": database or f"sqlite:///{folder / 'peer.db'}",
        }  # fmt: skip
        with served("peer:app", folder, environ, wanted.workers) as port:
            peer, took = measure(port, {}, "rows", wanted.seconds, wanted.senders)
            print(told("peer: add_all a request", peer, took), flush=True)
        sent = 0
        with served("fairlens_backend.app:create_app()", folder, environ, wanted.workers) as port:
            headers = log_in(port)
            while sent < wanted.stored:
                _, took = measure(port, headers, "columns", 30, wanted.senders)
                sent += len(took) * BATCH
            for form in ("rows", "columns"):
                speed, took = measure(port, headers, form, wanted.seconds, wanted.senders)
                sent += len(took) * BATCH
                ratio = f"   {speed / peer:.1f} times the peer"
                print(told(f"FairLens: {form}", speed, took) + ratio, flush=True)
        verify(environ, sent)


def verify(environ: dict[str, str], sent: int) -> None:
    """The counts hold what was sent, no more and no less."""
    os.environ.update(environ)
    sys.path.insert(0, str(ROOT))
    from datetime import timedelta

    from fairlens_backend import count_keeper

    today = datetime.now(UTC).replace(second=0, microsecond=0)
    begun = time.perf_counter()
    window = (today - timedelta(days=30), today + timedelta(minutes=5))
    table = count_keeper.window_table("default", "hiring", *window)
    seconds = time.perf_counter() - begun
    print(
        f"{sent:,} events sent, {table.total:,} counted; the window of 30 days read in {seconds * 1000:.0f} ms"
    )
    if table.total != sent:
        sys.exit("the counts are wrong")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--send"]:
        send(int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4], float(sys.argv[5]), int(sys.argv[6]))
    else:
        main()
