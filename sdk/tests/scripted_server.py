"""A listener on loopback that fails by script and keeps what a server would have kept. It uses nothing of the code under test."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

KEPT = b'{"status":"success","data":{"event_ids":[],"queued":0,"rejected":[]}}'


@dataclass
class Request:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        packed = self.headers.get("content-encoding") == "gzip"
        return json.loads(gzip.decompress(self.raw) if packed else self.raw)

    @property
    def event_ids(self) -> list[str]:
        body = self.body
        if isinstance(body, list):
            return [event["event_id"] for event in body]
        return [one["event_id"] for one in body["labels"]] if "labels" in body else list(body["event_id"])


@dataclass
class Do:
    """What to do with a request: keep its events or not, then answer, or break off."""

    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = KEPT
    keep: bool | None = None
    """None: kept when the status is a success."""
    cut: int | None = None
    """Only so many bytes of the answer's body, then a reset."""
    gate: threading.Event | None = None
    """Answer when it is set."""


RESET = Do(keep=False, cut=-1)
KEPT_THEN_RESET = Do(keep=True, cut=-1)
HALF = Do(keep=True, cut=9)


class ScriptedServer:
    """`script` answers the requests in order, `otherwise` the rest."""

    def __init__(self, port: int = 0) -> None:
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.script: list[Do | Callable[[Request], Do]] = []
        self.otherwise: Do | Callable[[Request], Do] = Do()
        self.requests: list[Request] = []
        self.times_kept: Counter[str] = Counter()
        self.connections = 0
        self.changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._stopped = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def kept(self) -> set[str]:
        with self.changed:
            return set(self.times_kept)

    def wait_for(self, holds: Callable[[], bool], seconds: float = 20.0) -> bool:
        """Wait for a condition on what came, not for time."""
        with self.changed:
            return self.changed.wait_for(holds, seconds)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with self.changed:
                    self.connections += 1
                    self._open.add(connection)
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError, ValueError), connection, connection.makefile("rb") as reader:
            while True:
                start = reader.readline().decode().split()
                if len(start) < 2:
                    break
                headers: dict[str, str] = {}
                while (line := reader.readline().strip()) != b"":
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                request = Request(start[1], headers, reader.read(int(headers.get("content-length", "0"))))
                with self.changed:
                    chosen = self.script.pop(0) if self.script else self.otherwise
                    do = chosen(request) if callable(chosen) else chosen
                    if self._stopped:  # what is not kept must not be acknowledged
                        break
                    self.requests.append(request)
                    if do.keep or (do.keep is None and do.status < 300):
                        self.times_kept.update(request.event_ids)
                    self.changed.notify_all()
                if do.gate is not None:
                    do.gate.wait(30)
                if not self._answer(connection, do):
                    break
        with self.changed:
            self._open.discard(connection)

    def _answer(self, connection: socket.socket, do: Do) -> bool:
        if do.cut is not None and do.cut < 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        head = {"Content-Length": str(len(do.body)), "Content-Type": "application/json", **do.headers}
        lines = [f"HTTP/1.1 {do.status} Status", *(f"{name}: {value}" for name, value in head.items())]
        body = do.body if do.cut is None else do.body[: do.cut]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return do.cut is None

    def stop(self) -> None:
        """As a crash: the port is closed and so is every connection."""
        with self.changed:
            self._stopped = True
            connections = list(self._open)
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)


@contextmanager
def serving(port: int = 0) -> Iterator[ScriptedServer]:
    """A server until the block ends."""
    server = ScriptedServer(port)
    try:
        yield server
    finally:
        server.stop()


def closed_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class QuickClock:
    """A clock whose waits are over at once: an hour of backoff takes a blink."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def time_ns(self) -> int:
        return 1_700_000_000_000_000_000 + int(self.now * 1e9)

    def monotonic(self) -> float:
        return self.now

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        happened = event.wait(0.002)
        if not happened:
            with self._lock:
                self.now += timeout_s
                self.waits.append(timeout_s)
        return happened
