"""The circuit breaker of a target: closed, open, half-open, shared through the database."""

from datetime import UTC, datetime, timedelta

import pytest

from fairlens_backend.storage import breakers
from fairlens_backend.storage.session import unit_of_work

pytestmark = pytest.mark.usefixtures("database")

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def ask(seconds: float = 0, target: str = "a") -> str:
    with unit_of_work():
        return breakers.ask(target, later(seconds))


def fail(seconds: float = 0, target: str = "a", pause_s: float | None = None) -> bool:
    with unit_of_work():
        return breakers.note_failure(target, "no answer", later(seconds), pause_s)


def test_three_failures_in_a_row_open_it() -> None:
    """Two do not; a success in between begins anew; another target is not touched."""
    assert [fail(), fail()] == [False, False] and ask() == "closed"
    with unit_of_work():
        assert breakers.note_success("a") is False
    assert [fail(), fail(), fail()] == [False, False, True]
    assert (ask(0), ask(29.9), ask(30), ask(0, "b")) == ("open", "open", "half_open", "closed")


def test_a_trial_keeps_the_others_out_and_decides() -> None:
    """While it is under way: open. It fails: twice as long, up to ten minutes. It succeeds: closed, and that it was away is said."""
    for _ in range(3):
        fail()
    now = 30.0
    for wait in (60, 120, 240, 480, 600, 600):
        with unit_of_work():
            breakers.begin_trial("a", later(now), 100)
        assert ask(now) == "open"
        fail(now)
        assert (ask(now + wait - 0.1), ask(now + wait)) == ("open", "half_open")
        now += wait
    with unit_of_work():
        breakers.begin_trial("a", later(now), 100)
    assert ask(now + 99) == "open" and ask(now + 100) == "half_open"  # a trial whose worker died
    with unit_of_work():
        assert breakers.note_success("a") is True
    assert ask(now) == "closed"


def test_a_target_that_asks_for_a_pause_gets_it() -> None:
    """Retry-After counts at the first failure, and where it is longer than the breaker's own time."""
    assert fail(pause_s=500) is True
    assert (ask(499), ask(500)) == ("open", "half_open")


def test_what_is_shown() -> None:
    """State, failures, time and reason, by target; a target that is well is not listed."""
    fail(target="b")
    for _ in range(3):
        fail()
    with unit_of_work():
        shown = breakers.shown(later(1))
    assert [(one["target"], one["state"], one["failures"], one["last_reason"]) for one in shown] == [
        ("a", "open", 3, "no answer"), ("b", "closed", 1, "no answer"),
    ]  # fmt: skip
