"""Ingest on a real server whose workers are killed, whose disk is full, whose database goes away, whose clock is wrong.

FAIRLENS_FAULT_ROUNDS is how many workers are killed (4 where it is not set), FAIRLENS_FAULT_AWAY_S for how many seconds the
database is away (2).
"""

import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fairlens_backend.storage import session
from tests.ingest_kit import event, label, minute, register, send
from tests.ingest_senders import Sender, assert_all_is_there, finish, prepare
from tests.live_server import LiveServer, live_server
from tests.postgres_server import PostgresServer, why_absent

ROUNDS = int(os.environ.get("FAIRLENS_FAULT_ROUNDS", "4"))
AWAY_S = float(os.environ.get("FAIRLENS_FAULT_AWAY_S", "2"))


def workers_of(server: LiveServer) -> list[int]:
    """The processes below gunicorn's own."""
    listed = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text(encoding="ascii")
    return [int(one) for one in listed.split()]


@contextmanager
def sending(server: LiveServer, n: int = 3) -> Iterator[list[Sender]]:
    """So many senders at work; whatever happens, they stop."""
    headers = prepare(server)
    senders = [Sender(server, headers, f"s{k}", seed=k) for k in range(n)]
    for one in senders:
        one.start()
    try:
        yield senders
    finally:
        for one in senders:
            one.stop.set()


def test_killed_workers_lose_and_double_nothing(
    tmp_path: Path, postgres_database: str | None, record_property: Callable[[str, object], None]
) -> None:
    """SIGKILL of a worker at seeded instants while events, labels and folds go on; every accepted row counts once."""
    chance, wait = random.Random(11), threading.Event()
    with live_server(tmp_path, workers=2, DATABASE_URL=postgres_database or "") as server:
        with sending(server) as senders:
            for number in range(ROUNDS):
                # After the last kill something must have been accepted, or nothing was tested.
                assert senders[number % 3].accepted.acquire(timeout=90)
                wait.wait(chance.uniform(0, 0.4))
                while not (running := workers_of(server)):  # between two of them there may be none
                    wait.wait(0.05)
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(running), signal.SIGKILL)
                while senders[number % 3].accepted.acquire(blocking=False):
                    pass
            assert senders[0].accepted.acquire(timeout=90)
            seen = finish(senders)
        table = assert_all_is_there(server, senders)
        record_property("accepted", table.total)
        record_property("answers", dict(seen))
        assert server.log.count('"REQUEST_FAILED"') == 0


@pytest.mark.skipif(why_absent() is not None, reason=str(why_absent()))
def test_a_database_that_goes_away_is_503_and_comes_back(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """PostgreSQL stopped under load and started again: 503 with Retry-After meanwhile, nothing lost, no restart needed."""
    database, wait = PostgresServer(tmp_path, durable=True), threading.Event()
    try:
        with live_server(tmp_path, workers=2, DATABASE_URL=database.url) as server:
            before = workers_of(server)
            with sending(server) as senders:
                assert senders[0].accepted.acquire(timeout=60)
                database.halt()
                headers = {**senders[0].headers}
                status, answer = server.call(
                    "POST", "/v1/predictions/ingest", [event("away")], headers=headers
                )
                assert status == 503 and answer["error"]["code"] == "unavailable"
                assert server.call("GET", "/api/health")[0] == 200  # alive, only not ready
                assert server.call("GET", "/api/health?ready=1")[0] == 503
                wait.wait(AWAY_S)
                assert database.start()
                while senders[0].accepted.acquire(blocking=False):
                    pass
                assert all(one.accepted.acquire(timeout=60) for one in senders)
                seen = finish(senders)
            table = assert_all_is_there(server, senders)
            record_property("accepted", table.total)
            record_property("answers", dict(seen))
            assert seen["503"] > 0 and seen["retry_after"] == seen["503"] + seen["429"]
            assert workers_of(server) == before
            session.dispose_engines()
    finally:
        database.remove()


def test_a_full_disk_is_503_and_loses_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """A folder of 24 MB that fills up under load: 503 with Retry-After; with space again the same senders go on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("no small disk can be mounted here")
    try:
        with live_server(tmp_path, workers=2, DATA_DIR=str(disk / "data"), DATABASE_URL="") as server:
            with sending(server) as senders:
                assert senders[0].accepted.acquire(timeout=60)
                filler, block = disk / "filler", b"\0" * 65_536
                with filler.open("wb", buffering=0) as file, suppress(OSError):
                    while True:
                        file.write(block)
                wait = threading.Event()
                for _ in range(600):
                    if all(one.seen["503"] for one in senders):
                        break
                    wait.wait(0.1)
                assert all(one.seen["503"] for one in senders)
                filler.unlink()
                for one in senders:
                    while one.accepted.acquire(blocking=False):
                        pass
                assert all(one.accepted.acquire(timeout=60) for one in senders)
                seen = finish(senders)
            record_property("answers", dict(seen))
            assert seen["retry_after"] == seen["503"] + seen["429"]
            assert_all_is_there(server, senders)
            session.dispose_engines()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("skew_h", [-1, 0, 1])
def test_a_servers_clock_may_be_an_hour_off(skew_h: int) -> None:
    """Events count in the minute of their own time, whatever the server's clock says; labels find them there."""
    from fairlens_backend import count_keeper

    register()
    true_now = datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC)  # half a minute before clocks in Europe change
    now = true_now + timedelta(hours=skew_h)
    times = [true_now - timedelta(days=31), true_now - timedelta(minutes=1), true_now]
    said = send([event(f"e{i}", timestamp=at.isoformat()) for i, at in enumerate(times)], now=now)
    assert (said["queued"], said["rejected"]) == (3, [])
    assert label([("e0", "good"), ("e1", "bad")], now=now - timedelta(hours=2))["joined"] == 2
    for at in times:
        start = at.replace(second=0)
        table = count_keeper.window_table("acme", "hiring", start, start + timedelta(minutes=1))
        assert table.total == 1, at
    assert all(one["equal"] for at in times for one in count_keeper.check_counts("acme", "hiring", at.date()))


@pytest.mark.usefixtures("database")
def test_tomorrows_events_are_set_aside() -> None:
    """Beyond INGEST_MAX_AHEAD_S (an hour) a time is a mistake: the event is a dead letter and counts nowhere."""
    from fairlens_backend import count_keeper

    register()
    now = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
    ahead = {"soon": timedelta(minutes=45), "edge": timedelta(hours=1), "late": timedelta(hours=1, seconds=1)}
    ahead |= {"tomorrow": timedelta(days=1)}
    said = send([event(name, timestamp=(now + by).isoformat()) for name, by in ahead.items()], now=now)
    assert said["event_ids"] == ["soon", "edge"]
    assert [(one["index"], one["errors"][0]["field"]) for one in said["rejected"]] == [
        (2, "timestamp"),
        (3, "timestamp"),
    ]
    # 00:15 of the next day is the next day's, hour and minute.
    midnight = now.replace(hour=0, minute=0) + timedelta(days=1)
    table = count_keeper.window_table("acme", "hiring", midnight, midnight + timedelta(days=1))
    assert table.total == 2
    in_minute = count_keeper.window_table(
        "acme", "hiring", midnight + timedelta(minutes=15), midnight + timedelta(minutes=16)
    )
    assert in_minute.total == 1 and minute(midnight) % 1440 == 0
    count_keeper.compact(now)
    assert (
        count_keeper.window_table("acme", "hiring", midnight, midnight + timedelta(days=1)).total
        == table.total
    )
