"""The one connection to REDIS_URL: made late, given up on quickly, its absence said and not fatal.

After a failure nobody asks Redis again for a few seconds, so that a request that could do without it does not wait for it
each time. What can do without (limits, cache) goes on in the process; what cannot (jobs) answers `Unavailable`.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from fairlens_backend import config, telemetry
from fairlens_backend.errors import ConfigurationError, Unavailable

Answer = TypeVar("Answer")

AVOIDED_S: Final = 5.0
SAID_EVERY_S: Final = 60.0
HOW_TO_INSTALL: Final = (
    "REDIS_URL is set, but the package redis is not installed. Run: pip install 'fairlens[redis]'"
)

_clients: dict[str, Any] = {}
_lock = threading.Lock()
_away_until: dict[str, float] = {}
_said_at: dict[str, float] = {}


def configured() -> bool:
    """Whether the settings name a Redis."""
    return bool(config.current().redis_url)


def check() -> None:
    """Refuse a start that could never use its Redis. One that does not answer now is no reason.

    Raises
    ------
    ConfigurationError : the package is missing, or REDIS_URL is no address of a Redis
    """
    if configured():
        _client(config.current().redis_url)


def ask(action: Callable[[Any], Answer]) -> Answer:
    """What `action` answers, given a client of redis-py.

    Raises
    ------
    Unavailable : Redis does not answer, or did not a moment ago
    """
    from redis.exceptions import RedisError

    url = config.current().redis_url
    if time.monotonic() < _away_until.get(url, 0.0):
        raise _unavailable()
    try:
        answer = action(_client(url))
    except RedisError as error:
        _note_failure(url, error)
        raise _unavailable() from error
    if _away_until.pop(url, None) is not None:
        _said_at.pop(url, None)
        telemetry.log("REDIS_BACK", level="warning")
    return answer


def up() -> bool:
    """Whether Redis answers, as far as is known; asked at most every few seconds while it does not."""
    try:
        return bool(ask(lambda client: client.ping()))
    except Unavailable:
        return False


def forget() -> None:
    """Close every connection and what is remembered of them; a forked worker and a test call it."""
    with _lock:
        for made in _clients.values():
            made.close()
        _clients.clear()
        _away_until.clear()
        _said_at.clear()


def _client(url: str) -> Any:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise ConfigurationError(HOW_TO_INSTALL, field="REDIS_URL") from None
    with _lock:
        if url not in _clients:
            timeout_s = config.current().redis_timeout_s
            try:
                # One retry: a connection that Redis closed while it was idle is no absence.
                _clients[url] = redis.Redis.from_url(
                    url,
                    socket_timeout=timeout_s,
                    socket_connect_timeout=timeout_s,
                    retry=Retry(NoBackoff(), 1),
                    protocol=2,
                )
            except ValueError:
                # Without the address: it may hold a password.
                raise ConfigurationError(
                    "REDIS_URL is no address of a Redis, something like redis://localhost:6379/0 was expected.",
                    field="REDIS_URL",
                ) from None
        return _clients[url]


def _note_failure(url: str, error: Exception) -> None:
    now = time.monotonic()
    _away_until[url] = now + AVOIDED_S
    if now - _said_at.get(url, -SAID_EVERY_S) >= SAID_EVERY_S:
        _said_at[url] = now
        telemetry.log("REDIS_AWAY", level="error", error=type(error).__name__, reason=str(error)[:200])


def _unavailable() -> Unavailable:
    return Unavailable("Redis does not answer; nothing was stored there.", retry_after_s=int(AVOIDED_S))


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    # The parent's sockets are left to the parent: closing them here is the parent's business too.
    _clients.clear()


os.register_at_fork(after_in_child=_after_fork)
