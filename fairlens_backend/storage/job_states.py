"""The life of a job, as functions of a job and the time: what each engine does under its own lock.

    waiting ──claimed──► running ──finished──► done
       ▲                    │ ├─────failed─────► waiting again, later ──tried often enough──► dead
       └───put back─────────┘ └──lease over────► running at another worker, or dead
    waiting, running ──cancelled──► cancelled          dead, cancelled ──revived──► waiting

Who runs a job holds its token until `ready_at`. Whoever comes with another token has lost it and changes nothing.
"""

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

State = Literal["waiting", "running", "done", "dead", "cancelled"]

STATES: Final[tuple[State, ...]] = ("waiting", "running", "done", "dead", "cancelled")
ENDED: Final[frozenset[str]] = frozenset({"done", "dead", "cancelled"})
BACKOFF_BASE_S: Final = 10.0
BACKOFF_CAP_S: Final = 3600.0
MAX_ERROR_LENGTH: Final = 500


@dataclass(frozen=True)
class Job:
    """One piece of background work.

    Parameters
    ----------
    job_id : grows with the time it was made
    arguments, checkpoint, result : JSON objects; `checkpoint` is what the last finished step left for the next one
    idempotency_key : a second job of the tenant and name with this key is this job
    ready_at : from when on a worker may take it: the next try, or the end of a lease; None when it has ended
    attempts : tries that failed, or whose worker was gone when its lease was over
    progress : in [0, 1]
    token : of the worker that runs it
    error : of the last try that failed
    """

    job_id: str
    tenant: str
    name: str
    arguments: dict[str, Any]
    created_by: str
    created_at: datetime
    max_attempts: int
    ready_at: datetime | None
    idempotency_key: str | None = None
    state: State = "waiting"
    attempts: int = 0
    progress: float = 0.0
    checkpoint: dict[str, Any] | None = None
    token: str | None = None
    cancel_requested: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: dict[str, Any] | None = None
    error: str | None = None


def claimed(job: Job, token: str, now: datetime, lease_s: float) -> Job | None:
    """The job in the hands of a worker; ended, when its last worker was gone once too often; None when it is not to be had."""
    if job.ready_at is None or job.ready_at > now:
        return None
    if job.cancel_requested:
        return _ended(job, "cancelled", now)
    if job.state == "running":
        job = replace(
            job, attempts=job.attempts + 1, error="The worker that ran it was gone before it was done."
        )
        if job.attempts >= job.max_attempts:
            return _ended(job, "dead", now)
    return replace(
        job,
        state="running",
        token=token,
        ready_at=now + timedelta(seconds=lease_s),
        started_at=job.started_at or now,
    )


def advanced(
    job: Job, token: str, checkpoint: dict[str, Any] | None, progress: float, now: datetime, lease_s: float
) -> Job | None:
    """The job after one more step, its lease begun anew; cancelled where that was asked for; None when it was lost."""
    if not held(job, token):
        return None
    job = replace(job, checkpoint=checkpoint, progress=min(1.0, max(0.0, progress)))
    if job.cancel_requested:
        return _ended(job, "cancelled", now)
    return replace(job, ready_at=now + timedelta(seconds=lease_s))


def put_back(job: Job, token: str, now: datetime) -> Job | None:
    """The job, not done yet, for whoever comes next; None when it was lost."""
    return replace(job, state="waiting", token=None, ready_at=now) if held(job, token) else None


def finished(job: Job, token: str, result: dict[str, Any], now: datetime) -> Job | None:
    """The job with its result; None when it was lost."""
    if not held(job, token):
        return None
    return replace(_ended(job, "done", now), progress=1.0, result=result, error=None)


def failed(
    job: Job, token: str, error: str, now: datetime, *, permanent: bool, rng: random.Random
) -> Job | None:
    """The job for a later try, or dead; None when it was lost."""
    if not held(job, token):
        return None
    job = replace(job, attempts=job.attempts + 1, error=error[:MAX_ERROR_LENGTH])
    if job.cancel_requested:
        return _ended(job, "cancelled", now)
    if permanent or job.attempts >= job.max_attempts:
        return _ended(job, "dead", now)
    wait = timedelta(seconds=backoff_s(job.attempts, rng))
    return replace(job, state="waiting", token=None, ready_at=now + wait)


def cancelled(job: Job, now: datetime) -> Job | None:
    """The job, cancelled now, or after the step that is under way; None when it has ended already."""
    if job.state in ENDED:
        return None
    if job.state == "running":
        return replace(job, cancel_requested=True)
    return _ended(job, "cancelled", now)


def revived(job: Job, now: datetime) -> Job | None:
    """A dead or cancelled job, to be tried anew from its checkpoint; None of any other."""
    if job.state not in ("dead", "cancelled"):
        return None
    return replace(
        job, state="waiting", ready_at=now, attempts=0, cancel_requested=False, finished_at=None, error=None
    )


def held(job: Job, token: str) -> bool:
    """Whether the worker with that token still has the job."""
    return job.state == "running" and job.token == token


def backoff_s(attempts: int, rng: random.Random) -> float:
    """Seconds to wait after so many failures: between half and the whole of 10 s · 2^(attempts − 1), at most an hour.

    Half of it is certain, so that a service that is away is left in peace; the rest is chance, so that jobs that failed
    together do not come back together.
    """
    longest = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(attempts - 1, 30))
    return rng.uniform(longest / 2, longest)


def _ended(job: Job, state: State, now: datetime) -> Job:
    return replace(job, state=state, token=None, ready_at=None, finished_at=now)
