"""When a request may go out, and what an answer means."""

from __future__ import annotations

import random
import statistics

import pytest

from fairlens_sdk import Answer
from fairlens_sdk._answers import AGAIN, DELIVERED, REJECTED, SPLIT, judge, retry_after_s
from fairlens_sdk._gate import Gate

GOOD = b'{"status": "success", "data": {"rejected": []}}'


def waits(seed: int, failures: int, at_least_s: float = 0.0) -> list[float]:
    gate, found = Gate(random.Random(seed)), []
    for _ in range(failures):
        gate.failed(0.0, at_least_s)
        found.append(gate.wait_s(0.0))
    return found


def test_the_wait_is_uniform_below_a_ceiling_that_doubles() -> None:
    """Full jitter: in [0, 0.5·2^k], so with half of it as the mean."""
    found = [waits(seed, 4) for seed in range(400)]
    for k, ceiling in enumerate([0.5, 1.0, 2.0, 4.0]):
        column = [one[k] for one in found]
        assert min(column) >= 0
        assert max(column) <= ceiling
        assert statistics.mean(column) == pytest.approx(ceiling / 2, rel=0.1)


def test_from_the_fifth_failure_the_circuit_is_open() -> None:
    """30 seconds and jitter of at most 60: a dead server is asked at most twice a minute."""
    found = waits(1, 30)
    assert all(30 <= wait <= 90 for wait in found[4:])
    gate = Gate(random.Random(1))
    states = []
    for _ in range(5):
        gate.failed(0.0)
        states.append(gate.state)
    assert states == ["waiting"] * 4 + ["open"]
    gate.succeeded()
    assert (gate.state, gate.wait_s(0.0)) == ("closed", 0.0)


def test_what_the_server_asks_for_is_the_least() -> None:
    """Retry-After plus jitter, never less; not more than an hour."""
    assert all(7 <= wait <= 7.5 for wait in (waits(seed, 1, 7.0)[0] for seed in range(50)))
    assert waits(1, 1, 1e9)[0] <= 3_601


@pytest.mark.parametrize(
    ("answer", "count", "kind"),
    [
        (Answer(200, {}, GOOD), 3, DELIVERED),
        (Answer(202, {}, GOOD), 3, DELIVERED),
        (Answer(200, {}, b"<html>please log in</html>"), 3, AGAIN),
        (Answer(200, {}, b""), 3, AGAIN),
        (Answer(200, {}, b'{"status": "error"}'), 3, AGAIN),
        (Answer(200, {}, b"[]"), 3, AGAIN),
        (Answer(302), 3, AGAIN),
        (Answer(400), 3, REJECTED),
        (Answer(401), 3, AGAIN),
        (Answer(403), 3, AGAIN),
        (Answer(404), 3, AGAIN),
        (Answer(408), 3, AGAIN),
        (Answer(413), 3, SPLIT),
        (Answer(413), 1, REJECTED),
        (Answer(422), 3, REJECTED),
        (Answer(429), 3, AGAIN),
        (Answer(500), 3, AGAIN),
        (Answer(503), 3, AGAIN),
    ],
)
def test_every_status_has_a_meaning(answer: Answer, count: int, kind: str) -> None:
    """Only a success with its envelope is delivered; only 400, 422 and a lone 413 give events up."""
    assert judge(answer, count, 0.0).kind == kind


def test_rejected_events_are_named_by_index() -> None:
    """Indexes outside the batch, and forms that are none, are not believed."""
    body = (
        b'{"status": "success", "data": {"rejected": [{"index": 1, "errors": ["x"]}, {"index": 1, "errors": ["y"]},'
        b' {"index": 9}, {"index": "a"}, 5]}}'
    )
    assert judge(Answer(202, {}, body), 3, 0.0).rejected == [(1, ["y"])]


def test_a_key_that_is_refused_slows_the_client_down() -> None:
    """401 and 403 may be mended by an operator; 30 seconds at least."""
    assert [judge(Answer(status), 1, 0.0).at_least_s for status in (401, 403, 404)] == [30.0] * 3
    assert judge(Answer(403, {"retry-after": "120"}), 1, 0.0).at_least_s == 120


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        (None, 0.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_has_two_forms(header: str | None, seconds: float) -> None:
    """Seconds or a date (RFC 9110 section 10.2.3); the clock stands at 100 s."""
    assert retry_after_s(header, 100.0) == seconds
