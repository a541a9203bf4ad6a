"""Anchors: once a hash, said to be simulated, found by hash or transaction id, whole after a crash."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from fairlens_backend import blockchain_anchor, evidence_files
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.storage import evidence
from fairlens_backend.storage.evidence import Published
from fairlens_backend.storage.session import unit_of_work
from tests import evidence_kit as kit

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
HASH = hashlib.sha256(b"a record").hexdigest()
OTHER = hashlib.sha256(b"another").hexdigest()


def test_an_anchor_says_what_it_is(database: None) -> None:
    """One line: tx_id is 0x and the hash's first 16 digits; network and note say simulated; canonical JSON."""
    got = blockchain_anchor.anchor_to_blockchain(HASH, NOW)
    wanted = {
        "tx_id": "0x" + HASH[:16], "hash": HASH, "timestamp": "2026-01-02T03:04:05.000006Z", "network": "simulated",
        "simulated": True, "note": "Simulated: a line of a local file, no blockchain was written to.",
    }  # fmt: skip
    assert got == wanted
    assert kit.anchor_bytes() == kit.plain_json(wanted) + b"\n"


def test_a_hash_is_anchored_once(database: None) -> None:
    """The second call gives the first one's anchor, whatever its time and the case of its letters."""
    first = blockchain_anchor.anchor_to_blockchain(HASH, NOW)
    assert blockchain_anchor.anchor_to_blockchain(HASH.upper()) == first
    blockchain_anchor.anchor_to_blockchain(OTHER, NOW)
    assert len(kit.anchor_bytes().splitlines()) == 2


def test_anchors_are_found_by_hash_and_by_transaction(database: None) -> None:
    """Both names, in either case; what was never anchored is NotFound, also with no file."""
    with pytest.raises(NotFound):
        blockchain_anchor.get_anchor(HASH)
    anchor = blockchain_anchor.anchor_to_blockchain(HASH, NOW)
    for name in (HASH, HASH.upper(), "0x" + HASH[:16], "0X" + HASH[:16].upper()):
        assert blockchain_anchor.get_anchor(name) == anchor
    for name in (OTHER, "0x" + OTHER[:16]):
        with pytest.raises(NotFound):
            blockchain_anchor.get_anchor(name)


@pytest.mark.parametrize(
    "name",
    ["", "abc", HASH[:-1], HASH + "0", "g" * 64, "../" * 20, '" OR 1', "0x12", HASH[:-1] + "\n", "é" * 64],
)
def test_what_is_no_hash_is_refused(database: None, name: str) -> None:
    """Neither anchored nor looked for."""
    with pytest.raises(InvalidInput):
        blockchain_anchor.anchor_to_blockchain(name)
    with pytest.raises(InvalidInput):
        blockchain_anchor.get_anchor(name)
    assert kit.anchor_bytes() == b""


def test_an_anchor_torn_at_any_byte_is_written_anew(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash left the beginning of a line, of this hash or of another: it goes, and the file holds whole lines only."""
    monkeypatch.setattr(evidence_files.os, "fsync", lambda descriptor: None)
    blockchain_anchor.anchor_to_blockchain(HASH, NOW)
    first = kit.anchor_bytes()
    line = first.replace(HASH.encode(), OTHER.encode()).replace(HASH[:16].encode(), OTHER[:16].encode())
    with unit_of_work():
        evidence.save_published(Published(anchor_bytes=len(first)))
    for length in range(len(line)):
        evidence_files.anchor_path().write_bytes(first + line[:length])
        blockchain_anchor.anchor_to_blockchain(OTHER, NOW)
        assert kit.anchor_bytes() == first + line


def test_damage_is_neither_removed_nor_glued_to(database: None, capsys: pytest.CaptureFixture[str]) -> None:
    """A published line cut, or strange bytes at the end: they stay, and the new anchor has a line of its own."""
    blockchain_anchor.anchor_to_blockchain(HASH, NOW)
    whole = kit.anchor_bytes()
    with unit_of_work():
        evidence.save_published(Published(anchor_bytes=len(whole)))
    for left in (whole[:-30], whole + b"strange"):
        evidence_files.anchor_path().write_bytes(left)
        blockchain_anchor.anchor_to_blockchain(OTHER, NOW)
        lines = kit.anchor_bytes().splitlines()
        assert kit.anchor_bytes().startswith(left + b"\n")
        assert json.loads(lines[-1])["hash"] == OTHER
        assert "EVIDENCE_DAMAGED" in capsys.readouterr().err


def test_a_failing_disk_leaves_no_anchor(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sync fails: the caller knows, and the file is as it was."""
    blockchain_anchor.anchor_to_blockchain(HASH, NOW)
    before = kit.anchor_bytes()

    def fail(descriptor: int) -> None:
        raise OSError("I/O error")

    monkeypatch.setattr(evidence_files.os, "fsync", fail)
    with pytest.raises(OSError, match="I/O"):
        blockchain_anchor.anchor_to_blockchain(OTHER, NOW)
    assert kit.anchor_bytes() == before


def test_foreign_anchors_disturb_no_publish(database: None) -> None:
    """Anyone may anchor any hash between two publishes: records keep their anchors, and nothing counts as damage."""
    from fairlens_backend import compliance_logger

    for number in (1, 2, 3):
        kit.add(number)
        blockchain_anchor.anchor_to_blockchain(f"{number:064x}", NOW)
        said = compliance_logger.publish()
        assert (said["damaged"], said["pending"]) == (None, 0)
    said = compliance_logger.verify_all()
    assert (said["ok"], said["anchors"]) == (True, 6)
    assert compliance_logger.verify_record("rec-2", kit.TENANT)["valid"]


def test_a_publish_takes_away_the_beginning_of_a_foreign_anchor(database: None) -> None:
    """What a crash left of an anchor that nobody asks for again is cut off, though the publish has nothing to write."""
    from fairlens_backend import compliance_logger

    kit.add(1)
    compliance_logger.publish()
    before = kit.anchor_bytes()
    for length in (1, 100, len(before) - 1):
        evidence_files.anchor_path().write_bytes(before + before[:length])
        assert compliance_logger.publish()["damaged"] is None
        assert kit.anchor_bytes() == before
