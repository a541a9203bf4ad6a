"""Anchors of hashes, **simulated**: lines of a local file in the form that a real chain's receipts would have.

A simulated anchor proves nothing to an outsider: who can write the file can write any anchor. Every line says so.
All lines have one form and one length, so a line that a crash has torn is known for what it is.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fairlens_backend import evidence_files, telemetry
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.storage import evidence
from fairlens_backend.storage.session import read_snapshot

NETWORK = "simulated"
NOTE = "Simulated: a line of a local file, no blockchain was written to."
TX_DIGITS = 16
HASH = re.compile(r"[0-9a-f]{64}")
TX_ID = re.compile(r"0x[0-9a-f]{16}")


def anchor_line(hash_value: str, timestamp: str) -> bytes:
    """The line that anchors a hash, with its newline; a function of the two alone."""
    anchor = {
        "tx_id": f"0x{hash_value[:TX_DIGITS]}",
        "hash": hash_value,
        "timestamp": timestamp,
        "network": NETWORK,
        "simulated": True,
        "note": NOTE,
    }
    # ASCII text and true: sorted and without spaces this is RFC 8785 already.
    return json.dumps(anchor, sort_keys=True, separators=(",", ":")).encode() + b"\n"


SAMPLE = anchor_line("0" * 64, "2026-01-01T00:00:00.000000Z")
FORM = re.compile(
    re.escape(SAMPLE)
    .replace(b"0" * 64, b"[0-9a-f]{64}")
    .replace(b"0x" + b"0" * TX_DIGITS, b"0x[0-9a-f]{16}")
    .replace(
        re.escape(b"2026-01-01T00:00:00.000000Z"),
        rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z",
    )
)


@dataclass(frozen=True)
class Appended:
    """What an append left: the file's length, and the damage before it that no crash explains."""

    size: int
    damage: str | None = None


def anchor_to_blockchain(hash_value: str, now: datetime | None = None) -> dict[str, Any]:
    """Anchor a SHA-256 in the simulated chain; a hash that is anchored already gives the anchor it has.

    Parameters
    ----------
    hash_value : 64 hexadecimal digits
    now : the anchor's time; the clock's when None

    Returns
    -------
    dict of tx_id ("0x" and the hash's first 16 digits), hash, timestamp, network ("simulated"), simulated (True), note

    Raises
    ------
    InvalidInput : no 64 hexadecimal digits
    OSError : the disk is full or failing; nothing was anchored
    """
    wanted = hash_value.lower()
    if not HASH.fullmatch(wanted):
        raise InvalidInput(
            f"hash is {hash_value[:80]!r}, 64 hexadecimal digits were expected",
            field="hash", got=hash_value[:80], expected="64 hexadecimal digits",
        )  # fmt: skip
    line = anchor_line(wanted, telemetry.timestamp(now or telemetry.utc_now()))
    with evidence_files.locked(evidence_files.ANCHOR_LOCK):
        found = _find(wanted)
        if found is not None:
            return found
        path = evidence_files.anchor_path()
        size = evidence_files.size_of(path)
        # The database is asked only where it matters: a torn end is a crash's when it lies behind what was published.
        known = size if evidence_files.ends_line(path, size) else _published_bytes()
        appended = _append([line], known)
        if appended.damage is not None:
            # The next publish finds it behind the bytes it knows, and keeps it.
            telemetry.log("EVIDENCE_DAMAGED", level="error", found=appended.damage)
            _append([line], appended.size)
    return dict(json.loads(line))


def get_anchor(hash_or_tx_id: str) -> dict[str, Any]:
    """The anchor of a hash, or of a transaction id ("0x" and 16 hexadecimal digits).

    Raises
    ------
    InvalidInput : neither a hash nor a transaction id
    NotFound : nothing was anchored under it
    """
    wanted = hash_or_tx_id.lower()
    if not (HASH.fullmatch(wanted) or TX_ID.fullmatch(wanted)):
        raise InvalidInput(
            f"{hash_or_tx_id[:80]!r} is neither a hash nor a transaction id",
            field="hash", got=hash_or_tx_id[:80], expected="64 hexadecimal digits, or 0x and 16 of them",
        )  # fmt: skip
    found = _find(wanted)
    if found is None:
        raise NotFound(f"Nothing is anchored under {wanted}.", hash=wanted)
    return found


def append_anchors(lines: Sequence[bytes], known: int) -> Appended:
    """Append the lines that are not there yet behind the first `known` bytes, which are in order.

    With damage before them nothing but a fresh line is begun; the caller keeps the finding and calls again with the new size.
    """
    with evidence_files.locked(evidence_files.ANCHOR_LOCK):
        return _append(lines, known)


def tail_damage(known: int) -> str | None:
    """What lies behind the first `known` bytes that is no anchor and no torn one; reads, changes nothing."""
    return _look_behind(known)[2]


def lines_about(hash_value: str) -> list[bytes]:
    """Every line that names the hash or its transaction id."""
    path = evidence_files.anchor_path()
    by_hash = evidence_files.lines_with(path, f'"hash":"{hash_value}"'.encode())
    return by_hash or evidence_files.lines_with(path, f'"tx_id":"0x{hash_value[:TX_DIGITS]}"'.encode())


def _append(lines: Sequence[bytes], known: int) -> Appended:
    path = evidence_files.anchor_path()
    at, present, damage = _look_behind(known)
    if damage is not None:
        fresh = b"" if evidence_files.ends_line(path, at) else b"\n"
        return Appended(evidence_files.write_at(path, at, fresh) if fresh else at, damage)
    todo = b"".join(line for line in lines if line not in present)
    if todo or evidence_files.size_of(path) > at:
        return Appended(evidence_files.write_at(path, at, todo))
    return Appended(at)


def _look_behind(known: int) -> tuple[int, set[bytes], str | None]:
    """Where to write, the whole lines that are there, the damage."""
    path = evidence_files.anchor_path()
    size = evidence_files.size_of(path)
    if fault := evidence_files.fault_before(path, known, size):
        return size, set(), fault
    tail = evidence_files.read_span(path, known, size - known)
    whole, _, torn = tail.rpartition(b"\n")
    lines = [line + b"\n" for line in whole.split(b"\n")] if whole else []
    strange = [line for line in lines if not FORM.fullmatch(line)]
    # What is missing of a torn line is taken from the sample: the whole has the form exactly when the beginning has.
    if strange or not FORM.fullmatch(torn + SAMPLE[len(torn) :]):
        return size, set(), f"{path.name}: bytes {known} to {size} hold what is no anchor"
    return size - len(torn), set(lines), None


def _find(wanted: str) -> dict[str, Any] | None:
    name = "tx_id" if wanted.startswith("0x") else "hash"
    for line in evidence_files.lines_with(evidence_files.anchor_path(), f'"{name}":"{wanted}"'.encode()):
        if FORM.fullmatch(line):  # with its newline: a torn anchor is none yet
            return dict(json.loads(line))
    return None


def _published_bytes() -> int:
    with read_snapshot():
        return evidence.published().anchor_bytes
