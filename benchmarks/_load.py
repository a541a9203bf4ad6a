"""The load on the ingest: bodies whose ids are new at every sending, and a process that sends them.

    python _load.py '{"port": …, "headers": {…}, "form": "rows", "seconds": 20, "senders": 4, "rate": null, "mark": 1}'

Closed loop (`rate` null): each connection sends the next batch when the last is answered. Open loop: batches are due at
fixed instants whatever the server does, and a latency counts from the instant a batch was *due*: a server that stands still
for a second is charged for all that would have come in it. The generator shares the cores with the server, so a body is made
before and only its marks are replaced (0.03 ms), and HTTP is written by hand (0.1 ms a batch where http.client takes 0.4).
"""

import itertools
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

BATCH = 500
INGEST = "/v1/predictions/ingest"
MARK = b"@@@@@@@@"
DISTINCT = 64


def bodies_as_rows(chance: random.Random) -> bytes:
    """A batch of events, one object each; the ids begin with the mark."""
    now = datetime.now(UTC).isoformat()
    events = [
        {
            "event_id": _an_id(chance),
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
        "event_id": draw(lambda: _an_id(chance)),
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


FORMS = {"rows": bodies_as_rows, "columns": bodies_as_columns}


def _an_id(chance: random.Random) -> str:
    """As long as a UUID."""
    rest = f"{chance.getrandbits(96):024x}"
    return f"{MARK.decode()}-{rest[:4]}-{rest[4:8]}-{rest[8:12]}-{rest[12:]}"


class Connection:
    """One keep-alive connection that posts bodies and reads the status of each answer."""

    def __init__(self, port: int, headers: dict[str, str], path: str = INGEST) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        self._head = "\r\n".join([*lines, *(f"{k}: {v}" for k, v in headers.items()), ""]).encode()

    def post(self, body: bytes) -> int:
        """The status; the answer's body is read and dropped."""
        self._socket.sendall(b"%sContent-Length: %d\r\n\r\n%s" % (self._head, len(body), body))
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            piece = self._socket.recv(65_536)
            if not piece:
                raise ConnectionError("the server closed the connection")
            data += piece
        head = data[:end].lower()
        at = head.index(b"content-length:") + len(b"content-length:")
        left = int(head[at:].split(b"\r\n", 1)[0]) - (len(data) - end - 4)
        while left > 0:
            left -= len(self._socket.recv(65_536))
        return int(head.split(b" ", 2)[1])


def send(order: dict[str, Any]) -> dict[str, Any]:
    """Send for so many seconds; the seconds each batch took, the statuses that were not 200, what the sender cost."""
    make, senders = FORMS[order["form"]], order["senders"]
    ready = [make(random.Random(f"{order['form']} {k}")) for k in range(DISTINCT)]
    numbers, took, failed = itertools.count(), [], []
    started, cpu = time.perf_counter(), time.process_time()
    end = started + order["seconds"]

    def work() -> None:
        connection = Connection(order["port"], order["headers"])
        while True:
            number = next(numbers)
            begun = time.perf_counter()
            if order["rate"]:
                begun = started + number * BATCH / order["rate"]
                if begun >= end:
                    return
                time.sleep(max(0.0, begun - time.perf_counter()))
            elif begun >= end:
                return
            mark = b"%08x" % (order["mark"] << 22 | number)
            status = connection.post(ready[number % DISTINCT].replace(MARK, mark))
            took.append(time.perf_counter() - begun)
            if status != 200:
                failed.append(status)

    threads = [threading.Thread(target=work) for _ in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - started
    return {"took": took, "failed": failed, "elapsed": elapsed, "cpu": time.process_time() - cpu}


_marks = itertools.count(1)


def measure(
    port: int, headers: dict[str, str], form: str, seconds: float, senders: int, rate: float | None = None
) -> dict[str, Any]:
    """`send` in a process of its own; a batch that was not taken ends the benchmark."""
    order = {
        "port": port, "headers": headers, "form": form, "seconds": seconds, "senders": senders, "rate": rate,
        "mark": next(_marks),
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, __file__, json.dumps(order)], capture_output=True, text=True, check=False
    )
    if run.returncode:
        sys.exit(f"the sender failed: {run.stderr[-2000:]}")
    said: dict[str, Any] = json.loads(run.stdout)
    if said["failed"]:
        sys.exit(f"{form}: {len(said['failed'])} batches failed {said['failed'][:5]}")
    return said


def cpu_seconds(pid: int) -> float:
    """What a process and all below it have used of the processors until now; those that ended count with their parent."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            below = [int(one) for one in file.read().split()]
    except OSError:
        return 0.0
    own = sum(int(one) for one in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(one) for one in below)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(send(json.loads(sys.argv[1]))))
