"""Checks chunks of a bundle by themselves, many entries at a time, so that every core can have one.

A chunk's entries are told as runs: stretches that are right as far as they themselves show, with what must fit those above.
Whatever is not an entry of a known sort stands between them as it is, and from the first thing that looks wrong on a chunk is
left to the reader of single lines (`bundle_verifier`), which says what it is. So nothing is wrong here, and nothing right twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

import msgspec

from fairlens_backend.audit_bodies import UNREADABLE, AuditBody, ShortBody
from fairlens_backend.audit_kinds import Kind, Kinds
from fairlens_backend.audit_spelling import Spelt, is_plain, line_pattern
from fairlens_backend.bundle_audits import AuditChain, Link
from fairlens_backend.bundle_entries import (
    AUDIT,
    END_OF_SHORT,
    EXPORT,
    KEY_ROTATED,
    SHORT_DECODER,
    AnyEntry,
    Entry,
    ShortEntry,
    is_known,
    read_entry,
)
from fairlens_backend.core.canonical_json import is_canonical
from fairlens_backend.core.signed_note import is_time
from fairlens_backend.core.tree_fold import tile_hashes
from fairlens_backend.evidence_bundle import LEAF_START, Header, Wrong, is_leaf
from fairlens_backend.stated_figures import FigureCheck

_ENCODE: Final = msgspec.json.Encoder().encode
_MINUTE: Final = len("2026-01-02T03:04:")
_KINDS: Final = Kinds()
"""Audits of the next chunk are mostly of the same kinds. A kind is known by all the bytes that say it, so nothing passes as another."""


@dataclass(frozen=True)
class Task:
    """What every chunk is checked against.

    Parameters
    ----------
    header : the bundle's
    cuts : sizes of the tree at which a run must end, since somebody compares it there
    intervals : as of `bundle_verifier.verify`
    """

    header: Header
    cuts: frozenset[int]
    intervals: bool


@dataclass(frozen=True)
class Run:
    """Entries that follow each other.

    Parameters
    ----------
    start, end : their indexes, from the first to the one after the last
    tiles : the roots of the subtrees of `tree_fold.tiles(start, end)`
    size : bytes of their lines
    first, last : the first and the last audit of the header's model; None for none
    in_range : how many audits of the range are among them
    """

    start: int
    end: int
    tiles: tuple[bytes, ...]
    size: int
    first_time: str
    last_time: str
    first: Link | None
    last: Link | None
    in_range: int


@dataclass(frozen=True)
class Checked:
    """A chunk: its runs, the lines between them, and how many bytes of it, from its beginning, these are.

    Parameters
    ----------
    recomputed, of_rows, without_counts, uncounted : as of `FigureCheck`
    """

    parts: tuple[Run | bytes, ...] = ()
    size: int = 0
    recomputed: int = 0
    of_rows: int = 0
    without_counts: int = 0
    uncounted: int = 0


class _NotPlain(Exception):
    """A line that is better read by itself."""


def check_chunk(blocks: Iterable[bytes], task: Task) -> Checked:
    """The runs of a chunk, by blocks of whole lines with their newlines."""
    chunk = _Chunk(task)
    try:
        for block in blocks:
            chunk.block(block)
    except (_NotPlain, Wrong, *UNREADABLE):
        pass
    chunk.close()
    figures = chunk.figures
    try:
        figures.finish()
    except Wrong:
        return Checked()
    counts = figures.recomputed, figures.of_rows, figures.without_counts, figures.uncounted
    return Checked(tuple(chunk.parts), chunk.done, *counts)


@dataclass
class _Chunk:
    task: Task
    parts: list[Run | bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.done = 0
        """bytes of the lines that are right so far, or stand apart"""
        self.figures = FigureCheck(intervals=self.task.intervals, kinds=_KINDS)
        header = self.task.header
        self._match = line_pattern(header.tenant, header.model).fullmatch
        self._begin()

    def _begin(self) -> None:
        self._leaves: list[bytes] = []
        self._size = self._start = 0
        self._first_time = self._latest = ""
        self._first: Link | None = None
        self._chain = AuditChain(self.task.header, self.figures)

    def block(self, block: bytes) -> None:
        """The next lines.

        Raises
        ------
        _NotPlain, Wrong : one of them is wrong, or needs to be looked at by itself
        """
        plain = is_plain(block) and not self.task.intervals
        start = 0
        while start < len(block):
            end = block.find(b"\n", start) + 1
            if not end:
                raise _NotPlain
            spelt = self._match(block, start, end) if plain and block.find(b"\\", start, end) < 0 else None
            if spelt is None or not self._spelt(Spelt(*spelt.groups()), block, start, end):
                self._line(block[start:end])
            self.done += end - start
            start = end

    def _spelt(self, audit: Spelt, block: bytes, start: int, end: int) -> bool:
        """The next line, where it is that of an audit by its spelling; whether its kind is known."""
        kind = _KINDS.spelt(audit)
        if kind is None:
            return False
        digest = sha256(b"\x00" + block[start + LEAF_START : end - 2])
        if digest.hexdigest().encode() != audit.stated:
            raise _NotPlain
        index, time = int(audit.at), audit.time.decode()
        if not self._leaves:
            self._start, self._first_time = index, time
        minute = time.startswith(self._latest[:_MINUTE]) and self._latest
        if index != self._start + len(self._leaves) or time < self._latest or not (minute or is_time(time)):
            raise _NotPlain
        previous = None if audit.previous == b"null" else int(audit.previous)
        self._follow(Link(int(audit.number), previous, index, time))
        self.figures.add_spelt(index, audit, kind)
        self._latest = time
        self._leaves.append(digest.digest())
        self._size += end - start
        if index + 1 in self.task.cuts:
            self.close()
        return True

    def _line(self, line: bytes) -> None:
        if not is_leaf(line):
            self._apart(line)
            return
        leaf = line[LEAF_START:-2]
        digest = sha256(b"\x00" + leaf)
        if line[:LEAF_START] != b'{"hash":"%b","leaf":' % digest.hexdigest().encode() or line[-2:] != b"}\n":
            raise _NotPlain
        entry: AnyEntry = SHORT_DECODER.decode(leaf) if leaf.endswith(END_OF_SHORT) else read_entry(leaf)
        mine = entry.tenant == self.task.header.tenant
        if entry.type == KEY_ROTATED or (mine and entry.type == EXPORT):
            self._apart(line)
            return
        if not self._leaves:
            self._start, self._first_time = entry.index, entry.time
        if (
            not is_known(entry)
            or entry.index != self._start + len(self._leaves)
            or entry.time < self._latest
            or not is_time(entry.time)
        ):
            raise _NotPlain
        kind = None
        if isinstance(entry, ShortEntry):
            kind = self._spelled_kind(leaf, entry)
        elif not is_canonical(leaf):
            raise _NotPlain
        if mine and entry.type == AUDIT:
            self._audit(entry, kind)
        self._latest = entry.time
        self._leaves.append(digest.digest())
        self._size += len(line)
        if entry.index + 1 in self.task.cuts:
            self.close()

    def close(self) -> None:
        """The run ends here."""
        if self._leaves:
            run = Run(
                self._start,
                self._start + len(self._leaves),
                tuple(tile_hashes(self._start, self._leaves)),
                self._size,
                self._first_time,
                self._latest,
                self._first,
                self._chain.last,
                self._chain.in_range,
            )
            self.parts.append(run)
        self._begin()

    def _apart(self, line: bytes) -> None:
        self.close()
        self.parts.append(line)

    def _audit(self, entry: AnyEntry, kind: Kind | None) -> None:
        if isinstance(entry, Entry):
            raise _NotPlain
        body: AuditBody | ShortBody = entry.body
        if body.model != self.task.header.model:
            return
        self._follow(Link(body.model_audit_number, body.previous_audit_index, entry.index, entry.time))
        self.figures.add(entry.index, body, kind)

    def _follow(self, link: Link) -> None:
        if self._first is not None:
            self._chain.check(link)
        self._first = self._first or link
        self._chain.passed(link, int(self._chain.in_time(link.time)))

    def _spelled_kind(self, leaf: bytes, entry: ShortEntry) -> Kind:
        """The kind of a short audit that is canonical: what was read of it, written again, is what was read.

        What was copied as it stands is the parts of its kind, which are looked at once for all.
        """
        kind = self.figures.kinds.of(entry.index, entry.body)
        if _ENCODE(entry) != leaf:
            raise _NotPlain
        return kind
