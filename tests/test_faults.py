"""What breaks around the application: a full disk, a locked database, a torn log, many writers."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from fairlens_backend import compliance_logger, config, evidence_files
from tests.api import REGISTER, SUBMIT, assert_envelope, log_in, new_people, submission
from tests.conftest import TEST_SECRETS
from tests.live_server import live_server

MakeApp = Callable[..., Flask]
HISTORY = "/api/audit_history?limit=100"
PASSWORD = TEST_SECRETS["ADMIN_PASSWORD"]


@pytest.fixture
def only_sqlite(postgres_url: str | None) -> None:
    """SQLite's own faults; PostgreSQL has none of these."""
    if postgres_url is not None:
        pytest.skip("a fault of SQLite's file; the database here is PostgreSQL")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """A file that leaves no byte of the disk."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file:
        for piece in (65536, 4096, 1):
            try:
                while file.write(b"x" * piece):
                    pass
            except OSError:
                continue
    assert shutil.disk_usage(folder).free == 0
    return path


def test_a_full_disk(make_app: MakeApp, small_disk: Path, only_sqlite: None) -> None:
    """While it is full every write is 503 with Retry-After and nothing is half written; when there is room, all goes on."""
    app = make_app(
        DATA_DIR=str(small_disk / "data"), MODELS_DIR=str(small_disk / "models"), MIN_FREE_DISK_MB="1"
    )
    admin = log_in(app, "admin", PASSWORD)
    for _ in range(3):
        assert_envelope(admin.post(SUBMIT, submission()), 200)
    ballast = fill(small_disk)
    taken = 0
    for _ in range(30):
        # What still fits into pages that were the database's already may go in, but then as a whole.
        answer = admin.post(SUBMIT, submission())
        taken += answer.status_code == 200
        if answer.status_code != 200:
            assert_envelope(answer, 503, "unavailable")
    assert answer.status_code == 503
    assert_envelope(
        admin.upload(REGISTER, {"model_name": "big"}, "artefact", b"x" * 500_000), 503, "unavailable"
    )
    assert_envelope(admin.get("/api/health"), 200)
    parts = assert_envelope(admin.get("/api/health?ready=1"), 503)["parts"]
    assert parts["disk"]["ok"] is False and "MIN_FREE_DISK_MB" in parts["disk"]["reason"]
    ballast.unlink()
    assert len(assert_envelope(admin.get(HISTORY), 200)["items"]) == 3 + taken
    last = assert_envelope(admin.post(SUBMIT, submission()), 200)
    assert_envelope(admin.upload(REGISTER, {"model_name": "big"}, "artefact", b"x" * 500_000), 201)
    assert [path.suffix for path in (small_disk / "models").iterdir()] == [".pkl"]
    verified = compliance_logger.verify_all()
    assert verified["ok"] and verified["records"] == verified["lines"] == verified["anchors"] == 4 + taken
    assert assert_envelope(admin.get(f"/api/verify_alert/{last['record_id']}"), 200)["valid"]
    assert_envelope(admin.get("/api/health?ready=1"), 200)


def test_a_locked_database(make_app: MakeApp, only_sqlite: None) -> None:
    """Another process holds the write lock: writes are 503 with Retry-After and leave nothing, reads go on."""
    app = make_app(DATABASE_BUSY_TIMEOUT_MS="50")
    admin = log_in(app, "admin", PASSWORD)
    assert_envelope(admin.post(SUBMIT, submission()), 200)
    before = compliance_logger.verify_all()
    other = sqlite3.connect(config.current().data_path / "fairlens.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for answer in (
        admin.post(SUBMIT, submission()),
        admin.post(REGISTER, {"model_name": "m"}),
        admin.upload(REGISTER, {"model_name": "m"}, "artefact", b"x"),
        admin.post("/api/login", {"username": "admin", "password": PASSWORD}),
        admin.post("/api/admin/api_keys", {"name": "k", "scope": "submit"}),
    ):
        assert_envelope(answer, 503, "unavailable")
    assert len(assert_envelope(admin.get(HISTORY), 200)["items"]) == 1
    assert_envelope(admin.get("/api/fairness_trend"), 200)
    other.execute("ROLLBACK")
    other.close()
    assert compliance_logger.verify_all() == before
    assert assert_envelope(admin.get("/api/models"), 200)["items"] == []
    assert_envelope(admin.post(SUBMIT, submission()), 200)


def test_a_database_that_is_gone(make_app: MakeApp) -> None:
    """No database at the address: 503 at every door that needs it, liveness stays."""
    from fairlens_backend.storage import session

    app = make_app()
    admin = log_in(app, "admin", PASSWORD)
    config.use(
        config.load_settings(
            {
                **TEST_SECRETS,
                "CLOCK_ENABLED": "false",
                "LOG_LEVEL": "error",
                "DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:9/none?connect_timeout=2",
            }
        )
    )
    try:
        assert_envelope(admin.get("/api/health"), 200)
        assert_envelope(admin.get("/api/health?ready=1"), 503, "unavailable")
        assert_envelope(admin.get(HISTORY), 503, "unavailable")
        assert_envelope(
            admin.post("/api/login", {"username": "admin", "password": PASSWORD}), 503, "unavailable"
        )
        assert_envelope(admin.get("/api/monitor_fairness"), 200)
    finally:
        session.dispose_engines()


def test_a_log_that_is_cut_in_the_middle_of_a_line(make_app: MakeApp) -> None:
    """Health says that the log was damaged, verification which record's line; the others stay valid."""
    admin = log_in(make_app(), "admin", PASSWORD)
    ids = [assert_envelope(admin.post(SUBMIT, submission()), 200)["record_id"] for _ in range(3)]
    path = evidence_files.log_path()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 100])
    ledger = assert_envelope(admin.get("/api/health?ready=1"), 503, "unavailable")["parts"]["ledger"]
    assert ledger["ok"] is False and ledger["damaged"]
    verdicts = [assert_envelope(admin.get(f"/api/verify_alert/{one}"), 200) for one in ids]
    assert [one["valid"] for one in verdicts] == [True, True, False]
    assert verdicts[2]["failed"] == ["line"] and "line" in verdicts[2]["message"]
    # The next check is taken and proven all the same; the damage stays told until an operator acknowledges it.
    after = assert_envelope(admin.post(SUBMIT, submission()), 200)["record_id"]
    assert assert_envelope(admin.get(f"/api/verify_alert/{after}"), 200)["valid"]
    assert_envelope(admin.get("/api/health?ready=1"), 503)
    assert compliance_logger.verify_all()["ok"] is False


def test_four_workers_write_at_once(tmp_path: Path, postgres_database: str | None) -> None:
    """4 × 25 submissions at once through four processes: all are answered 200, none is lost, chain and log verify."""
    with live_server(tmp_path, workers=4, DATABASE_URL=postgres_database or "") as server:
        token = server.login()

        def work(worker: int) -> list[str]:
            bodies = (submission(model_name=f"model-{worker}") for _ in range(25))
            answers = [server.call("POST", SUBMIT, body, token) for body in bodies]
            assert [status for status, _ in answers] == [200] * 25, answers
            return [answer["data"]["record_id"] for _, answer in answers]

        with ThreadPoolExecutor(4) as pool:
            ids = {one for found in pool.map(work, range(4)) for one in found}
        assert len(ids) == 100
        listed: list[str] = []
        cursor = ""
        while True:
            status, page = server.call("GET", f"/api/audit_history?limit=30{cursor}", token=token)
            assert status == 200
            listed += [item["record_id"] for item in page["data"]["items"]]
            if page["data"]["next_cursor"] is None:
                break
            cursor = f"&cursor={page['data']['next_cursor']}"
        assert sorted(listed) == sorted(ids)
        settings = server.settings
    config.use(settings)
    verified = compliance_logger.verify_all()
    assert (verified["ok"], verified["records"], verified["lines"], verified["anchors"]) == (
        True,
        100,
        100,
        100,
    )


def test_a_disk_that_fills_outside_of_the_database(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an upload is put aside, or wherever else room is missing: 503, not a fault of the server."""
    import errno

    from fairlens_backend import prediction_submission

    def full(*_given: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    people = new_people(app)
    monkeypatch.setattr(prediction_submission, "submit", full)
    assert_envelope(people.monitor.post(SUBMIT, submission()), 503, "unavailable")
