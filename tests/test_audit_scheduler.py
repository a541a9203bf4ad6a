"""The clock: jobs in turn, failures apart, a heartbeat, a prompt end, and a new thread after a fork."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fairlens_backend import alert_delivery, audit_scheduler, config
from fairlens_backend.audit_scheduler import Clock, clock_health, start_clock, stop_clock

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_clock_left() -> Iterator[None]:
    yield
    stop_clock()


def failing(_now: datetime) -> None:
    raise KeyError("a job's own mistake")


def test_a_tick_runs_every_job_with_its_time(settings: config.Settings) -> None:
    """In the order they were given; the second begins when the first, which takes five minutes, has ended."""
    seen: list[tuple[str, datetime]] = []
    passed = 1_000.0

    def slow(now: datetime) -> None:
        nonlocal passed
        seen.append(("slow", now))
        passed += 300

    jobs = {"slow": slow, "next": lambda now: seen.append(("next", now))}
    clock = Clock(60, jobs, elapsed=lambda: passed)
    assert clock.tick(NOW) == {"slow": "done", "next": "done"}
    assert seen == [("slow", NOW), ("next", NOW + timedelta(minutes=5))] and not clock.running


def test_a_job_that_fails_is_logged_and_stops_no_other(
    settings: config.Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line has the job's name and the traceback; the others run, and the next tick runs it again."""
    runs: list[datetime] = []
    clock = Clock(60, {"broken": failing, "whole": runs.append})
    assert clock.tick(NOW) == {"broken": "failed", "whole": "done"}
    assert clock.failing == ("broken",)
    (line,) = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert (line["event"], line["job"], line["error"]) == ("CLOCK_JOB_FAILED", "broken", "KeyError")
    assert "a job's own mistake" in line["traceback"] and "Traceback" in line["traceback"]
    clock.jobs["broken"] = runs.append
    assert clock.tick(NOW) == {"broken": "done", "whole": "done"}
    assert clock.failing == () and len(runs) == 3


def test_the_thread_ticks_at_once_and_then_by_interval_until_it_is_stopped(settings: config.Settings) -> None:
    """The first tick does not wait; stop() ends it without waiting for the interval; it does not start again."""
    ticked = threading.Event()
    times: list[datetime] = []

    def job(now: datetime) -> None:
        times.append(now)
        if len(times) == 3:
            ticked.set()

    clock = Clock(0.01, {"job": job})
    clock.ensure_running()
    clock.ensure_running()
    assert clock.running and ticked.wait(10)
    assert clock.stop(10) and not clock.running
    assert times == sorted(times) and all(one.tzinfo is UTC for one in times)
    clock.ensure_running()
    assert not clock.running


def test_stop_interrupts_the_wait(settings: config.Settings) -> None:
    """An hour between ticks does not delay the end; there is no polling in between."""
    first = threading.Event()
    clock = Clock(3600, {"job": lambda _now: first.set()})
    clock.ensure_running()
    assert first.wait(10)
    begun = time.monotonic()
    assert clock.stop(10) and time.monotonic() - begun < 2


def test_stop_does_not_wait_for_ever(settings: config.Settings) -> None:
    """A job that hangs is left behind: the thread is a daemon."""
    hanging, entered = threading.Event(), threading.Event()
    clock = Clock(1, {"hang": lambda _now: entered.set() or hanging.wait(20)})
    clock.ensure_running()
    assert entered.wait(10)
    assert clock.stop(0.05) is False
    hanging.set()
    assert clock.stop(10)


@pytest.mark.usefixtures("database")
def test_health_follows_the_heartbeat(make_settings: Callable[..., config.Settings]) -> None:
    """Disabled is neither good nor bad; without a tick failed; fresh ok; after three intervals and a minute failed."""
    assert clock_health(NOW) == {
        "status": "disabled",
        "ok": None,
        "last_tick_age_s": None,
        "failing_jobs": [],
    }
    make_settings(CLOCK_ENABLED="true", CLOCK_INTERVAL_S="5")
    assert clock_health(NOW)["status"] == "failed" and clock_health(NOW)["ok"] is False
    alert_delivery.note_round("host:1", NOW)
    for age, ok in ((0, True), (75, True), (75.1, False)):
        found = clock_health(NOW + timedelta(seconds=age))
        assert (found["ok"], found["last_tick_age_s"]) == (ok, age)
    assert clock_health(NOW - timedelta(seconds=3))["last_tick_age_s"] == 0  # another host's clock is ahead


@pytest.mark.usefixtures("database")
def test_start_clock_delivers_runs_the_roofs_jobs_and_beats(
    make_settings: Callable[..., config.Settings],
) -> None:
    """One call gives a running clock with delivery, the extra jobs and the heartbeat, in that order."""
    ran = threading.Event()
    running = make_settings(CLOCK_ENABLED="true", CLOCK_INTERVAL_S="0.05")
    clock = start_clock(running, {"publish": lambda _now: ran.set(), "broken": failing})
    assert clock is not None and list(clock.jobs) == ["deliver_due", "publish", "broken", "heartbeat"]
    assert ran.wait(10)
    clock.stop(10)
    clock.elapsed = lambda: 0.0
    clock.tick(NOW)
    found = clock_health(NOW + timedelta(seconds=1))
    assert found == {"status": "ok", "ok": True, "last_tick_age_s": 1.0, "failing_jobs": ["broken"]}
    second = start_clock(running)
    assert second is not None and second.running and not clock.running


def test_a_disabled_clock_is_not_started(settings: config.Settings) -> None:
    """The settings of the tests disable it."""
    assert start_clock(settings) is None
    audit_scheduler.ensure_running()


FORKED = """
import json, os, sys, threading
from fairlens_backend import audit_scheduler, config

inside, go_on, seen = threading.Event(), threading.Event(), []
config.use(config.load_settings({"DATA_DIR": sys.argv[1], "CLOCK_ENABLED": "true", "LOG_LEVEL": "error"}))

def job(now):
    seen.append(os.getpid())
    inside.set()
    go_on.wait(20)

clock = audit_scheduler.Clock(3600, {"job": job})
audit_scheduler._clock = clock
clock.ensure_running()
inside.wait(20)
threading.Timer(0.2, go_on.set).start()
child = os.fork()  # in the middle of a tick: it waits until the tick is over
if child == 0:
    over = go_on.is_set()
    inside.clear()
    alive = clock.running
    audit_scheduler.ensure_running()
    ran = inside.wait(20)
    ok = over and not alive and ran and clock.running and seen[-1] == os.getpid() and clock.stop(10)
    os._exit(0 if ok else 1)
status = os.waitpid(child, 0)[1]
print(json.dumps({"child": status, "parent_running": clock.running, "parent_runs": len(seen)}))
"""


def test_a_forked_child_gets_a_thread_of_its_own(tmp_path: object) -> None:
    """The fork waits for the tick; the child has no thread until ensure_running; the parent's goes on."""
    done = run_python(FORKED, str(tmp_path))
    assert json.loads(done.stdout) == {"child": 0, "parent_running": True, "parent_runs": 1}


ENDING = """
import sys, time
from fairlens_backend import audit_scheduler, config

settings = config.load_settings({"DATA_DIR": sys.argv[1], "CLOCK_ENABLED": "true", "CLOCK_INTERVAL_S": "3600", "LOG_LEVEL": "error"})
config.use(settings)
clock = audit_scheduler.Clock(3600, {"job": lambda now: None})
audit_scheduler._clock = clock
clock.ensure_running()
print(time.monotonic())
"""


def test_the_interpreter_ends_promptly(tmp_path: object) -> None:
    """With an hour to the next tick the process is gone at once, without a word."""
    done = run_python(ENDING, str(tmp_path))
    assert time.monotonic() - float(done.stdout) < 3 and done.stderr == "" and done.returncode == 0


def run_python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=config.PROJECT_ROOT, capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(config.PROJECT_ROOT)},
    )  # fmt: skip
