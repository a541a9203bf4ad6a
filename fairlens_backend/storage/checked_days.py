"""Days whose counts are to be compared with their raw rows: which are due, and what the last comparison found.

A day is due when its counts changed since it was compared, when rows of it came that nobody counted, and once in a while.
Everything runs inside the caller's unit of work or snapshot.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from fairlens_backend.storage.event_tables import CountSeries, EventBatch
from fairlens_backend.storage.job_tables import CountedDay
from fairlens_backend.storage.session import current_session, is_postgresql
from fairlens_backend.storage.tallies import read_tally, write_tally

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY: Final = 1440
BATCHES_AT_ONCE: Final = 5_000
LONGEST_DAYS: Final = 4_000  # a batch from the whole history of a model; more is no batch of decisions
_SEEN: Final = "checked_days.batch"
_AT_ONCE: Final = 300
_APART: Final = timedelta(seconds=1)


class Mismatch(NamedTuple):
    """A day of a series whose counts are not those of its raw rows."""

    tenant: str
    model: str
    version: str
    day: int
    counted: int
    raw_rows: int
    cells_wrong: int
    checked_at: datetime


def mark(series_id: int, days: Iterable[int], *, at_once: bool = False) -> None:
    """Days whose counts changed: due as soon as their last comparison allows, or at once."""
    earliest = EPOCH if at_once else CountedDay.earliest_check_at
    _insert([(series_id, day) for day in days], {"next_check_at": earliest})


def discover() -> int:
    """Days of the batches that came since the last look, so that rows that nobody counted are found too; how many batches."""
    seen = read_tally(_SEEN)
    new = (
        select(EventBatch.id, EventBatch.series_id, EventBatch.first_minute, EventBatch.last_minute)
        .where(EventBatch.id > seen)
        .order_by(EventBatch.id)
        .limit(BATCHES_AT_ONCE)
    ).subquery()
    first, last = new.c.first_minute // DAY, new.c.last_minute // DAY
    spans = select(new.c.series_id, first, last, func.max(new.c.id), func.count()).group_by(
        new.c.series_id, first, last
    )
    found = current_session().execute(spans).all()
    if found:
        days = {
            (series_id, day)
            for series_id, begin, end, _, _ in found
            for day in range(begin, min(end, begin + LONGEST_DAYS) + 1)
        }
        _insert(sorted(days), None)
        write_tally(_SEEN, max(newest for *_, newest, _ in found))
    return sum(n for *_, n in found)


def any_due(now: datetime) -> bool:
    """Whether some day is due, or batches have come since the last look."""
    session = current_session()
    due = select(CountedDay.day).where(CountedDay.next_check_at <= now).limit(1)
    if session.execute(due).first() is not None:
        return True
    newer = select(EventBatch.id).where(EventBatch.id > read_tally(_SEEN)).limit(1)
    return session.execute(newer).first() is not None


def take(now: datetime, until: datetime) -> tuple[int, int] | None:
    """Series and number of the day that is due longest; nobody else gets it before `until`."""
    wanted = (
        select(CountedDay)
        .where(CountedDay.next_check_at <= now)
        .order_by(CountedDay.next_check_at, CountedDay.series_id, CountedDay.day)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = current_session().scalars(wanted.execution_options(populate_existing=True)).first()
    if row is None:
        return None
    row.next_check_at = until
    # Unlike the other one: a mark that is set while the comparison is under way is seen by it.
    row.earliest_check_at = until - _APART
    return row.series_id, row.day


def record(
    series_id: int, day: int, found: dict[str, Any], until: datetime, next_at: datetime, earliest_at: datetime
) -> None:
    """Keep what a comparison found: checked_at, counted, raw_rows, cells_wrong.

    Parameters
    ----------
    until : as it was given to `take`; a day that was marked since then is due again from `earliest_at` on
    """
    here = (CountedDay.series_id == series_id, CountedDay.day == day)
    next_check_at = case((CountedDay.next_check_at == until, next_at), else_=earliest_at)
    current_session().execute(
        update(CountedDay)
        .where(*here)
        .values(**found, next_check_at=next_check_at, earliest_check_at=earliest_at)
    )


def drop(series_id: int, day: int) -> None:
    """Forget a day whose raw rows were purged: there is nothing left to compare its counts with."""
    current_session().execute(
        delete(CountedDay).where(CountedDay.series_id == series_id, CountedDay.day == day)
    )


def mismatches(limit: int, tenant: str | None = None) -> list[Mismatch]:
    """Days whose last comparison failed, the newest first; of one tenant or of all."""
    columns = (
        *(CountSeries.tenant, CountSeries.model, CountSeries.version),
        *(getattr(CountedDay, name) for name in Mismatch._fields[3:]),
    )
    wanted = select(*columns).join(CountSeries, CountSeries.id == CountedDay.series_id)
    wanted = wanted.where(CountedDay.cells_wrong > 0)
    if tenant is not None:
        wanted = wanted.where(CountSeries.tenant == tenant)
    rows = current_session().execute(
        wanted.order_by(CountedDay.day.desc(), CountedDay.series_id).limit(limit)
    )
    return [Mismatch(*row) for row in rows]


def summary(now: datetime) -> dict[str, int]:
    """How many days are known, how many are due, and of how many the last comparison failed."""
    due = func.sum(case((CountedDay.next_check_at <= now, 1), else_=0))
    wrong = func.sum(case((CountedDay.cells_wrong > 0, 1), else_=0))
    days, n_due, n_wrong = (
        current_session().execute(select(func.count(), due, wrong).select_from(CountedDay)).one()
    )
    return {"days": days, "due": n_due or 0, "mismatches": n_wrong or 0}


def _insert(days: Sequence[tuple[int, int]], known: dict[str, Any] | None) -> None:
    """New days, due at once; of known ones these columns, or nothing, change."""
    insert = postgresql.insert if is_postgresql() else sqlite.insert
    for start in range(0, len(days), _AT_ONCE):
        rows = [
            {"series_id": series_id, "day": day, "next_check_at": EPOCH, "earliest_check_at": EPOCH}
            for series_id, day in days[start : start + _AT_ONCE]
        ]
        statement = insert(CountedDay).values(rows)
        keys = ["series_id", "day"]
        current_session().execute(
            statement.on_conflict_do_nothing(index_elements=keys)
            if known is None
            else statement.on_conflict_do_update(index_elements=keys, set_=known)
        )
