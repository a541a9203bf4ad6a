"""Signed notes and the checkpoints in them: how a log states its head so that any witness can read it.

A note is text that ends in a newline, an empty line, and one line for each signature:

    fairlens.example.org/ledger            the origin: the log's name
    20852163                               the size of the tree
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=      its root hash
    time 2026-11-22T16:45:47.123456Z       an extension: when the head was signed

    — fairlens.example.org/ledger Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe…

Source: C2SP signed-note and tlog-checkpoint.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fairlens_backend.core.merkle import HASH_BYTES
from fairlens_backend.errors import InvalidInput

__all__ = [
    "ED25519",
    "Checkpoint",
    "Signature",
    "VerifierKey",
    "is_time",
    "open_note",
    "parse_checkpoint",
    "parse_key",
    "sign_note",
]

ED25519: Final = 0x01
"""the kind of signature: plain Ed25519 over the note's text"""
KEY_ID_BYTES: Final = 4
TIME: Final = "time "
_SIGNATURE_LINE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_TIMESTAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-5][0-9]\.[0-9]{6}Z")
_NAME: Final = re.compile(r"[^\s+]+")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class VerifierKey:
    """A public key and the name that it signs under. `text` is how it is handed to a verifier.

    Examples
    --------
    >>> parse_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").key_id.hex()
    'c74f20a3'
    """

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ public key)."""
        kind = bytes([ED25519])
        return sha256(self.name.encode() + b"\n" + kind + self.public_key).digest()[:KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """name+key id in hexadecimal+base64 of 0x01 and the public key."""
        encoded = base64.b64encode(bytes([ED25519]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    def verifies(self, signature: "Signature", text: str) -> bool:
        """Whether the signature is this key's, of this text."""
        if (signature.name, signature.key_id) != (self.name, self.key_id):
            return False
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature.content, text.encode())
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Signature:
    """One signature line of a note; of plain Ed25519 `content` is the 64 bytes of the signature."""

    name: str
    key_id: bytes
    content: bytes

    @property
    def line(self) -> str:
        """The line, with its newline."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.content).decode()}\n"


@dataclass(frozen=True)
class Checkpoint:
    """What a head says: the log, the size of its tree, the root hash, and the time, where an extension gives it.

    Examples
    --------
    >>> print(Checkpoint("example.org/log", 0, sha256(b"").digest(), "2026-01-02T03:04:05.000000Z").text, end="")
    example.org/log
    0
    47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=
    time 2026-01-02T03:04:05.000000Z
    """

    origin: str
    size: int
    root: bytes
    time: str | None = None

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode()]
        return "\n".join([*lines, *([TIME + self.time] if self.time else [])]) + "\n"


def is_time(text: str) -> bool:
    """Whether it is a time as heads and entries spell it: a true one, UTC, with microseconds.

    Examples
    --------
    >>> is_time("2026-01-02T03:04:05.678901Z"), is_time("2026-02-30T03:04:05.678901Z"), is_time("2026-01-02")
    (True, False, False)
    """
    return _TIMESTAMP.fullmatch(text) is not None and _is_minute(text[:16])


@lru_cache(maxsize=1024)
def _is_minute(text: str) -> bool:
    """Whether a date and a time to the minute is a true one; entries that follow each other are mostly of the same."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def check_name(name: str) -> None:
    """Refuse a name that a signature line cannot carry.

    Raises
    ------
    InvalidInput : it is empty, or has a space, a control character or a plus sign
    """
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise InvalidInput(
            f"{name!r} cannot name a key: text without spaces and plus signs was expected",
            field="name", got=name, expected="text without spaces and plus signs",
        )  # fmt: skip


def parse_key(text: str) -> VerifierKey:
    """The public key that a verifier was handed.

    Raises
    ------
    InvalidInput : it is not name+key id+base64, of another kind than Ed25519, or the id is not that of the key
    """
    parts = text.strip().split("+", 2)  # base64 may have more of them
    try:
        name, key_id, encoded = parts
        kind, *_ = content = base64.b64decode(encoded, validate=True)
        made = VerifierKey(name, content[1:])
        right = kind == ED25519 and len(made.public_key) == 32 and made.key_id.hex() == key_id
    except (ValueError, binascii.Error):
        right = False
    if not right:
        raise InvalidInput(
            f"{text.strip()[:200]!r} is not a public key: name+key id+base64 was expected, as GET /v1/ledger/key gives it",
            field="key", got=text.strip()[:200], expected="name+key id+base64",
        )  # fmt: skip
    return made


def sign_note(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """The note: the text, an empty line, and the signature of this key under this name."""
    verifier = VerifierKey(name, key.public_key().public_bytes_raw())
    return f"{text}\n{Signature(name, verifier.key_id, key.sign(text.encode())).line}"


def open_note(note: str) -> tuple[str, list[Signature]]:
    """The text of a note and its signatures, of whatever kind; none is verified here.

    Raises
    ------
    InvalidInput : it is no signed note
    """
    text, empty_line, rest = note.rpartition("\n\n")
    lines = rest.split("\n")
    found = [_SIGNATURE_LINE.fullmatch(line) for line in lines[:-1]]
    if not empty_line or lines[-1] != "" or not found or None in found:
        raise _no_note("it has no signature lines after an empty line")
    signatures = []
    for match in found:
        assert match is not None
        try:
            content = base64.b64decode(match[2], validate=True)
        except binascii.Error:
            content = b""
        if len(content) <= KEY_ID_BYTES:
            raise _no_note("a signature is not base64 of a key id and a signature")
        signatures.append(Signature(match[1], content[:KEY_ID_BYTES], content[KEY_ID_BYTES:]))
    return text + "\n", signatures


def parse_checkpoint(text: str) -> Checkpoint:
    """What a checkpoint's text says. Extensions other than the time are refused: this log writes none.

    Raises
    ------
    InvalidInput : it is no checkpoint of this form
    """
    origin, size, root, *more = lines = text.split("\n")[:-1] if text.count("\n") >= 3 else ["", "", ""]
    try:
        content = base64.b64decode(root, validate=True)
    except binascii.Error:
        content = b""
    time = more[0].removeprefix(TIME) if more else None
    made = Checkpoint(origin, int(size) if _SIZE.fullmatch(size) else -1, content, time)
    # Written again it must be the same: nothing may be said that this reading leaves out.
    right = (
        origin
        and made.size >= 0
        and len(content) == HASH_BYTES
        and len(lines) <= 4
        and (time is None or is_time(time))
    )
    if not right or made.text != text:
        raise _no_note("its text is not origin, size, root hash and time")
    return made


def _no_note(reason: str) -> InvalidInput:
    return InvalidInput(
        f"This is not a signed tree head: {reason}.", field="note", expected="a signed checkpoint"
    )
