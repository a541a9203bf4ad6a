"""What a verification of a bundle found, and what became of an entry that is not in its place."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from fairlens_backend.verifier.bodies import UNREADABLE
from fairlens_backend.verifier.entries import read_entry
from fairlens_backend.verifier.lines import Header, Wrong, is_leaf, split_leaf


@dataclass
class Verdict:
    """What a verification found.

    Parameters
    ----------
    finding : the first thing that is wrong, in words; None when nothing is
    header : what the bundle is of; None when that could not be read
    not_checked : what the bundle holds and could not be checked, each with what it would need
    """

    finding: str | None = None
    header: Header | None = None
    entries: int = 0
    hidden: int = 0
    audits: int = 0
    heads: int = 0
    timestamps: int = 0
    cosignatures: int = 0
    figures: int = 0
    tree_size: int = 0
    root: str = ""
    last_head_time: str | None = None
    not_checked: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.finding is None


def misplaced(index: int, expected: int, number: int, rest: Iterator[bytes]) -> Wrong:
    """Whether an entry is doubled, out of order, or the one before it missing: what stands below tells."""
    place = f"entry {index} stands in its place (line {number})"
    if index < expected:
        return Wrong(
            f"Entry {index} is there twice, or after those that follow it: line {number}, where entry {expected} belongs."
        )
    for line in rest:
        if is_leaf(line):
            try:
                if read_entry(split_leaf(line.rstrip(b"\n"), 0)[1]).index == expected:
                    return Wrong(f"Entry {expected} is out of order: {place}, and it comes below.")
            except (Wrong, *UNREADABLE):
                continue
    return Wrong(f"Entry {expected} is missing: {place}.")
