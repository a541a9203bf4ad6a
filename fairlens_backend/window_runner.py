"""One window of a model under a lease: audited, found empty or failed, compared later, and audited anew when it changed."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from fairlens_backend import (
    config,
    sequential_watcher,
    telemetry,
    window_auditor,
    window_counts_reader,
)
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.schedule import Window, check_delay, reaudit_limit
from fairlens_backend.errors import FairLensError
from fairlens_backend.schedule_settings import Effective
from fairlens_backend.sequential_watcher import Look
from fairlens_backend.storage import audit_windows, audits, schedules
from fairlens_backend.storage.audit_windows import Span
from fairlens_backend.storage.schedule_tables import AuditWindow, Schedule
from fairlens_backend.storage.schedules import Lease
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.window_auditor import Revision
from fairlens_backend.window_counts_reader import WindowCounts


@dataclass(frozen=True)
class Task:
    """Whose windows, by which settings, under which lease, by which clock."""

    lease: Lease
    tenant: str
    model: str
    effective: Effective
    clock: Callable[[], datetime]


def audit_due(task: Task, row: Schedule, window: Window, progress: dict[str, Any], now: datetime) -> str:
    """Audit a window that is due; `audited`, or `empty`.

    The first window without decisions after one with some is audited, and says UNKNOWN. Those after it are only noted: data
    that stopped coming is seen once in the history, and always in the schedule.

    Parameters
    ----------
    progress : what the schedule says when it is done
    """
    start, end = window
    own_start = start if row.last_window_end is None else min(max(start, row.last_window_end), end)
    with _kept(task):
        subject = window_auditor.settle(
            task.tenant, task.model, task.effective.version, task.effective.policy
        )
        counts = _read(subject, start, end, task.effective.attributes, task.effective.version)
        total = 0 if counts is None else counts.table.total
        done = {**progress, "last_window_end": end, "had_data": total > 0, "last_error": None}
        if counts is None or (not total and not row.had_data):
            with unit_of_work():
                schedules.hold(task.lease, **done)
                note(task, window, own_start, now, state="empty", check=True)
            return "empty"
        span = Span(task.effective.version, start, end, own_start)
        _audit(task, subject, counts, span, done, None)
        return "audited"


def next_to_compare(task: Task, now: datetime) -> AuditWindow | None:
    """The oldest window whose counts may have changed."""
    with read_snapshot():
        found = audit_windows.to_compare(task.tenant, task.model, now, 1)
    return found[0] if found else None


def compare(task: Task, old: AuditWindow, now: datetime) -> str:
    """Compare a window's counts with those of now, and audit it anew when they changed enough; `compared` or `revised`."""
    if old.window_end < now - timedelta(days=task.effective.days):
        with unit_of_work():
            audit_windows.settled(old)
        return "compared"
    return _compare(task, old)


def postpone(task: Task, old: AuditWindow, error: Exception, now: datetime) -> str:
    """Leave a window that cannot be compared as it is for some hours; it does not keep the others from it."""
    said = error.message if isinstance(error, FairLensError) else "see the log"
    with unit_of_work():
        schedules.hold(task.lease, last_error=f"A past window could not be compared: {said}")
        audit_windows.postpone(old, now + check_delay(old.revision + 4))
    return "compared"


def fail(task: Task, window: Window, reason: str, progress: dict[str, Any], now: datetime) -> None:
    """Record a window that could not be audited and why, and go on with the next."""
    with unit_of_work():
        schedules.hold(task.lease, **progress, last_window_end=window[1], last_error=reason)
        note(task, window, window[0], now, state="failed", reason=reason)
    telemetry.log("WINDOW_FAILED", level="warning", tenant=task.tenant, model=task.model, reason=reason)


def note(
    task: Task, window: Window, own_start: datetime, now: datetime, *, check: bool = False, **columns: Any
) -> None:
    """Keep what became of a window without an audit, in the caller's unit of work."""
    span = Span(task.effective.version, *window, own_start)
    # The same window may have been given up before: with another schedule, or at a cron line that came again.
    again = audit_windows.newest_revision(task.tenant, task.model, span)
    audit_windows.add(
        task.tenant,
        task.model,
        span,
        **{"revision": again + 1, "holder": task.lease.holder, "done_at": now, **columns},
        check_at=now + check_delay(1) if check else None,
        check_from=now + check_delay(1),
        looked=None,
    )


def _compare(task: Task, old: AuditWindow) -> str:
    with _kept(task):
        version = old.version or None
        subject = window_auditor.settle(task.tenant, task.model, version, task.effective.policy)
        with read_snapshot():
            audit = audits.find(old.audit_id, task.tenant) if old.audit_id else None
            before = None if audit is None else CountTable.from_dict(audit.counts)
            attributes = task.effective.attributes if before is None else before.attributes
            counts = _read(subject, old.window_start, old.window_end, attributes, version)
        limit = reaudit_limit(old.sample_size, task.effective.share, task.effective.decisions)
        if counts is None or changed(before, counts.table) < limit:
            with unit_of_work():
                audit_windows.settled(old)
            return "compared"
        span = Span(version, old.window_start, old.window_end, old.own_start)
        _audit(task, subject, counts, span, {}, old)
        return "revised"


def changed(before: CountTable | None, now: CountTable) -> int:
    """How many decisions came, went or got another outcome between two counts of a window.

    Examples
    --------
    >>> late = CountTable.from_arrays({"sex": ["F", "F", "M"]}, decision=[1, 0, 1], truth=[1, -1, -1])
    >>> changed(CountTable.from_arrays({"sex": ["F", "F"]}, decision=[1, 0]), late)  # one label, one decision
    2
    """
    if before is None:
        return now.total
    moved = (now - before).n
    return int(max(np.maximum(moved, 0).sum(), np.maximum(-moved, 0).sum()))


def _audit(
    task: Task,
    subject: Any,
    counts: WindowCounts,
    span: Span,
    done: dict[str, Any],
    old: AuditWindow | None,
) -> None:
    """Audit a window and mark it, in one unit of work; `old` is the revision that this one stands in place of."""
    own = counts.table
    if span.own_start != span.start:
        part = _read(subject, span.own_start, span.end, own.attributes, span.version)
        own = CountTable.empty(own.attributes) if part is None else part.table
    number = 1 if old is None else old.revision + 1
    if old is None and own.total:
        done = {**done, "last_data_end": span.end}

    def also(result: dict[str, Any]) -> None:
        now = task.clock()
        schedules.hold(task.lease, **done, last_audit_id=result["audit_id"], last_audit_at=now)
        look = Look(
            span,
            own,
            None if old is None else old.looked,
            counts.reference_groups,
            {name: found["group"] for name, found in result["reference_groups"].items()},
            subject.policy,
        )
        result["sequential"], looked = sequential_watcher.look(task.tenant, task.model, look, now)
        result["remarks"] += result["sequential"]["sentences"]
        delay = now + check_delay(number)
        audit_windows.add(
            task.tenant,
            task.model,
            span,
            revision=number,
            state="audited",
            reason=None,
            audit_id=result["audit_id"],
            sample_size=result["sample_size"],
            labelled_size=result["labelled_size"],
            holder=task.lease.holder,
            done_at=now,
            # What came between counting and now nobody noted for a window that was not there yet: one look is sure.
            check_at=delay,
            check_from=delay,
            looked=looked,
        )

    remarks = []
    if old is not None:
        remarks.append(
            f"Revision {number} of this window: labels or late decisions changed its counts, {old.sample_size} decisions before"
            f" and {counts.table.total} now."
        )
    window_auditor.audit_counts(
        subject,
        counts,
        (span.start, span.end),
        task.clock(),
        version=span.version,
        sample_rows=task.effective.sample_rows,
        revision=Revision(number, None if old is None else old.audit_id, remarks, also),
    )


def _read(
    subject: Any, start: datetime, end: datetime, attributes: Sequence[str] | None, version: str | None
) -> WindowCounts | None:
    """The counts of a window; None where there are none and nobody said by which attributes.

    Parameters
    ----------
    version : of the window, None for all together; the schedule may ask for another one since it was audited
    """
    try:
        return window_counts_reader.read_window(subject, start, end, version=version, attributes=attributes)
    except window_counts_reader.NoAttributes:
        return None


@contextmanager
def _kept(task: Task) -> Iterator[None]:
    """Renew the lease while the work goes on, however long it takes."""
    over = threading.Event()
    lease_s = config.current().audit_lease_s

    def renew() -> None:
        while not over.wait(lease_s / 3):
            try:
                with unit_of_work():
                    schedules.renew(task.lease, task.clock(), lease_s)
            except FairLensError as error:
                # The audit's own unit of work asks again, and drops what it has where the lease is gone.
                telemetry.log("LEASE_NOT_RENEWED", level="warning", reason=error.message)

    thread = threading.Thread(target=renew, name="fairlens-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
