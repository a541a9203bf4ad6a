"""The outbox: committed with its record, claimed by one, back after a while, set aside in the end."""

import random
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from fairlens_backend.storage import heartbeats, outbox
from fairlens_backend.storage.session import current_session, read_snapshot, unit_of_work
from fairlens_backend.storage.tables import OutboxMessage

pytestmark = pytest.mark.usefixtures("database")

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Fixed(random.Random):
    """Draws this share of every range, and keeps the ranges."""

    def __init__(self, share: float) -> None:
        super().__init__(0)
        self.share = share
        self.ranges: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.ranges.append((a, b))
        return a + self.share * (b - a)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def add(*message_ids: str, now: datetime = NOW) -> None:
    with unit_of_work():
        for message_id in message_ids:
            outbox.add("acme", "webhook", {"id": message_id}, message_id, now)


def claim(now: datetime = NOW, limit: int = 10, lease_s: float = 60) -> list[outbox.Claim]:
    with unit_of_work():
        return outbox.claim_due(now, limit, lease_s)


def fail(one: outbox.Claim, now: datetime = NOW, **given: Any) -> str:
    settings = {"give_up_s": 86400, "rng": Fixed(1.0), **given}
    with unit_of_work():
        return outbox.mark_failed(one, "no answer", now, **settings)


def row(message_id: str) -> OutboxMessage:
    with read_snapshot():
        return current_session().scalars(select(OutboxMessage).filter_by(message_id=message_id)).one()


def test_a_message_is_there_exactly_when_its_record_is() -> None:
    """What rolls the unit of work back takes the message with it."""
    with pytest.raises(ZeroDivisionError), unit_of_work():
        outbox.add("acme", "webhook", {}, "m-1", NOW)
        raise ZeroDivisionError
    assert claim() == []
    add("m-1")
    (one,) = claim()
    assert (one.message_id, one.tenant, one.target, one.payload, one.attempts) == ("m-1", "acme", "webhook", {"id": "m-1"}, 1)  # fmt: skip


def test_an_id_is_added_once() -> None:
    """The second message of one id changes nothing, also after the first was delivered."""
    with unit_of_work():
        assert outbox.add("acme", "webhook", {"n": 1}, "m-1", NOW)
        assert not outbox.add("acme", "webhook", {"n": 2}, "m-1", NOW)
    (one,) = claim()
    assert one.payload == {"n": 1}
    with unit_of_work():
        outbox.mark_delivered(one, NOW)
        assert not outbox.add("acme", "webhook", {"n": 3}, "m-1", later(1))
    assert claim(later(9999)) == []


def test_claims_are_oldest_first_and_only_what_is_due() -> None:
    """By due time, then by entry; the future is left alone."""
    add("b", now=later(-5))
    add("a", "c", now=later(-9))
    add("future", now=later(1))
    assert [one.message_id for one in claim(limit=2)] == ["a", "c"]
    assert [one.message_id for one in claim(limit=2)] == ["b"]
    with read_snapshot():
        assert outbox.due_targets(NOW) == [] and len(outbox.due_targets(later(1))) == 1


def test_a_claim_that_runs_out_is_free_again() -> None:
    """A worker that died holds its message for the lease and no longer; the next attempt is counted."""
    add("m-1")
    (first,) = claim(lease_s=60)
    assert first.claimed_until == later(60)
    assert claim(later(59.9)) == []
    (second,) = claim(later(60))
    assert (second.message_id, second.attempts) == ("m-1", 2)


def test_who_lost_the_claim_does_not_undo_the_other_ones_work() -> None:
    """A failure reported late changes nothing; a delivery reported late counts, as it happened."""
    add("m-1")
    (slow,) = claim()
    (quick,) = claim(later(60))
    assert fail(slow, later(61)) == "lost"
    assert row("m-1").claimed_until == later(120)
    with unit_of_work():
        outbox.mark_delivered(slow, later(62))
    assert fail(quick, later(63)) == "lost"
    assert row("m-1").delivered_at == later(62)


def test_waits_double_from_half_a_minute_to_an_hour() -> None:
    """The upper ends by hand: 30 s · 2^(k − 1), at most 3,600 s; the draw is over the whole range."""
    rng = Fixed(0.5)
    waits = [outbox.backoff_s(attempts, rng) for attempts in range(1, 11)]
    tops = [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert rng.ranges == [(0.0, float(top)) for top in tops]
    assert waits == [top / 2 for top in tops]
    assert outbox.backoff_s(10_000, Fixed(1.0)) == 3600


def test_jitter_is_seeded_and_spread() -> None:
    """One seed gives one sequence; over many draws the mean is half of the range."""
    assert outbox.backoff_s(3, random.Random(7)) == outbox.backoff_s(3, random.Random(7))
    rng = random.Random(1)
    draws = [outbox.backoff_s(1, rng) for _ in range(2000)]
    # The mean of 2,000 uniform draws on (0, 30): 15 ± 4 · 30 / √(12 · 2000) = 15 ± 0.78.
    assert abs(sum(draws) / 2000 - 15) < 0.78 and min(draws) < 1 and max(draws) > 29


def test_a_failure_comes_back_after_its_wait() -> None:
    """Not before, and the claim is given up at once."""
    add("m-1")
    (one,) = claim()
    assert fail(one) == "retry"
    assert claim(later(29.9)) == []
    (again,) = claim(later(30))
    assert again.attempts == 2 and row("m-1").last_error == "no answer"


def test_a_receiver_that_names_a_time_is_given_it() -> None:
    """Retry-After counts where it is longer than the backoff, up to a day."""
    add("a", "b", "c")
    for one, asked, wait in zip(claim(), (100, 10, 10**9), (100, 30, 86400), strict=True):
        fail(one, retry_after_s=asked)
        assert row(one.message_id).next_attempt_at == later(wait)


def test_after_its_time_a_message_is_set_aside() -> None:
    """A failure four hours after it was put in is the last; a refusal for good is the last at once."""
    add("m-1")
    now = NOW
    for outcome in ("retry", "retry", "dead"):
        (one,) = claim(now)
        assert fail(one, now, give_up_s=4 * 3600) == outcome
        now += timedelta(hours=2)
    assert claim(now) == [] and row("m-1").dead_at == now - timedelta(hours=2)
    add("m-2")
    (one,) = claim()
    assert fail(one, permanent=True) == "dead"
    with read_snapshot():
        assert outbox.health(now) == {"pending": 0, "due": 0, "dead": 2, "oldest_pending_s": None}


def test_messages_of_one_order_go_one_after_the_other() -> None:
    """A later message of the key waits for the earlier one, to that target only; one set aside holds nobody up."""
    with unit_of_work():
        for message_id, target, key in (
            ("open", "a", "alr_1"), ("close", "a", "alr_1"), ("close-b", "b", "alr_1"), ("other", "a", "alr_2"),
        ):  # fmt: skip
            outbox.add("acme", target, {}, message_id, NOW, key)
    first = {one.message_id: one for one in claim(lease_s=600)}
    assert set(first) == {"open", "close-b", "other"}
    assert claim() == []  # claimed is not delivered
    assert fail(first["open"]) == "retry"
    assert claim(later(1)) == []
    (again,) = claim(later(60))
    assert again.message_id == "open"
    fail(again, later(61), permanent=True)
    (last,) = claim(later(62))
    assert last.message_id == "close"
    with unit_of_work():
        assert outbox.mark_delivered(last, later(63)) and not outbox.mark_delivered(last, later(64))
        (dead,) = outbox.dead_page("acme", 5)
        assert dead.message_id == "open" and outbox.is_overtaken(dead)
        assert outbox.dead_page("other", 5) == [] and outbox.find_dead("other", dead.id) is None
        assert not outbox.remove_dead("other", dead.id) and outbox.remove_dead("acme", dead.id)


def test_a_dead_message_comes_back_as_new() -> None:
    """Due at once, with its attempts and its time begun anew."""
    add("m-1")
    (one,) = claim()
    fail(one, permanent=True)
    with unit_of_work():
        dead = outbox.find_dead("acme", one.id)
        assert dead is not None and not outbox.is_overtaken(dead)
        outbox.revive(dead, later(90000))
    (again,) = claim(later(90000))
    assert (again.attempts, again.created_at) == (1, later(90000))
    assert fail(again, later(90001)) == "retry"


def test_a_target_that_is_back_gets_what_waits_at_once() -> None:
    """Only its own messages are hastened."""
    with unit_of_work():
        for target in ("a", "b"):
            outbox.add("acme", target, {}, target, NOW)
    for one in claim():
        fail(one)
    with unit_of_work():
        outbox.hasten("a", later(1))
    with read_snapshot():
        assert outbox.due_targets(later(1)) == ["a"]
        assert sorted(outbox.due_targets(later(31))) == ["a", "b"]
    assert [one.message_id for one in claim(later(1))] == ["a"]


def test_health_counts_what_waits() -> None:
    """Pending includes what is claimed or waits; due does not; delivered is gone."""
    add("old", now=later(-100))
    add("a", "b", "c")
    first, second, *_ = claim(limit=2)
    fail(first)
    with unit_of_work():
        outbox.mark_delivered(second, NOW)
    with read_snapshot():
        assert outbox.health(NOW) == {"pending": 3, "due": 2, "dead": 0, "oldest_pending_s": 100.0}


def test_several_workers_share_the_messages_and_none_gets_anothers() -> None:
    """Four threads claim by threes until nothing is left: every message once."""
    add(*(f"m-{number}" for number in range(120)))
    taken: list[list[str]] = [[] for _ in range(4)]
    start = threading.Barrier(4)

    def work(mine: list[str]) -> None:
        start.wait()
        while batch := claim(limit=3):
            mine += [one.message_id for one in batch]

    threads = [threading.Thread(target=work, args=(mine,)) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = sorted(message_id for mine in taken for message_id in mine)
    assert together == sorted(f"m-{number}" for number in range(120))


def test_a_heartbeat_is_the_last_one_of_its_name() -> None:
    """One row a job, whichever process wrote it."""
    with unit_of_work():
        assert heartbeats.last_beat("clock") is None
        heartbeats.beat("clock", "host:1", NOW)
        heartbeats.beat("clock", "host:2", later(5))
        heartbeats.beat("other", "host:1", later(9))
        assert heartbeats.last_beat("clock") == later(5)
