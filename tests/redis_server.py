"""A throw-away Redis for the tests: Debian's redis-server on a free port, its folder empty at the start and gone at the end."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 20


@dataclass
class RedisServer:
    """A running server: its address, and the process that can be stopped, frozen and started again."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its address as REDIS_URL takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def stop(self) -> None:
        """End the process; what was written is in its folder."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start it again, on its port and folder."""
        self.process = _spawn(self.port, self.folder)
        if not _answers(self.process, self.port):
            raise RuntimeError("redis-server did not start again")


def why_absent() -> str | None:
    """The reason why no server can be started here, or None when one can."""
    if shutil.which("redis-server") is None:
        return "Redis is not installed (Debian: apt-get install redis-server)"
    return None


def start_redis() -> tuple[RedisServer, Callable[[], None]] | str:
    """Start an empty server that writes every change down; the server and the function that ends it, or why not."""
    reason = why_absent()
    if reason is not None:
        return reason
    folder = Path(tempfile.mkdtemp(prefix="fairlens-redis-"))
    for _ in range(3):  # a port that was free may be taken before the server binds it
        port = _free_port()
        server = RedisServer(port, folder, _spawn(port, folder))
        if _answers(server.process, port):
            break
    else:
        text = (folder / "server.log").read_text(errors="replace")
        shutil.rmtree(folder, ignore_errors=True)
        raise RuntimeError(f"redis-server did not start: {text[-2000:]}")

    def end() -> None:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)

    return server, end


def _spawn(port: int, folder: Path) -> subprocess.Popen[bytes]:
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "dir": folder,
        "save": "",
        "appendonly": "yes",
        "appendfsync": "always",
    }
    command = [
        "redis-server",
        *(part for name, value in options.items() for part in (f"--{name}", str(value))),
    ]
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the server answers a PING within 20 s; False at once when it ended."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return True
        except OSError:
            pass
        time.sleep(0.02)  # a process coming up has no event to wait for
    if process.poll() is None:
        process.kill()
    process.wait()
    return False
