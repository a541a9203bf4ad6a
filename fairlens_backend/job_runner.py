"""Background jobs: functions by name, run step by step by every worker's clock; and what people may ask of them.

A clock's round gives jobs a few seconds: one that is not done then is put back with its checkpoint, so that a long job holds
up neither the clock nor the other jobs. What a job meets that no error of ours explains counts as a failed try and goes on
to the clock, which logs it.
"""

import random
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from fairlens_backend import (
    account_manager,
    config,
    count_jobs,
    counts_gauge,
    erasure_steps,
    key_jobs,
    telemetry,
)
from fairlens_backend.errors import Conflict, FairLensError, NotFound, Unavailable
from fairlens_backend.job_steps import Call, Step
from fairlens_backend.storage import job_queue, redis_link
from fairlens_backend.storage.job_states import Job
from fairlens_backend.storage.schedules import common_time

Handler = Callable[[Call], Step]

HANDLERS: Final[Mapping[str, Handler]] = {
    count_jobs.CHECK: count_jobs.check,
    count_jobs.REBUILD: count_jobs.rebuild,
    erasure_steps.ERASE: erasure_steps.run_job,
    key_jobs.REENCRYPT: key_jobs.reencrypt,
    key_jobs.RENEW_TOKENS: key_jobs.renew_tokens,
}
BUDGET_S: Final = 3.0
PURGED_AT_ONCE: Final = 500
OVERDUE_S: Final = 900.0
CLOCK: Final = "clock"
_SKEW_NOTED: Final = timedelta(seconds=2)


def enqueue(
    tenant: str, name: str, arguments: Mapping[str, Any], *, by: str, now: datetime, key: str | None = None
) -> dict[str, Any]:
    """Put a job in; as `read` gives it. A job of the tenant and name that has this `key` is given back in its place.

    Raises
    ------
    ValueError : no such function; a programming mistake
    """
    if name not in HANDLERS:
        raise ValueError(f"there is no job {name!r}, there are {', '.join(HANDLERS)}")
    job = job_queue.enqueue(tenant, name, arguments, by=by, now=now, key=key)
    if job.created_at == now:
        telemetry.log("JOB_ENQUEUED", job_id=job.job_id, name=name, tenant=tenant, by=by)
    return shown(job)


def run_due(
    now: datetime,
    *,
    handlers: Mapping[str, Handler] = HANDLERS,
    budget_s: float = BUDGET_S,
    elapsed: Callable[[], float] = time.monotonic,
    rng: random.Random | None = None,
) -> int:
    """Run the jobs that are due, one after the other, until none is or the seconds are over; how many steps were done.

    Parameters
    ----------
    elapsed : seconds that only grow
    """
    if _away():
        return 0
    rng = rng or random.Random()
    now = _common(now)
    begun, steps = elapsed(), 0

    def moment() -> datetime:
        return now + timedelta(seconds=elapsed() - begun)

    while elapsed() - begun < budget_s:
        job = job_queue.claim(tuple(handlers), moment(), config.current().job_lease_s)
        if job is None:
            break
        steps += _run(job, handlers[job.name], moment, lambda: elapsed() - begun >= budget_s, rng)
    return steps


def enqueue_checks(now: datetime) -> None:
    """Enqueue the comparison of counts with raw rows that is due, one for all workers."""
    if _away():
        return
    name = counts_gauge.round_due(now)
    if name is not None:
        job_queue.enqueue(
            account_manager.OPERATOR_TENANT, count_jobs.CHECK, {}, by=CLOCK, now=now, key=f"round {name}"
        )


def purge(now: datetime) -> int:
    """Delete jobs that ended more than JOB_KEEP_DAYS ago; how many."""
    if _away():
        return 0
    before = now - timedelta(days=config.current().job_keep_days)
    return job_queue.engine().purge(before, PURGED_AT_ONCE)


def read(tenant: str, job_id: str) -> dict[str, Any]:
    """A job of a tenant.

    Raises
    ------
    NotFound : the tenant has no such job, or it was deleted
    """
    job = job_queue.engine().get(tenant, job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id[:100]}.", id=job_id[:100])
    return shown(job)


def page(tenant: str, state: str | None, limit: int, cursor: str | None) -> dict[str, Any]:
    """Jobs of a tenant, newest first: `{"items", "next_cursor"}`; `cursor` is the last job's id of the page before."""
    jobs = job_queue.engine().page(tenant, state, limit + 1, cursor)
    more = len(jobs) > limit
    return {
        "items": [shown(job) for job in jobs[:limit]],
        "next_cursor": jobs[limit - 1].job_id if more else None,
    }


def cancel(tenant: str, job_id: str, by: str, now: datetime) -> dict[str, Any]:
    """Cancel a job: at once when it waits, after the step under way when it runs.

    Raises
    ------
    NotFound : the tenant has no such job
    Conflict : it has ended already
    """
    job = job_queue.cancel(tenant, job_id, now)
    if job is None:
        state = read(tenant, job_id)["state"]
        raise Conflict(
            f"The job {job_id} is {state} already; only one that has not ended can be cancelled.", state=state
        )
    telemetry.log("JOB_CANCELLED", job_id=job_id, name=job.name, tenant=tenant, by=by)
    return shown(job)


def retry(tenant: str, job_id: str, by: str, now: datetime) -> dict[str, Any]:
    """Try a dead or cancelled job anew, from its last checkpoint.

    Raises
    ------
    NotFound : the tenant has no such job
    Conflict : it is neither dead nor cancelled
    """
    job = job_queue.revive(tenant, job_id, now)
    if job is None:
        state = read(tenant, job_id)["state"]
        raise Conflict(
            f"The job {job_id} is {state}; only one that is dead or cancelled is tried anew.", state=state
        )
    telemetry.log("JOB_RETRIED", job_id=job_id, name=job.name, tenant=tenant, by=by)
    return shown(job)


def health(now: datetime) -> dict[str, Any]:
    """Jobs waiting, running and dead of all tenants, and since when the oldest that is due could have run (s).

    `status` is ok, or degraded when one is overdue by a quarter of an hour or Redis, which holds them, is away.
    """
    try:
        found = job_queue.engine().health(now)
    except Unavailable as error:
        return {"status": "failed", "reason": error.message}
    return {"status": "degraded" if found["overdue_s"] > OVERDUE_S else "ok", **found}


def shown(job: Job) -> dict[str, Any]:
    """A job as people see it: without its token, times as texts."""
    at = {"created_at": job.created_at, "started_at": job.started_at, "finished_at": job.finished_at}
    return {
        "job_id": job.job_id,
        "name": job.name,
        "state": job.state,
        "progress": job.progress,
        "arguments": job.arguments,
        "result": job.result,
        "error": job.error,
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "cancel_requested": job.cancel_requested,
        "created_by": job.created_by,
        **{name: None if moment is None else telemetry.timestamp(moment) for name, moment in at.items()},
        "next_try_at": telemetry.timestamp(job.ready_at) if job.ready_at and job.state == "waiting" else None,
    }


def _run(
    job: Job, handler: Handler, moment: Callable[[], datetime], over: Callable[[], bool], rng: random.Random
) -> int:
    """Steps of one job until it ends, is lost or the time is over; how many."""
    lease_s, steps = config.current().job_lease_s, 0
    while True:
        try:
            step = handler(Call(job.tenant, job.arguments, job.checkpoint, job.created_by, moment()))
        except Unavailable as error:
            _fail(job, error.message, moment(), permanent=False, rng=rng)
            return steps
        except FairLensError as error:
            # A caller's mistake stays one however often it is tried.
            _fail(job, error.message, moment(), permanent=True, rng=rng)
            return steps
        except Exception as error:
            # Its message may hold a value; the clock logs it, with the traceback, for the operator only.
            _fail(
                job,
                f"{type(error).__name__}; the server's log has the cause.",
                moment(),
                permanent=False,
                rng=rng,
            )
            raise
        steps += 1
        if step.result is not None:
            if job_queue.finish(job, step.result, moment()) is not None:
                telemetry.log("JOB_DONE", job_id=job.job_id, name=job.name, tenant=job.tenant)
            return steps
        kept = job_queue.advance(job, step.checkpoint, step.progress, moment(), lease_s)
        if kept is None or kept.state != "running":
            return steps
        job = kept
        if step.not_before is not None or over():
            job_queue.put_back(job, step.not_before or moment())
            return steps


def _fail(job: Job, reason: str, now: datetime, *, permanent: bool, rng: random.Random) -> None:
    kept = job_queue.fail(job, reason, now, permanent=permanent, rng=rng)
    if kept is None:
        return
    dead = kept.state == "dead"
    telemetry.log(
        "JOB_DEAD" if dead else "JOB_FAILED",
        level="error" if dead else "warning",
        job_id=job.job_id,
        name=job.name,
        tenant=job.tenant,
        attempts=kept.attempts,
    )


def _away() -> bool:
    """Whether jobs wait for a Redis that does not answer. It was said where that was found: no failure at every tick."""
    return redis_link.configured() and not redis_link.up()


def _common(now: datetime) -> datetime:
    """`now` by the database's clock where this machine's is off: a lease ends at one moment for all hosts."""
    ahead = telemetry.utc_now() - common_time()
    return now - ahead if abs(ahead) > _SKEW_NOTED else now
