"""How many calls an address may make: one limit for every endpoint, a lower one where passwords and tokens are tried.

The limits are looked at before the view is entered. A limit put around the view itself would count only bodies that
had passed validation.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask, current_app, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from fairlens_backend import config

View = TypeVar("View", bound=Callable[..., Any])
MARK = "_fairlens_login_limit"


def login_limit(view: View) -> View:
    """Mark a view, under its route decorator: RATE_LIMIT_LOGIN holds for it in place of RATE_LIMIT_DEFAULT."""
    setattr(view, MARK, True)
    return view


def limit_of_call() -> str:
    """The limit of the endpoint that is called, as the settings have it now."""
    view = current_app.view_functions.get(request.endpoint or "")
    settings = config.current()
    return settings.rate_limit_login if getattr(view, MARK, False) else settings.rate_limit_default


limiter = Limiter(
    get_remote_address,
    default_limits=[limit_of_call],
    headers_enabled=True,
    # While Redis is away each worker counts for itself: a limiter that fails must not take the service with it.
    in_memory_fallback_enabled=True,
)


def init_app(app: Flask) -> None:
    """Count the calls of `app` in RATE_LIMIT_STORAGE."""
    app.config["RATELIMIT_STORAGE_URI"] = config.current().rate_limit_storage
    limiter.init_app(app)
