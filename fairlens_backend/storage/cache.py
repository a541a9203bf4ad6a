"""What may be forgotten: answers that were expensive, counts of a short while, locks that end by themselves.

One interface over two engines: this process's memory, and the Redis of REDIS_URL, which all workers share. While Redis is
away each process uses its own memory: whatever is kept here, losing it costs time and never rightness.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Protocol

from fairlens_backend import config
from fairlens_backend.errors import Unavailable
from fairlens_backend.storage import redis_link

PREFIX: Final = "fairlens:cache:"
MEGABYTE: Final = 1_000_000
MAX_ENTRIES: Final = 10_000


class Cache(Protocol):
    """Bytes by name, each for so many seconds at most."""

    def get(self, key: str) -> bytes | None:
        """What is kept under a name; None when nothing is, or not any more."""

    def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keep a value, in the place of another one."""

    def delete(self, key: str) -> None:
        """Forget a name, if it is there."""

    def increment(self, key: str, ttl_s: float) -> int:
        """One more; the first one starts the time, later ones do not lengthen it."""

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        """Keep a value where there is none; whether this caller did. A lock that ends by itself."""


class MemoryCache:
    """This process's own, bounded: beyond it the entry that was used longest ago goes first.

    Parameters
    ----------
    max_entries, max_bytes : of all values together
    clock : seconds that only grow
    """

    def __init__(self, max_entries: int, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.clock = clock
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """As `Cache.get`."""
        with self._lock:
            return self._live(key)

    def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """As `Cache.set`; a value larger than the whole bound is not kept."""
        with self._lock:
            self._put(key, value, self.clock() + ttl_s)

    def delete(self, key: str) -> None:
        """As `Cache.delete`."""
        with self._lock:
            self._drop(key)

    def increment(self, key: str, ttl_s: float) -> int:
        """As `Cache.increment`."""
        with self._lock:
            old = self._live(key)
            ends = self._kept[key][0] if old is not None else self.clock() + ttl_s
            n = int(old or b"0") + 1
            self._put(key, b"%d" % n, ends)
            return n

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        """As `Cache.add`."""
        with self._lock:
            if self._live(key) is not None:
                return False
            self._put(key, value, self.clock() + ttl_s)
            return True

    def _live(self, key: str) -> bytes | None:
        if key not in self._kept:
            return None
        ends, value = self._kept[key]
        if ends <= self.clock():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return value

    def _put(self, key: str, value: bytes, ends: float) -> None:
        self._drop(key)
        if len(value) > self.max_bytes:
            return
        self._kept[key] = (ends, value)
        self._bytes += len(value)
        while len(self._kept) > self.max_entries or self._bytes > self.max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        if key in self._kept:
            self._bytes -= len(self._kept.pop(key)[1])


class RedisCache:
    """The Redis of REDIS_URL; every call raises `Unavailable` while it is away. Redis bounds its memory by itself."""

    def get(self, key: str) -> bytes | None:
        """As `Cache.get`."""
        return redis_link.ask(lambda client: client.get(PREFIX + key))

    def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """As `Cache.set`."""
        redis_link.ask(lambda client: client.set(PREFIX + key, value, px=_milliseconds(ttl_s)))

    def delete(self, key: str) -> None:
        """As `Cache.delete`."""
        redis_link.ask(lambda client: client.delete(PREFIX + key))

    def increment(self, key: str, ttl_s: float) -> int:
        """As `Cache.increment`."""

        def both(client: Any) -> int:
            # In one transaction, so that no count is left without an end.
            with client.pipeline(transaction=True) as pipe:
                pipe.set(PREFIX + key, 0, px=_milliseconds(ttl_s), nx=True)
                pipe.incr(PREFIX + key)
                return int(pipe.execute()[1])

        return redis_link.ask(both)

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        """As `Cache.add`."""
        return bool(
            redis_link.ask(lambda client: client.set(PREFIX + key, value, px=_milliseconds(ttl_s), nx=True))
        )


class FallbackCache:
    """A shared cache, and a cache of this process for while the shared one is away."""

    def __init__(self, shared: Cache, own: Cache) -> None:
        self.shared = shared
        self.own = own

    def get(self, key: str) -> bytes | None:
        """As `Cache.get`."""
        return self._either(lambda cache: cache.get(key))

    def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """As `Cache.set`."""
        self._either(lambda cache: cache.set(key, value, ttl_s))

    def delete(self, key: str) -> None:
        """As `Cache.delete`."""
        self._either(lambda cache: cache.delete(key))

    def increment(self, key: str, ttl_s: float) -> int:
        """As `Cache.increment`."""
        return self._either(lambda cache: cache.increment(key, ttl_s))

    def add(self, key: str, value: bytes, ttl_s: float) -> bool:
        """As `Cache.add`."""
        return self._either(lambda cache: cache.add(key, value, ttl_s))

    def _either(self, action: Callable[[Cache], Any]) -> Any:
        try:
            return action(self.shared)
        except Unavailable:
            return action(self.own)


_caches: dict[tuple[str, float], Cache] = {}


def cache() -> Cache:
    """The cache of the current settings; one a setting and process."""
    settings = config.current()
    key = (settings.redis_url, settings.cache_max_mb)
    if key not in _caches:
        own = MemoryCache(MAX_ENTRIES, int(settings.cache_max_mb * MEGABYTE))
        _caches[key] = FallbackCache(RedisCache(), own) if redis_link.configured() else own
    return _caches[key]


def forget() -> None:
    """Drop what this process keeps; for tests."""
    _caches.clear()


def _milliseconds(ttl_s: float) -> int:
    return max(1, round(ttl_s * 1000))
