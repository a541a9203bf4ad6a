"""Limits of calls where several workers share them: counted in Redis, and in each worker for itself while it is away."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from fairlens_backend.blueprints._limits import limiter
from tests.api import assert_envelope
from tests.redis_server import RedisServer

MakeApp = Callable[..., Flask]
LIMITED = "/api/login"
BODY = {"username": "nobody", "password": "not a password"}


@pytest.fixture(autouse=True)
def whole_limiter() -> Iterator[None]:
    """The limiter is the process's: what these tests do to it is undone."""
    kept = (limiter._storage, limiter._limiter, limiter._storage_dead, limiter._key_prefix)
    yield
    limiter._storage, limiter._limiter, limiter._storage_dead, limiter._key_prefix = kept


def test_workers_count_together(make_app: MakeApp, redis_url: str) -> None:
    """Of four calls allowed, two at each of two applications leave none, wherever the fifth goes."""
    given = {"REDIS_URL": redis_url, "RATE_LIMIT_LOGIN": "4 per hour", "LOGIN_MAX_FAILURES": "100"}
    first, second = make_app(**given), make_app(**given)
    for app in (first, second, first, second):
        assert app.test_client().post(LIMITED, json=BODY).status_code in (401, 429)
    for app in (first, second):
        answer = app.test_client().post(LIMITED, json=BODY)
        details = assert_envelope(answer, 429, "rate_limited")
        assert details["limit"] == "4 per 1 hour" and answer.headers["X-RateLimit-Remaining"] == "0"


def test_calls_are_answered_while_redis_is_away(
    make_app: MakeApp, redis_url: str, redis_server: RedisServer
) -> None:
    """A limiter that fails takes nothing with it: the worker counts for itself, and still refuses."""
    app = make_app(REDIS_URL=redis_url, RATE_LIMIT_DEFAULT="3 per hour")
    client = app.test_client()
    assert client.get("/api/models").status_code == 401
    redis_server.kill()
    assert [client.get("/api/models").status_code for _ in range(4)] == [401, 401, 401, 429]
