"""Checks chunks of a bundle by themselves, many entries at a time, so that every core can have one.

A chunk's entries are told as runs: stretches that are right as far as they themselves show, with what must fit those above.
Whatever is not an entry of a known sort stands between them as it is, and from the first thing that looks wrong on a chunk is
left to the reader of single lines (`verifier.bundle`), which says what it is. So nothing is wrong here, and nothing right twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from typing import Final

import msgspec

from fairlens_backend.core.canonical_json import is_canonical
from fairlens_backend.core.signed_note import is_time
from fairlens_backend.core.tree_fold import tile_hashes
from fairlens_backend.verifier.audits import AuditChain, Link
from fairlens_backend.verifier.bodies import UNREADABLE, AuditBody, ShortBody
from fairlens_backend.verifier.entries import (
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
from fairlens_backend.verifier.kinds import Kind, Kinds
from fairlens_backend.verifier.lines import LEAF_START, Header, Wrong, is_leaf
from fairlens_backend.verifier.stated_figures import FigureCheck
from fairlens_backend.verifier.stretches import Stretch, StretchReader

_ENCODE: Final = msgspec.json.Encoder().encode
_KINDS: Final = Kinds()
"""Audits of the next chunk are mostly of the same kinds. A kind is known by all the bytes that say it, so nothing passes as another."""


@dataclass(frozen=True)
class Task:
    """What every chunk is checked against.

    Parameters
    ----------
    header : the bundle's
    cuts : sizes of the tree at which a run must end, since somebody compares it there
    intervals : as of `verify_bundle`
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
        self._stretches = StretchReader(self.task.header, _KINDS)
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
        start = 0
        while start < len(block):
            end, stretch = (start, None) if self.task.intervals else self._stretches.read(block, start)
            if end == start:
                end = block.find(b"\n", start) + 1 or len(block)
                self._single(block[start:end])
            elif stretch is None or not self._stretch(stretch):
                for line in BytesIO(block[start:end]):
                    self._single(line)
            start = end

    def _stretch(self, stretch: Stretch) -> bool:
        """Audits that stand below each other; whether they can be taken together."""
        start = self._start + len(self._leaves) if self._leaves else stretch.start
        end = start + len(stretch.leaves)
        if any(start < cut <= end for cut in self.task.cuts):
            return False
        first, last = stretch.first(), stretch.last()
        if not stretch.is_right(start, self._latest):
            raise _NotPlain
        # Only the last one may be after the range, and times never go back: the one before it tells.
        if any(time >= self.task.header.until for time in stretch.times[-2:-1]):
            raise _NotPlain
        self._check(first)
        if not self._leaves:
            self._start, self._first_time = start, first.time
        self.figures.add_spelt(range(start, end), stretch.kinds, stretch.spelt)
        self._first = self._first or first
        self._chain.passed(last, sum(map(self._chain.in_time, stretch.times)))
        self._latest = last.time
        self._leaves += stretch.leaves
        self._size += stretch.size
        self.done += stretch.size
        return True

    def _single(self, line: bytes) -> None:
        if not line.endswith(b"\n"):
            raise _NotPlain
        self._line(line)
        self.done += len(line)

    def _line(self, line: bytes) -> None:
        """The next line, whatever it is."""
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
        if not is_known(entry):
            raise _NotPlain
        self._expect(entry.index, entry.time)
        kind = None
        if isinstance(entry, ShortEntry):
            kind = self._spelled_kind(leaf, entry)
        elif not is_canonical(leaf):
            raise _NotPlain
        if mine and entry.type == AUDIT:
            self._audit(entry, kind)
        self._passed(entry.index, entry.time, digest.digest(), len(line))

    def _expect(self, index: int, time: str) -> None:
        """Whether an entry can be the next one of the run."""
        if not self._leaves:
            self._start, self._first_time = index, time
        if index != self._start + len(self._leaves) or time < self._latest or not is_time(time):
            raise _NotPlain

    def _passed(self, index: int, time: str, digest: bytes, size: int) -> None:
        """An entry is right."""
        self._latest = time
        self._leaves.append(digest)
        self._size += size
        if index + 1 in self.task.cuts:
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
        link = Link(body.model_audit_number, body.previous_audit_index, entry.index, entry.time)
        self._check(link)
        self.figures.add(entry.index, body, kind)
        self._follow(link)

    def _check(self, link: Link) -> None:
        """Whether an audit follows the one before it; of the run's first one its run is asked later."""
        if self._first is not None:
            self._chain.check(link)

    def _follow(self, link: Link) -> None:
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
