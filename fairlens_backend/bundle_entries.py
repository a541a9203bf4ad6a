"""Reads the entries of a ledger: all of them as far as their body, audits whole."""

from typing import Final

import msgspec

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
