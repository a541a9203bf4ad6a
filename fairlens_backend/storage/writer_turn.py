"""The turn to write: on SQLite the processes of a machine wait in a row for the database's lock, and whoever has it is quick."""

import fcntl
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fairlens_backend import config
from fairlens_backend.storage.session import is_postgresql

LOCK_FILE: Final = "ingest.lock"
SWITCH_S: Final = 0.0002
_count_lock = threading.Lock()
_hurried: list[float] = []


@contextmanager
def writer_turn() -> Iterator[None]:
    """Wait for the turn; around `unit_of_work`, never inside one.

    SQLite's own waiting is a sleep of up to 0.1 s between tries, so that a process that keeps writing keeps the others out:
    fifty folds of counts in a row, each of 12 ms, kept the ingest waiting for 0.3 s. The kernel drops the lock of a process
    that dies. PostgreSQL queues by itself.
    """
    with _in_a_row(), _quick_switches():
        yield


@contextmanager
def _in_a_row() -> Iterator[None]:
    if is_postgresql():
        yield
        return
    try:
        path = config.current().data_path / LOCK_FILE
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        yield  # a full disk, or a folder that is not there: the database itself says what is wrong
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _quick_switches() -> Iterator[None]:
    """Let whoever writes have the interpreter back soon.

    Each call of the driver gives it away, and a thread that reads a body keeps it for 5 ms then: fifteen calls held the
    database's lock, and all other processes, for up to 75 ms where the work is 2 ms. The last thread that leaves sets back
    what the first one found; on PostgreSQL, where there is no row, several are in here.
    """
    with _count_lock:
        _hurried.append(sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_S)
    try:
        yield
    finally:
        with _count_lock:
            usual = _hurried.pop()
            if not _hurried:
                sys.setswitchinterval(usual)


def _after_fork() -> None:
    """The threads that had a turn, or the lock, are not in the child."""
    global _count_lock
    _count_lock = threading.Lock()
    if _hurried:
        sys.setswitchinterval(_hurried[0])
        _hurried.clear()


os.register_at_fork(after_in_child=_after_fork)
