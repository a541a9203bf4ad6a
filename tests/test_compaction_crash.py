"""The compactor is killed while decisions and labels come in: in every grain the counts stay those of the rows.

FAIRLENS_FAULT_ROUNDS is how many compactors are killed (6 where it is not set).
"""

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from fairlens_backend import config, count_keeper
from fairlens_backend.storage import count_series, events, window_counts
from fairlens_backend.storage.event_tables import CountBucket, CountDelta, EventBatch
from fairlens_backend.storage.session import current_session, hold_moment, read_snapshot
from tests.ingest_kit import NOW, day_window, event, label, minute, register, send

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = int(os.environ.get("FAIRLENS_FAULT_ROUNDS", "6"))

# Sends batches and their labels for ever, over hours and two days, and names each batch that was answered.
SENDER = """
from datetime import timedelta
from tests.ingest_kit import NOW, event, label, send
k = 0
while True:
    ids = [f"{k}-{i}" for i in range(10)]
    send([event(one, timestamp=(NOW - timedelta(minutes=(k * 97 + i * 61) % 2000)).isoformat(),
                demographic_tags={"sex": "FMX"[(k + i) % 3]}) for i, one in enumerate(ids)])
    print(k, flush=True)
    label([(one, "good" if i % 2 else "bad") for i, one in enumerate(ids) if i % 3])
    k += 1
"""

# For each line that it reads a child that folds until it is killed; with a number, it kills itself before that statement.
COMPACTORS = """
import itertools, os, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from fairlens_backend import count_keeper
from tests.ingest_kit import NOW
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        fatal, number = int(line), itertools.count(1)
        if fatal:
            @event.listens_for(Engine, "before_cursor_execute")
            def _(*_):
                if next(number) == fatal:
                    os.kill(os.getpid(), signal.SIGKILL)
        print(os.getpid(), flush=True)
        while count_keeper.compact(NOW) or not fatal:
            pass
        os._exit(0)
    print("gone", os.waitpid(child, 0)[1], flush=True)
"""


@pytest.fixture(autouse=True)
def model(database: None) -> None:
    """The model `hiring`, registered."""
    register()


@contextmanager
def running(code: str) -> Iterator["subprocess.Popen[str]"]:
    """A process on this test's database; it ends with the test, and so do its children, which are its group's."""
    environ = {name.upper(): str(value) for name, value in vars(config.current()).items()}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Compactors:
    """Starts one compactor after the other."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdin is not None and process.stdout is not None
        self._in, self._out = process.stdin, process.stdout

    def start(self, fatal_statement: int = 0) -> int:
        """The process id of the next one."""
        self._in.write(f"{fatal_statement}\n")
        self._in.flush()
        return int(self._out.readline())

    def was_killed(self) -> bool:
        """Whether the last one, which is gone now, was killed."""
        word, status = self._out.readline().split()
        assert word == "gone"
        return os.WIFSIGNALED(int(status))


def summed(grain: int, minutes: Any, cells: Any, n: Any, units: Any) -> Counter[Any]:
    """Decisions, and units of their scores, by bucket and cell."""
    found: Counter[Any] = Counter()
    starts = (np.asarray(minutes) // grain * grain).tolist()
    for start, cell, one, unit in zip(starts, *(part.tolist() for part in (cells, n, units)), strict=True):
        found["n", start, cell] += one
        found["units", start, cell] += unit
    return Counter({key: value for key, value in found.items() if value})


def assert_every_grain_has_the_rows() -> int:
    """At one moment: the buckets of each grain with the waiting deltas are, bucket by bucket and cell by cell, the raw rows;
    how many rows there are."""
    with read_snapshot():
        hold_moment()
        session = current_session()
        ((number, _),) = count_series.of_model("acme", "hiring")
        raw = events.recount(number, 0, minute(NOW) + 10_000)
        rows = int(session.scalar(select(func.sum(EventBatch.n))) or 0)
        deltas = [
            np.frombuffer(one, window_counts.ENTRY) for one in session.scalars(select(CountDelta.entries))
        ]
        waiting = np.concatenate([np.zeros(0, window_counts.ENTRY), *deltas])
        for grain in window_counts.GRAINS:
            expected = summed(grain, raw["minute"], raw["cell"], raw["n"], raw["units"])
            found = summed(grain, *(waiting[name] for name in ("minute", "cell", "n", "units")))
            wanted = select(CountBucket.start_minute, CountBucket.entries).where(CountBucket.grain == grain)
            for start, content in session.execute(wanted):
                some = window_counts.unpacked(content)
                times = np.full(len(some), start)
                found.update(summed(grain, times, some["cell"], some["n"], some["units"]))
            assert Counter({key: value for key, value in found.items() if value}) == expected, grain
            assert sum(value for key, value in found.items() if key[0] == "n") == rows
    return rows


def test_killed_compactors_lose_and_double_nothing(record_property: Callable[[str, object], None]) -> None:
    """SIGKILL at seeded instants of a compactor that never rests, beside a sender that never rests; after each the counts are
    the rows', and at the end everything that was accepted is there, once, and folded."""
    chance, wait, unfolded, before = random.Random(7), threading.Event(), 0, 0
    with running(SENDER) as sender, running(COMPACTORS) as process:
        assert sender.stdout is not None
        compactors = Compactors(process)
        accepted = [int(sender.stdout.readline())]
        for _ in range(ROUNDS):
            accepted += [int(sender.stdout.readline()) for _ in range(3)]
            killed = compactors.start()
            wait.wait(chance.uniform(0, 0.15))
            os.kill(killed, signal.SIGKILL)
            assert compactors.was_killed()
            rows = assert_every_grain_has_the_rows()
            assert rows > before
            before = rows
            with read_snapshot():
                unfolded += current_session().scalar(select(func.count(CountDelta.id))) != 0
        sender.send_signal(signal.SIGKILL)
        accepted += map(int, sender.stdout.read().split())
        sender.wait()
    rows = assert_every_grain_has_the_rows()
    assert accepted == list(range(len(accepted))) and 0 <= rows - 10 * len(accepted) <= 10
    while count_keeper.compact(NOW):
        pass
    assert assert_every_grain_has_the_rows() == rows
    assert count_keeper.window_table("acme", "hiring", *day_window()).total == rows
    record_property("rounds", ROUNDS)
    record_property("rows", rows)
    record_property("rounds_with_deltas_waiting", unfolded)


def test_a_compactor_may_die_before_any_statement(record_property: Callable[[str, object], None]) -> None:
    """Killed before its first statement, its second and so on until one comes through: the fold is there wholly or not at all."""
    with running(COMPACTORS) as process:
        compactors, fatal, killed = Compactors(process), 0, True
        while killed:
            fatal += 1
            ids = [f"{fatal}-{i}" for i in range(6)]
            send([event(one, demographic_tags={"sex": "FM"[i % 2]}) for i, one in enumerate(ids)])
            label([(one, "good") for one in ids[:3]])
            compactors.start(fatal)
            killed = compactors.was_killed()
            assert assert_every_grain_has_the_rows() == 6 * fatal
    with read_snapshot():
        assert current_session().scalar(select(func.count(CountDelta.id))) == 0
    assert fatal > 8
    record_property("statements", fatal - 1)
