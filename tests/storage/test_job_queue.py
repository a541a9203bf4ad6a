"""Durable jobs: one contract over the database and Redis, with a worker that is killed in the middle of one."""

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlens_backend import config, telemetry
from fairlens_backend.errors import InvalidInput, Unavailable
from fairlens_backend.storage import job_queue, job_redis, job_states, redis_link
from fairlens_backend.storage.job_states import Job
from fairlens_backend.storage.session import unit_of_work
from tests.redis_server import RedisServer

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMES = ("count", "mend")
LEASE_S = 60.0


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def put(name: str = "count", tenant: str = "t", at: datetime = NOW, **given: Any) -> Job:
    """A new job."""
    return job_queue.enqueue(tenant, name, given.pop("arguments", {"n": 1}), by="ann", now=at, **given)


def take(at: datetime = NOW) -> Job | None:
    """The next job, for a minute."""
    return job_queue.claim(NAMES, at, LEASE_S)


def taken(at: datetime = NOW) -> Job:
    """The next job, which must be there."""
    job = take(at)
    assert job is not None
    return job


def read(job: Job) -> Job:
    """The job as it is kept."""
    found = job_queue.engine().get(job.tenant, job.job_id)
    assert found is not None
    return found


@pytest.fixture(params=["database", "redis"])
def queue(request: pytest.FixtureRequest, database: None, make_settings: Any) -> Iterator[str]:
    """Settings with an empty queue of each kind."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    make_settings(REDIS_URL=url)
    yield request.param


def test_a_job_goes_in_is_run_and_is_done(queue: str) -> None:
    """What was asked for comes to the worker, the steps' checkpoints are kept, the result is there for whoever asks."""
    made = put(arguments={"days": [1, 2], "text": "ä"})
    assert read(made) == made and (made.state, made.ready_at) == ("waiting", NOW)
    job = taken()
    assert (job.job_id, job.arguments, job.state) == (made.job_id, {"days": [1, 2], "text": "ä"}, "running")
    assert (job.ready_at, job.started_at) == (later(60), NOW)
    going_on = job_queue.advance(job, {"at": 1}, 0.5, later(30), LEASE_S)
    assert going_on is not None and going_on.ready_at == later(90)
    assert (read(job).checkpoint, read(job).progress) == ({"at": 1}, 0.5)
    done = job_queue.finish(job, {"ok": True}, later(40))
    assert done is not None and read(job) == done
    assert (done.state, done.result, done.progress) == ("done", {"ok": True}, 1.0)
    assert (done.finished_at, done.ready_at, done.token) == (later(40), None, None)
    assert take(later(10_000)) is None


def test_the_one_that_waits_longest_comes_first(queue: str) -> None:
    """Over all names that the worker knows; a name it does not know is left to others."""
    second, first = put("mend", at=later(2)), put("count", at=later(1))
    put("unknown", at=NOW)
    put("count", at=later(100))
    assert [taken(later(3)).job_id for _ in range(2)] == [first.job_id, second.job_id]
    assert take(later(3)) is None


def test_only_one_worker_has_a_job(queue: str) -> None:
    """Of many that look at the same moment each job is given to one."""
    jobs = {put(at=later(-n)).job_id for n in range(12)}
    got: list[str] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        while (job := take()) is not None:
            got.append(job.job_id)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(got) == sorted(jobs)


def test_the_job_of_a_dead_worker_goes_on_from_its_checkpoint(queue: str) -> None:
    """Not before its lease is over; the failure counts; what the dead one would still have written is refused."""
    put()
    lost = taken()
    job_queue.advance(lost, {"at": 7}, 0.7, later(10), LEASE_S)
    assert take(later(69)) is None
    again = taken(later(70))
    assert (again.job_id, again.checkpoint, again.attempts) == (lost.job_id, {"at": 7}, 1)
    assert job_queue.finish(lost, {"by": "the dead"}, later(71)) is None
    assert job_queue.advance(lost, {"at": 0}, 0, later(71), LEASE_S) is None
    assert job_queue.fail(lost, "x", later(71), permanent=False, rng=random.Random(1)) is None
    assert job_queue.put_back(lost, later(71)) is None
    assert read(again) == again


def test_a_job_that_kills_every_worker_is_set_aside(queue: str) -> None:
    """After as many tries as it has, it is dead, with the reason; nobody is given it then."""
    made = put(max_attempts=2)
    taken()
    taken(later(60))
    assert take(later(120)) is None
    dead = read(made)
    assert (dead.state, dead.attempts, dead.finished_at) == ("dead", 2, later(120))
    assert dead.error is not None and "worker" in dead.error


def test_a_failure_is_tried_again_later_and_later(queue: str) -> None:
    """Between half and the whole of 10, 20, 40 s …; then it is dead. A reason of any length is kept in part."""
    made, at = put(max_attempts=4), NOW
    for number, longest in enumerate((10, 20, 40), 1):
        back = job_queue.fail(taken(at), "away" * 500, at, permanent=False, rng=random.Random(number))
        assert back is not None and back.ready_at is not None and back.state == "waiting"
        assert longest / 2 <= (back.ready_at - at).total_seconds() <= longest
        assert back.attempts == number and back.error is not None and len(back.error) == 500
        assert take(back.ready_at - timedelta(milliseconds=1)) is None
        at = back.ready_at
    dead = job_queue.fail(taken(at), "away", at, permanent=False, rng=random.Random(1))
    assert dead is not None and dead.state == "dead" and take(later(1e6)) is None
    assert read(made).error == "away"


def test_what_can_never_succeed_is_dead_at_once(queue: str) -> None:
    """A permanent failure is not tried again."""
    put()
    dead = job_queue.fail(taken(), "no such model", NOW, permanent=True, rng=random.Random(1))
    assert dead is not None and (dead.state, dead.attempts) == ("dead", 1)


def test_a_job_that_is_put_back_costs_no_try(queue: str) -> None:
    """Its checkpoint stays, and the one that waited meanwhile comes first."""
    put()
    job = taken()
    other = put(at=later(1))
    job_queue.advance(job, {"at": 3}, 0.3, later(2), LEASE_S)
    job_queue.put_back(job, later(2))
    assert taken(later(2)).job_id == other.job_id
    again = taken(later(2))
    assert (again.job_id, again.checkpoint, again.attempts) == (job.job_id, {"at": 3}, 0)


def test_a_key_makes_one_job(queue: str) -> None:
    """Of one tenant and name; also when the first one has ended. Without a key every call makes one."""
    first = put(key="k", arguments={"n": 1})
    assert put(key="k", arguments={"n": 2}).job_id == first.job_id
    job_queue.finish(taken(), {}, NOW)
    same = put(key="k", at=later(5))
    assert (same.job_id, same.state) == (first.job_id, "done")
    others = {put(key="k", tenant="u").job_id, put("mend", key="k").job_id, put().job_id, put().job_id}
    assert len(others | {first.job_id}) == 5


def test_two_at_once_with_one_key_make_one_job(queue: str) -> None:
    """Whichever is first."""
    made: list[str] = []
    start = threading.Barrier(4)

    def ask() -> None:
        start.wait()
        made.append(put(key="same").job_id)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert len(made) == 4 and len(set(made)) == 1


def test_cancelling(queue: str) -> None:
    """A waiting one at once, a running one after its step, one that has ended not at all; a try anew starts over."""
    waiting = put()
    gone = job_queue.cancel("t", waiting.job_id, NOW)
    assert gone is not None and gone.state == "cancelled" and take() is None
    put()
    job = taken()
    asked = job_queue.cancel("t", job.job_id, NOW)
    assert asked is not None and asked.state == "running" and asked.cancel_requested
    stopped = job_queue.advance(job, {"at": 1}, 0.1, NOW, LEASE_S)
    assert stopped is not None and stopped.state == "cancelled" and stopped.finished_at == NOW
    assert job_queue.cancel("t", job.job_id, NOW) is None
    assert job_queue.cancel("u", put().job_id, NOW) is None
    assert job_queue.cancel("t", "job_none", NOW) is None
    taken()
    again = job_queue.revive("t", job.job_id, later(5))
    assert again is not None and (again.state, again.checkpoint, again.attempts) == ("waiting", {"at": 1}, 0)
    assert taken(later(5)).job_id == job.job_id
    assert job_queue.revive("t", job.job_id, later(5)) is None


def test_a_cancelled_job_of_a_dead_worker_ends(queue: str) -> None:
    """When its lease is over, whoever looks finds it cancelled and does not run it."""
    made = put()
    taken()
    job_queue.cancel("t", made.job_id, NOW)
    assert take(later(60)) is None and read(made).state == "cancelled"


def test_lists_are_of_one_tenant_and_newest_first(queue: str) -> None:
    """By state or all, page by page without a gap."""
    jobs = [put(at=later(n)) for n in range(5)]
    foreign = put(tenant="u", at=later(9))
    done = taken(later(9))
    job_queue.finish(done, {}, later(9))
    engine = job_queue.engine()
    ids = [job.job_id for job in jobs][::-1]
    first = engine.page("t", None, 3, None)
    rest = engine.page("t", None, 3, first[-1].job_id)
    assert [job.job_id for job in first + rest] == ids
    assert [job.job_id for job in engine.page("t", "done", 9, None)] == [done.job_id]
    assert [job.job_id for job in engine.page("t", "waiting", 9, None)] == ids[:-1]
    assert [job.job_id for job in engine.page("u", None, 9, None)] == [foreign.job_id]
    assert engine.get("u", jobs[0].job_id) is None and engine.get("t", "job_none") is None


def test_health_counts_what_is_open(queue: str) -> None:
    """Waiting, running, dead, and how long the oldest that is due has waited, of whatever name."""
    assert job_queue.engine().health(NOW) == {"waiting": 0, "running": 0, "dead": 0, "overdue_s": 0.0}
    for n in range(3):
        put(at=later(n))
    put("unknown", at=later(10))
    job_queue.fail(taken(later(5)), "x", later(5), permanent=True, rng=random.Random(1))
    taken(later(5))
    found = job_queue.engine().health(later(12))
    assert found == {"waiting": 2, "running": 1, "dead": 1, "overdue_s": 10.0}


def test_what_ended_long_ago_is_deleted(queue: str) -> None:
    """So many at a time; the key of a deleted job is free again; what is open stays however old it is."""
    put(key="k")
    for _ in range(2):
        put()
    open_job = put("unknown")
    for _ in range(3):
        job_queue.finish(taken(), {}, NOW)
    engine = job_queue.engine()
    assert engine.purge(NOW, 10) == 0
    assert [engine.purge(later(1), 2) for _ in range(3)] == [2, 1, 0]
    assert [job.job_id for job in engine.page("t", None, 9, None)] == [open_job.job_id]
    assert engine.page("t", "done", 9, None) == []
    assert put(key="k", at=later(2)).state == "waiting"


def test_a_job_that_is_revived_while_old_ones_are_deleted_stays(
    redis_url: str, make_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was dead when it was looked at and waits when it would be deleted: it is run, and nothing of it hangs in the queue."""
    make_settings(REDIS_URL=redis_url)
    made = put()
    job_queue.fail(taken(), "no", NOW, permanent=True, rng=random.Random(1))
    forget = job_redis._forget

    def first_revive(pipe: Any, job: Job) -> None:
        assert job_queue.revive("t", job.job_id, later(1)) is not None
        forget(pipe, job)

    monkeypatch.setattr(job_redis, "_forget", first_revive)
    job_queue.engine().purge(later(1), 10)
    assert taken(later(2)).job_id == made.job_id
    assert job_queue.engine().health(later(2))["running"] == 1


@pytest.mark.parametrize("arguments", [{"x": float("nan")}, {"x": object()}, {"x": "a" * 100_001}])
def test_arguments_are_json(queue: str, arguments: dict[str, Any]) -> None:
    """What cannot be kept is refused before anything is."""
    with pytest.raises(InvalidInput, match="arguments"):
        put(arguments=arguments)
    assert take() is None


WORKER = """
import sys
from fairlens_backend import telemetry
from fairlens_backend.storage import job_queue
job = job_queue.claim(("count",), telemetry.utc_now(), 60)
job_queue.advance(job, {"done": 3}, 0.3, telemetry.utc_now(), 60)
print(job.job_id, flush=True)
sys.stdin.read()
"""


def test_a_worker_that_is_killed_loses_nothing(queue: str) -> None:
    """A process of its own claims a job, keeps a checkpoint, and is killed with -9: the job goes on elsewhere."""
    environment = {name.upper(): str(value) for name, value in vars(config.current()).items()}
    now = telemetry.utc_now()
    made = put(at=now)
    with subprocess.Popen(
        [sys.executable, "-c", WORKER],
        cwd=config.PROJECT_ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().strip() == made.job_id
        worker.kill()
    assert take(now + timedelta(seconds=30)) is None
    again = taken(now + timedelta(seconds=600))
    assert (again.job_id, again.checkpoint, again.attempts) == (made.job_id, {"done": 3}, 1)


def test_a_job_is_there_or_not_with_what_caused_it(settings: Any, database: None) -> None:
    """In the database: a unit of work that fails leaves no job."""
    with pytest.raises(RuntimeError), unit_of_work():
        put()
        raise RuntimeError
    assert take() is None
    with unit_of_work():
        put()
    assert take() is not None


def test_redis_away_and_killed(make_settings: Any, redis_url: str, redis_server: RedisServer) -> None:
    """A job is never kept in a process alone: while Redis is away nothing is taken, and what was taken survives its kill."""
    make_settings(REDIS_URL=redis_url)
    made = put()
    redis_server.kill()
    with pytest.raises(Unavailable, match="Redis"):
        put()
    redis_server.start()
    redis_link.forget()
    assert taken().job_id == made.job_id


def test_waits_grow_and_are_bounded() -> None:
    """By hand: the sixth failure waits 160 to 320 s, the hundredth half an hour to an hour."""
    rng = random.Random(3)
    assert all(160 <= job_states.backoff_s(6, rng) <= 320 for _ in range(50))
    assert all(1800 <= job_states.backoff_s(100, rng) <= 3600 for _ in range(50))
