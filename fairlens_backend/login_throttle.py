"""How long a name must wait before its next login is looked at: longer with every failure in a row, then locked.

Nothing sleeps here: a wait is an answer that says when to come back, so that a guesser keeps no worker busy.
"""

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from fairlens_backend import config
from fairlens_backend.errors import RateLimited

FREE_FAILURES = 2  # a typing error or two costs nothing
FIRST_WAIT_S = 1  # after the third failure; then 2, 4, 8 … seconds
MAX_STRANGERS = 10_000


@dataclass(frozen=True)
class Attempts:
    """Failed logins of a name since its last success."""

    failed: int = 0
    last_failure_at: datetime | None = None
    locked_until: datetime | None = None


def check(attempts: Attempts, now: datetime) -> None:
    """Refuse a login that comes before its time.

    Raises
    ------
    RateLimited : with the whole seconds to wait
    """
    if attempts.locked_until is not None and attempts.locked_until > now:
        wait_s = math.ceil((attempts.locked_until - now).total_seconds())
        raise RateLimited(
            f"Too many failed logins: this account is locked for {wait_s} more seconds.",
            retry_after_s=wait_s,
            reason="locked",
        )
    wait_s = _wait_s(attempts, now)
    if wait_s > 0:
        raise RateLimited(
            f"After {attempts.failed} failed logins the next one is looked at in {wait_s} seconds.",
            retry_after_s=wait_s,
            reason="slow_down",
        )


def after_failure(attempts: Attempts, now: datetime) -> Attempts:
    """What is remembered after one more failure; the one that reaches LOGIN_MAX_FAILURES locks.

    A lock that has ended, and failures older than a lock would last, are forgotten.
    """
    settings = config.current()
    lock = timedelta(seconds=settings.login_lock_s)
    old = attempts.last_failure_at is not None and attempts.last_failure_at + lock <= now
    failed = 1 if old or attempts.locked_until is not None else attempts.failed + 1
    return Attempts(failed, now, now + lock if failed >= settings.login_max_failures else None)


def _wait_s(attempts: Attempts, now: datetime) -> int:
    # `locked_until` here is in the past: the lock was the wait.
    if (
        attempts.failed <= FREE_FAILURES
        or attempts.last_failure_at is None
        or attempts.locked_until is not None
    ):
        return 0
    doublings = min(attempts.failed - FREE_FAILURES - 1, 30)
    delay_s = min(FIRST_WAIT_S * 2**doublings, config.current().login_lock_s)
    return math.ceil((attempts.last_failure_at + timedelta(seconds=delay_s) - now).total_seconds())


_strangers: OrderedDict[str, Attempts] = OrderedDict()
_strangers_lock = threading.Lock()


def check_stranger(username: str, now: datetime) -> None:
    """The same as `check` for a name that has no account: a wait must not tell which names have one.

    Kept in this process, the last 10,000 names, since there is no row to keep it in.
    """
    with _strangers_lock:
        attempts = _strangers.get(username, Attempts())
    check(attempts, now)


def note_stranger(username: str, now: datetime) -> None:
    """Remember a failed login of a name that has no account."""
    with _strangers_lock:
        check(_strangers.get(username, Attempts()), now)
        _strangers[username] = after_failure(_strangers.pop(username, Attempts()), now)
        while len(_strangers) > MAX_STRANGERS:
            _strangers.popitem(last=False)


def forget_strangers() -> None:
    """Forget the names that have no account; for tests."""
    with _strangers_lock:
        _strangers.clear()
