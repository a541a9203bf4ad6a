"""Batches on disk while the server is away.

Every process and client writes into a folder of its own inside the spool folder and holds a lock there as long as it
lives. Whoever finds a folder whose lock is free owns what is in it: the process that wrote it is gone. So two
processes neither write into one file nor send one spool twice.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fairlens_sdk._files import FileLock, private_folder
from fairlens_sdk._segment import OVERHEAD_BYTES, Segment, headers, read_record
from fairlens_sdk._stats import Counters
from fairlens_sdk._wire import EVENT, LABEL, MAX_BATCH, Parcel, join_records

SEGMENT_BYTES = 1024 * 1024
REJECTED_BYTES = 256 * 1024


class Spool:
    """Append at the end, read from the front, drop the oldest file when full.

    Parameters
    ----------
    folder : shared by every process of one model; made on first use
    max_bytes : of all segments in the folder; kept to within one segment for each process that writes
    fsync : wait for the disk after every record. Without it a record survives the end of its process, however it
        ends, but not a power cut.
    checked : refuse a folder that is a link or another user's; for one that nobody chose
    """

    def __init__(
        self, folder: Path, max_bytes: int, counters: Counters, fsync: bool = False, checked: bool = False
    ) -> None:
        self.folder, self._checked = folder, checked
        self._max_bytes, self._fsync, self._counters = max_bytes, fsync, counters
        self._segment_bytes = max(4096, min(SEGMENT_BYTES, max_bytes // 8))
        self._lock = threading.RLock()
        self._own: Path | None = None
        self._locks: dict[Path, FileLock] = {}
        self._sealed: deque[Segment] = deque()
        self._open: Segment | None = None
        self._head: tuple[Segment, int, int] | None = None
        self._number = 0
        self._others_bytes = 0
        self._sealed_bytes = 0
        self._cached: tuple[Segment, bytes] | None = None
        self.waiting = 0
        """Events on disk that this process answers for."""

    def append(self, kind: str, count: int, payload: bytes) -> None:
        """Keep a parcel's body, or one event or label.

        Raises
        ------
        OSError
            The disk does not take it, or it is larger than the whole spool.
        """
        size = len(payload) + OVERHEAD_BYTES
        with self._lock:
            if size > self._max_bytes:
                raise OSError(f"a record of {size} bytes, spool_max_bytes is {self._max_bytes}")
            if self._open is None or self._open.size + size > self._segment_bytes:
                self._new_segment()
            self._make_room(size)
            if self._open is None:
                self._new_segment()
            assert self._open is not None
            self._open.append(kind, count, payload, self._fsync)
            self.waiting += count

    def _new_segment(self) -> None:
        self.seal()
        if self._own is None:
            self._own = self._make_own_folder()
        self._others_bytes = self._bytes_of_others()
        self._number += 1
        self._open = Segment(self._own / f"{self._number:08d}.seg")

    def _make_own_folder(self) -> Path:
        private_folder(self.folder, self._checked)
        name = uuid.uuid4().hex
        # Locked before it has the name that others look for.
        young = self.folder / f".young-{name}"
        young.mkdir(mode=0o700)
        lock = FileLock(young / "lock")
        lock.acquire()
        own = self.folder / f"w-{name}"
        young.rename(own)
        self._locks[own] = lock
        return own

    def _bytes_of_others(self) -> int:
        total = 0
        for path in self.folder.glob("w-*/*.seg"):
            if path.parent not in self._locks:
                with suppress(OSError):
                    total += path.stat().st_size
        return total

    def _make_room(self, size: int) -> None:
        """Drop the oldest file until the record fits; with one file left, that one is sealed and goes too."""
        while self._bytes() + size > self._max_bytes:
            if not self._sealed:
                self.seal()
            if not self._sealed:
                return  # the room is taken by other processes that live
            oldest = self._sealed[0]
            # What is on its way to the server now is not lost yet: `pop` and `put_back` see that its file is gone.
            in_hand = self._head[2] if self._head is not None and self._head[0] is oldest else 0
            self._counters.drop("spool_full", oldest.count - in_hand)
            self._remove(oldest)

    def _bytes(self) -> int:
        return self._sealed_bytes + (self._open.size if self._open else 0) + self._others_bytes

    def seal(self) -> None:
        """Close the file under way; it can be read from now on."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                if self._open.size:
                    self._sealed.append(self._open)
                    self._sealed_bytes += self._open.size
                self._open = None

    def head(self, batch_size: int = MAX_BATCH) -> Parcel | None:
        """The oldest parcel, single records joined; it stays until `pop`. None when nothing is left."""
        with self._lock:
            if not self._sealed:
                self.seal()
            while self._sealed:
                segment = self._sealed[0]
                parcel = self._read(segment, batch_size)
                if parcel is not None:
                    return parcel
                # What a torn end or unreadable bytes still held.
                self._counters.drop("spool_corrupt", segment.count)
                self._remove(segment)
            return None

    def _read(self, segment: Segment, batch_size: int) -> Parcel | None:
        data = self._data(segment)
        joined: list[bytes] = []
        kind_joined, offset = "", segment.read_to
        while len(joined) < batch_size:
            record = read_record(data, offset)
            if record is None:
                break
            kind, count, payload, following = record
            if joined and (payload is None or kind != kind_joined):
                break
            if payload is None:
                self._counters.drop("spool_corrupt", count)
                segment.count -= count
                self.waiting -= count
                offset = segment.read_to = following
                continue
            if kind not in {EVENT, LABEL}:
                self._head = (segment, following, count)
                return Parcel(kind, count, payload, from_disk=True)
            joined.append(payload)
            kind_joined, offset = kind, following
        if not joined:
            return None
        self._head = (segment, offset, len(joined))
        return join_records(kind_joined, joined)

    def _data(self, segment: Segment) -> bytes:
        if self._cached is None or self._cached[0] is not segment:
            try:
                self._cached = (segment, segment.path.read_bytes())
            except FileNotFoundError:  # somebody cleared the cache; any other fault may pass and is raised
                self._cached = (segment, b"")
        return self._cached[1]

    def pop(self) -> None:
        """The parcel of the last `head` is settled."""
        with self._lock:
            head, self._head = self._head, None
            if head is None or head[0] not in self._sealed:
                return  # its file was dropped meanwhile
            segment, following, count = head
            segment.read_to = following
            segment.count -= count
            self.waiting -= count
            if following >= segment.size:
                self._remove(segment)

    def put_back(self) -> bool:
        """The parcel of the last `head` was not delivered; false when its file was dropped meanwhile."""
        with self._lock:
            head, self._head = self._head, None
            return head is not None and head[0] in self._sealed

    def _remove(self, segment: Segment) -> None:
        self._sealed.remove(segment)
        self._sealed_bytes -= segment.size
        self.waiting -= segment.count
        if self._cached is not None and self._cached[0] is segment:
            self._cached = None
        with suppress(OSError):
            segment.path.unlink()
        folder = segment.path.parent
        if folder != self._own and not any(one.path.parent == folder for one in self._sealed):
            self._leave(folder)

    def _leave(self, folder: Path) -> None:
        """Take an empty folder away, and its lock."""
        with suppress(OSError):
            (folder / "lock").unlink()
        with suppress(OSError):
            folder.rmdir()
        lock = self._locks.pop(folder, None)
        if lock is not None:
            lock.close()

    def adopt(self) -> int:
        """Take over what ended processes left; the number of events found."""
        found = 0
        with self._lock:
            for folder in sorted(self.folder.glob("w-*")):
                if folder not in self._locks:
                    with suppress(OSError):
                        found += self._adopt(folder)
            self.waiting += found
        self._counters.add("recovered", found)
        return found

    def _adopt(self, folder: Path) -> int:
        lock = FileLock(folder / "lock")
        if not lock.acquire():
            lock.close()
            return 0
        self._locks[folder] = lock
        segments = []
        for path in sorted(folder.glob("*.seg")):
            count = sum(count for count, _ in headers(path))
            if count:
                segments.append(Segment(path, path.stat().st_size, count))
            else:
                path.unlink()  # killed within its first record
        self._sealed.extendleft(reversed(segments))  # older than anything written here
        self._sealed_bytes += sum(segment.size for segment in segments)
        if not segments:
            self._leave(folder)
        return sum(segment.count for segment in segments)

    def keep_rejected(self, events: Sequence[Any], errors: Sequence[Any]) -> None:
        """A small file of what the server refused, at most half a megabyte, for whoever mends the caller."""
        text = b""
        for one, error in zip(events, errors):
            line = json.dumps({"errors": error, "event": one}).encode("ascii") + b"\n"
            if len(text) + len(line) > REJECTED_BYTES:
                break
            text += line
        path = self.folder / "rejected.jsonl"
        private_folder(self.folder, self._checked)
        with suppress(FileNotFoundError):
            if path.stat().st_size + len(text) > REJECTED_BYTES:
                os.replace(path, self.folder / "rejected.1.jsonl")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(fd, text)
        finally:
            os.close(fd)

    def forget(self) -> None:
        """In a forked child: the files and locks are the parent's; only this process's descriptors are closed."""
        if self._open is not None:
            self._open.close()
        for lock in self._locks.values():
            lock.close()

    def close(self) -> None:
        """Leave what is unsent to the next process; an empty folder goes."""
        with self._lock:
            self.seal()
            if self._own is not None and not any(one.path.parent == self._own for one in self._sealed):
                self._leave(self._own)
            for lock in self._locks.values():
                lock.close()
            self._locks.clear()
