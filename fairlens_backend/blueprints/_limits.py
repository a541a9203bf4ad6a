"""How many calls an address may make: one limit for every endpoint, a lower one where passwords and tokens are tried.

The limits are looked at before the view is entered. A limit put around the view itself would count only bodies that
had passed validation.
"""

import hashlib
import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, Response, current_app, request
from flask_limiter import Limiter, RequestLimit
from flask_limiter.util import get_remote_address
from limits import parse_many
from limits.errors import ConfigurationError as BadStorage
from limits.errors import StorageError

from fairlens_backend import config
from fairlens_backend.blueprints._envelope import failure
from fairlens_backend.blueprints._limit_counts import ProcessStorage
from fairlens_backend.credentials import prefix_of
from fairlens_backend.errors import ConfigurationError, RateLimited

View = TypeVar("View", bound=Callable[..., Any])
MARK = "_fairlens_login_limit"
INGEST_MARK = "_fairlens_ingest_limit"
KEY_HEADER = "X-Api-Key"


def login_limit(view: View) -> View:
    """Mark a view, under its route decorator: RATE_LIMIT_LOGIN holds for it in place of RATE_LIMIT_DEFAULT."""
    setattr(view, MARK, True)
    return view


def ingest_limit(view: View) -> View:
    """Mark a view, under its route decorator: RATE_LIMIT_INGEST holds for it, for each API key by itself."""
    setattr(view, INGEST_MARK, True)
    return view


def who_is_counted() -> str:
    """The address; where single decisions are sent, the key: a fleet behind one address has one key a service.

    By the whole key's digest and not by its public part, so that nobody else can use a key's limit up.
    """
    key = request.headers.get(KEY_HEADER) or _bearer_key()
    view = current_app.view_functions.get(request.endpoint or "")
    if key and getattr(view, INGEST_MARK, False):
        return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return get_remote_address()


def _bearer_key() -> str | None:
    """The API key that came as a bearer token; an access token is no name of its own for a caller."""
    token = request.headers.get("Authorization", "").partition(" ")[2].strip()
    return token if prefix_of(token) is not None else None


def limit_of_call() -> str:
    """The limit of the endpoint that is called, as the settings have it now."""
    view = current_app.view_functions.get(request.endpoint or "")
    settings = config.current()
    if getattr(view, INGEST_MARK, False):
        return settings.rate_limit_ingest
    return settings.rate_limit_login if getattr(view, MARK, False) else settings.rate_limit_default


def refuse(breached: RequestLimit) -> Response:
    """429 with the seconds until the window of the limit is over."""
    wait_s = _seconds_left(breached)
    return failure(
        RateLimited(
            f"More calls than allowed ({breached.limit}). Try again in {wait_s} seconds.",
            retry_after_s=wait_s,
            limit=str(breached.limit),
        )
    )


limiter = Limiter(
    who_is_counted,
    default_limits=[limit_of_call],
    on_breach=refuse,
    # The extension's own headers would put the window's end over every other Retry-After: a locked account's, a full disk's.
    headers_enabled=False,
    # While Redis is away each worker counts for itself: a limiter that fails must not take the service with it.
    in_memory_fallback_enabled=True,
    storage_options={"wrap_exceptions": True},
)


def init_app(app: Flask) -> None:
    """Count the calls of `app`, in Redis for all workers where REDIS_URL is set, and say in each answer how many are left.

    Raises
    ------
    ConfigurationError : a limit that cannot be read, a Redis that cannot be used; otherwise nothing would be limited
    """
    settings = config.current()
    for name in ("rate_limit_default", "rate_limit_login", "rate_limit_ingest"):
        text = getattr(settings, name)
        try:
            parse_many(text)
        except ValueError:
            raise ConfigurationError(
                f'{name.upper()} is {text!r}, something like "20 per minute" was expected.',
                field=name.upper(),
            ) from None
    address = settings.redis_url or f"{ProcessStorage.STORAGE_SCHEME[0]}://"
    # What redis-py calls unix:// has a longer name here.
    app.config["RATELIMIT_STORAGE_URI"] = f"redis+{address}" if address.startswith("unix://") else address
    if settings.redis_url:
        app.config["RATELIMIT_KEY_PREFIX"] = "fairlens:limits"
        app.config["RATELIMIT_STORAGE_OPTIONS"] = {
            "socket_timeout": settings.redis_timeout_s,
            "socket_connect_timeout": settings.redis_timeout_s,
        }
    try:
        limiter.init_app(app)
    except BadStorage:
        # Without the reason: it repeats the address, which may hold a password.
        raise ConfigurationError(
            "REDIS_URL cannot be used for limits; something like redis://localhost:6379/0 was expected.",
            field="REDIS_URL",
        ) from None
    app.after_request(_add_headers)


def _seconds_left(limit: RequestLimit) -> int:
    # `window[0]` is the end of the window; `reset_at` is up to a second later.
    return max(1, math.ceil(limit.window[0] - time.time()))


def _add_headers(answer: Response) -> Response:
    limit = limiter.current_limit
    if limit is None:
        return answer
    try:
        left, reset_s = limit.remaining, _seconds_left(limit)
    except StorageError:
        return answer  # the storage went away during the call, whose answer stands
    answer.headers["X-RateLimit-Limit"] = str(limit.limit.amount)
    answer.headers["X-RateLimit-Remaining"] = str(left)
    answer.headers["X-RateLimit-Reset"] = str(reset_s)
    return answer
