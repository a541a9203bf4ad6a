"""Reads the entries of a ledger, all of them as far as their body, audits whole; and follows them from the first one on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from fairlens_backend.bundle_heads import HeadCheck
from fairlens_backend.core.merkle import leaf_hash
from fairlens_backend.core.tree_fold import TreeFold
from fairlens_backend.evidence_bundle import Head, Wrong
from fairlens_backend.stated_figures import AuditBody

AUDIT: Final = "AUDIT_COMPLETED"
_END_OF_AUDIT: Final = b'"type":"AUDIT_COMPLETED","version":1}'


class Entry(msgspec.Struct, frozen=True):
    """An entry of the ledger; its body is read where its type is known."""

    index: int
    time: str
    type: str
    tenant: str
    body: msgspec.Raw


class AuditEntry(msgspec.Struct, frozen=True):
    """The entry of an audit, read in one go: of a long ledger most bytes are theirs."""

    index: int
    time: str
    type: str
    tenant: str
    body: AuditBody


_ENTRY: Final = msgspec.json.Decoder(Entry)
_AUDIT: Final = msgspec.json.Decoder(AuditEntry)


def read_entry(leaf: bytes) -> Entry | AuditEntry:
    """What an entry's bytes say.

    Raises
    ------
    msgspec.DecodeError : they are no entry
    """
    if leaf.endswith(_END_OF_AUDIT):
        try:
            return _AUDIT.decode(leaf)
        except msgspec.ValidationError:
            pass  # not as audits are: what it is instead is said where it matters
    return _ENTRY.decode(leaf)


Misplaced = Callable[[int, int], Wrong]
"""What is wrong where an entry says the first index and the second one comes next."""


@dataclass
class Walk:
    """The entries and heads of a ledger in their order, from whatever they are read: a bundle, or the ledger itself."""

    heads: HeadCheck
    fold: TreeFold = field(default_factory=TreeFold)
    latest: str = ""
    """time of the last entry or head"""
    unsigned: int = 0
    """entries since the last head"""

    def entry(self, stated: bytes, leaf: bytes, place: str, misplaced: Misplaced) -> Entry | AuditEntry:
        """The next entry: its hash, its index and its time are checked, and the tree grows by it.

        Parameters
        ----------
        stated : the hash that stands beside it
        place : where it stands, for people

        Raises
        ------
        Wrong : it was altered, misplaced or dated back
        """
        expected = self.fold.size
        if leaf_hash(leaf) != stated:
            raise Wrong(
                f"Entry {expected} ({place}) was altered: its bytes have another hash than stands beside them."
            )
        try:
            entry = read_entry(leaf)
        except msgspec.DecodeError as error:
            raise Wrong(f"Entry {expected} ({place}) is no entry of a ledger: {error}.") from None
        if entry.index != expected:
            raise misplaced(entry.index, expected)
        if entry.time < self.latest:
            raise Wrong(
                f"Entry {entry.index} ({place}) is dated back: {entry.time} is before {self.latest},"
                " the time of what stands above it."
            )
        self.latest = entry.time
        self.fold.add_leaf(stated)
        self.unsigned += 1
        self.heads.passed(self.fold)
        return entry

    def head(self, head: Head, place: str) -> None:
        """A head of all entries so far.

        Raises
        ------
        Wrong : its size, root, time or signature is, or what others said of it
        """
        self.latest = self.heads.check(head, self.fold, self.latest, place)
        self.unsigned = 0
