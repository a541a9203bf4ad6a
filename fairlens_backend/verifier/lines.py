"""The lines of an evidence bundle: written here and read here, as docs/evidence-format.md says.

{"fairlens_evidence":1,…}                        what the bundle is of
{"hidden":{"end":…,"hashes":[…]}}                entries that are not shown: the roots of the subtrees that tile them
{"hash":"…","leaf":{…}}                          an entry, byte for byte as the ledger has it
{"head":"…","attestations":[…]}                  the signed head of all entries up to here
{"end":{"lines":…,"sha256":"…"}}                 of what stands above and is no entry
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from fairlens_backend.core.merkle import HASH_BYTES
from fairlens_backend.errors import FairLensError

FORMAT_VERSION: Final = 2
READ_VERSIONS: Final = (1, 2)
"""In the first one the end is of every line, and in the second of those that are no entries: what these say is under signed heads."""
START: Final = b'{"fairlens_evidence":'
LEAF_START: Final = len('{"hash":"') + 2 * HASH_BYTES + len('","leaf":')
"""where in a line of an entry its bytes begin; they end before the last character"""


class Wrong(FairLensError):
    """The first thing that is wrong with a bundle, in words."""

    code = "evidence_wrong"


class Header(msgspec.Struct, frozen=True):
    """What the bundle is of: all audits of a model in a range of time, and the ledger they stand in."""

    fairlens_evidence: int
    origin: str
    tenant: str
    model: str
    since: str
    until: str
    keys: tuple[str, ...]


class Hidden(msgspec.Struct, frozen=True):
    """The entries from here up to `end` (not included), by the roots of the complete subtrees that tile them."""

    end: int
    hashes: tuple[str, ...]


class Attestation(msgspec.Struct, frozen=True):
    """What somebody else said of a head: `cosignature` (a signature line) or `rfc3161` (DER in base64)."""

    kind: str
    name: str
    content: str


class Head(msgspec.Struct, frozen=True):
    """A signed head, as a note, and what others said of it."""

    head: str
    attestations: tuple[Attestation, ...] = ()


class End(msgspec.Struct, frozen=True):
    """How many lines stand above, and the SHA-256 of those among them that are no entries."""

    lines: int
    sha256: str


class _HiddenLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hidden: Hidden


class _EndLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    end: End


Line = Header | Hidden | Head | End
_KINDS: Final[tuple[tuple[bytes, Any], ...]] = (
    (START, msgspec.json.Decoder(Header)),
    (b'{"hidden":', msgspec.json.Decoder(_HiddenLine)),
    (b'{"head":', msgspec.json.Decoder(Head)),
    (b'{"end":', msgspec.json.Decoder(_EndLine)),
)


def header_line(header: Header) -> bytes:
    """The first line, without its newline."""
    return msgspec.json.encode(header)


def leaf_line(leaf: bytes, leaf_hash: bytes) -> bytes:
    """An entry's line: its hash, so that a changed one can be named, and its bytes as they are."""
    return b'{"hash":"%b","leaf":%b}' % (leaf_hash.hex().encode(), leaf)


def hidden_line(end: int, hashes: Sequence[bytes]) -> bytes:
    """The line of a stretch that is not shown."""
    return msgspec.json.encode(_HiddenLine(Hidden(end, tuple(one.hex() for one in hashes))))


def head_line(note: str, attestations: Sequence[Attestation]) -> bytes:
    """The line of a head."""
    return msgspec.json.encode(Head(note, tuple(attestations)))


def end_line(lines: int, digest: bytes) -> bytes:
    """The last line."""
    return msgspec.json.encode(_EndLine(End(lines, digest.hex())))


def is_leaf(line: bytes) -> bool:
    """Whether it is an entry's line."""
    return line.startswith(b'{"hash":"')


def split_leaf(line: bytes, number: int) -> tuple[bytes, bytes]:
    """The entry's hash as it is written, and the bytes that must have it.

    Raises
    ------
    Wrong : it is no entry's line
    """
    try:
        if line[LEAF_START - 9 : LEAF_START] != b'","leaf":' or line[-1:] != b"}":
            raise ValueError
        digits = line[9 : LEAF_START - 9].decode()
        stated = bytes.fromhex(digits)
        if stated.hex() != digits:  # in capitals: another spelling of the same hash
            raise ValueError
        return stated, line[LEAF_START:-1]
    except ValueError:
        raise Wrong(f"Line {number} was altered: it begins as an entry and is none.") from None


def read_line(line: bytes, number: int) -> Line:
    """What a line that is no entry says.

    Raises
    ------
    Wrong : it is none that a bundle has
    """
    for start, decoder in _KINDS:
        if line.startswith(start):
            try:
                read = decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise Wrong(f"Line {number} was altered: {error}.") from None
            if isinstance(read, _HiddenLine):
                return read.hidden
            return read.end if isinstance(read, _EndLine) else read
    raise Wrong(f"Line {number} was altered: it is none that an evidence bundle has.")


def hashes_of(hidden: Hidden, number: int) -> list[bytes]:
    """The hashes of a hidden stretch.

    Raises
    ------
    Wrong : one is not 32 bytes in hexadecimal
    """
    try:
        found = [bytes.fromhex(one) for one in hidden.hashes]
    except ValueError:
        found = [b""]
    if any(len(one) != HASH_BYTES for one in found):
        raise Wrong(f"Line {number} was altered: a hash is not 64 hexadecimal digits.")
    return found


def content_of(attestation: Attestation, place: str) -> bytes:
    """The bytes of a timestamp.

    Raises
    ------
    Wrong : they are not base64
    """
    try:
        return base64.b64decode(attestation.content, validate=True)
    except binascii.Error:
        raise Wrong(f"{place.capitalize()} was altered: a timestamp is not base64.") from None


def export_body(header: Header, last_audit_index: int | None, audits: int, by_user_id: Any) -> dict[str, Any]:
    """The body of the entry that the ledger keeps of an export, and that closes the bundle.

    It repeats the header, so that a signed head covers that too, and says how many audits the range has and which entry is
    the model's last audit of all: none can be left out at the end.
    """
    said = {name: getattr(header, name) for name in ("model", "since", "until")}
    return {**said, "audits": audits, "last_audit_index": last_audit_index, "by_user_id": by_user_id}
