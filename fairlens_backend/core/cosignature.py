"""Cosignatures: a witness says that, at a time, a head was the largest it had seen of a log, consistent with those before.

The signature line of a note then holds the time (8 bytes, seconds since 1970, big-endian) and an Ed25519 signature of

    cosignature/v1
    time 1763830547
    (the note's text)

Source: C2SP tlog-cosignature.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fairlens_backend.core.signed_note import KEY_ID_BYTES, Signature
from fairlens_backend.errors import InvalidInput

__all__ = ["COSIGNATURE_V1", "WitnessKey", "cosign", "parse_witness_key"]

COSIGNATURE_V1: Final = 0x04
"""the kind of signature: Ed25519 over the time and the note's text"""
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True)
class WitnessKey:
    """A witness's public key and the name that it signs under. `text` is how it is handed to others."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The first four bytes of SHA-256(name ‖ newline ‖ 0x04 ‖ public key)."""
        kind = bytes([COSIGNATURE_V1])
        return sha256(self.name.encode() + b"\n" + kind + self.public_key).digest()[:KEY_ID_BYTES]

    @property
    def text(self) -> str:
        """name+key id in hexadecimal+base64 of 0x04 and the public key."""
        encoded = base64.b64encode(bytes([COSIGNATURE_V1]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    def signed_at(self, signature: Signature, text: str) -> datetime | None:
        """When this witness cosigned the note with this text (UTC, whole seconds); None when it did not."""
        if (signature.name, signature.key_id) != (self.name, self.key_id):
            return None
        if len(signature.content) != _TIME_BYTES + _SIGNATURE_BYTES:
            return None
        seconds = int.from_bytes(signature.content[:_TIME_BYTES], "big")
        try:
            key = Ed25519PublicKey.from_public_bytes(self.public_key)
            key.verify(signature.content[_TIME_BYTES:], _message(seconds, text))
            return datetime.fromtimestamp(seconds, UTC)
        except (InvalidSignature, ValueError, OverflowError, OSError):
            return None


def cosign(text: str, name: str, key: Ed25519PrivateKey, now: datetime) -> Signature:
    """The witness's signature of a note with this text at this time.

    Examples
    --------
    >>> key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    >>> now = datetime(2026, 1, 2, tzinfo=UTC)
    >>> made = cosign("log\\n1\\nroot\\n", "witness", key, now)
    >>> WitnessKey("witness", key.public_key().public_bytes_raw()).signed_at(made, "log\\n1\\nroot\\n") == now
    True
    """
    seconds = int(now.timestamp())
    content = seconds.to_bytes(_TIME_BYTES, "big") + key.sign(_message(seconds, text))
    return Signature(name, WitnessKey(name, key.public_key().public_bytes_raw()).key_id, content)


def parse_witness_key(text: str) -> WitnessKey:
    """The public key of a witness as it was handed over.

    Raises
    ------
    InvalidInput : it is not name+key id+base64, not of the kind of cosignatures, or the id is not that of the key
    """
    given = text.strip()
    try:
        name, key_id, encoded = given.split("+", 2)
        content = base64.b64decode(encoded, validate=True)
        made = WitnessKey(name, content[1:])
        right = content[:1] == bytes([COSIGNATURE_V1]) and len(made.public_key) == 32
        right = right and made.key_id.hex() == key_id
    except (ValueError, binascii.Error):
        right = False
    if not right:
        raise InvalidInput(
            f"{given[:200]!r} is not a witness's key: name+key id+base64 of kind 4 was expected,"
            " as GET /v1/ledger/witness gives it",
            field="witness",
            got=given[:200],
            expected="name+key id+base64",
        )
    return made


def _message(seconds: int, text: str) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()
