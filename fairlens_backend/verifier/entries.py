"""Reads the entries of a ledger, all of them as far as their body, audits whole; and follows them from the first one on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import msgspec

from fairlens_backend.core.audit_notation import SHORT_VERSION
from fairlens_backend.core.canonical_json import is_canonical
from fairlens_backend.core.merkle import leaf_hash
from fairlens_backend.core.signed_note import is_time
from fairlens_backend.core.tree_fold import TreeFold
from fairlens_backend.verifier.bodies import UNREADABLE, AuditBody, ShortBody
from fairlens_backend.verifier.heads import HeadCheck
from fairlens_backend.verifier.lines import Head, Wrong

AUDIT: Final = "AUDIT_COMPLETED"
EXPORT: Final = "EVIDENCE_EXPORTED"
KEY_ROTATED: Final = "KEY_ROTATED"
ENTRY_VERSION: Final = 1
END_OF_SHORT: Final = b'"type":"AUDIT_COMPLETED","version":2}'
_END_OF_AUDIT: Final = b'"type":"AUDIT_COMPLETED","version":1}'


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the ledger; its body is read where its type is known."""

    index: int
    time: str
    type: str
    tenant: str
    salt: str
    version: int
    body: msgspec.Raw


class AuditEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The entry of an audit, read in one go: of a long ledger most bytes are theirs."""

    index: int
    time: str
    type: str
    tenant: str
    salt: str
    version: int
    body: AuditBody


class ShortEntry(msgspec.Struct, forbid_unknown_fields=True):
    """The entry of an audit in the short notation; its keys stand in their order, so that it can be written again."""

    body: ShortBody
    index: int
    salt: str
    tenant: str
    time: str
    type: str
    version: int


AnyEntry = Entry | AuditEntry | ShortEntry


class About(msgspec.Struct, frozen=True):
    """What entries of several types say of themselves, each where it has it."""

    model: Any = None
    record_id: Any = None
    key: Any = None
    verifier_key: Any = None


class _Leaf(msgspec.Struct, frozen=True):
    body: About


Body = TypeVar("Body")
_LEAF: Final = msgspec.json.Decoder(_Leaf)
_ENTRY: Final = msgspec.json.Decoder(Entry)
_AUDIT: Final = msgspec.json.Decoder(AuditEntry)
SHORT_DECODER: Final = msgspec.json.Decoder(ShortEntry)


def read_entry(leaf: bytes) -> AnyEntry:
    """What an entry's bytes say.

    Raises
    ------
    msgspec.DecodeError, UnicodeDecodeError, RecursionError : they are no entry (`UNREADABLE`)
    """
    if leaf.endswith((_END_OF_AUDIT, END_OF_SHORT)):
        try:
            return _AUDIT.decode(leaf) if leaf.endswith(_END_OF_AUDIT) else SHORT_DECODER.decode(leaf)
        except msgspec.ValidationError:
            pass  # not as audits are: what it is instead is said where it matters
    return _ENTRY.decode(leaf)


def is_known(entry: AnyEntry) -> bool:
    """Whether it is of a version that this verifier reads."""
    return entry.version == ENTRY_VERSION or (entry.version == SHORT_VERSION and entry.type == AUDIT)


def read_body(entry: Entry, decoder: msgspec.json.Decoder[Body]) -> Body:
    """What an entry's body says.

    Raises
    ------
    Wrong : nothing that entries of its type say
    """
    try:
        return decoder.decode(entry.body)
    except UNREADABLE as error:
        raise Wrong(f"Entry {entry.index} is no {entry.type} as this verifier knows it: {error}.") from None


def read_about(index: int, leaf: bytes) -> About:
    """What an entry is about, by its bytes.

    Raises
    ------
    Wrong : its body is no object
    """
    try:
        return _LEAF.decode(leaf).body
    except UNREADABLE as error:
        raise Wrong(f"Entry {index} is no entry of a ledger: {error}.") from None


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

    def entry(self, stated: bytes, leaf: bytes, place: str, misplaced: Misplaced) -> AnyEntry:
        """The next entry: its hash, its index and its time are checked, and the tree grows by it.

        Parameters
        ----------
        stated : the hash that stands beside it
        place : where it stands, for people

        Raises
        ------
        Wrong : it was altered, misplaced or dated back, or is of another form than this verifier reads
        """
        expected = self.fold.size
        if leaf_hash(leaf) != stated:
            raise Wrong(
                f"Entry {expected} ({place}) was altered: its bytes have another hash than stands beside them."
            )
        try:
            entry = read_entry(leaf)
        except UNREADABLE as error:
            raise Wrong(f"Entry {expected} ({place}) is no entry of a ledger: {error}.") from None
        if not is_known(entry):
            raise Wrong(
                f"Entry {expected} ({place}) is of version {entry.version}; this verifier reads version {ENTRY_VERSION},"
                f" and {SHORT_VERSION} of audits."
            )
        if entry.index != expected:
            raise misplaced(entry.index, expected)
        if not is_time(entry.time):
            raise Wrong(
                f"Entry {entry.index} ({place}) has the time {entry.time[:40]!r}, which is not spelled as times are."
            )
        if entry.time < self.latest:
            raise Wrong(
                f"Entry {entry.index} ({place}) is dated back: {entry.time} is before {self.latest},"
                " the time of what stands above it."
            )
        if not is_canonical(leaf):
            raise Wrong(
                f"Entry {entry.index} ({place}) is not spelled as canonical JSON, so readers could differ in what it says."
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
