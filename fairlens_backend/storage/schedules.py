"""Rows of schedules, and the lease by which one worker at a time audits a model.

A lease is taken in a short transaction, by the database's clock. Each has a number that only grows: whoever writes under a
lease asks for its number in the same transaction, so that a worker that was taken for dead, and was not, writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    and_,
    exists,
    false,
    func,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from fairlens_backend import telemetry
from fairlens_backend.errors import Conflict
from fairlens_backend.storage.event_tables import CountSeries
from fairlens_backend.storage.schedule_tables import AuditWindow, Schedule
from fairlens_backend.storage.session import current_session, is_postgresql, read_snapshot

DECLARED: Final = (
    *("enabled", "cron", "time_zone", "window_minutes", "protected_attributes", "version", "policy"),
    *("reaudit_share", "reaudit_decisions", "reaudit_days"),
)
"""What people set; the other columns are the scheduler's own."""


@dataclass(frozen=True)
class Lease:
    """The right to audit one model until it runs out."""

    schedule_id: int
    holder: str
    fence: int


class LeaseLost(Conflict):
    """Another worker audits this model now; what was under way here is dropped."""


def common_time() -> datetime:
    """The time that all workers agree on: PostgreSQL's; of a SQLite file, whose users share a machine, the machine's."""
    if not is_postgresql():
        return telemetry.utc_now()
    with read_snapshot() as session:
        found: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return found.astimezone(UTC)


def find(tenant: str, model: str) -> Schedule | None:
    """The schedule of a model."""
    wanted = select(Schedule).where(Schedule.tenant == tenant, Schedule.model == model)
    return current_session().scalars(wanted.execution_options(populate_existing=True)).one_or_none()


def get(schedule_id: int) -> Schedule | None:
    """The schedule of that number, as it is now."""
    return current_session().get(Schedule, schedule_id, populate_existing=True)


def page(tenant: str, limit: int, after_id: int) -> list[Schedule]:
    """The tenant's schedules, oldest first, from the one after a number on."""
    wanted = select(Schedule).where(Schedule.tenant == tenant, Schedule.id > after_id)
    return list(current_session().scalars(wanted.order_by(Schedule.id).limit(limit)))


def put(tenant: str, model: str, columns: Mapping[str, Any]) -> None:
    """Set these columns of a model's schedule; made where it is not there, and then all that it needs must be given."""
    made = postgresql.insert if is_postgresql() else sqlite.insert
    first = {"attempts": 0, "fence": 0, "had_data": False, **columns, "tenant": tenant, "model": model}
    statement = made(Schedule).values(**first)
    current_session().execute(
        statement.on_conflict_do_update(index_elements=["tenant", "model"], set_=dict(columns))
    )


def adopt(columns: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give every model that has sent decisions and has no schedule one by default; tenant and model of each."""
    known = exists().where(Schedule.tenant == CountSeries.tenant, Schedule.model == CountSeries.model)
    found = current_session().execute(select(CountSeries.tenant, CountSeries.model).where(~known).distinct())
    new = [(tenant, model) for tenant, model in found]
    made = postgresql.insert if is_postgresql() else sqlite.insert
    for tenant, model in new:
        row = {**columns, "tenant": tenant, "model": model}
        statement = made(Schedule).values(attempts=0, fence=0, had_data=False, **row)
        # Another worker may see the same model at the same moment.
        current_session().execute(statement.on_conflict_do_nothing(index_elements=["tenant", "model"]))
    return new


def any_to_adopt() -> bool:
    """Whether a model sends decisions and has no schedule."""
    known = exists().where(Schedule.tenant == CountSeries.tenant, Schedule.model == CountSeries.model)
    return current_session().scalar(select(CountSeries.id).where(~known).limit(1)) is not None


def any_oversleeps(latest: datetime) -> bool:
    """Whether a schedule that follows the server's timetable wakes after that timetable's next time."""
    return current_session().scalar(select(Schedule.id).where(*_oversleeps(latest)).limit(1)) is not None


def wake(latest: datetime) -> None:
    """Let such schedules wake then."""
    woken = update(Schedule).where(*_oversleeps(latest)).values(next_due_at=latest)
    current_session().execute(woken, execution_options={"synchronize_session": False})


def with_work(now: datetime, holder: str, *, defaults: bool, limit: int) -> list[int]:
    """The schedules that have something to do and are not another's just now, the longest waiting first.

    Parameters
    ----------
    defaults : whether those that nobody set count
    """
    due = select(Schedule.id, Schedule.next_due_at.label("since")).where(
        *_active(defaults), Schedule.next_due_at <= now
    )
    checked = (
        select(Schedule.id, func.min(AuditWindow.check_at).label("since"))
        .join(Schedule, and_(Schedule.tenant == AuditWindow.tenant, Schedule.model == AuditWindow.model))
        .where(*_active(defaults), AuditWindow.check_at <= now)
        .group_by(Schedule.id)
    )
    found: dict[int, Any] = {}
    for wanted in (due, checked):
        free = wanted.where(_free(now, holder))
        for number, since in current_session().execute(free.order_by("since").limit(limit)):
            found.setdefault(number, since)
    return list(found)[:limit]


def take(schedule_id: int, holder: str, now: datetime, lease_s: float) -> Lease | None:
    """Take the lease where it is free, has run out or is one's own already; None where another holds it."""
    taken = (
        update(Schedule)
        .where(Schedule.id == schedule_id, _free(now, holder))
        .values(holder=holder, lease_until=now + timedelta(seconds=lease_s), fence=Schedule.fence + 1)
        .returning(Schedule.fence)
    )
    fence = current_session().scalar(taken, execution_options={"synchronize_session": False})
    return None if fence is None else Lease(schedule_id, holder, fence)


def hold(lease: Lease, **columns: Any) -> None:
    """Ask for the lease, and set these columns of its schedule, in the transaction that writes under it.

    Raises
    ------
    LeaseLost : it is another's, or the schedule is gone
    """
    asked = update(Schedule).where(*_mine(lease)).values(fence=lease.fence, **columns)
    changed: Any = current_session().execute(asked, execution_options={"synchronize_session": False})
    if not changed.rowcount:
        raise LeaseLost("Another worker audits this model now.", schedule_id=lease.schedule_id)


def renew(lease: Lease, now: datetime, lease_s: float) -> None:
    """Let a lease last for longer; `LeaseLost` where it is another's."""
    hold(lease, lease_until=now + timedelta(seconds=lease_s))


def release(lease: Lease) -> None:
    """Give a lease back, where it is still one's own."""
    given = update(Schedule).where(*_mine(lease)).values(lease_until=None)
    current_session().execute(given, execution_options={"synchronize_session": False})


def state_counts(late: datetime, *, defaults: bool) -> dict[str, Any]:
    """How many schedules are enabled and how many overdue (due before `late`), and the newest audit of any."""
    row = (
        current_session()
        .execute(
            select(
                func.count(),
                func.count().filter(Schedule.next_due_at < late),
                func.max(Schedule.last_audit_at),
                func.count().filter(Schedule.last_error.is_not(None)),
            ).where(*_active(defaults))
        )
        .one()
    )
    last = row[2]
    return {"enabled": row[0], "overdue": row[1], "last_audit_at": last, "failing": row[3]}


def all_active(*, defaults: bool) -> Sequence[Schedule]:
    """Every schedule that is enabled, of every tenant: for what the operator sees."""
    return current_session().scalars(select(Schedule).where(*_active(defaults)).order_by(Schedule.id)).all()


def _free(now: datetime, holder: str) -> ColumnElement[bool]:
    """Whether a lease is nobody's, has run out, or is this worker's own from a round that broke off."""
    return or_(Schedule.lease_until.is_(None), Schedule.lease_until <= now, Schedule.holder == holder)


def _active(defaults: bool) -> list[ColumnElement[bool]]:
    return [Schedule.enabled == true(), *([] if defaults else [Schedule.by_default == false()])]


def _oversleeps(latest: datetime) -> list[ColumnElement[bool]]:
    return [
        Schedule.enabled == true(),
        Schedule.next_due_at > latest,
        Schedule.cron.is_(None),
        Schedule.time_zone.is_(None),
        Schedule.attempts == 0,
    ]


def _mine(lease: Lease) -> list[ColumnElement[bool]]:
    return [
        Schedule.id == lease.schedule_id,
        Schedule.holder == lease.holder,
        Schedule.fence == lease.fence,
    ]
