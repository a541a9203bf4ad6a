"""Verifies the file of a bundle in chunks, one process a core, with the verdict of a reading line by line.

Chunks are checked by themselves (`verifier.runs`) and their results put together in the order of the file. A file as it stands is
read by those who check it; of a packed one the pieces are handed to them.
"""

import gc
import gzip
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from fairlens_backend.core.signed_note import VerifierKey
from fairlens_backend.verifier.bundle import Reading
from fairlens_backend.verifier.heads import HeadCheck
from fairlens_backend.verifier.runs import Checked, Run, Task, check_chunk
from fairlens_backend.verifier.verdict import Verdict

CHUNK_BYTES: Final = 64 << 20
"""Audits that are alike are computed together, so in large chunks each costs less: in ones of 2 MB twice as much."""
PACKED_BYTES: Final = 32 << 20
"""the most of a packed file: its chunks wait here, unpacked"""
BLOCK_BYTES: Final = 1 << 18
"""what is read at once: it stays in the processor's cache while its lines are checked"""
KEPT_BYTES: Final = 31 << 20
"""glibc looks at no larger ones"""
LEAST_BYTES: Final = 1 << 20
ALONE_BYTES: Final = 16 << 20
"""a smaller file is read sooner than other processes are there"""
WITH_INTERVALS: Final = 32
"""times a chunk is smaller where each audit takes so much longer"""
GZIP: Final = b"\x1f\x8b"

Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Chunk:
    """Whole lines of the file, as a place in it or as its bytes; the last one may end in the middle of a line."""

    path: Path
    start: int
    length: int
    content: bytes | None = None

    def read(self) -> bytes:
        """Its bytes."""
        if self.content is not None:
            return self.content
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start)
            found = file.read(self.length)
            while len(found) < self.length and (more := file.read(self.length - len(found))):
                found += more
            return found

    def lines(self) -> Iterator[bytes]:
        """Its lines, each with its newline."""
        for block in self.blocks():
            yield from BytesIO(block)

    def blocks(self) -> Iterator[bytes]:
        """Its lines, some at a time."""
        with BytesIO(self.content) if self.content is not None else self.path.open("rb") as file:
            first = self.start if self.content is None else 0
            for start, stop in _spans(file, first, first + self.length, BLOCK_BYTES):
                file.seek(start)
                yield file.read(stop - start)


def verify_file(
    path: Path,
    keys: Sequence[VerifierKey],
    heads: HeadCheck | None = None,
    *,
    intervals: bool = False,
    processes: int | None = None,
    chunk_bytes: int | None = None,
    progress: Progress | None = None,
) -> Verdict:
    """Check a bundle that is a file, as `verify_bundle` does its lines.

    Parameters
    ----------
    path : of the bundle, packed by gzip or not
    keys, heads, intervals : as of `verify_bundle`
    processes : how many check chunks; 0 checks them in this one, None takes one a core, of a small file none
    chunk_bytes : about how large a chunk is; None lets each process have some
    progress : told how many bytes of the file were read, and how many there are

    Raises
    ------
    OSError, EOFError, gzip.BadGzipFile : the file cannot be read
    ConfigurationError : as of `verify_bundle`
    """
    reading = Reading(heads or HeadCheck(), keys, intervals=intervals)
    if processes is None:
        small = path.stat().st_size < (ALONE_BYTES // WITH_INTERVALS if intervals else ALONE_BYTES)
        processes = 0 if small else _cores()
    with path.open("rb") as file:
        total = os.fstat(file.fileno()).st_size
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)

        def tell(chunk: Chunk) -> None:
            if progress is not None:
                progress(file.tell() if packed else chunk.start + chunk.length, total)

        size = chunk_bytes or _chunk_size(total, processes, intervals=intervals)
        pieces = _unpacked(file, path, min(size, PACKED_BYTES)) if packed else _places(file, path, size)
        with _no_collection():
            return reading.verdict_of(lambda: _read(reading, pieces, processes, intervals, tell))


def _read(
    reading: Reading,
    pieces: Generator[Chunk, None, None],
    processes: int,
    intervals: bool,
    tell: Callable[[Chunk], None],
) -> None:
    first = next(pieces, None)
    if first is None:
        reading.end()
    lines = first.lines() if first else iter(())
    for line in lines:
        reading.line(line, chain(lines, _lines(pieces)))
        header = reading.verdict.header
        assert first is not None and header is not None  # else the first line was wrong
        task = Task(header, reading.heads.cuts(), intervals)
        rest = Chunk(
            first.path,
            first.start + len(line),
            first.length - len(line),
            first.content and first.content[len(line) :],
        )
        with _checking(chain([rest], pieces), task, processes) as results:
            for chunk, checked, following in results:
                _put(reading, chunk, checked, following)
                tell(chunk)
        break
    reading.end()


def _put(reading: Reading, chunk: Chunk, checked: Checked, following: Callable[[], Iterator[bytes]]) -> None:
    """Take a chunk's results; what it was left with, or what does not fit what stands above, is read line by line."""
    done = 0
    content = cache(chunk.read)

    def after() -> Iterator[bytes]:
        yield from BytesIO(content()[done:])
        yield from following()

    for part in checked.parts:
        if isinstance(part, Run):
            if not reading.run(part, lambda: content()[done : done + part.size]):  # noqa: B023  called at once
                break
            done += part.size
        else:
            done += len(part)
            reading.line(part, after())
    else:
        reading.figures.count(checked.recomputed, checked.of_rows, checked.without_counts, checked.uncounted)
    if done < chunk.length:
        lines = iter(BytesIO(content()[done:]))
        for line in lines:
            reading.line(line, chain(lines, following()))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Let no cycles be looked for: a chunk makes half a million objects, none in a cycle, and looking costs as much as checking."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


Result = tuple[Chunk, Checked, Callable[[], Iterator[bytes]]]


@contextmanager
def _checking(chunks: Iterator[Chunk], task: Task, processes: int) -> Iterator[Iterator[Result]]:
    """Every chunk in its order with what was found of it, and the lines after it."""
    if processes < 1:
        yield ((one, check_chunk(one.blocks(), task), lambda: _lines(chunks)) for one in chunks)
        return
    # A process with threads must not be forked: a lock that one of them holds would stay closed.
    kind = (
        "fork"
        if "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
        else "spawn"
    )
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context(kind), initializer=_prepare)
    try:
        yield _in_order(pool, chunks, task, 2 * processes + 1)
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: ProcessPoolExecutor, chunks: Iterator[Chunk], task: Task, ahead: int) -> Iterator[Result]:
    waiting: deque[tuple[Chunk, Future[Checked] | None]] = deque()

    def following() -> Iterator[bytes]:
        return chain(*(one.lines() for one, _ in waiting), _lines(chunks))

    def fill() -> None:
        for chunk in chunks:
            try:
                waiting.append((chunk, pool.submit(_check, chunk, task)))
            except BrokenExecutor:
                waiting.append((chunk, None))
            if len(waiting) >= ahead:
                return

    fill()
    while waiting:
        chunk, future = waiting.popleft()
        try:
            checked = Checked() if future is None else future.result()
        except BrokenExecutor:  # one was killed, as for want of memory: what it had is read here
            checked = Checked()
        fill_one = len(waiting) < ahead
        yield chunk, checked, following
        if fill_one:
            fill()


def _prepare() -> None:
    """Spare a process that checks chunks what costs time and helps nothing there."""
    gc.disable()
    # A chunk's arrays are given back to the system one by one and asked for again with the next chunk, unless the C library has
    # seen a large piece of memory that was given back: then it keeps what is smaller. A tenth of the time.
    bytes(KEPT_BYTES)


def _check(chunk: Chunk, task: Task) -> Checked:
    return check_chunk(chunk.blocks(), task)


def _lines(chunks: Iterator[Chunk]) -> Iterator[bytes]:
    return chain.from_iterable(chunk.lines() for chunk in chunks)


def _places(file: BinaryIO, path: Path, size: int) -> Generator[Chunk, None, None]:
    """The places of chunks."""
    for start, stop in _spans(file, 0, file.seek(0, os.SEEK_END), size):
        yield Chunk(path, start, stop - start)


def _spans(file: BinaryIO, start: int, end: int, size: int) -> Iterator[tuple[int, int]]:
    """Where pieces of about this size begin and end; each ends with a line."""
    while start < end:
        file.seek(min(end, start + size - 1))
        file.readline()
        stop = min(end, file.tell())
        yield start, stop
        start = stop


def _unpacked(file: BinaryIO, path: Path, size: int) -> Generator[Chunk, None, None]:
    """The chunks of a packed file, unpacked."""
    start = 0
    with gzip.GzipFile(fileobj=file) as unpacked:
        while content := unpacked.read(size):
            content += unpacked.readline() if content[-1:] != b"\n" else b""
            yield Chunk(path, start, len(content), content)
            start += len(content)


def _chunk_size(total: int, processes: int, *, intervals: bool) -> int:
    size = min(CHUNK_BYTES, max(LEAST_BYTES, total // max(1, 4 * processes)))
    return size // WITH_INTERVALS if intervals else size


def _cores() -> int:
    """How many cores this process may use; of one alone another process is no help."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return found if found > 1 else 0
