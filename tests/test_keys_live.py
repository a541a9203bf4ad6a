"""Keys rotate in a server of two workers while people use it: no 401, no 500, nothing unreadable; a killed worker is made up for."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.api import submission
from tests.conftest import PROJECT_ROOT
from tests.ingest_kit import DECLARED
from tests.live_server import LiveServer, live_server

KEYS = "/api/admin/keys"
MAIL = "ann.lee@example.org"
ROUNDS = 4


def ok(answer: tuple[int, Any]) -> Any:
    status, body = answer
    assert status < 400, body
    return body["data"]


def event(number: str, **changes: Any) -> dict[str, Any]:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {
        "event_id": number, "model_id": "hires", "model_version": "1", "timestamp": at, "features": {"email": MAIL},
        "prediction": {"label": "yes"}, "demographic_tags": {"sex": "F", "age": 41}, **changes,
    }  # fmt: skip


def keys_of(server: LiveServer, token: str) -> dict[str, Any]:
    return {one["kind"]: one for one in ok(server.call("GET", KEYS, token=token))["items"]}


def settle(server: LiveServer, token: str) -> dict[str, Any]:
    """The keys once nothing is outstanding."""
    ends = time.monotonic() + 90
    while True:
        found = keys_of(server, token)
        if all(one["settled"] for kind, one in found.items() if kind != "jwt"):
            return found
        assert time.monotonic() < ends, found
        threading.Event().wait(0.5)


def register(server: LiveServer, token: str) -> None:
    body = {"model_name": "hires", "version": "1", **DECLARED}
    ok(server.call("POST", "/api/models/register", body, token))


def test_all_keys_rotate_under_use(tmp_path: Path, postgres_database: str | None) -> None:
    """Four users at once submit, log in, ingest and read a text, with tokens from before the first rotation."""
    with live_server(tmp_path, DATABASE_URL=postgres_database or "") as server:
        token = server.login()
        register(server, token)
        record = ok(server.call("POST", "/api/submit_predictions", submission(), token))["record_id"]
        text = ok(server.call("GET", f"/api/alerts/{record}/text", token=token))["text"]
        over, wrong, done = threading.Event(), [], [0, 0, 0, 0]

        def login(number: int) -> None:
            ok(server.call("GET", "/api/models", token=server.login()))

        def submit(number: int) -> None:
            ok(server.call("POST", "/api/submit_predictions", submission(), token))

        def ingest(number: int) -> None:
            taken = ok(
                server.call(
                    "POST",
                    "/v1/predictions/ingest",
                    [event(f"e{number}"), event(f"x{number}", prediction=5)],
                    token,
                )
            )
            assert taken["queued"] == 1

        def read(number: int) -> None:
            assert ok(server.call("GET", f"/api/alerts/{record}/text", token=token))["text"] == text

        def again(place: int, do: Any) -> None:
            while not over.is_set():
                try:
                    do(done[place])
                except Exception as error:  # noqa: BLE001 (whatever it is, the test is to fail by it)
                    wrong.append(error)
                    return
                done[place] += 1

        threads = [
            threading.Thread(target=again, args=pair) for pair in enumerate((login, submit, ingest, read))
        ]
        for thread in threads:
            thread.start()
        for _ in range(ROUNDS):
            for kind in ("data", "jwt", "tokens", "ledger"):
                ok(server.call("POST", f"{KEYS}/{kind}/rotate", {}, token))
        over.set()
        for thread in threads:
            thread.join()
        assert wrong == [] and all(done), (wrong, done)
        assert {kind: one["version"] for kind, one in settle(server, token).items()} == {
            "data": 1 + ROUNDS, "jwt": 1 + ROUNDS, "tokens": 1 + ROUNDS, "ledger": 1 + ROUNDS, "master": 1,
        }  # fmt: skip
        read(0)
        ok(server.call("GET", "/api/health?ready=1"))
        assert server.log.count("KEY_ROTATED") >= 4 * ROUNDS


def workers_of(pid: int) -> list[int]:
    told = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(one) for one in told.stdout.split()]


def test_workers_that_are_killed_in_the_middle_of_the_work_are_made_up_for(
    tmp_path: Path, postgres_database: str | None
) -> None:
    """kill −9 of both workers right after a rotation, twice: everything comes under the newest keys all the same."""
    given = {"DATABASE_URL": postgres_database or "", "JOB_LEASE_S": "1"}
    with live_server(tmp_path, **given) as server:
        token = server.login()
        register(server, token)
        records = [
            ok(server.call("POST", "/api/submit_predictions", submission(), token))["record_id"]
            for _ in range(10)
        ]
        for start in range(0, 1000, 200):
            ok(
                server.call(
                    "POST",
                    "/v1/predictions/ingest",
                    [event(f"x{start + n}", prediction=5) for n in range(200)],
                    token,
                )
            )
            ok(
                server.call(
                    "POST", "/v1/predictions/ingest", [event(f"e{start + n}") for n in range(200)], token
                )
            )
        for _ in range(2):
            ok(server.call("POST", f"{KEYS}/data/rotate", {}, token))
            ok(server.call("POST", f"{KEYS}/tokens/rotate", {}, token))
            for worker in workers_of(server.pid):
                os.kill(worker, signal.SIGKILL)
            assert ok(server.call("GET", "/api/health"))
        found = settle(server, token)
        assert (found["data"]["version"], found["tokens"]["version"]) == (3, 3)
        assert set(found["data"]["outstanding"].values()) | set(found["tokens"]["outstanding"].values()) == {
            0
        }
        for record in records:
            assert ok(server.call("GET", f"/api/alerts/{record}/text", token=token))["text"]


def test_a_command_beside_the_server_rotates_and_revokes(
    tmp_path: Path, postgres_database: str | None
) -> None:
    """The workers take the new key with its first token, and refuse the old login at once after --revoke."""
    with live_server(tmp_path, DATABASE_URL=postgres_database or "") as server:
        token = server.login()

        def command(*words: str, **changed: str) -> str:
            run = subprocess.run(
                [sys.executable, "-m", "fairlens_backend", "rotate-key", *words],
                env={**os.environ, **server.environ, **changed}, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert run.returncode == 0, run.stderr
            return run.stdout

        assert "version 2 is in use" in command("jwt")
        for _ in range(8):
            ok(server.call("GET", "/api/models", token=token))
            ok(server.call("GET", "/api/models", token=server.login()))
        assert "every login has ended" in command("jwt", "--revoke")
        for _ in range(8):
            assert server.call("GET", "/api/models", token=token)[0] == 401
            ok(server.call("GET", "/api/models", token=server.login()))
        follows = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
        assert "wrapped by both master keys" in command("master", FERNET_KEY_NEXT=follows)
        ok(server.call("GET", "/api/models", token=server.login()))
        assert server.call("POST", f"{KEYS}/data/rotate", {}, server.login())[0] == 409
    with live_server(tmp_path, DATABASE_URL=postgres_database or "", FERNET_KEY=follows) as server:
        token = server.login()
        assert (
            ok(server.call("POST", f"{KEYS}/master/retire", {}, token))["retired"] == 3
        )  # the root, the data key, the key of logins
        ok(server.call("POST", f"{KEYS}/data/rotate", {}, token))


@pytest.mark.parametrize("key", ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="])
def test_a_server_with_the_wrong_master_key_does_not_start(tmp_path: Path, key: str) -> None:
    """It says which setting is wrong, before it has written anything with that key."""
    with live_server(tmp_path):
        pass
    with pytest.raises(AssertionError, match="Set FERNET_KEY"), live_server(tmp_path, FERNET_KEY=key):
        pass
