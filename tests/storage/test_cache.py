"""What may be forgotten: one contract over both engines, the bound of the memory, and what happens while Redis is away."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fairlens_backend import config, telemetry
from fairlens_backend.errors import ConfigurationError, Unavailable
from fairlens_backend.storage import cache, redis_link
from fairlens_backend.storage.cache import Cache, FallbackCache, MemoryCache, RedisCache
from tests.redis_server import RedisServer

ENGINES = ("memory", "redis")


@dataclass
class Engine:
    """A cache, and how its time goes by without anybody waiting."""

    cache: Cache
    pass_s: Callable[[float], None]


@pytest.fixture
def engine(request: pytest.FixtureRequest, make_settings: Any) -> Engine:
    """An empty cache of the wanted kind."""
    if request.param == "memory":
        now = [1000.0]

        def later(seconds: float) -> None:
            now[0] += seconds

        return Engine(MemoryCache(100, 1000, lambda: now[0]), later)
    url = request.getfixturevalue("redis_url")
    make_settings(REDIS_URL=url)

    def age(seconds: float) -> None:
        """Every key is so much nearer to its end; one that is over it is gone."""

        def each(client: Any) -> None:
            for key in client.keys("*"):
                client.pexpire(key, client.pttl(key) - round(seconds * 1000))

        redis_link.ask(each)

    return Engine(RedisCache(), age)


BOTH = pytest.mark.parametrize("engine", ENGINES, indirect=True)


@BOTH
def test_what_is_set_is_there_until_it_is_deleted(engine: Engine) -> None:
    """Bytes come back as they went in, a second value takes the first one's place, an unknown name is None."""
    kept = engine.cache
    assert kept.get("a") is None
    kept.set("a", b"\x00\xff", 10)
    assert kept.get("a") == b"\x00\xff"
    kept.set("a", b"", 10)
    assert kept.get("a") == b""
    kept.delete("a")
    kept.delete("a")
    assert kept.get("a") is None


@BOTH
def test_a_value_ends(engine: Engine) -> None:
    """It is there before its seconds are over and not after; setting it again starts them anew."""
    kept = engine.cache
    kept.set("a", b"1", 10)
    engine.pass_s(6)
    kept.set("b", b"1", 10)
    kept.set("a", b"2", 10)
    engine.pass_s(6)
    assert kept.get("a") == b"2"
    engine.pass_s(5)
    assert (kept.get("a"), kept.get("b")) == (None, None)


@BOTH
def test_a_count_begins_at_one_and_ends_with_its_first(engine: Engine) -> None:
    """Later increments do not lengthen the time; after it the count begins anew."""
    kept = engine.cache
    assert [kept.increment("n", 10) for _ in range(3)] == [1, 2, 3]
    assert kept.get("n") == b"3"
    engine.pass_s(6)
    assert kept.increment("n", 10) == 4
    engine.pass_s(5)
    assert kept.increment("n", 10) == 1


@BOTH
def test_a_lock_has_one_holder_until_it_ends(engine: Engine) -> None:
    """The first who adds holds it; the next one may when it was deleted or its time is over."""
    kept = engine.cache
    assert kept.add("lock", b"me", 10)
    assert not kept.add("lock", b"you", 10)
    assert kept.get("lock") == b"me"
    engine.pass_s(11)
    assert kept.add("lock", b"you", 10)
    kept.delete("lock")
    assert kept.add("lock", b"me", 10)


def test_memory_keeps_what_was_used_last() -> None:
    """Beyond the bound of entries or bytes the one that was read longest ago goes; a value over the bound is not kept."""
    kept = MemoryCache(3, 10)
    for name in "abc":
        kept.set(name, b"1", 10)
    kept.get("a")
    kept.set("d", b"1", 10)
    assert [name for name in "abcd" if kept.get(name)] == ["a", "c", "d"]
    kept.set("e", b"x" * 9, 10)  # nine bytes and "d": one of the others had to go
    assert [name for name in "acde" if kept.get(name)] == ["d", "e"]
    kept.set("f", b"x" * 11, 10)
    assert kept.get("f") is None and kept.get("e") is not None


def test_workers_share_what_is_in_redis(make_settings: Any, redis_url: str) -> None:
    """Two caches of one REDIS_URL are one."""
    make_settings(REDIS_URL=redis_url)
    FallbackCache(RedisCache(), MemoryCache(10, 100)).set("a", b"1", 10)
    assert FallbackCache(RedisCache(), MemoryCache(10, 100)).get("a") == b"1"


def test_without_redis_a_process_goes_on_alone(
    make_settings: Any, redis_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis killed: the process's own memory answers, the absence is logged once, and Redis is used again when it is back."""
    said: list[str] = []
    monkeypatch.setattr(telemetry, "log", lambda event, **_: said.append(event))
    make_settings(REDIS_URL=redis_url)
    cache.forget()
    kept = cache.cache()
    kept.set("a", b"shared", 60)
    redis_server.kill()
    assert kept.get("a") is None
    for value in (b"own", b"own again"):
        kept.set("a", value, 60)
        assert kept.get("a") == value
    assert kept.increment("n", 60) == 1 and kept.add("l", b"", 60) and not kept.add("l", b"", 60)
    assert not redis_link.up() and said == ["REDIS_AWAY"]
    with pytest.raises(Unavailable, match="Redis does not answer"):
        RedisCache().get("a")
    redis_server.start()
    assert not redis_link.up()  # it is not asked for a few seconds
    monkeypatch.setattr(redis_link, "AVOIDED_S", 0.0)
    redis_link._away_until[redis_url] = 0.0
    assert redis_link.up() and kept.get("a") == b"shared" and said[-1] == "REDIS_BACK"


@pytest.mark.parametrize("url", ["nowhere://x", "localhost:6379", "http://redis:secret@host"])
def test_an_address_that_is_none_stops_the_start(make_settings: Any, url: str) -> None:
    """One sentence that names the setting, and not what may be a password."""
    pytest.importorskip("redis")
    make_settings(REDIS_URL=url)
    with pytest.raises(ConfigurationError, match="REDIS_URL") as told:
        redis_link.check()
    assert "secret" not in told.value.message


def test_the_package_is_asked_for_by_name(make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """REDIS_URL without the extra stops the start and says what to install; without REDIS_URL nothing is asked."""
    import sys

    monkeypatch.setitem(sys.modules, "redis", None)
    make_settings(REDIS_URL="redis://localhost:1/0")
    with pytest.raises(ConfigurationError, match=r"pip install 'fairlens\[redis\]'"):
        redis_link.check()
    make_settings()
    redis_link.check()


def test_the_settings_choose(make_settings: Any) -> None:
    """In process by default; one a setting, so that every caller has the same one."""
    make_settings()
    assert isinstance(cache.cache(), MemoryCache) and cache.cache() is cache.cache()
    config.use(make_settings(REDIS_URL="redis://localhost:1/0"))
    assert isinstance(cache.cache(), FallbackCache)
