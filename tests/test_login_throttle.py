"""How long a name waits for its next login: pure arithmetic on the clock that is passed in."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlens_backend import login_throttle
from fairlens_backend.errors import RateLimited
from fairlens_backend.login_throttle import Attempts

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


def test_names_without_an_account_are_remembered_in_bounded_memory(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more names than there is room for, the one that failed longest ago is forgotten first."""
    monkeypatch.setattr(login_throttle, "MAX_STRANGERS", 2)
    login_throttle.forget_strangers()
    for name in ("a", "b", "a", "a", "c"):  # "b" is the oldest when "c" comes
        login_throttle.note_stranger(name, NOW)
    with pytest.raises(RateLimited):
        login_throttle.check_stranger("a", NOW)
    assert list(login_throttle._strangers) == ["a", "c"]
    login_throttle.forget_strangers()
