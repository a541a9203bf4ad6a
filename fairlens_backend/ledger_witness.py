"""Cosigns heads of other ledgers, each only when it continues the last one that was cosigned here.

Whoever wants to show two histories of one ledger to two readers would need this server's signature on both, and does not get
it: of a ledger whose heads are WITNESS_LOGS' the largest tree is remembered, and what does not continue it is refused.

Source: C2SP tlog-witness (add-checkpoint).
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fairlens_backend import config, ledger_keeper, security_utils, telemetry
from fairlens_backend.core.cosignature import WitnessKey, cosign
from fairlens_backend.core.merkle import HASH_BYTES, verify_consistency
from fairlens_backend.core.signed_note import (
    Checkpoint,
    Signature,
    VerifierKey,
    open_note,
    parse_checkpoint,
    parse_key,
)
from fairlens_backend.errors import (
    ConfigurationError,
    Conflict,
    InvalidInput,
    MalformedInput,
    NotAllowed,
    NotFound,
)
from fairlens_backend.storage import witnessed
from fairlens_backend.storage.session import unit_of_work

MAX_PROOF: Final = 63
_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")


class AnotherSize(Conflict):
    """The last head that was cosigned has another size than the sender thinks; `known_size` says which."""

    @property
    def known_size(self) -> int:
        """The size of the last head that was cosigned, 0 before the first."""
        return int(self.details["known_size"])


@dataclass(frozen=True)
class _Request:
    old_size: int
    proof: list[bytes]
    note: str
    text: str
    signatures: Sequence[Signature]
    said: Checkpoint


def witness_key(now: datetime) -> WitnessKey:
    """This server's public key as a witness; its name is that of its own ledger with /witness."""
    name = ledger_keeper.ensure_key(now).name
    return WitnessKey(f"{name}/witness", _private().public_key().public_bytes_raw())


def about(now: datetime) -> dict[str, Any]:
    """What others need to have heads cosigned here: name, key, and the ledgers that are witnessed."""
    key = witness_key(now)
    return {"name": key.name, "key": key.text, "logs": [one.text for one in _logs()]}


def add_checkpoint(body: bytes, now: datetime) -> str:
    """Cosign a head, when it continues the last one of its ledger that was cosigned here.

    Parameters
    ----------
    body : `old SIZE`, the hashes of the consistency proof in base64, an empty line, and the signed head; a line each

    Returns
    -------
    str : the cosignature's line, with its newline

    Raises
    ------
    MalformedInput : the body is not of that form, or the old size is above the head's
    NotFound : the ledger is none of WITNESS_LOGS
    NotAllowed : the head is not signed by the ledger's key
    AnotherSize : the sender does not know the last head that was cosigned here, or the same size has another root
    InvalidInput : the proof does not lead from that head to this one: the history was forked, or the proof is wrong
    """
    wanted = _read(body)
    said = wanted.said
    keys = [key for key in _logs() if key.name == said.origin]
    if not keys:
        raise NotFound(f"The ledger {said.origin!r} is not witnessed here.", origin=said.origin)
    if not any(key.verifies(one, wanted.text) for key in keys for one in wanted.signatures):
        raise NotAllowed(f"The head is not signed by a key of {said.origin!r} that is known here.")
    with unit_of_work():
        witnessed.lock()
        known = witnessed.latest(said.origin)
        size = 0 if known is None else known.tree_size
        if wanted.old_size != size or (known is not None and said.size == size and said.root != known.root):
            if said.size == size and wanted.old_size == size:
                _log_fork(said, size)
            raise AnotherSize(
                f"The last head of {said.origin!r} that was cosigned here has {size} entries.",
                known_size=size,
            )
        if known is not None and not verify_consistency(size, said.size, wanted.proof, known.root, said.root):
            _log_fork(said, size)
            raise InvalidInput(
                f"The proof does not lead from the tree of {size} entries to that of {said.size}.",
                field="proof",
                expected="a consistency proof of RFC 9162",
            )
        if known is None or said.size > size:
            witnessed.add(said.origin, said.size, said.root, said.time or "", wanted.note)
    key = witness_key(now)
    telemetry.log("HEAD_COSIGNED", origin=said.origin, tree_size=said.size)
    return cosign(wanted.text, key.name, _private(), now).line


def _log_fork(said: Checkpoint, size: int) -> None:
    telemetry.log("WITNESSED_LEDGER_FORKED", level="error", origin=said.origin, known=size, sent=said.size)


def _read(body: bytes) -> _Request:
    try:
        head, _, note = body.decode("utf-8").partition("\n\n")
        first, *hashes = head.split("\n")
        old = _OLD.fullmatch(first)
        proof = [base64.b64decode(one, validate=True) for one in hashes]
        text, signatures = open_note(note)
        said = parse_checkpoint(text)
    except (UnicodeDecodeError, binascii.Error):
        old = None
    except InvalidInput as error:
        raise MalformedInput(error.message) from error
    if old is None or len(proof) > MAX_PROOF or any(len(one) != HASH_BYTES for one in proof):
        raise MalformedInput(
            "The body is not `old SIZE`, hashes in base64, an empty line and a signed head, a line each."
        )
    if int(old[1]) > said.size:
        raise MalformedInput(f"The old size is {old[1]}, the head's {said.size}: a ledger does not shrink.")
    return _Request(int(old[1]), proof, note, text, signatures, said)


def require_valid() -> None:
    """Check at the start which ledgers are witnessed: else who asks for a cosignature would be told that the setting is wrong.

    Raises
    ------
    ConfigurationError : one of WITNESS_LOGS is no public key of a ledger
    """
    try:
        _logs()
    except InvalidInput as error:
        raise ConfigurationError(f"WITNESS_LOGS: {error.message}", field="WITNESS_LOGS") from error


def _logs() -> list[VerifierKey]:
    return [parse_key(text) for text in config.words(config.current().witness_logs)]


def _private() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(security_utils.witness_seed())
