"""What became of each window of each model, and which of them must be compared with today's counts."""

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, case, delete, func, insert, literal, select, true, update
from sqlalchemy.exc import IntegrityError

from fairlens_backend.errors import Conflict
from fairlens_backend.storage.event_tables import CountSeries
from fairlens_backend.storage.schedule_tables import AuditWindow, CountChange
from fairlens_backend.storage.session import current_session, lock_for_append
from fairlens_backend.storage.tables import UtcDateTime

MARK_LOCK: Final = 0x6D61726B  # "mark": any number that no other appender takes
READ_AT_ONCE: Final = 200
_AT_ONCE: Final = 500
COMPARED: Final = ("audited", "empty")


class Span(NamedTuple):
    """A window of a model: its version (None for all together), where it begins, ends, and is no other's."""

    version: str | None
    start: datetime
    end: datetime
    own_start: datetime


class WindowTaken(Conflict):
    """This revision of the window is there already: another worker has dealt with it."""


def add(tenant: str, model: str, span: Span, **columns: Any) -> None:
    """Keep what became of a window, as its newest revision.

    Raises
    ------
    WindowTaken : this revision of the window is there already
    """
    session = current_session()
    row = {
        "tenant": tenant,
        "model": model,
        "version": span.version or "",
        "window_start": span.start,
        "window_end": span.end,
        "own_start": span.own_start,
        "newest": True,
        "n_windows": 1,
        "changes": 0,
        "sample_size": 0,
        "labelled_size": 0,
        **columns,
    }
    try:
        with session.begin_nested():
            session.execute(
                update(AuditWindow)
                .where(*_here(tenant, model, span), AuditWindow.newest == true())
                .values(newest=False, check_at=None),
                execution_options={"synchronize_session": False},
            )
            session.execute(insert(AuditWindow), [row])
    except IntegrityError as error:
        raise WindowTaken(
            f"The window that ends at {span.end.isoformat()} was audited already.", revision=row["revision"]
        ) from error


def newest_revision(tenant: str, model: str, span: Span) -> int:
    """The number of a window's newest revision; 0 for a window that was never dealt with."""
    wanted = select(func.max(AuditWindow.revision)).where(*_here(tenant, model, span))
    return current_session().scalar(wanted) or 0


def to_compare(tenant: str, model: str, now: datetime, limit: int) -> list[AuditWindow]:
    """The windows of a model whose counts may have changed, the oldest first."""
    wanted = (
        select(AuditWindow)
        .where(
            AuditWindow.tenant == tenant,
            AuditWindow.model == model,
            AuditWindow.check_at <= now,
        )
        .order_by(AuditWindow.window_end, AuditWindow.window_start)
        .limit(limit)
    )
    return list(current_session().scalars(wanted.execution_options(populate_existing=True)))


def settled(window: AuditWindow) -> None:
    """Note that a window has been compared; not where it was touched again meanwhile."""
    current_session().execute(
        update(AuditWindow)
        .where(AuditWindow.id == window.id, AuditWindow.changes == window.changes)
        .values(check_at=None),
        execution_options={"synchronize_session": False},
    )


def postpone(window: AuditWindow, until: datetime) -> None:
    """Compare a window later."""
    current_session().execute(
        update(AuditWindow).where(AuditWindow.id == window.id).values(check_at=until),
        execution_options={"synchronize_session": False},
    )


def any_changes() -> bool:
    """Whether counts were touched that no window has been marked for."""
    return current_session().scalar(select(CountChange.id).limit(1)) is not None


def mark_changed(now: datetime) -> int:
    """Mark every window that holds a minute whose counts were touched; how many notes of touched minutes were read.

    Within one transaction and behind a lock: a note is gone exactly when its windows are marked.
    """
    lock_for_append(MARK_LOCK)
    session = current_session()
    rows = session.execute(
        select(CountChange.id, CountChange.minutes, CountSeries.tenant, CountSeries.model)
        .join(CountSeries, CountSeries.id == CountChange.series_id)
        .order_by(CountChange.id)
        .limit(READ_AT_ONCE)
    ).all()
    minutes: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        found = np.frombuffer(zlib.decompress(row.minutes), dtype="<i8")
        minutes.setdefault((row.tenant, row.model), []).append(found)
    for (tenant, model), parts in minutes.items():
        _mark(tenant, model, np.unique(np.concatenate(parts)), now)
    if rows:
        session.execute(delete(CountChange).where(CountChange.id.in_([row.id for row in rows])))
    return len(rows)


def _mark(tenant: str, model: str, minutes: Any, now: datetime) -> None:
    first, last = (datetime.fromtimestamp(int(one) * 60, now.tzinfo) for one in (minutes[0], minutes[-1]))
    session = current_session()
    windows = session.execute(
        select(AuditWindow.id, AuditWindow.window_start, AuditWindow.window_end).where(
            AuditWindow.tenant == tenant,
            AuditWindow.model == model,
            AuditWindow.window_end > first,
            AuditWindow.window_start <= last,
            AuditWindow.newest == true(),
            AuditWindow.state.in_(COMPARED),
        )
    ).all()
    if not windows:
        return
    starts = np.array([int(one.window_start.timestamp()) // 60 for one in windows])
    ends = np.array([int(one.window_end.timestamp()) // 60 for one in windows])
    holds = np.searchsorted(minutes, starts) < np.searchsorted(minutes, ends)
    for some in _in_pieces([one.id for one, held in zip(windows, holds, strict=True) if held]):
        at = literal(now, UtcDateTime())
        later = case((AuditWindow.check_from > at, AuditWindow.check_from), else_=at)
        session.execute(
            update(AuditWindow)
            .where(AuditWindow.id.in_(some))
            .values(check_at=func.coalesce(AuditWindow.check_at, later), changes=AuditWindow.changes + 1),
            execution_options={"synchronize_session": False},
        )


def page(
    tenant: str, model: str, limit: int, *, before_id: int, state: str | None = None
) -> list[AuditWindow]:
    """What became of a model's windows, what was done last first, from before a number on."""
    wanted = select(AuditWindow).where(
        AuditWindow.tenant == tenant, AuditWindow.model == model, AuditWindow.id < before_id
    )
    if state is not None:
        wanted = wanted.where(AuditWindow.state == state)
    return list(current_session().scalars(wanted.order_by(AuditWindow.id.desc()).limit(limit)))


def _here(tenant: str, model: str, span: Span) -> list[ColumnElement[bool]]:
    return [
        AuditWindow.tenant == tenant,
        AuditWindow.model == model,
        AuditWindow.version == (span.version or ""),
        AuditWindow.window_start == span.start,
        AuditWindow.window_end == span.end,
    ]


def _in_pieces(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
