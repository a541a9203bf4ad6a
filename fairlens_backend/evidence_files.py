"""The bytes of the evidence files: locked, appended at a known place, synced, searched without reading them whole.

A file of evidence is a sequence of lines that only grows. Who appends holds its lock, says at which byte, and either all
bytes are on the disk when `write_at` returns or the file ends where it ended before. What a crash may leave is one thing
only: the beginning of what was to be written. `plan_append` tells that from everything else.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fairlens_backend import config

LOG_FILE = "compliance_audit_log.jsonl"
ANCHOR_FILE = "blockchain_anchors.jsonl"
PUBLISH_LOCK = "evidence.lock"
ANCHOR_LOCK = "anchors.lock"


def log_path() -> Path:
    """The compliance log of the current settings."""
    return config.current().data_path / LOG_FILE


def anchor_path() -> Path:
    """The anchors of the current settings."""
    return config.current().data_path / ANCHOR_FILE


@contextmanager
def locked(name: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock file of the data folder, against other processes and other threads.

    Gives False, without the lock, when `wait` is False and another holds it. A dead process's lock ends with it.
    """
    folder = config.current().data_path
    folder.mkdir(parents=True, exist_ok=True)
    # Opened anew each time: flock belongs to the open file, so threads exclude each other too.
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def size_of(path: Path) -> int:
    """Bytes the file has; 0 when it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def read_span(path: Path, start: int, length: int) -> bytes:
    """At most `length` bytes from `start` on; none when the file is not there."""
    if length <= 0 or size_of(path) <= start:
        return b""
    with path.open("rb") as file:
        file.seek(start)
        return file.read(length)


def ends_line(path: Path, size: int) -> bool:
    """Whether the byte before `size` ends a line (an empty file begins one)."""
    return size == 0 or read_span(path, size - 1, 1) == b"\n"


def write_at(path: Path, at: int, data: bytes) -> int:
    """Make the file its first `at` bytes followed by `data`, on the disk; gives the new length.

    Raises
    ------
    OSError : the disk is full or failing; the file then has its first `at` bytes again, as far as the system lets us
    """
    new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            if os.fstat(descriptor).st_size > at:
                os.ftruncate(descriptor, at)
            done = 0
            while done < len(data):
                done += os.pwrite(descriptor, data[done:], at + done)
            os.fsync(descriptor)
        except OSError:
            _cut_back(descriptor, at)
            raise
    finally:
        os.close(descriptor)
    if new:
        _sync_folder(path.parent)
    return at + len(data)


@dataclass(frozen=True)
class Plan:
    """How to go on after the bytes that are known: cut the file to `at`, then write `todo`.

    With `damage` set nothing is cut: `at` is the file's end, and a fresh line must be begun there when `torn`.
    """

    at: int
    todo: Sequence[bytes]
    torn: bool = False
    damage: str | None = None


def plan_append(path: Path, known: int, expected: Sequence[bytes], *, last: bool) -> Plan:
    """What of the expected lines is in the file already, and where the others belong.

    Parameters
    ----------
    known : length of the file when it was last in order
    expected : the lines that follow, each with its newline
    last : whether nothing may follow them; False when further lines may be there from before a crash
    """
    size = size_of(path)
    if fault := fault_before(path, known, size):
        return Plan(size, expected, not ends_line(path, size), fault)
    tail = read_span(path, known, sum(map(len, expected)) + 1)
    at, done = known, 0
    while done < len(expected) and tail.startswith(expected[done], at - known):
        at += len(expected[done])
        done += 1
    todo, rest = expected[done:], tail[at - known :]
    if not rest or (not todo and not last):
        return Plan(at, todo)
    if todo and at + len(rest) == size and todo[0].startswith(rest):
        return Plan(at, todo)
    found = f"{path.name}: bytes {at} to {size} belong to no record"
    return Plan(size, todo, not ends_line(path, size), found)


def fault_before(path: Path, known: int, size: int) -> str | None:
    """What is wrong with the part that was in order, as far as its end shows it; None when nothing is."""
    if size < known:
        return f"{path.name}: {size} bytes are left of {known} that were written"
    if not ends_line(path, known):
        return f"{path.name}: the line that ends at byte {known} was altered"
    return None


def lines_with(path: Path, needle: bytes) -> list[bytes]:
    """Every line that contains the bytes, with its newline where it has one; the file is searched, not parsed."""
    if size_of(path) == 0:
        return []
    found: list[bytes] = []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        at = view.find(needle)
        while at >= 0:
            start = view.rfind(b"\n", 0, at) + 1
            newline = view.find(b"\n", at)
            end = len(view) if newline < 0 else newline + 1
            found.append(view[start:end])
            at = view.find(needle, end)
    return found


def batches_of_lines(path: Path, up_to: int, batch: int) -> Iterator[list[bytes]]:
    """The lines among the first `up_to` bytes, each with its newline, some at a time."""
    if size_of(path) == 0:
        return
    with path.open("rb") as file:
        collected: list[bytes] = []
        for line in file:
            up_to -= len(line)
            if up_to < 0:
                break
            collected.append(line)
            if len(collected) == batch:
                yield collected
                collected = []
        if collected:
            yield collected


def _cut_back(descriptor: int, at: int) -> None:
    try:
        if os.fstat(descriptor).st_size > at:
            os.ftruncate(descriptor, at)
    except OSError:
        # The beginning of a line stays; the next append knows it for what it is and writes over it.
        return


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
