"""Counts of calls in a process: a window ends when it is over, what is over is dropped, and no thread is started."""

import sys
import threading
import time

import pytest
from limits import parse
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from fairlens_backend.blueprints import _limit_counts
from fairlens_backend.blueprints._limit_counts import ProcessStorage


class Clock:
    """The time, as both storages read it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "time", made)
    return made


def test_it_counts_as_the_packages_own(clock: Clock) -> None:
    """Three of 5 calls a minute and address pass, and those of the next minute again; against the package's storage."""
    limit, said = parse("3 per minute"), []
    for storage in (storage_from_string("process://"), MemoryStorage()):
        clock.now = 1_000_000.0
        limiter = FixedWindowRateLimiter(storage)
        passed = []
        for second in (0, 1, 2, 3, 4, 61, 62, 63, 64, 65):
            clock.now = 1_000_000.0 + second
            passed.append(
                (limiter.hit(limit, "a"), limiter.hit(limit, "b"), limiter.get_window_stats(limit, "a"))
            )
        said.append(passed)
    assert said[0] == said[1]
    assert [one[0] for one in said[0]] == [True] * 3 + [False] * 2 + [True] * 3 + [False] * 2


def test_what_is_over_is_dropped(clock: Clock) -> None:
    """A thousand addresses that called once are not kept for ever, and calls start no thread."""
    storage, threads = ProcessStorage(), threading.active_count()
    for i in range(1000):
        storage.incr(f"address {i}", 30)
    assert len(storage.storage) == len(storage.expirations) == 1000
    assert threading.active_count() <= threads
    clock.now += _limit_counts.SWEEP_EVERY_S
    assert storage.incr("address 5", 30) == 1
    assert dict(storage.storage) == {"address 5": 1} and list(storage.expirations) == ["address 5"]


def test_threads_lose_no_count() -> None:
    """Eight threads count 500 calls each of one address."""
    storage = ProcessStorage()
    threads = [
        threading.Thread(target=lambda: [storage.incr("a", 3600) for _ in range(500)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert storage.get("a") == 4000


def test_a_sweep_meets_readers_and_none_of_them_fails(clock: Clock) -> None:
    """What reads a count drops nothing under the hands of the thread that does, and sees none that is over."""
    storage = ProcessStorage()
    failed: list[BaseException] = []

    def read() -> None:
        try:
            for i in range(20_000):
                storage.get(f"address {i}")
                storage.clear(f"address {i + 7}")
        except RuntimeError as error:
            failed.append(error)

    for i in range(20_000):
        storage.incr(f"address {i}", 30)
    assert (storage.get("address 5"), storage.get("nobody")) == (1, 0)
    clock.now += _limit_counts.SWEEP_EVERY_S
    assert storage.get("address 5") == 0
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        reader = threading.Thread(target=read)
        reader.start()
        storage.incr("address 1", 30)
        reader.join()
    finally:
        sys.setswitchinterval(interval)
    assert failed == [] and len(storage.storage) <= 1
