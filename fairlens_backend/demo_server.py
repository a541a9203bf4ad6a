"""A server of a demonstration's own: on a free port of this machine, in a folder that is gone afterwards."""

import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fairlens_backend import config
from fairlens_backend.demo_client import Api
from fairlens_backend.errors import Unavailable

START_S: Final = 90.0
STOP_S: Final = 10.0
_LOG_TAIL: Final = 2_000


@dataclass(frozen=True)
class OwnServer:
    """Where it is, and an administrator's way in."""

    url: str
    password: str
    folder: Path


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Start the application as another process, wait until it answers, end it and remove its folder.

    Raises
    ------
    Unavailable : it did not start; the message has the end of its log
    """
    folder = Path(tempfile.mkdtemp(prefix="fairlens-demo-"))
    password, port = secrets.token_urlsafe(18), _free_port()
    environ = config.child_environment(
        {
            "DATA_DIR": str(folder / "data"),
            "MODELS_DIR": str(folder / "models"),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "ADMIN_PASSWORD": password,
            "CLOCK_ENABLED": "false",  # the demonstration asks for its audits itself, in its own time
            "LOG_LEVEL": "warning",
            "RATE_LIMIT_DEFAULT": "100000 per minute",
            "OMP_NUM_THREADS": "1",
        }
    )
    url = f"http://127.0.0.1:{port}"
    try:
        with (folder / "server.log").open("wb") as log:
            # In a session of its own, so that Ctrl-C reaches it through us alone.
            process = subprocess.Popen(
                [sys.executable, "-m", "fairlens_backend.app"],
                cwd=config.PROJECT_ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait(process, url, folder / "server.log")
            yield OwnServer(url, password, folder)
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    ends = time.monotonic() + START_S
    while True:
        try:
            Api(url).call("GET", "/api/health")
            return
        except Unavailable:
            if process.poll() is not None or time.monotonic() > ends:
                tail = log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]
                raise Unavailable(
                    f"The demonstration's own server did not start:\n{tail}", retry_after_s=0
                ) from None
        time.sleep(0.1)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
