"""What a call of the SDK costs the model's thread: server up, down, disabled; and the memory while it is down.

    .venv/bin/python benchmarks/sdk_overhead.py [CALLS]

Each line runs in a process of its own, with the server in another, first back to back (the background threads compete
for the interpreter), then at 2,000 calls a second, as beside a model. Peers: a synchronous `requests.post` a call over
a kept connection, and `logging` through a QueueHandler with the same event as JSON in the listener's thread. Memory is
the peak of the process above what the bare interpreter had before the SDK was imported.
Exits with 1 when a call costs over 20 µs (median) or 200 µs (p99), or the memory is over 64 MB.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FEATURES = {
    "income": 51_000.5, "age": 41, "credit_score": 702, "region": "north", "employment": "permanent",
    "loan_amount": 12_000.0, "term_months": 48, "debt_ratio": 0.31, "dependants": 2, "home_owner": True,
}  # fmt: skip
PREDICTION = {"label": 1, "score": 0.73, "threshold": 0.5}
TAGS = {"sex": "F", "race": "B"}
PACED_PER_S = 2_000
PACED_S = 4
MAX_P50_US, MAX_P99_US, MAX_MB = 20.0, 200.0, 64.0
KEPT = b'{"status":"success","data":{"event_ids":[],"queued":0,"rejected":[]}}'


def serve(listener: socket.socket) -> None:
    """Read requests, answer each with a success."""

    def one(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, connection.makefile("rb") as reader:
            while reader.readline():
                length = 0
                while (line := reader.readline().strip().lower()) != b"":
                    if line.startswith(b"content-length:"):
                        length = int(line[15:])
                reader.read(length)
                connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n" % len(KEPT) + KEPT)

    while True:
        threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()


def memory_mb(field: str) -> float:
    """VmRSS (now) or VmHWM (peak) of this process; 0 where the system does not say."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(field)) / 1024


def timed(call: Callable[[], Any], calls: int, per_s: float | None) -> dict[str, float]:
    """Microseconds of `calls` calls, back to back or at a rate."""
    for _ in range(200):
        call()
    clock, taken = time.perf_counter_ns, []
    began = time.perf_counter()
    for i in range(calls):
        start = clock()
        call()
        taken.append(clock() - start)
        if per_s is not None:
            left = began + (i + 1) / per_s - time.perf_counter()
            if left > 0:
                time.sleep(left)
    taken.sort()
    at = lambda share: taken[min(calls - 1, int(calls * share))] / 1_000  # noqa: E731
    return {"p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "mean": sum(taken) / calls / 1_000}


def measure(mode: str, port: int, calls: int, paced: bool) -> dict[str, Any]:
    """One line, in this process."""
    base = memory_mb("VmRSS")
    per_s = PACED_PER_S if paced else None
    calls = PACED_PER_S * PACED_S if paced else calls
    url = f"http://127.0.0.1:{port}"
    if mode == "requests.post":
        import requests

        session = requests.Session()
        body = {"features": FEATURES, "prediction": PREDICTION, "demographic_tags": TAGS}
        return timed(lambda: session.post(f"{url}/v1/predictions/ingest", json=body, timeout=5), 1_000, None)
    if mode == "logging":
        return logging_peer(calls, per_s)
    sys.path.insert(0, str(ROOT / "sdk"))
    from fairlens_sdk import FairLensClient

    with tempfile.TemporaryDirectory() as folder:
        logging.getLogger("fairlens_sdk").addHandler(logging.NullHandler())
        client = FairLensClient(
            url, "key", "loan_model", "1", "lending", "bank", spool_dir=folder, disabled=mode == "disabled"
        )
        found: dict[str, Any] = timed(
            lambda: client.log_prediction(FEATURES, PREDICTION, demographic_tags=TAGS), calls, per_s
        )
        client.flush(30.0 if mode == "up" else 0.5)
        client.close()
        stats = client.stats()
        refused = sum(stats.dropped.values())
    return {**found, "memory": memory_mb("VmHWM") - base, "refused": refused, "sent": stats.sent}


def logging_peer(calls: int, per_s: float | None) -> dict[str, float]:
    """A QueueHandler on this thread, a listener that writes JSON lines on another."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        handler = logging.StreamHandler(file)
        handler.format = lambda record: json.dumps(record.event)  # type: ignore[attr-defined, method-assign]
        waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        listener = logging.handlers.QueueListener(waiting, handler)
        logger = logging.getLogger("peer")
        logger.propagate = False
        logger.setLevel(logging.INFO)
        logger.addHandler(logging.handlers.QueueHandler(waiting))
        listener.start()
        event = {"features": FEATURES, "prediction": PREDICTION, "demographic_tags": TAGS}
        found = timed(lambda: logger.info("prediction", extra={"event": event}), calls, per_s)
        listener.stop()
    return found


def in_child(mode: str, port: int, calls: int, paced: bool) -> dict[str, Any]:
    """`measure` in a fresh interpreter."""
    command = [sys.executable, __file__, "--one", mode, str(port), str(calls), str(int(paced))]
    return dict(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


def main(calls: int) -> int:
    """Print the table; 1 when a promise is broken."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        server = os.fork()
        if server == 0:
            serve(listener)
        try:
            lines = {
                (mode, paced): in_child(mode, port, calls, paced)
                for mode in ("up", "disabled", "logging", "requests.post")
                for paced in ((False,) if mode == "requests.post" else (False, True))
            }
        finally:
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
    # The port is free now: nobody listens.
    lines.update({("down", paced): in_child("down", port, calls, paced) for paced in (False, True)})
    print(
        f"{calls:,} calls back to back, {PACED_PER_S * PACED_S:,} at {PACED_PER_S:,}/s; µs on the caller's thread"
    )
    print(f"{'':<16}{'':<14}{'p50':>8}{'p99':>9}{'p99.9':>10}{'mean':>8}{'refused':>9}{'peak MB':>9}")
    for (mode, paced), one in lines.items():
        memory = f"{one['memory']:.1f}" if "memory" in one else ""
        refused = str(one.get("refused", ""))
        print(
            f"{mode:<16}{'paced' if paced else 'back to back':<14}{one['p50']:>8.1f}{one['p99']:>9.1f}"
            f"{one['p999']:>10.1f}{one['mean']:>8.1f}{refused:>9}{memory:>9}"
        )
    up, post, logged = lines["up", False], lines["requests.post", False], lines["logging", False]
    print(f"requests.post a call costs {post['p50'] / up['p50']:.0f} times a call of the SDK (median)")
    print(
        f"logging through a queue costs {logged['p50'] / up['p50']:.1f} times (median), and delivers to a file"
    )
    ours = [one for (mode, _), one in lines.items() if mode in {"up", "down", "disabled"}]
    broken = [
        one for one in ours if one["p50"] > MAX_P50_US or one["p99"] > MAX_P99_US or one["memory"] > MAX_MB
    ]
    return 1 if broken else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _, _, wanted, at, number, rate = sys.argv
        sys.stdout.write(json.dumps(measure(wanted, int(at), int(number), rate == "1")))
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000))
