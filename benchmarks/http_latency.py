"""How long the first surface takes to answer, under two workers, against named peers in the same run.

    .venv/bin/python benchmarks/http_latency.py

Starts the server in an empty folder on loopback with 2 gunicorn workers and asks it from 2 threads. Peers: a bare
Flask view under the same gunicorn for the small calls; fairlearn's MetricFrame on the same rows, without HTTP, storage
or evidence, for the submissions. Prints the start-up time, p50 and p99 in milliseconds, the ratio of the medians and
the largest memory of a worker.
"""

import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import requests

ROOT = Path(__file__).resolve().parent.parent
PASSWORD = "Kite-river-harbour-7"
BARE = (
    "from flask import Flask\napp = Flask('bare')\n@app.get('/')\ndef index():\n    return {'alive': True}\n"
)


def free_port() -> int:
    """A port of loopback that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextmanager
def gunicorn(target: str, folder: Path, path: str) -> Iterator[tuple[str, int, float]]:
    """Serve `target` with 2 workers; yields address, process id and seconds until `path` answered."""
    port = free_port()
    environ = {
        **os.environ,
        "DATA_DIR": str(folder / "data"),
        "MODELS_DIR": str(folder / "models"),
        "ADMIN_PASSWORD": PASSWORD,
        "LOG_LEVEL": "error",
        "PORT": str(port),
        "RATE_LIMIT_DEFAULT": "1000000 per minute",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{ROOT}:{folder}",
    }
    started = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        target,
        "--workers",
        "2",
        "--bind",
        f"127.0.0.1:{port}",
        "--log-level",
        "error",
    ]
    server = subprocess.Popen(command, cwd=ROOT, env=environ)
    try:
        address = f"http://127.0.0.1:{port}"
        while True:
            try:
                if requests.get(address + path, timeout=30).ok:
                    break
            except (requests.ConnectionError, requests.Timeout):
                time.sleep(0.02)
            if time.perf_counter() - started > 60:
                sys.exit("the server did not start within 60 s")
        yield address, server.pid, time.perf_counter() - started
    finally:
        server.terminate()
        server.wait(20)


def timed(call: Callable[[requests.Session], requests.Response], times: int) -> list[float]:
    """Milliseconds of each call, from two threads with a connection each."""

    def one_thread(count: int) -> list[float]:
        took = []
        with requests.Session() as session:
            for _ in range(count):
                started = time.perf_counter()
                answer = call(session)
                took.append((time.perf_counter() - started) * 1000)
                if not answer.ok:
                    sys.exit(f"{answer.status_code}: {answer.text[:500]}")
        return took

    one_thread(3)
    with ThreadPoolExecutor(2) as pool:
        return [ms for part in pool.map(one_thread, [times // 2] * 2) for ms in part]


def decisions(rows: int) -> pd.DataFrame:
    """Decisions of a lender that selects one group less."""
    rng = np.random.default_rng(0)
    sex = rng.choice(["Female", "Male"], rows)
    race = rng.choice(["a", "b", "c", "d"], rows)
    truth = rng.integers(0, 2, rows)
    score = np.clip(0.3 + 0.3 * truth + 0.1 * (sex == "Male") + rng.normal(0, 0.15, rows), 0, 1).round(4)
    return pd.DataFrame(
        {"sex": sex, "race": race, "truth": truth, "score": score, "decision": (score > 0.5).astype(int)}
    )


def fairlearn_ms(frame: pd.DataFrame) -> float:
    """Milliseconds that fairlearn takes for the selection, true and false positive rates by sex, race and both."""
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

    metrics = {"sr": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate}
    started = time.perf_counter()
    for attributes in (["sex"], ["race"], ["sex", "race"]):
        measured = MetricFrame(
            metrics=metrics,
            y_true=frame["truth"],
            y_pred=frame["decision"],
            sensitive_features=frame[attributes],
        )
        measured.difference()
        measured.ratio()
    return (time.perf_counter() - started) * 1000


def peak_mb(pid: int) -> float:
    """The largest resident memory that a worker of this gunicorn ever had, in megabytes."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    peaks = []
    for child in children:
        for line in Path(f"/proc/{child}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                peaks.append(int(line.split()[1]) / 1024)
    return max(peaks)


def row(name: str, ms: list[float], peer_name: str, peer_ms: float) -> None:
    """Print one line of the table."""
    p50, p99 = statistics.median(ms), float(np.percentile(ms, 99))
    sys.stdout.write(
        f"{name:44} {p50:9.1f} {p99:9.1f}   {p50 / peer_ms:8.2f} x {peer_name} ({peer_ms:.1f} ms)\n"
    )


def main() -> None:
    """Run everything and print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE)
        with gunicorn("bare:app", folder, "/") as (address, _, _):
            bare_ms = statistics.median(timed(lambda session: session.get(address + "/"), 200))
        with gunicorn("fairlens_backend.app:create_app()", folder, "/api/health") as (address, pid, start_s):
            sys.stdout.write(
                f"start to the first healthy answer: {start_s:.2f} s\n\n{'call':44} {'p50 ms':>9} {'p99 ms':>9}   ratio of medians\n"
            )
            login = requests.post(
                f"{address}/api/login", json={"username": "admin", "password": PASSWORD}, timeout=30
            )
            headers = {"Authorization": f"Bearer {login.json()['data']['access_token']}"}
            row(
                "GET /api/health",
                timed(lambda s: s.get(f"{address}/api/health"), 400),
                "a bare Flask view",
                bare_ms,
            )
            row(
                "GET /api/monitor_fairness (1,000 rows)",
                timed(lambda s: s.get(f"{address}/api/monitor_fairness"), 200),
                "a bare Flask view",
                bare_ms,
            )
            wanted = {
                "model_name": "lender",
                "columns": {
                    "decision": "decision",
                    "truth": "truth",
                    "score": "score",
                    "protected": ["sex", "race"],
                },
                "favourable": {"decision": [1], "truth": [1]},
            }
            for rows, times in ((1_000, 100), (100_000, 20)):
                frame = decisions(rows)
                peer_ms = statistics.median(fairlearn_ms(frame) for _ in range(3))
                raw, part = frame.to_csv(index=False).encode(), json.dumps(wanted)
                ms = timed(
                    lambda s, raw=raw, part=part: s.post(
                        f"{address}/api/submit_predictions",
                        headers=headers,
                        data={"request": part},
                        files={"file": ("d.csv", io.BytesIO(raw))},
                    ),
                    times,
                )
                row(f"POST /api/submit_predictions CSV {rows:,} rows", ms, "fairlearn MetricFrame", peer_ms)
                body = {**wanted, "rows": frame.to_dict("records")}
                raw = json.dumps(body).encode()
                if len(raw) < 10_485_760:
                    ms = timed(
                        lambda s, raw=raw: s.post(
                            f"{address}/api/submit_predictions",
                            headers={**headers, "Content-Type": "application/json"},
                            data=raw,
                        ),
                        times,
                    )
                    row(
                        f"POST /api/submit_predictions JSON {rows:,} rows",
                        ms,
                        "fairlearn MetricFrame",
                        peer_ms,
                    )
            sys.stdout.write(f"\nlargest memory of a worker: {peak_mb(pid):.0f} MB\n")


if __name__ == "__main__":
    main()
