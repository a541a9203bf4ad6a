"""Audits on the clock while workers die and race: each window once, whatever happens, and the schedule goes on.

FAIRLENS_KILL_ROUNDS=50 makes as many rounds of SIGKILL as a release is held to, and as many windows for two hosts on PostgreSQL.
"""

import json
import os
import random
import select
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from fairlens_backend import (
    compliance_logger,
    config,
    count_keeper,
    prediction_ingest,
    schedule_keeper,
    window_planner,
)
from fairlens_backend.errors import FairLensError, Unavailable
from fairlens_backend.schemas.schedules import ScheduleRequest
from fairlens_backend.storage import session
from fairlens_backend.storage.schedule_tables import AuditWindow, Schedule
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.storage.tables import Audit, FairnessCheck
from tests.clock_kit import quick
from tests.ingest_kit import SENDER, event, label, register, send

ROUNDS = int(os.environ.get("FAIRLENS_KILL_ROUNDS", "4"))
HELD_TO_A_RELEASE = "FAIRLENS_KILL_ROUNDS" in os.environ
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def settings_of_this(make_settings: Callable[..., config.Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """Short leases, much to make up for, audits without resampling."""
    quick(monkeypatch.setattr)
    made = make_settings(
        AUDIT_LEASE_S="1",
        AUDIT_CATCH_UP="2000",
        AUDITS_PER_TICK="6",
        AUDIT_SETTLE_S="0",
        REAUDIT_SHARE="0.01",
    )
    from fairlens_backend.storage import tables

    tables.Base.metadata.create_all(session.engine())
    config.use(made)


def behind(models: list[str], n: int, decisions: int = 1) -> datetime:
    """Models with a window a minute, of which the last `n` are due, with some decisions in each; when the first begins."""
    start = datetime.now(UTC).replace(second=0, microsecond=0) - n * MINUTE
    for model in models:
        register(model, reference_groups={"sex": "M"})
        schedule_keeper.put_schedule(
            "acme", model, ScheduleRequest(cron="* * * * *", window_minutes=1), "ann", start
        )
        events = [
            event(
                f"{model}-{k}-{i}",
                model_id=model,
                timestamp=(start + k * MINUTE).isoformat(),
                prediction={"label": "yes" if (k + i) % 3 else "no"},
                demographic_tags={"sex": "FM"[i % 2], "age": 41},
            )
            for k in range(n)
            for i in range(decisions)
        ]
        for first in range(0, len(events), 500):
            send(events[first : first + 500], now=datetime.now(UTC))
    count_keeper.compact(datetime.now(UTC))
    return start


def worker(labels: bool = False, ids: list[str] | None = None) -> int:
    """A process of its own that ticks until it is killed, or until nothing is due; a fork, since a start costs seconds."""
    child = os.fork()
    if child:
        return child
    code = 1
    with suppress(BaseException):
        chance = random.Random(os.getpid())
        idle = 0
        while idle < 3 or labels:
            if labels and ids:
                label(
                    [(one, chance.choice(["good", "bad"])) for one in chance.sample(ids, 3)],
                    now=datetime.now(UTC),
                )
                count_keeper.compact(datetime.now(UTC))
            with suppress(FairLensError):
                done = window_planner.run_due()
                idle = 0 if any(done.values()) else idle + 1
            if idle:
                time.sleep(0.02)  # the other has the model's lease: as long as a tick of the clock
        code = 0
    os._exit(code)


def audited() -> list[Any]:
    """Every window's rows, in order."""
    with read_snapshot() as rows:
        return list(
            rows.scalars(
                sa.select(AuditWindow).order_by(
                    AuditWindow.model, AuditWindow.window_end, AuditWindow.revision
                )
            )
        )


def assert_once(models: list[str], start: datetime, n: int) -> None:
    """Of each model and minute one row of the first revision, one audit each, revisions without a gap, and no audit beside."""
    rows = audited()
    first = Counter((row.model, row.window_end) for row in rows if row.revision == 1)
    wanted = {(model, start + k * MINUTE) for model in models for k in range(1, n + 1)}
    assert set(first.values()) == {1} and wanted <= set(first)
    for key in first:
        revisions = [row.revision for row in rows if (row.model, row.window_end) == key]
        assert revisions == list(range(1, len(revisions) + 1))
    ids = sorted(row.audit_id for row in rows if row.audit_id)
    with read_snapshot() as found:
        assert ids == sorted(found.scalars(sa.select(Audit.audit_id)).all())
        assert ids == sorted(found.scalars(sa.select(FairnessCheck.audit_id)).all())


def test_two_hosts_audit_each_window_once() -> None:
    """Two processes on one database, five models with 40 windows each: 200 audits, each window once, both at work.

    Where a release is measured 100 windows each on PostgreSQL; SQLite's users share a machine, and one of them at a time may write.
    """
    models = [f"m{i}" for i in range(5)]
    n = 100 if HELD_TO_A_RELEASE and session.is_postgresql() else 40
    start = behind(models, n)
    workers = [worker(), worker()]
    assert [os.waitstatus_to_exitcode(os.waitpid(one, 0)[1]) for one in workers] == [0, 0]
    assert_once(models, start, n)
    done = Counter(row.holder for row in audited() if row.state == "audited")
    assert len(done) == 2 and sum(done.values()) >= 5 * n, done
    # Oldest first: of a model no window was audited before the one ahead of it.
    for model in models:
        numbers = [row.id for row in audited() if row.model == model and row.revision == 1]
        assert numbers == sorted(numbers)


def test_workers_that_are_killed_double_and_skip_nothing() -> None:
    """SIGKILL at random instants during audits, label joins, folds: what is left is done by those after it, once."""
    chance = random.Random(9)
    n = 12 * ROUNDS
    start = behind(["m"], n, decisions=4)
    ids = [f"m-{k}-{i}" for k in range(n) for i in range(4)]
    for _ in range(ROUNDS):
        before = len(audited())
        child = worker(labels=True, ids=ids)
        # From the first window on that this worker has done: waiting for a lease is no part of what is tested.
        deadline = time.monotonic() + 30
        while len(audited()) == before and time.monotonic() < deadline:
            select.select([], [], [], 0.02)
        select.select([], [], [], chance.uniform(0, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    last = worker()
    os.waitpid(last, 0)
    deadline = time.monotonic() + 30 + 10 * ROUNDS
    while any(window_planner.run_due().values()) or unfinished():
        assert time.monotonic() < deadline
        select.select([], [], [], 0.05)
    assert_once(["m"], start, n)
    compliance_logger.publish()
    days = {start.date(), datetime.now(UTC).date()}
    assert all(one["equal"] for day in days for one in count_keeper.check_counts("acme", "m", day))


def unfinished() -> bool:
    """Whether a dead worker's lease still keeps the schedule."""
    with read_snapshot() as rows:
        due = rows.scalars(sa.select(Schedule)).one()
        return due.next_due_at is not None and due.next_due_at <= datetime.now(UTC)


def test_a_schedule_survives_a_restart() -> None:
    """All there is of it is in the database: a process that knows nothing goes on where the other stopped."""
    start = behind(["m"], 20)
    with unit_of_work() as rows:
        rows.execute(sa.update(Schedule).values(policy={"alpha": 0.01}))
    window_planner.run_due()
    assert len(audited()) == 6
    session.dispose_engines()
    child = worker()
    os.waitpid(child, 0)
    assert_once(["m"], start, 20)
    assert schedule_keeper.get_schedule("acme", "m", datetime.now(UTC))["settings"] == {"alpha": 0.01}


def test_the_database_is_away_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every statement fails for some ticks: each raises Unavailable and nothing else; then all windows are there, once."""
    start = behind(["m"], 15)
    window_planner.run_due()
    before = len(audited())

    class Away(Exception):
        """The driver's own words."""

    def refuse(*_: Any, **__: Any) -> None:
        raise sa.exc.OperationalError("SELECT 1", {}, Away("connection refused"))

    engine = session.engine()
    for _ in range(5):
        sa.event.listen(engine, "before_cursor_execute", refuse)
        try:
            with pytest.raises(Unavailable):
                window_planner.run_due()
            assert schedule_keeper.health()["status"] == "unknown"
        finally:
            sa.event.remove(engine, "before_cursor_execute", refuse)
    assert len(audited()) == before
    while any(window_planner.run_due().values()):
        pass
    assert_once(["m"], start, 15)


def test_events_that_come_while_a_window_is_audited_are_in_it_or_in_its_revision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between counting and the commit ten more decisions arrive and are folded: the look a quarter of an hour later finds them."""
    from fairlens_backend import window_runner

    start = behind(["m"], 1, decisions=50)
    real = window_runner.window_counts_reader.read_window

    def overtaken(*args: Any, **more: Any) -> Any:
        found = real(*args, **more)
        late = [
            event(
                f"late-{i}",
                model_id="m",
                timestamp=start.isoformat(),
                demographic_tags={"sex": "F", "age": 41},
            )
            for i in range(10)
        ]
        prediction_ingest.ingest(SENDER, json.dumps(late).encode(), datetime.now(UTC))
        count_keeper.compact(datetime.now(UTC))
        window_planner._mark(datetime.now(UTC))
        return found

    monkeypatch.setattr(window_runner.window_counts_reader, "read_window", overtaken)
    window_planner.run_due()
    monkeypatch.setattr(window_runner.window_counts_reader, "read_window", real)
    assert [row.sample_size for row in audited()][:1] == [50]
    later = datetime.now(UTC) + timedelta(minutes=16)
    while any(window_planner.run_due(lambda: later).values()):
        pass
    again = [row for row in audited() if row.window_end == start + MINUTE]
    assert [(row.revision, row.sample_size) for row in again] == [(1, 50), (2, 60)]
