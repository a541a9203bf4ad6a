"""Stretches of a bundle: audits of version 2 that stand below each other, each spelled as one that was read, checked as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from operator import le
from typing import Final

from fairlens_backend.core.signed_note import is_time
from fairlens_backend.verifier.audits import Link
from fairlens_backend.verifier.kinds import Kind, Kinds
from fairlens_backend.verifier.lines import LEAF_START, Header
from fairlens_backend.verifier.spelling import Spelt, is_plain, line_pattern

_START: Final = b'{"body":{"alert":'
"""how audits of this version begin"""
_END: Final = len("}\n")
_MINUTE: Final = len("2026-01-02T03:04")


@dataclass(frozen=True)
class Stretch:
    """Audits of the header's model whose lines stand below each other.

    Parameters
    ----------
    spelt : what their lines say
    kinds : of each
    times : of each
    leaves : the leaf hash of each
    size : bytes of their lines
    """

    spelt: Spelt
    kinds: Sequence[Kind]
    times: Sequence[str]
    leaves: Sequence[bytes]
    size: int

    @property
    def start(self) -> int:
        """The index of the first one."""
        return int(self.spelt.at[0])

    def first(self) -> Link:
        """The link of the first one."""
        return self._link(0)

    def last(self) -> Link:
        """The link of the last one."""
        return self._link(-1)

    def is_right(self, start: int, latest: str) -> bool:
        """Whether they are the entries from `start` on, not before `latest`, each with its hash and following the one before it."""
        spelt, times = self.spelt, self.times
        count = len(times)
        number = int(spelt.number[0])
        return (
            b"".join(self.leaves).hex().encode() == b"".join(spelt.stated)
            and [*map(int, spelt.at)] == [*range(start, start + count)]
            and [*map(int, spelt.number)] == [*range(number, number + count)]
            and spelt.previous[1:] == spelt.at[:-1]
            and all(map(le, [latest, *times], times))
            # How a time is spelled the line's pattern has seen, but not whether there is such a minute.
            and all(map(is_time, {time[:_MINUTE]: time for time in times}.values()))
        )

    def _link(self, place: int) -> Link:
        spelt = self.spelt
        previous = None if spelt.previous[place] == b"null" else int(spelt.previous[place])
        return Link(int(spelt.number[place]), previous, int(spelt.at[place]), self.times[place])


class StretchReader:
    """Finds the stretches of one model's audits.

    Parameters
    ----------
    header : the bundle's
    kinds : those that were read so far
    """

    def __init__(self, header: Header, kinds: Kinds) -> None:
        self._match = line_pattern(header.tenant, header.model).fullmatch
        self._kinds = kinds

    def read(self, block: bytes, start: int) -> tuple[int, Stretch | None]:
        """Where the lines from `start` on end that look like audits', and what they say; None if one must be read otherwise, or stands alone."""
        following = block.find(b"\n", start) + 1
        if not block.startswith(_START, following + LEAF_START):
            return start, None  # one that stands alone is read sooner as JSON than as columns
        rows, leaves, end, match = [], [], start, self._match
        while True:
            after = block.find(b"\n", end) + 1  # 0 behind the last line, and nothing matches up to there
            found = match(block, end, after)
            if found is None:
                break
            rows.append(found.groups())
            leaves.append(sha256(b"\x00" + block[end + LEAF_START : after - _END]).digest())
            end = after
        if not rows or not is_plain(block[start:end], len(rows)):
            return end, None
        spelt = Spelt(*zip(*rows, strict=True))
        kinds = self._kinds.spelt(spelt)
        if kinds is None:
            return end, None
        times = b" ".join(spelt.time).decode().split(" ")
        return end, Stretch(spelt, kinds, times, leaves, end - start)
