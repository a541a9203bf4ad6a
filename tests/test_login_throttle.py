"""How long a name waits for its next login, with an account or without; the clock is passed in."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from fairlens_backend import login_throttle
from fairlens_backend.errors import RateLimited
from fairlens_backend.login_throttle import Attempts
from fairlens_backend.storage import session
from fairlens_backend.storage.job_tables import Stranger

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def wait_s(attempts: Attempts, now: datetime) -> int:
    """Seconds that a login has to wait; 0 when it is looked at."""
    try:
        login_throttle.check(attempts, now)
    except RateLimited as told:
        return told.retry_after_s
    return 0


def test_waits_double(make_settings: Any) -> None:
    """Nothing after two failures, then 1, 2, 4, 8 … seconds, never longer than a lock."""
    make_settings(LOGIN_MAX_FAILURES="100", LOGIN_LOCK_S="60")
    waits = [wait_s(Attempts(failed, NOW), NOW) for failed in range(12)]
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_waits_are_rounded_up(settings: Any) -> None:
    """Whoever comes back after the seconds that were named is not refused again."""
    assert wait_s(Attempts(4, NOW), NOW + timedelta(seconds=0.1)) == 2
    assert wait_s(Attempts(4, NOW), NOW + timedelta(seconds=1.999)) == 1
    assert wait_s(Attempts(4, NOW), NOW + timedelta(seconds=2)) == 0


def test_a_million_failures_are_no_overflow(make_settings: Any) -> None:
    """The exponent is bounded."""
    make_settings(LOGIN_MAX_FAILURES="10000000")
    assert wait_s(Attempts(1_000_000, NOW), NOW) == 900


def test_one_failure_locks_where_one_is_allowed(make_settings: Any) -> None:
    """LOGIN_MAX_FAILURES=1 locks at the first."""
    make_settings(LOGIN_MAX_FAILURES="1")
    assert login_throttle.after_failure(Attempts(), NOW).locked_until == NOW + timedelta(seconds=900)


def failures(name: str, times: int, now: datetime = NOW) -> list[int]:
    """Seconds to wait that each of so many failed logins of a name without an account finds before it."""
    found = []
    for _ in range(times):
        wait = 0
        try:
            login_throttle.check_stranger(name, now)
            login_throttle.note_stranger(name, now)
        except RateLimited as told:
            wait = told.retry_after_s
        found.append(wait)
        now += timedelta(seconds=wait)
    return found


def test_a_name_without_an_account_waits_as_one_with_an_account(make_settings: Any, database: None) -> None:
    """Two for nothing, then 1, 2, 4 seconds, by the table; the other names wait for themselves."""
    make_settings(LOGIN_MAX_FAILURES="100")
    assert failures("nobody", 9) == [0, 0, 0, 1, 0, 2, 0, 4, 0]
    assert failures("somebody", 2) == [0, 0]


def test_what_one_worker_saw_the_others_know(settings: Any, database: None) -> None:
    """It is in the database as an account's failures are: nothing of it is a process's own."""
    failures("nobody", 3)
    session.dispose_engines()
    with pytest.raises(RateLimited):
        login_throttle.check_stranger("nobody", NOW)


def test_failures_at_one_moment_are_all_counted(settings: Any, database: None) -> None:
    """Of guesses made in parallel no more are looked at than of guesses made one after the other."""
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def guess() -> None:
        start.wait()
        try:
            login_throttle.note_stranger("nobody", NOW)
            outcomes.append("looked at")
        except RateLimited:
            outcomes.append("refused")

    guessers = [threading.Thread(target=guess) for _ in range(8)]
    for one in guessers:
        one.start()
    for one in guessers:
        one.join()
    assert sorted(outcomes) == ["looked at"] * 3 + ["refused"] * 5


def test_names_are_forgotten_and_never_kept_as_typed(make_settings: Any, database: None) -> None:
    """After LOGIN_LOCK_S nothing is left of them; before, a digest that only this server's secret makes."""
    make_settings(LOGIN_LOCK_S="60")
    failures("hunter2-my-password", 1)

    def kept(now: datetime) -> list[bytes]:
        with session.unit_of_work() as rows:
            login_throttle.forget_strangers(now)
            return list(rows.scalars(select(Stranger.digest)))

    (digest,) = kept(NOW + timedelta(seconds=60))
    assert len(digest) == 16 and b"hunter2" not in digest
    assert login_throttle._digest("hunter2-my-password") == digest
    make_settings(JWT_SECRET="another-Zk8-value-for-the-tests-000001")
    assert login_throttle._digest("hunter2-my-password") != digest
    make_settings(LOGIN_LOCK_S="60")
    assert kept(NOW + timedelta(seconds=61)) == []
