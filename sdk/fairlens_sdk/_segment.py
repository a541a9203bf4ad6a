"""One append-only file of length + CRC records.

Record: 20 bytes of header, little-endian (magic `FLR1`, kind u32, events u32, length u32, CRC-32 of the header's first
16 bytes and the payload), then the payload, which is what goes to the server. A record that a crash tore has a wrong
CRC or no end: reading stops there, what stands before it is good.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from fairlens_sdk._wire import EVENT, EVENTS, LABEL, LABELS

_HEADER = struct.Struct("<4sIIII")
_MAGIC = b"FLR1"
_KINDS = (EVENTS, LABELS, EVENT, LABEL)
OVERHEAD_BYTES = _HEADER.size
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)


class Segment:
    """A file of records: written by one process, read from its front.

    `count` is the number of events not yet taken from it, `size` its bytes on disk.
    """

    def __init__(self, path: Path, size: int = 0, count: int = 0) -> None:
        self.path, self.size, self.count = path, size, count
        self.read_to = 0
        self._fd = -1

    def append(self, kind: str, count: int, payload: bytes, fsync: bool) -> None:
        """Write one record with one system call.

        Raises
        ------
        OSError
            The disk is full or gone; the file is as it was before.
        """
        if self._fd < 0:
            self._fd = os.open(self.path, _FLAGS, 0o600)
        start = struct.pack("<4sIII", _MAGIC, _KINDS.index(kind), count, len(payload))
        record = start + struct.pack("<I", zlib.crc32(payload, zlib.crc32(start))) + payload
        try:
            written = os.write(self._fd, record)
            if written != len(record):
                raise OSError(f"{written} of {len(record)} bytes written")
            if fsync:
                os.fsync(self._fd)
        except OSError:
            # What stands behind a torn record would never be read.
            os.ftruncate(self._fd, self.size)
            raise
        self.size += len(record)
        self.count += count

    def close(self) -> None:
        """Close the descriptor; nothing is buffered, so nothing is written."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def read_record(data: bytes, offset: int) -> tuple[str, int, bytes | None, int] | None:
    """Kind, number of events, payload (None when its CRC is wrong) and the offset of the next record.

    None at the end, at a torn record, and at bytes that are no record.
    """
    if len(data) < offset + _HEADER.size:
        return None
    magic, kind, count, length, crc = _HEADER.unpack_from(data, offset)
    start = offset + _HEADER.size
    if magic != _MAGIC or kind >= len(_KINDS) or length > len(data) - start:
        return None
    payload = data[start : start + length]
    whole = zlib.crc32(payload, zlib.crc32(data[offset : offset + 16])) == crc
    return _KINDS[kind], count, payload if whole else None, start + length


def headers(path: Path) -> Iterator[tuple[int, int]]:
    """(events, end offset) of each record that is whole in length, without reading payloads."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        offset = 0
        while True:
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return
            magic, kind, count, length, _ = _HEADER.unpack(header)
            offset += _HEADER.size + length
            if magic != _MAGIC or kind >= len(_KINDS) or offset > size:
                return
            yield count, offset
            file.seek(offset)
