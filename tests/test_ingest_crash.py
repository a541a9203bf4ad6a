"""Ingest while processes die and race: no accepted event is lost, none counts twice."""

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from fairlens_backend import config, count_keeper
from fairlens_backend.errors import Unavailable
from fairlens_backend.storage import ingest_writer, session
from tests.ingest_kit import NOW, day_window, event, label, register, send

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 10

# Sends batches for ever and says after each answer which one it was; folds and labels in between.
SENDER = """
import sys
from datetime import timedelta
from fairlens_backend import count_keeper
from tests.ingest_kit import NOW, event, label, send
round_, n = sys.argv[1], int(sys.argv[2])
for k in range(n):
    ids = [f"{round_}-{k}-{i}" for i in range(20)]
    send([event(one, timestamp=(NOW - timedelta(minutes=k * 7 % 300)).isoformat()) for one in ids])
    print(f"{round_}-{k}", flush=True)
    label([(one, "good" if i % 2 else "bad") for i, one in enumerate(ids)])
    if k % 3 == 0:
        count_keeper.compact(NOW)
"""


@pytest.fixture(autouse=True)
def model(database: None) -> None:
    """The model `hiring`, registered."""
    register()


def start(code: str, *arguments: str) -> "subprocess.Popen[str]":
    """A process on this test's database."""
    environ = {name.upper(): str(value) for name, value in vars(config.current()).items()}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, **environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def assert_counts_are_the_rows(total: int) -> None:
    """The window has so many decisions, and each day's counts are those of its raw rows."""
    assert count_keeper.window_table("acme", "hiring", *day_window()).total == total
    for day in (NOW.date(), NOW.date() - timedelta(days=1)):
        assert all(one["equal"] for one in count_keeper.check_counts("acme", "hiring", day))


def test_killed_processes_lose_and_double_nothing() -> None:
    """SIGKILL at ten instants: what was answered is there, what is sent again counts once, counts are the rows'."""
    chance = random.Random(4)
    accepted: list[str] = []
    for number in range(ROUNDS):
        process = start(SENDER, str(number), "100000")
        assert process.stdout is not None
        # From the first answer on: the start of a process is no part of what is tested.
        accepted.append(process.stdout.readline().strip())
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        accepted += process.stdout.read().split()
        process.wait()
    before = count_keeper.window_table("acme", "hiring", *day_window()).total
    # The batch that was under way is there wholly or not at all.
    assert before % 20 == 0 and 0 <= before - 20 * len(accepted) <= 20 * ROUNDS
    assert_counts_are_the_rows(before)
    for one in accepted:
        again = send([event(f"{one}-{i}") for i in range(20)])
        assert (again["queued"], again["duplicates"]) == (0, 20)
    assert_counts_are_the_rows(before)
    count_keeper.compact(NOW)
    assert_counts_are_the_rows(before)


def test_processes_that_send_the_same_ids_count_them_once() -> None:
    """Three senders of the same 40 batches at once, in any order: 800 decisions."""
    processes = [start(SENDER, "same", "40") for _ in range(3)]
    outcomes = [(process.communicate()[0].count("\n"), process.returncode) for process in processes]
    assert outcomes == [(40, 0)] * 3
    assert_counts_are_the_rows(800)


def test_a_failed_commit_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither rows nor counts nor remembered ids: the same events are new when they come again."""
    real, failing = ingest_writer._apply, [True]

    def fails(taken: object) -> None:
        real(taken)  # type: ignore[arg-type]
        if failing.pop():
            raise Unavailable("The database's disk is full; nothing was stored.", retry_after_s=60)
        failing.append(False)

    monkeypatch.setattr(ingest_writer, "_apply", fails)
    with pytest.raises(Unavailable):
        send([event("a"), event("b", demographic_tags={"sex": "X"})])
    failing.append(False)
    assert send([event("c", demographic_tags={"sex": "Y"})])["queued"] == 1
    assert send([event("a"), event("b", demographic_tags={"sex": "X"})])["queued"] == 2
    assert label([("a", "good")])["joined"] == 1
    assert_counts_are_the_rows(3)


def test_a_full_disk_is_503_and_later_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite with no page left: nothing of the batch is kept; with space again it is new."""
    if session.is_postgresql():
        pytest.skip("SQLite's own limit on the file stands for the disk")
    send([event("first")])
    with session.unit_of_work() as rows:
        pages = int(rows.connection().exec_driver_sql("PRAGMA page_count").scalar_one())
    engine = session.engine()
    many = [event(f"e{i}") for i in range(500)]
    with engine.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    # The pool gives the same connection again: the limit is the connection's.
    with pytest.raises(Unavailable, match="full"):
        for k in range(50):
            send([{**one, "event_id": f"{k}-{one['event_id']}"} for one in many])
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    total = count_keeper.window_table("acme", "hiring", *day_window()).total
    assert total % 500 == 1
    assert send([{**one, "event_id": f"last-{one['event_id']}"} for one in many])["queued"] == 500
    assert_counts_are_the_rows(total + 500)
