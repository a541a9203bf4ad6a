"""The clock of one process: a daemon thread that runs background jobs one after the other, every few seconds.

A server has as many clocks as worker processes, or one of its own (`fairlens worker`); the jobs share their work through the
database (the outbox is claimed, the compliance log is locked, a model's audits are leased), so that more clocks only mean
that one of them is there sooner.

Threads do not survive a fork. `start_clock` in a gunicorn worker (no preloading) starts the worker's own thread. With
`--preload` the application is made in the master: call `ensure_running()` in the worker, at its first request or in
`post_fork`; it sees that the process is another one and starts a new thread. A fork waits until no tick is under way,
so that the child inherits no lock or database connection in the middle of its use by the clock.
"""

import atexit
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from fairlens_backend import alert_delivery, config, telemetry

Job = Callable[[datetime], object]

STOP_WAIT_S = 2.0  # a delivery under way is cut off after that; it goes out again under its old id
FORK_WAIT_S = 30.0
HEALTH_SLACK_S = 60.0  # a tick may spend its round waiting for a slow receiver


class Clock:
    """Runs every job, every `interval_s` seconds, until it is stopped.

    Parameters
    ----------
    interval_s : seconds from the end of one tick to the beginning of the next
    jobs : by name, each called with the time now (UTC); they run in this order
    elapsed : seconds that only grow
    """

    def __init__(
        self, interval_s: float, jobs: Mapping[str, Job], elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        self.interval_s = interval_s
        self.elapsed = elapsed
        self.jobs = dict(jobs)
        self.failing: tuple[str, ...] = ()
        """Jobs that failed at the last tick of this process."""
        self._starting = threading.Lock()
        self._held = False
        self._stopped = False
        self._leaving = False
        self._pid = os.getpid()
        self._thread: threading.Thread | None = None
        self._make_locks()

    def ensure_running(self) -> None:
        """Start the thread when this process has none: at first, and in a forked child. Cheap otherwise."""
        if self._pid == os.getpid() and self._thread is not None:
            return
        with self._starting:
            if self._stopped or (self._pid == os.getpid() and self._thread is not None):
                return
            if self._pid != os.getpid():
                # Those of the parent may be held by a thread that this process does not have.
                self._make_locks()
                self._pid = os.getpid()
            self._thread = threading.Thread(target=self._run, name="fairlens-clock", daemon=True)
            self._thread.start()

    @property
    def running(self) -> bool:
        """Whether this process's thread is alive."""
        return self._pid == os.getpid() and self._thread is not None and self._thread.is_alive()

    def tick(self, now: datetime) -> dict[str, str]:
        """Run each job once. One that fails is logged, counted and stops no other; none begins after `leave`.

        Parameters
        ----------
        now : when the first begins; those after it get the time at which they begin, since a lease taken at the time of a
            tick that has lasted for minutes would be over at once

        Returns
        -------
        dict : for each job `done`, `failed` or `left`
        """
        outcomes = {}
        begun = self.elapsed()
        for name, job in self.jobs.items():
            if self._leaving:
                outcomes[name] = "left"
                continue
            try:
                job(now + timedelta(seconds=self.elapsed() - begun))
                outcomes[name] = "done"
            # broad: whatever one job meets, the others and the next tick go on
            except Exception as error:  # noqa: BLE001
                telemetry.log_failure("CLOCK_JOB_FAILED", error, job=name)
                outcomes[name] = "failed"
        self.failing = tuple(name for name, outcome in outcomes.items() if outcome == "failed")
        return outcomes

    def leave(self) -> None:
        """End after the job under way, however long that takes; the jobs after it are left to other processes."""
        self._leaving = True
        if self._thread is not None and self._pid == os.getpid():
            self._stop.set()
            self._thread.join()

    def stop(self, wait_s: float = STOP_WAIT_S) -> bool:
        """End the thread, for good; waits so long for a tick under way. Returns whether it has ended."""
        self._stopped = True
        if self._thread is None or self._pid != os.getpid():
            return True
        self._stop.set()
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._ticking:
                self.tick(telemetry.utc_now())
            self._stop.wait(self.interval_s)

    def _make_locks(self) -> None:
        self._stop = threading.Event()
        self._ticking = threading.RLock()  # re-entrant: a job itself may fork

    def _before_fork(self) -> None:
        self._held = self._ticking.acquire(timeout=FORK_WAIT_S)
        self._starting.acquire()

    def _after_fork(self) -> None:
        self._starting.release()
        if self._held:
            self._ticking.release()


_clock: Clock | None = None


def start_clock(settings: config.Settings, jobs: Mapping[str, Job] | None = None) -> Clock | None:
    """Start this process's clock; one that runs already is stopped first. None when CLOCK_ENABLED is false.

    Parameters
    ----------
    jobs : what runs after the delivery of webhooks, by name, each called with the time now
    """
    global _clock
    stop_clock()
    if not settings.clock_enabled:
        return None
    _clock = make_clock(settings, jobs or {})
    _clock.ensure_running()
    return _clock


def make_clock(settings: config.Settings, jobs: Mapping[str, Job]) -> Clock:
    """A clock that is not started: of the jobs, after the delivery of alerts and before its heartbeat."""
    return Clock(
        settings.clock_interval_s, {"deliver_due": alert_delivery.deliver_due, **jobs, "heartbeat": _beat}
    )


def ensure_running() -> None:
    """Start the clock's thread again where a fork lost it; nothing without a clock. Call it at each request."""
    if _clock is not None:
        _clock.ensure_running()


def stop_clock() -> None:
    """Stop this process's clock, if there is one."""
    global _clock
    if _clock is not None:
        _clock.stop()
    _clock = None


def clock_health(now: datetime) -> dict[str, Any]:
    """Whether some process's clock ticked lately.

    Returns
    -------
    dict
        status : `ok`, `failed`, `elsewhere` when disabled here and another process ticks, or `disabled`; ok : True, False, or
        None when disabled (neither good nor bad)
        last_tick_age_s : seconds since the last tick of any process on this database; None before the first
        failing_jobs : jobs that failed at the last tick of this process
    """
    settings = config.current()
    last = alert_delivery.last_round()
    age_s = None if last is None else max(0.0, (now - last).total_seconds())
    failing = list(_clock.failing) if _clock is not None else []
    ok = age_s is not None and age_s <= 3 * settings.clock_interval_s + HEALTH_SLACK_S
    if not settings.clock_enabled:
        status, good = ("elsewhere", True) if ok else ("disabled", None)
        return {"status": status, "ok": good, "last_tick_age_s": age_s, "failing_jobs": failing}
    return {
        "status": "ok" if ok else "failed",
        "ok": ok,
        "last_tick_age_s": age_s,
        "failing_jobs": failing,
    }


def _beat(now: datetime) -> None:
    alert_delivery.note_round(f"{socket.gethostname()}:{os.getpid()}"[:200], now)


def _before_fork() -> None:
    if _clock is not None:
        _clock._before_fork()


def _after_fork() -> None:
    if _clock is not None:
        _clock._after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
atexit.register(stop_clock)
