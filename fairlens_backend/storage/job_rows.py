"""Jobs as rows of the database: what is there when there is no Redis. Each change is one unit of work, or the caller's."""

from collections.abc import Callable, Collection
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from fairlens_backend.storage.job_states import ENDED, Job
from fairlens_backend.storage.job_tables import JobRow
from fairlens_backend.storage.session import is_postgresql, read_snapshot, unit_of_work

_FIELDS: Final = tuple(field.name for field in fields(Job))


class JobRows:
    """The engine over the table `jobs`."""

    def insert(self, job: Job) -> Job:
        """Keep a new job, or find the one that has its key."""
        insert = postgresql.insert if is_postgresql() else sqlite.insert
        with unit_of_work() as session:
            statement = insert(JobRow).values(**asdict(job)).on_conflict_do_nothing()
            if session.execute(statement.returning(JobRow.job_id)).scalar() is not None:
                return job
            same = (JobRow.tenant == job.tenant, JobRow.name == job.name)
            found = session.scalars(
                select(JobRow).where(*same, JobRow.idempotency_key == job.idempotency_key)
            )
            return _as_job(found.one())

    def change(self, job_id: str, change: Callable[[Job], Job | None]) -> Job | None:
        """Put what `change` makes of a job in its place; None when there is none, or nothing changes."""
        with unit_of_work() as session:
            row = session.scalars(
                select(JobRow)
                .where(JobRow.job_id == job_id)
                .with_for_update()
                .execution_options(populate_existing=True)
            ).first()
            new = change(_as_job(row)) if row is not None else None
            if row is None or new is None:
                return None
            for name in _FIELDS:
                setattr(row, name, getattr(new, name))
            session.flush()
            return new

    def due(self, names: Collection[str], now: datetime, limit: int) -> list[str]:
        """Jobs that a worker may take, the one that waits longest first; a look without a lock."""
        with read_snapshot() as session:
            wanted = select(JobRow.job_id).where(JobRow.name.in_(names), JobRow.ready_at <= now)
            return list(session.scalars(wanted.order_by(JobRow.ready_at, JobRow.job_id).limit(limit)))

    def get(self, tenant: str, job_id: str) -> Job | None:
        """A job of a tenant."""
        with read_snapshot() as session:
            row = session.get(JobRow, job_id, populate_existing=True)
            return _as_job(row) if row is not None and row.tenant == tenant else None

    def page(self, tenant: str, state: str | None, limit: int, before: str | None) -> list[Job]:
        """Jobs of a tenant, newest first, those made before another one."""
        wanted = select(JobRow).where(JobRow.tenant == tenant)
        if state is not None:
            wanted = wanted.where(JobRow.state == state)
        if before is not None:
            wanted = wanted.where(JobRow.job_id < before)
        with read_snapshot() as session:
            rows = session.scalars(wanted.order_by(JobRow.job_id.desc()).limit(limit))
            return [_as_job(row) for row in rows]

    def health(self, now: datetime) -> dict[str, Any]:
        """How many jobs wait, run and are dead, and since when the oldest of those that are due could have run (s)."""
        open_states = ("waiting", "running", "dead")
        with read_snapshot() as session:
            counted = select(JobRow.state, func.count()).where(JobRow.state.in_(open_states))
            found = {state: n for state, n in session.execute(counted.group_by(JobRow.state))}
            oldest = session.scalar(select(func.min(JobRow.ready_at)).where(JobRow.ready_at <= now))
        overdue_s = 0.0 if oldest is None else (now - oldest).total_seconds()
        return {**{state: found.get(state, 0) for state in open_states}, "overdue_s": overdue_s}

    def purge(self, before: datetime, limit: int) -> int:
        """Delete jobs that ended before a time, so many at most."""
        with unit_of_work() as session:
            old = session.scalars(
                select(JobRow.job_id).where(JobRow.state.in_(ENDED), JobRow.finished_at < before).limit(limit)
            ).all()
            if old:
                # Still ended: one of them may have been revived since.
                session.execute(delete(JobRow).where(JobRow.job_id.in_(old), JobRow.state.in_(ENDED)))
        return len(old)


def _as_job(row: JobRow) -> Job:
    return Job(**{name: getattr(row, name) for name in _FIELDS})
