"""Jobs in Redis, for many hosts: a text a job, and sorted sets that say which are due, in which state, of which tenant.

A job is in the set of those that are due from the moment it is made until it has ended: a worker that takes one only moves
its time to the end of the lease. So no crash can lose it, which lists that are popped cannot say (huey's Redis storage
pops: what its worker had in hands when it was killed is gone). Each change is one transaction, made again when another
client was quicker. How much of it a crash of Redis itself loses, its `appendfsync` says.
"""

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any, Final

from fairlens_backend.storage import redis_link
from fairlens_backend.storage.job_states import ENDED, Job

PREFIX: Final = "{fairlens}:jobs"  # in braces: a cluster keeps all of it on one node, as transactions need
MAX_NAMES: Final = 1000
_TIMES: Final = tuple(field.name for field in fields(Job) if "datetime" in str(field.type))


class JobRedis:
    """The engine over Redis. Every call raises `Unavailable` while Redis is away: a job is never kept in a process alone."""

    def insert(self, job: Job) -> Job:
        """As `JobRows.insert`."""
        key = _key_of(job)

        def act(client: Any) -> Job:
            from redis.exceptions import WatchError

            while True:
                with client.pipeline(transaction=True) as pipe:
                    try:
                        if key is not None:
                            pipe.watch(key)
                            known = pipe.get(key)
                            if known is not None and (found := pipe.get(_text(known.decode()))) is not None:
                                return _read(found)
                        pipe.multi()
                        if key is not None:
                            pipe.set(key, job.job_id)
                        pipe.sadd(f"{PREFIX}:names", job.name)
                        pipe.zadd(f"{PREFIX}:of:{job.tenant}", {job.job_id: 0})
                        _write(pipe, None, job)
                        pipe.execute()
                        return job
                    except WatchError:
                        continue

        return redis_link.ask(act)

    def change(self, job_id: str, change: Callable[[Job], Job | None]) -> Job | None:
        """As `JobRows.change`; `change` may be called again when another client changed the job meanwhile."""

        def act(client: Any) -> Job | None:
            from redis.exceptions import WatchError

            while True:
                with client.pipeline(transaction=True) as pipe:
                    try:
                        pipe.watch(_text(job_id))
                        found = pipe.get(_text(job_id))
                        old = None if found is None else _read(found)
                        new = change(old) if old is not None else None
                        if new is None:
                            return None
                        pipe.multi()
                        _write(pipe, old, new)
                        pipe.execute()
                        return new
                    except WatchError:
                        continue

        return redis_link.ask(act)

    def due(self, names: Collection[str], now: datetime, limit: int) -> list[str]:
        """As `JobRows.due`."""

        def act(client: Any) -> list[str]:
            with client.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.zrangebyscore(
                        f"{PREFIX}:ready:{name}", "-inf", _score(now), start=0, num=limit, withscores=True
                    )
                found = [(score, job_id.decode()) for some in pipe.execute() for job_id, score in some]
            return [job_id for _, job_id in sorted(found)[:limit]]

        return redis_link.ask(act)

    def get(self, tenant: str, job_id: str) -> Job | None:
        """As `JobRows.get`."""
        found = redis_link.ask(lambda client: client.get(_text(job_id)))
        job = None if found is None else _read(found)
        return job if job is not None and job.tenant == tenant else None

    def page(self, tenant: str, state: str | None, limit: int, before: str | None) -> list[Job]:
        """As `JobRows.page`."""
        listed = f"{PREFIX}:of:{tenant}" + (f":{state}" if state is not None else "")

        def act(client: Any) -> list[bytes | None]:
            newest = "+" if before is None else f"({before}"
            ids = client.zrevrangebylex(listed, newest, "-", start=0, num=limit)
            return list(client.mget([_text(one.decode()) for one in ids])) if ids else []

        # One that was deleted between the two questions is left out.
        return [_read(text) for text in redis_link.ask(act) if text is not None]

    def health(self, now: datetime) -> dict[str, Any]:
        """As `JobRows.health`."""

        def act(client: Any) -> dict[str, Any]:
            names = sorted(name.decode() for name in client.smembers(f"{PREFIX}:names"))[:MAX_NAMES]
            with client.pipeline(transaction=False) as pipe:
                for state in ("waiting", "running", "dead"):
                    pipe.scard(f"{PREFIX}:state:{state}")
                for name in names:
                    pipe.zrange(f"{PREFIX}:ready:{name}", 0, 0, withscores=True)
                waiting, running, dead, *first = pipe.execute()
            oldest = min((score for some in first for _, score in some), default=_score(now))
            overdue_s = max(0.0, (_score(now) - oldest) / 1e6)
            return {"waiting": waiting, "running": running, "dead": dead, "overdue_s": overdue_s}

        return redis_link.ask(act)

    def purge(self, before: datetime, limit: int) -> int:
        """As `JobRows.purge`."""

        def act(client: Any) -> int:
            from redis.exceptions import WatchError

            ended, latest = f"{PREFIX}:ended", f"({_score(before)}"
            ids = [one.decode() for one in client.zrangebyscore(ended, "-inf", latest, start=0, num=limit)]
            for job_id in ids:
                with client.pipeline(transaction=True) as pipe:
                    try:
                        pipe.watch(_text(job_id))
                        found = pipe.get(_text(job_id))
                        job = None if found is None else _read(found)
                        if job is not None and job.state not in ENDED:
                            continue
                        pipe.multi()
                        pipe.zrem(ended, job_id)
                        if job is not None:
                            _forget(pipe, job)
                        pipe.execute()
                    except WatchError:
                        continue  # revived meanwhile, or forgotten by another
            return len(ids)

        return redis_link.ask(act)


def _write(pipe: Any, old: Job | None, new: Job) -> None:
    """Queue all that is to be written of a job into a transaction."""
    pipe.set(_text(new.job_id), _as_text(new))
    if old is not None and old.state != new.state:
        pipe.srem(f"{PREFIX}:state:{old.state}", new.job_id)
        pipe.zrem(f"{PREFIX}:of:{new.tenant}:{old.state}", new.job_id)
    if old is None or old.state != new.state:
        pipe.sadd(f"{PREFIX}:state:{new.state}", new.job_id)
        # One score for all: such a set is in the order of its members, which is that of time.
        pipe.zadd(f"{PREFIX}:of:{new.tenant}:{new.state}", {new.job_id: 0})
    ready = f"{PREFIX}:ready:{new.name}"
    if new.ready_at is None:
        pipe.zrem(ready, new.job_id)
    else:
        pipe.zadd(ready, {new.job_id: _score(new.ready_at)})
    if new.state in ENDED and new.finished_at is not None:
        pipe.zadd(f"{PREFIX}:ended", {new.job_id: _score(new.finished_at)})
    else:
        pipe.zrem(f"{PREFIX}:ended", new.job_id)


def _forget(pipe: Any, job: Job) -> None:
    pipe.delete(_text(job.job_id))
    pipe.srem(f"{PREFIX}:state:{job.state}", job.job_id)
    pipe.zrem(f"{PREFIX}:of:{job.tenant}:{job.state}", job.job_id)
    pipe.zrem(f"{PREFIX}:of:{job.tenant}", job.job_id)
    key = _key_of(job)
    if key is not None:
        pipe.delete(key)


def _text(job_id: str) -> str:
    return f"{PREFIX}:job:{job_id}"


def _key_of(job: Job) -> str | None:
    if job.idempotency_key is None:
        return None
    return f"{PREFIX}:key:{json.dumps([job.tenant, job.name, job.idempotency_key])}"


def _score(at: datetime) -> int:
    return round(at.timestamp() * 1e6)  # µs; below 2**53, so that a score holds it exactly


def _as_text(job: Job) -> str:
    kept = asdict(job)
    for name in _TIMES:
        kept[name] = None if kept[name] is None else kept[name].astimezone(UTC).isoformat()
    return json.dumps(kept, allow_nan=False)


def _read(text: bytes) -> Job:
    kept = json.loads(text)
    for name in _TIMES:
        kept[name] = None if kept[name] is None else datetime.fromisoformat(kept[name])
    return Job(**kept)
