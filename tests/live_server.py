"""The real application in processes of its own: gunicorn with two workers on a free loopback port.

with live_server(tmp_path, RATE_LIMIT_LOGIN="3 per minute") as server:
    status, answer = server.call("GET", "/api/models", token=server.login())
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError

from fairlens_backend import config
from tests.conftest import PROJECT_ROOT, TEST_SECRETS

START_TIMEOUT_S = 90  # two workers import scikit-learn and migrate on cores that other tests use too
STOP_TIMEOUT_S = 25  # gunicorn gives its workers 20 s
_open = request.build_opener(request.ProxyHandler({})).open  # a proxy cannot reach this machine's loopback


@dataclass(frozen=True)
class LiveServer:
    """A running server: where it is, what it was started with, what it wrote to its log."""

    url: str
    port: int
    pid: int
    settings: config.Settings
    environ: dict[str, str]
    log_path: Path

    @property
    def data_dir(self) -> Path:
        """The folder of its database, log and anchors."""
        return self.settings.data_path

    @property
    def log(self) -> str:
        """What it wrote until now, one JSON line an event."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 60,
    ) -> tuple[int, Any]:
        """Status and decoded JSON of one call; `body` is sent as JSON, or as it is when it is bytes."""
        sent = dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        if token:
            sent["Authorization"] = f"Bearer {token}"
        asked = request.Request(self.url + path, data=body, method=method, headers=sent)
        try:
            with _open(asked, timeout=timeout_s) as answer:
                return answer.status, json.load(answer)
        except HTTPError as error:
            with error:
                return error.code, json.load(error)
        except URLError as error:
            raise AssertionError(
                f"no answer ({error.reason}); the server's log ends:\n{_end_of(self.log_path)}"
            ) from error

    def login(self, username: str | None = None, password: str | None = None) -> str:
        """The access token of the first administrator, or of the named user."""
        body = {
            "username": username or self.settings.admin_username,
            "password": password or self.settings.admin_password,
        }
        status, answer = self.call("POST", "/api/login", body)
        assert status == 200, answer
        return str(answer["data"]["access_token"])


@contextmanager
def live_server(tmp_path: Path, *, workers: int = 2, port: int = 0, **settings: str) -> Iterator[LiveServer]:
    """Start the application below `tmp_path`, wait for its first answer, stop it at the end.

    Parameters
    ----------
    tmp_path : an empty folder; database, log, anchors and artefacts go below it
    workers : gunicorn's processes
    port : of an earlier server of this folder that is started again; 0 for a free one
    settings : by their names, as text, over fixed secrets, generous rate limits and a quick clock;
        DATABASE_URL for another database than SQLite in the folder
    """
    environ = _environment(tmp_path, settings)
    # The listening socket is handed over: no port is free now and taken a moment later, and the first call waits
    # in its backlog until a worker is there, or is reset when none comes.
    listener = _listen(port)
    port = listener.getsockname()[1]
    environ |= {"HOST": "127.0.0.1", "PORT": str(port)}
    command = [sys.executable, "-m", "gunicorn", "-c", str(PROJECT_ROOT / "gunicorn.conf.py")]
    command += ["--bind", f"fd://{listener.fileno()}", "--workers", str(workers)]
    log_path = tmp_path / "server.log"
    with listener, log_path.open("wb") as log:
        process = subprocess.Popen(
            [*command, "fairlens_backend.app:create_app()"],
            cwd=PROJECT_ROOT,
            env={**_base(), **environ},
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, log_path)
        yield LiveServer(url, port, process.pid, config.load_settings(environ), environ, log_path)
        # A worker that cannot start takes gunicorn with it, after another one has answered; kill -9 is a test's own doing.
        assert process.poll() in (None, -signal.SIGKILL), f"the server ended by itself:\n{_end_of(log_path)}"
    finally:
        _stop(process)


def _listen(port: int) -> socket.socket:
    """A listening socket; the workers of a server that was just killed may hold theirs some milliseconds longer."""
    ends = time.monotonic() + STOP_TIMEOUT_S
    while True:
        try:
            return socket.create_server(("127.0.0.1", port), backlog=128)
        except OSError:
            if not port or time.monotonic() > ends:
                raise
            time.sleep(0.02)


def _environment(tmp_path: Path, given: dict[str, str]) -> dict[str, str]:
    """Every setting, so that neither a `.env` nor the caller's own environment reaches the server."""
    names = {declared.name.upper() for declared in fields(config.Settings)}
    unknown = set(given) - names
    assert not unknown, f"not settings: {sorted(unknown)}"
    return {
        **dict.fromkeys(names, ""),
        **TEST_SECRETS,
        "DATA_DIR": str(tmp_path / "data"),
        "MODELS_DIR": str(tmp_path / "models"),
        "CLOCK_INTERVAL_S": "0.2",
        "RATE_LIMIT_DEFAULT": "100000 per minute",
        "RATE_LIMIT_LOGIN": "100000 per minute",
        **given,
    }


def _base() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}


def _wait(url: str, log_path: Path) -> None:
    try:
        with _open(f"{url}/api/health", timeout=START_TIMEOUT_S) as answer:
            assert answer.status == 200
    except OSError as error:
        raise AssertionError(f"the server did not start ({error}):\n{_end_of(log_path)}") from error


def _end_of(log_path: Path) -> str:
    return log_path.read_text(encoding="utf-8", errors="replace")[-4000:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process that was started, and what it may have left behind in its own session."""
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
