"""How long a name must wait before its next login is looked at: longer with every failure in a row, then locked.

Nothing sleeps here: a wait is an answer that says when to come back, so that a guesser keeps no worker busy.
"""

import hashlib
import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from fairlens_backend import config
from fairlens_backend.errors import RateLimited
from fairlens_backend.storage import strangers
from fairlens_backend.storage.job_tables import Stranger
from fairlens_backend.storage.session import read_snapshot, unit_of_work

FREE_FAILURES = 2  # a typing error or two costs nothing
FIRST_WAIT_S = 1  # after the third failure; then 2, 4, 8 … seconds


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


def check_stranger(username: str, now: datetime) -> None:
    """The same as `check` for a name that has no account: a wait must not tell which names have one."""
    with read_snapshot():
        row = strangers.find(_digest(username))
        attempts = Attempts() if row is None else _attempts(row)
    check(attempts, now)


def note_stranger(username: str, now: datetime) -> None:
    """Remember a failed login of a name that has no account, for all workers, as that of an account is."""
    with unit_of_work():
        row = strangers.lock(_digest(username))
        check(_attempts(row), now)
        after = after_failure(_attempts(row), now)
        row.failed_logins = after.failed
        row.last_failure_at = after.last_failure_at
        row.locked_until = after.locked_until


def forget_strangers(now: datetime) -> None:
    """Forget the names whose failures count no more, in the caller's unit of work: how many are kept is bounded by that.

    Each costs whoever tries it a password's worth of work, and LOGIN_LOCK_S is a quarter of an hour.
    """
    strangers.forget_before(now - timedelta(seconds=config.current().login_lock_s))


def _attempts(row: Stranger) -> Attempts:
    return Attempts(row.failed_logins, row.last_failure_at, row.locked_until)


def _digest(username: str) -> bytes:
    # Keyed, since people type their password into the wrong field.
    key = hashlib.sha256(config.current().jwt_secret.encode()).digest()
    name = username.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(name, digest_size=16, key=key, person=b"stranger").digest()
