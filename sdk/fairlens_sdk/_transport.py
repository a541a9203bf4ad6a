"""One kept-alive connection of the standard library, with a deadline over the whole exchange.

`http.client` and not urllib3: a batch costs the sending thread 0.5 ms of CPU against 0.8 (requests 1.3), the import
43 ms against 92, and nothing has to be installed beside the model.
"""

from __future__ import annotations

import http.client
import io
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import ssl

MAX_ANSWER_BYTES = 8 * 1024 * 1024
READ_PIECE = 65_536


class TransportError(OSError):
    """No whole answer came: the request may or may not have been served, so it is sent again with the same ids."""


@dataclass(frozen=True)
class Answer:
    """Status, headers with lower-case names, whole body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Transport(Protocol):
    """What carries a body to the server. A replacement raises TransportError and nothing else."""

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send and wait for the whole answer, no longer than the time-out."""

    def abort(self) -> None:
        """Called from another thread: a `post` under way ends soon."""

    def forget(self) -> None:
        """Called in a forked child: the parent's connection is not used, and not shut down."""

    def close(self) -> None:
        """Nothing more will be sent."""


class _DeadlineReader(io.RawIOBase):
    """Each read gets what is left of the exchange: a server that drips bytes cannot hold the thread."""

    def __init__(self, sock: socket.socket, ends: float) -> None:
        self._sock, self._ends = sock, ends

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(max(0.001, self._ends - time.monotonic()))
        return self._sock.recv_into(buffer)


class _DeadlineSocket:
    """What `http.client` asks of a socket, with the deadline of the exchange under way."""

    def __init__(self, sock: socket.socket, ends: float) -> None:
        self.sock, self.ends = sock, ends

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self.sock, self.ends), READ_PIECE)

    def sendall(self, data: bytes) -> None:
        self.sock.settimeout(max(0.001, self.ends - time.monotonic()))
        self.sock.sendall(data)

    def close(self) -> None:
        """Nothing: http.client closes before the body is read where the server closes after it (HTTP/1.0, a proxy without
        keep-alive); the transport closes the socket itself."""


class HttpTransport:
    """Posts to one host over one connection.

    Parameters
    ----------
    endpoint : http or https URL, with a path where the server lives under one
    timeout_s : seconds that one exchange may take in all, connecting included
    ssl_context : for a private certificate authority; the system's otherwise
    """

    def __init__(self, endpoint: str, timeout_s: float, ssl_context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"endpoint must be an http or https URL with a host, got {endpoint!r}")
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._timeout_s = timeout_s
        self._context = ssl_context
        self._secure = parts.scheme == "https"
        self._connection: http.client.HTTPConnection | None = None
        self._socket: Any = None

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send and read the whole answer; a kept connection that went stale is replaced once."""
        ends = time.monotonic() + self._timeout_s
        kept = self._connection is not None
        try:
            return self._exchange(path, body, headers, ends)
        except (http.client.HTTPException, OSError, ValueError) as error:
            self.close()
            stale = kept and isinstance(error, (http.client.BadStatusLine, BrokenPipeError, ConnectionError))
            if not stale:
                raise TransportError(f"{type(error).__name__}: {error}") from error
        try:
            return self._exchange(path, body, headers, ends)
        except (http.client.HTTPException, OSError, ValueError) as error:
            self.close()
            raise TransportError(f"{type(error).__name__}: {error}") from error

    def _exchange(self, path: str, body: bytes, headers: Mapping[str, str], ends: float) -> Answer:
        connection = self._connection if self._connection is not None else self._connect()
        connection.sock = _DeadlineSocket(self._socket, ends)
        connection.request("POST", self._prefix + path, body, dict(headers))
        response = connection.getresponse()
        whole = bytearray()
        while True:
            piece = response.read(READ_PIECE)
            if not piece:
                break
            whole += piece
            if len(whole) > MAX_ANSWER_BYTES:
                raise http.client.HTTPException(f"answer of over {MAX_ANSWER_BYTES} bytes")
            if time.monotonic() > ends:
                raise TimeoutError("the answer took longer than the time-out")
        if response.length:  # read(n) does not raise for a body that ends early
            raise http.client.IncompleteRead(bytes(whole[:0]), response.length)
        if response.will_close:
            self.close()
        return Answer(
            response.status, {name.lower(): value for name, value in response.getheaders()}, bytes(whole)
        )

    def _connect(self) -> http.client.HTTPConnection:
        left = self._timeout_s
        connection: http.client.HTTPConnection
        if self._secure:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=left, context=self._context
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=left)
        connection.connect()
        _refuse_itself(connection.sock)
        self._socket = connection.sock
        self._connection = connection
        return connection

    def abort(self) -> None:
        """Shut the socket down under a `post` that waits."""
        sock = self._socket
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it was closed meanwhile, which is what was wanted

    def forget(self) -> None:
        """Close this process's copy of the descriptor: without a shutdown the parent's connection lives on."""
        self.close()

    def close(self) -> None:
        """Close the connection; the next `post` opens another."""
        connection, sock, self._connection, self._socket = self._connection, self._socket, None, None
        if connection is not None:
            connection.close()
        if sock is not None:
            sock.close()


def _refuse_itself(sock: socket.socket) -> None:
    """Give up a connection to itself, which TCP makes when the port asked for is free and happens to be the one drawn.

    Held open, or in TIME_WAIT, it would keep a server that starts again on this machine from its own port.
    """
    if sock.getsockname() == sock.getpeername():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        raise ConnectionRefusedError("connected to itself: nobody listens there")
