"""Audits on the clock: which windows are due, each by one worker and once, missed ones made up for, changed ones anew.

    tick ─► adopt models ─► mark changed windows ─► for each schedule with work, under its lease:
                                                     due windows, oldest first ─► windows to compare
    one window ─► count ─► assess ─► one unit of work: lease asked for · window marked · sequences moved · audit, record, alert

A crash anywhere leaves of a window either nothing or all of it. What two workers with one lease between them could still do
is refused by the number of the lease, and at last by the unique key of the window.
"""

import os
import secrets
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from fairlens_backend import config, schedule_settings, telemetry, window_runner
from fairlens_backend.core import schedule as reckoning
from fairlens_backend.errors import FairLensError, Unavailable
from fairlens_backend.schedule_settings import Effective
from fairlens_backend.storage import audit_windows, schedules
from fairlens_backend.storage.audit_windows import WindowTaken
from fairlens_backend.storage.schedule_tables import Schedule
from fairlens_backend.storage.schedules import Lease, LeaseLost
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.window_runner import Task

SCHEDULES_AT_ONCE: Final = 200
MAX_ATTEMPTS: Final = 5
RETRY_S: Final = 15.0
MAX_MARKED: Final = 50
"""Rounds of marking in one tick; each reads 200 notes."""
_HOLDER: Final = f"{socket.gethostname()[:100]}:{secrets.token_hex(6)}"

Clock = Callable[[], datetime]


def holder() -> str:
    """The name of this process among those that audit."""
    return f"{_HOLDER}:{os.getpid()}"


def run_due(clock: Clock | None = None) -> dict[str, int]:
    """Audit what is due, a bounded number a call; any number of processes may do so at once.

    Parameters
    ----------
    clock : gives the time that all of them agree on; the database's by default, so that it does not matter when the clocks
        of two machines differ

    Returns
    -------
    dict : how many windows were audited, empty, failed, skipped, revised or compared

    Raises
    ------
    Unavailable : the database went away; the next call goes on where this one stopped
    """
    clock = clock or schedules.common_time
    done = dict.fromkeys(("audited", "empty", "failed", "skipped", "revised", "compared"), 0)
    now = clock()
    _adopt(now)
    _wake_all(now)
    _mark(now)
    settings = config.current()
    budget = settings.audits_per_tick
    with read_snapshot():
        waiting = schedules.with_work(now, holder(), defaults=settings.audit_default, limit=SCHEDULES_AT_ONCE)
    for place, number in enumerate(waiting):
        if budget <= 0:
            break
        # Each gets its share, so that a model that catches up with a day does not keep the others waiting.
        share = max(1, budget // (len(waiting) - place))
        budget -= _serve(number, clock, share, done)
    return done


def _adopt(now: datetime) -> None:
    """Give models that send decisions a schedule; they need nobody to set one up."""
    with read_snapshot():
        if not schedules.any_to_adopt():
            return
    effective = schedule_settings.of_schedule(None)
    with unit_of_work():
        made = schedules.adopt(
            {
                "by_default": True,
                "enabled": True,
                "policy": {},
                "changed_by": "server",
                "changed_at": now,
                "planned_until": now,
                "next_due_at": schedule_settings.wake_time(effective, now),
            }
        )
    for tenant, model in made:
        telemetry.log("SCHEDULE_MADE", tenant=tenant, model=model, cron=effective.timetable.cron)


def _wake_all(now: datetime) -> None:
    """Let models that follow AUDIT_CRON follow it at once when it is another one since the last start."""
    latest = schedule_settings.wake_time(schedule_settings.of_schedule(None), now)
    if latest is None:
        return
    with read_snapshot():
        if not schedules.any_oversleeps(latest):
            return
    with unit_of_work():
        schedules.wake(latest)


def _mark(now: datetime) -> None:
    for _ in range(MAX_MARKED):
        with read_snapshot():
            if not audit_windows.any_changes():
                return
        with unit_of_work():
            if audit_windows.mark_changed(now) < audit_windows.READ_AT_ONCE:
                return


def _serve(number: int, clock: Clock, share: int, done: dict[str, int]) -> int:
    """Do what a schedule has to do, at most `share` audits; how many windows were looked at."""
    lease_s = config.current().audit_lease_s
    with unit_of_work():
        lease = schedules.take(number, holder(), clock(), lease_s)
    if lease is None:
        return 0
    used = 0
    try:
        while used < share and (step := _step(lease, clock)) is not None:
            done[step] += 1
            used += 1
    except LeaseLost:
        telemetry.log("AUDIT_LEASE_LOST", level="warning", schedule=number)
        return used + 1
    with unit_of_work():
        schedules.release(lease)
    return used


def _step(lease: Lease, clock: Clock) -> str | None:
    """One window: the oldest that is due, else the oldest to compare; what became of it, None when there is none."""
    now = clock()
    with read_snapshot():
        row = schedules.get(lease.schedule_id)
    if row is None or not row.enabled:
        return None
    effective = schedule_settings.of_schedule(row)
    task = Task(lease, row.tenant, row.model, effective, clock)
    if row.next_due_at is not None and row.next_due_at <= now:
        return _next_due(task, row, now)
    old = window_runner.next_to_compare(task, now)
    if old is None:
        return None
    return _guarded(
        task,
        lambda: window_runner.compare(task, old, now),
        lambda error: window_runner.postpone(task, old, error, now),
    )


def _guarded(
    task: Task, act: Callable[[], str | None], stumbled: Callable[[Exception], str | None]
) -> str | None:
    """Do it; what it stumbles over is logged and answered, so that the other windows and models go on."""
    try:
        return act()
    except (LeaseLost, Unavailable):
        raise
    # broad: whatever one window of one model meets, the others are audited
    except Exception as error:  # noqa: BLE001
        telemetry.log_failure("WINDOW_AUDIT_FAILED", error, tenant=task.tenant, model=task.model)
        return stumbled(error)


def _next_due(task: Task, row: Schedule, now: datetime) -> str | None:
    settings = config.current()
    until = now - timedelta(seconds=settings.audit_settle_s)
    timetable = task.effective.timetable
    missed = reckoning.missed(timetable, row.planned_until, until, settings.audit_catch_up)
    if missed.given_up is not None:
        _give_up(task, row, missed.given_up, now)
        return "skipped"
    if not missed.due:
        with unit_of_work():
            schedules.hold(task.lease, next_due_at=_wake(task.effective, row.planned_until))
        return None
    due = missed.due[0]
    window = timetable.window(due, task.effective.window_minutes)
    progress = {"planned_until": due, "next_due_at": _wake(task.effective, due), "attempts": 0}
    return _guarded(
        task,
        lambda: _audit_or_fail(task, row, window, progress, now),
        lambda _: _try_again(task, row, window, progress, now),
    )


def _audit_or_fail(
    task: Task, row: Schedule, window: reckoning.Window, progress: dict[str, Any], now: datetime
) -> str:
    try:
        return window_runner.audit_due(task, row, window, progress, now)
    except (LeaseLost, Unavailable):
        raise
    except WindowTaken:
        # Dealt with already, and only the schedule does not know: nothing is done twice.
        with unit_of_work():
            schedules.hold(task.lease, **progress, last_window_end=window[1])
        return "compared"
    except FairLensError as error:
        # What the schedule or the model declares does not fit the window: trying again would not help.
        window_runner.fail(task, window, error.message, progress, now)
        return "failed"


def _try_again(
    task: Task, row: Schedule, window: reckoning.Window, progress: dict[str, Any], now: datetime
) -> str | None:
    """Leave the window for later; after some tries it is given up, so that it does not hold up those after it."""
    if row.attempts + 1 >= MAX_ATTEMPTS:
        window_runner.fail(
            task, window, f"The audit failed {MAX_ATTEMPTS} times; see the log.", progress, now
        )
        return "failed"
    wait = timedelta(seconds=RETRY_S * 2**row.attempts)
    with unit_of_work():
        schedules.hold(task.lease, attempts=row.attempts + 1, next_due_at=now + wait)
    return None


def _give_up(task: Task, row: Schedule, missed: tuple[datetime, datetime, int], now: datetime) -> None:
    """Record windows that nobody will audit any more, together, and why."""
    first, last, n = missed
    start, _ = task.effective.timetable.window(first, task.effective.window_minutes)
    at_least = "at least " if n >= reckoning.COUNTED_AT_MOST else ""
    reason = (
        f"{at_least}{n} windows from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC were missed and lie further back than"
        f" the {config.current().audit_catch_up} that are made up for (AUDIT_CATCH_UP)."
    )
    with unit_of_work():
        schedules.hold(task.lease, planned_until=last, last_window_end=last, last_error=reason)
        window_runner.note(task, (start, last), start, now, state="skipped", reason=reason, n_windows=n)
    telemetry.log(
        "WINDOWS_SKIPPED", level="warning", tenant=row.tenant, model=row.model, n=n, until=last.isoformat()
    )


def _wake(effective: Effective, after: datetime) -> datetime | None:
    return schedule_settings.wake_time(effective, after)
