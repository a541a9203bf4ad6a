"""Durable background jobs: in the database by default, in Redis where REDIS_URL is set; one contract over both.

A job is run at least once, by one worker at a time: whoever claims it has it for its lease, and begins the lease anew with
each step. The lease of a worker that died ends, and the next one goes on from the last step's checkpoint. A worker that was
only slow finds its job lost when it comes back, and changes nothing.
"""

import json
import random
import secrets
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from fairlens_backend import config
from fairlens_backend.errors import InvalidInput
from fairlens_backend.storage import job_states, redis_link
from fairlens_backend.storage.job_redis import JobRedis
from fairlens_backend.storage.job_rows import JobRows
from fairlens_backend.storage.job_states import Job

LOOKED_AT: Final = 16  # jobs that are due: of several workers that look at once, each finds one that is free
MAX_ARGUMENTS: Final = 100_000


class Engine(Protocol):
    """Where jobs are kept, and who changes one at a time."""

    def insert(self, job: Job) -> Job: ...
    def change(self, job_id: str, change: Callable[[Job], Job | None]) -> Job | None: ...
    def due(self, names: Collection[str], now: datetime, limit: int) -> list[str]: ...
    def get(self, tenant: str, job_id: str) -> Job | None: ...
    def page(self, tenant: str, state: str | None, limit: int, before: str | None) -> list[Job]: ...
    def health(self, now: datetime) -> dict[str, Any]: ...
    def purge(self, before: datetime, limit: int) -> int: ...


def engine() -> Engine:
    """The engine of the current settings."""
    return JobRedis() if redis_link.configured() else JobRows()


def enqueue(
    tenant: str,
    name: str,
    arguments: Mapping[str, Any],
    *,
    by: str,
    now: datetime,
    key: str | None = None,
    max_attempts: int | None = None,
) -> Job:
    """Put a job in, due now.

    In the database it is in the caller's unit of work, there or not there with what caused it. In Redis it is there at once:
    enqueue it last.

    Parameters
    ----------
    arguments : a JSON object of at most 100,000 characters
    by : who asked for it
    key : a job of this tenant and name that has it, in whatever state, is given back in the place of a new one
    max_attempts : None for JOB_MAX_ATTEMPTS

    Raises
    ------
    InvalidInput : arguments that are no JSON, or too large
    Unavailable : the database or Redis does not answer; there is no job then
    """
    try:
        size = len(json.dumps(dict(arguments), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"The arguments of a job are no JSON: {error}.", field="arguments") from None
    if size > MAX_ARGUMENTS:
        raise InvalidInput(
            f"The arguments of a job have {size} characters, at most {MAX_ARGUMENTS} are kept.",
            field="arguments",
            got=size,
            expected=f"at most {MAX_ARGUMENTS} characters",
        )
    # The time first, so that jobs are in the order in which they were made.
    job_id = f"job_{int(now.timestamp() * 1000):012x}{secrets.token_hex(6)}"
    tries = config.current().job_max_attempts if max_attempts is None else max_attempts
    return engine().insert(
        Job(
            job_id,
            tenant,
            name,
            dict(arguments),
            by,
            now,
            max_attempts=tries,
            ready_at=now,
            idempotency_key=key,
        )
    )


def claim(names: Collection[str], now: datetime, lease_s: float) -> Job | None:
    """Take the job that waits longest, of those that a worker knows by name; None when there is none."""
    engine_now, token = engine(), secrets.token_hex(16)
    for job_id in engine_now.due(names, now, LOOKED_AT):
        taken = engine_now.change(job_id, lambda job: job_states.claimed(job, token, now, lease_s))
        if taken is not None and taken.state == "running":
            return taken
    return None


def advance(
    job: Job, checkpoint: dict[str, Any] | None, progress: float, now: datetime, lease_s: float
) -> Job | None:
    """Keep what a step left, and begin the lease anew. None when the job was lost; `cancelled` when it is not to go on."""
    token = job.token or ""
    return engine().change(
        job.job_id, lambda one: job_states.advanced(one, token, checkpoint, progress, now, lease_s)
    )


def put_back(job: Job, now: datetime) -> Job | None:
    """Let another worker, or this one later, go on. None when the job was lost."""
    return engine().change(job.job_id, lambda one: job_states.put_back(one, job.token or "", now))


def finish(job: Job, result: dict[str, Any], now: datetime) -> Job | None:
    """Keep the result. None when the job was lost: then another worker's result counts."""
    return engine().change(job.job_id, lambda one: job_states.finished(one, job.token or "", result, now))


def fail(job: Job, error: str, now: datetime, *, permanent: bool, rng: random.Random) -> Job | None:
    """Put a job back for later, or set it aside when it can never succeed or failed often enough. None when it was lost."""
    return engine().change(
        job.job_id,
        lambda one: job_states.failed(one, job.token or "", error, now, permanent=permanent, rng=rng),
    )


def cancel(tenant: str, job_id: str, now: datetime) -> Job | None:
    """Cancel a job of a tenant; None when there is none that has not ended."""
    return engine().change(
        job_id, lambda one: job_states.cancelled(one, now) if one.tenant == tenant else None
    )


def revive(tenant: str, job_id: str, now: datetime) -> Job | None:
    """Try a dead or cancelled job of a tenant anew; None when there is none."""
    return engine().change(job_id, lambda one: job_states.revived(one, now) if one.tenant == tenant else None)
