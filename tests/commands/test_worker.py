"""`fairlens worker`: the clock as a process of its own: one round, a graceful end, next to web servers without a clock."""

import os
import select
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fairlens_backend import audit_scheduler, config, schedule_keeper
from fairlens_backend.schemas.schedules import ScheduleRequest
from fairlens_backend.storage import migrate, session
from tests.clock_kit import windows
from tests.ingest_kit import event, register, send

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def behind(settings: config.Settings) -> None:
    """A migrated database and a model with three windows that are due."""
    migrate.upgrade()
    register()
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=3)
    request = ScheduleRequest(cron="* * * * *", window_minutes=1)
    schedule_keeper.put_schedule("acme", "hiring", request, "ann", start)
    minutes = [(start + timedelta(minutes=k)).isoformat() for k in range(3)]
    send([event(f"e{k}", timestamp=at) for k, at in enumerate(minutes)], now=datetime.now(UTC))


def start(*arguments: str, **more: str) -> "subprocess.Popen[str]":
    """The command on this test's database; quick ticks."""
    environ = {name.upper(): str(value) for name, value in vars(config.current()).items()}
    environ |= {"CLOCK_INTERVAL_S": "0.1", "AUDIT_SETTLE_S": "0", "CLOCK_ENABLED": "false", **more}
    return subprocess.Popen(
        [sys.executable, "-m", "fairlens_backend", "worker", *arguments],
        cwd=ROOT,
        env={**os.environ, **environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.usefixtures("behind")
def test_one_round() -> None:
    """It says what it is and where, audits what is due, and ends with 0."""
    process = start("--once")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.startswith("fairlens worker ") and "audit_windows" in out and "failed: none" in out
    assert len(windows(state="audited")) >= 3
    beat = audit_scheduler.clock_health(datetime.now(UTC))
    assert (beat["status"], beat["ok"]) == ("elsewhere", True)  # this process has no clock, and that is well


@pytest.mark.usefixtures("behind")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_after_the_job_under_way(number: signal.Signals) -> None:
    """At the signal it says so, lets the job go on to its end, and leaves no lease behind."""
    process = start()
    assert process.stdout is not None
    assert process.stdout.readline().startswith("fairlens worker ")
    deadline = time.monotonic() + 60
    while len(windows(state="audited")) < 3 and time.monotonic() < deadline:
        select.select([], [], [], 0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"{number.name}, ends after the job under way" in out and out.endswith("ended\n")
    assert len(windows(state="audited")) >= 3
    with session.read_snapshot():
        from fairlens_backend.storage import schedules

        row = schedules.find("acme", "hiring")
        assert row is not None and row.lease_until is None


@pytest.mark.usefixtures("settings")
def test_a_database_that_was_not_migrated_is_refused() -> None:
    """With a sentence that says what to run; nothing is audited on a schema that is not the code's."""
    process = start("--once")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "make migrate" in err and "Traceback" not in err + out


@pytest.mark.usefixtures("behind")
def test_a_setting_that_no_clock_can_follow_is_refused() -> None:
    """The setting's name and what it should be."""
    process = start("--once", AUDIT_CRON="now and then")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "AUDIT_CRON" in err and "Traceback" not in err + out
