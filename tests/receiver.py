"""A webhook receiver on loopback that answers by script and keeps what came. It checks nothing by the code under test."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Where to post to, what came, and what to answer: the last answer repeats."""

    port: int
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=lambda: [(200, {})])
    received: list[Received] = field(default_factory=list)
    body: bytes = b"{}"
    on_receive: Callable[[Received, Any], None] | None = None
    """Called before the answer, with the request and its connection."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def script(self, *answers: int | tuple[int, dict[str, str]]) -> None:
        self.answers = [(one, {}) if isinstance(one, int) else one for one in answers]


@contextmanager
def running_receiver(tls: Any = None) -> Iterator[Receiver]:
    """Serve until the block ends; `tls` is an SSLContext of a server."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            with lock:
                place.received.append(request)
                status, headers = place.answers[min(len(place.received), len(place.answers)) - 1]
            if place.on_receive is not None:
                place.on_receive(request, self.connection)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(place.body)))
            self.end_headers()
            self.wfile.write(place.body)

        def handle(self) -> None:
            with suppress(OSError):  # the sender hangs up, as some tests want
                super().handle()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    place = Receiver(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield place
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ids(received: Sequence[Received]) -> list[str]:
    """The delivery ids, in the order of arrival."""
    return [one.headers["x-fairlens-delivery"] for one in received]
