"""Jobs run step by step: what a clock's round does with one that ends, fails, is lost, is long; what people ask of them."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlens_backend import job_runner, telemetry
from fairlens_backend.errors import Conflict, InvalidInput, NotFound, Unavailable
from fairlens_backend.job_steps import Call, Step
from fairlens_backend.storage import cache, job_queue, redis_link
from tests.ingest_kit import event, register, send

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["database", "redis"], autouse=True)
def queue(request: pytest.FixtureRequest, database: None, make_settings: Any) -> Iterator[None]:
    """An empty queue of each kind."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    make_settings(REDIS_URL=url)
    cache.forget()
    yield
    cache.forget()


class Work:
    """A job's function of three steps, a second each, that notes what it was called with."""

    def __init__(self, fails: Exception | None = None, at: int = 1) -> None:
        self.calls: list[Call] = []
        self.seconds = 0.0
        self.fails, self.at = fails, at

    def __call__(self, call: Call) -> Step:
        self.calls.append(call)
        self.seconds += 1
        done = (call.checkpoint or {"done": 0})["done"] + 1
        if self.fails is not None and done == self.at:
            raise self.fails
        return Step.done({"done": done}) if done == 3 else Step({"done": done}, done / 3)


def put(tenant: str = "t", at: datetime = NOW) -> str:
    return job_queue.enqueue(tenant, "work", {"n": 1}, by="ann", now=at).job_id


def run(work: Work, now: datetime = NOW, budget_s: float = 100) -> int:
    begun = work.seconds
    return job_runner.run_due(
        now,
        handlers={"work": work},
        budget_s=budget_s,
        elapsed=lambda: work.seconds - begun,
        rng=random.Random(1),
    )


def test_a_step_may_let_the_next_one_wait() -> None:
    """The job is put back and free until then; the round goes on with other jobs and does not count it as a failure."""
    job_id, calls = put(), []

    def work(call: Call) -> Step:
        calls.append(call.now)
        waits = Step({"waited": True}, 0.5, not_before=NOW + timedelta(seconds=10))
        return Step.done({}) if call.checkpoint else waits

    for seconds, steps in ((0, 1), (9, 0), (10, 1)):
        now = NOW + timedelta(seconds=seconds)
        assert job_runner.run_due(now, handlers={"work": work}, elapsed=lambda: 0.0) == steps
    told = job_runner.read("t", job_id)
    assert (told["state"], len(calls)) == ("done", 2)


def test_a_job_runs_to_its_result() -> None:
    """Each step is given what the one before left; nothing is left to run."""
    job_id, work = put(), Work()
    assert run(work) == 3
    assert [call.checkpoint for call in work.calls] == [None, {"done": 1}, {"done": 2}]
    assert {(call.tenant, call.by, call.arguments["n"]) for call in work.calls} == {("t", "ann", 1)}
    told = job_runner.read("t", job_id)
    assert (told["state"], told["progress"], told["result"], told["error"]) == (
        "done",
        1.0,
        {"done": 3},
        None,
    )
    assert (told["finished_at"], told["next_try_at"]) == ("2026-03-01T12:00:03.000000Z", None)
    assert run(work) == 0


def test_a_long_job_holds_nobody_up() -> None:
    """A round that is over puts it back with its checkpoint; the next one, of whatever worker, goes on; others come between."""
    first = put()
    second = put(at=NOW + timedelta(milliseconds=1))
    work = Work()
    assert run(work, NOW + timedelta(seconds=1), budget_s=2) == 2
    assert (job_runner.read("t", first)["state"], job_runner.read("t", first)["progress"]) == (
        "waiting",
        2 / 3,
    )
    assert run(work, NOW + timedelta(seconds=2), budget_s=1) == 1
    assert job_runner.read("t", second)["progress"] == pytest.approx(1 / 3)
    assert run(work, NOW + timedelta(seconds=60)) == 3
    assert {job_runner.read("t", one)["state"] for one in (first, second)} == {"done"}
    assert job_runner.read("t", first)["attempts"] == 0


def test_a_mistake_is_not_tried_again() -> None:
    """An error of ours that says what is wrong: dead at once, with its words."""
    job_id = put()
    run(Work(InvalidInput("model is unknown.", field="model")))
    told = job_runner.read("t", job_id)
    assert (told["state"], told["attempts"], told["error"]) == ("dead", 1, "model is unknown.")


def test_what_is_away_is_waited_for() -> None:
    """The step is done again when its time comes, from the checkpoint before it."""
    job_id, work = put(), Work(Unavailable("The database is busy.", retry_after_s=2), at=2)
    run(work)
    told = job_runner.read("t", job_id)
    assert (told["state"], told["attempts"], told["error"]) == ("waiting", 1, "The database is busy.")
    assert told["next_try_at"] > "2026-03-01T12:00:05"
    work.fails = None
    assert run(work, NOW + timedelta(seconds=1)) == 0
    assert run(work, NOW + timedelta(seconds=30)) == 2
    assert job_runner.read("t", job_id)["state"] == "done"


def test_a_fault_counts_and_goes_to_the_clock() -> None:
    """What nobody expected is a failed try without its words, which may hold a value, and the clock's to log."""
    job_id, work = put(), Work(KeyError("jane@example.com"))
    now = NOW
    for attempt in range(1, 6):
        with pytest.raises(KeyError):
            run(work, now)
        told = job_runner.read("t", job_id)
        assert told["attempts"] == attempt and "jane" not in told["error"] and "KeyError" in told["error"]
        now += timedelta(hours=2)
    assert told["state"] == "dead"
    again = job_runner.retry("t", job_id, "ann", now)
    assert (again["state"], again["attempts"]) == ("waiting", 0)
    with pytest.raises(Conflict, match="waiting"):
        job_runner.retry("t", job_id, "ann", now)


def test_a_job_that_was_lost_is_left_alone() -> None:
    """Its lease was over while a step took too long, and another worker has it: the result of the slow one does not count."""
    job_id = put()

    class Slow(Work):
        def __call__(self, call: Call) -> Step:
            step = super().__call__(call)
            if len(self.calls) == 1:
                late = NOW + timedelta(hours=1)
                assert job_queue.claim(("work",), late, 60) is not None
            return step

    slow = Slow()
    assert run(slow) == 1
    told = job_runner.read("t", job_id)
    assert (told["state"], told["attempts"], told["progress"]) == ("running", 1, 0.0)


def test_cancelling() -> None:
    """A waiting job at once; a running one after its step; one that ended not at all; another tenant's is none."""
    job_id = put()
    with pytest.raises(NotFound):
        job_runner.cancel("u", job_id, "eve", NOW)

    class Cancelled(Work):
        def __call__(self, call: Call) -> Step:
            told = job_runner.cancel("t", job_id, "ann", NOW)
            assert (told["state"], told["cancel_requested"]) == ("running", True)
            return super().__call__(call)

    work = Cancelled()
    assert run(work) == 1 and job_runner.read("t", job_id)["state"] == "cancelled"
    with pytest.raises(Conflict, match="cancelled already"):
        job_runner.cancel("t", job_id, "ann", NOW)


def test_lists_have_cursors() -> None:
    """Newest first, by state, each page going on where the one before ended."""
    ids = [put(at=NOW + timedelta(seconds=n)) for n in range(3)][::-1]
    put("u")
    first = job_runner.page("t", None, 2, None)
    rest = job_runner.page("t", "waiting", 2, first["next_cursor"])
    assert [one["job_id"] for one in first["items"] + rest["items"]] == ids
    assert rest["next_cursor"] is None and "token" not in first["items"][0]
    assert job_runner.page("t", "dead", 2, None) == {"items": [], "next_cursor": None}


def test_health_says_when_nobody_runs_them() -> None:
    """Ok while the oldest has waited for less than a quarter of an hour."""
    put()
    assert job_runner.health(NOW + timedelta(minutes=15))["status"] == "ok"
    late = job_runner.health(NOW + timedelta(minutes=16))
    assert (late["status"], late["waiting"]) == ("degraded", 1)


def test_old_jobs_are_deleted(make_settings: Any) -> None:
    """JOB_KEEP_DAYS after they ended."""
    job_id = put()
    run(Work())
    assert job_runner.purge(NOW + timedelta(days=30)) == 0
    assert job_runner.purge(NOW + timedelta(days=30, seconds=4)) == 1
    with pytest.raises(NotFound, match="no job"):
        job_runner.read("t", job_id)


def test_the_comparison_of_counts_is_one_job_for_all_workers() -> None:
    """Enqueued by every clock, there once; it compares what is due and says so."""
    now = telemetry.utc_now()
    register()
    send([event("a", timestamp=now.isoformat())], now=now)
    for _ in range(3):
        cache.forget()
        job_runner.enqueue_checks(now)
    (job,) = job_runner.page("default", None, 9, None)["items"]
    assert (job["name"], job["created_by"]) == ("check_counts", "clock")
    job_runner.run_due(now + timedelta(seconds=1))
    told = job_runner.read("default", job["job_id"])
    assert (told["state"], told["result"]["days"], told["result"]["mismatches"]) == ("done", 1, [])


def test_only_known_functions_are_enqueued() -> None:
    """A name without a function is a mistake of the program."""
    with pytest.raises(ValueError, match="no job 'nothing'"):
        job_runner.enqueue("t", "nothing", {}, by="ann", now=NOW)


def test_clocks_are_quiet_while_redis_is_away(make_settings: Any, redis_url: str, redis_server: Any) -> None:
    """Nothing is run and nothing fails at every tick; what was enqueued is run when Redis is back."""
    make_settings(REDIS_URL=redis_url)
    put()
    redis_server.kill()
    assert run(Work()) == 0
    job_runner.enqueue_checks(NOW)
    assert job_runner.purge(NOW) == 0
    assert job_runner.health(NOW)["status"] == "failed"
    redis_server.start()
    redis_link.forget()
    assert run(Work()) == 3
