"""Verification names exactly the part that was altered: row, line, chain, anchor, alert text or audit."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from fairlens_backend import compliance_logger, evidence_files, security_utils
from fairlens_backend.errors import NotFound, TamperedArtefact
from fairlens_backend.storage import checks, keys
from fairlens_backend.storage.session import unit_of_work
from tests import evidence_kit as kit
from tests.evidence_kit import NOW, TENANT, add

PARTS = ["row", "line", "chain", "anchor", "alert_text", "audit", "ledger"]


@pytest.fixture
def three(database: None) -> None:
    """Three published records; the middle one has an alert."""
    for number in (1, 2, 3):
        add(number, alert="Women were approved less often." if number == 2 else None)
    assert compliance_logger.publish()["pending"] == 0


def failed(record_id: str = "rec-2") -> list[str]:
    verdict = compliance_logger.verify_record(record_id, TENANT)
    assert list(verdict["parts"]) == PARTS
    assert verdict["valid"] == (not verdict["failed"])
    assert verdict["failed"] == [name for name in PARTS if not verdict["parts"][name]["ok"]]
    return list(verdict["failed"])


def edit_line(number: int, change: Any, path: Any = None) -> None:
    """Alter one line of a file, counted from 1."""
    path = path or evidence_files.log_path()
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = change(lines[number - 1])
    path.write_bytes(b"\n".join(lines))


def test_an_untouched_record_is_valid_in_every_part(three: None) -> None:
    """Each of three records: all parts ok, and the sentence says so."""
    kit.assert_in_order(3)
    for number in (1, 2, 3):
        verdict = compliance_logger.verify_record(f"rec-{number}", TENANT)
        assert verdict["valid"] is True
        assert verdict["pending"] is False
        assert "unaltered" in verdict["message"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("dir", 0.99), ("model", "other"), ("alert", False), ("sample_size", 5), ("severity", "NONE"), ("audit_id", "aud-x"),
        ("audit_sha256", "0" * 64), ("alert_text_sha256", "0" * 64), ("alert_text_sha256", None), ("prev_hash", "0" * 64),
        ("hash_value", "f" * 64), ("female_rate", 0.5), ("timestamp", NOW + timedelta(days=1)),
    ],
)  # fmt: skip
def test_an_altered_row_is_named_and_nothing_else(three: None, column: str, value: Any) -> None:
    """Whatever column is changed in the row: the row is named, neither line nor chain nor anchor nor text nor audit."""
    with unit_of_work():
        row = checks.by_record_id("rec-2", TENANT)
        setattr(row, column, value)
    assert failed() == ["row"]
    assert compliance_logger.verify_record("rec-2", TENANT)["message"].startswith(
        "Record rec-2 is not as it was recorded. Altered: the row in the database:"
    )


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_row_altered_with_its_hash_made_again_is_named(three: None, number: int) -> None:
    """Who alters the row and its hash meets the line, the anchor and the next record: the row is named, not the line."""
    row = kit.rows()[number - 1]
    new = kit.record(row) | {"model": "forged"}
    kit.sql(
        "UPDATE fairness_checks SET model = 'forged', hash_value = :hash WHERE seq = :seq",
        hash=kit.digest(new), seq=number,
    )  # fmt: skip
    assert failed(f"rec-{number}") == ["row"]


def test_a_chain_of_rows_that_was_made_again_is_contradicted_by_lines_and_anchors(three: None) -> None:
    """Every row from the altered one on with new hashes: the row is named, since log and anchors hold the old ones."""
    prev = kit.rows()[0]["hash_value"]
    for row in kit.rows()[1:]:
        new = kit.record(row) | {"model": "forged", "prev_hash": prev}
        prev_before, prev = prev, kit.digest(new)
        kit.sql(
            "UPDATE fairness_checks SET model = 'forged', prev_hash = :prev, hash_value = :hash WHERE seq = :seq",
            prev=prev_before, hash=prev, seq=row["seq"],
        )  # fmt: skip
    assert "row" in failed("rec-2")
    assert "line" not in failed("rec-2")
    assert failed("rec-3")[0] == "row"
    assert not compliance_logger.verify_all()["ok"]


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b'"model":"loan"', b'"model":"lean"'),
        lambda line: line.replace(b'"alert":true', b'"alert":false'),
        lambda line: line.replace(b'"alert":true', b'"alert": true'),
        lambda line: line.replace(b'"record_id":"rec-2"', b'"record_id":"rec-9"'),
        lambda line: re.sub(rb'"hash_value":"[0-9a-f]{64}"', b'"hash_value":"' + b"a" * 64 + b'"', line),
        lambda line: line[:300],
        lambda line: line[:-1],
        lambda line: b"",
        lambda line: b"\xff\xfe not a line",
        lambda line: b"[" * 100000 + b'"record_id":"rec-2"',
        lambda line: line + b"\n" + line.replace(b'"alert":true', b'"alert":false'),
    ],
)
def test_an_altered_line_is_named_and_nothing_else(three: None, change: Any) -> None:
    """Whatever is done to the line, also a second one beside it: the line is named, not the row; its neighbours are valid."""
    edit_line(2, change)
    assert failed() == ["line"]
    assert failed("rec-1") == failed("rec-3") == []
    assert {failure["part"] for failure in compliance_logger.verify_all()["failures"]} == {"line"}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_line_altered_with_its_hash_made_again_is_named(three: None, number: int) -> None:
    """A forged line that has its own hash has no anchor and no successor: the line is named, not the row."""

    def forge(line: bytes) -> bytes:
        record = json.loads(line) | {"model": "forged"}
        del record["hash_value"]
        return kit.plain_json(record | {"hash_value": kit.digest(record)})

    edit_line(number, forge)
    assert failed(f"rec-{number}") == ["line"]


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b"2026-01-02", b"2025-01-02"),
        lambda line: line.replace(b'"simulated":true', b'"simulated":false'),
        lambda line: re.sub(rb'"hash":"[0-9a-f]{64}"', b'"hash":"' + b"a" * 64 + b'"', line),
        lambda line: re.sub(rb"0x[0-9a-f]{16}", b"0x" + b"a" * 16, line),
        lambda line: b"",
        lambda line: line[:100],
    ],
)
def test_an_altered_anchor_is_named_and_nothing_else(three: None, change: Any) -> None:
    """Whatever is done to the anchor's line: the anchor is named."""
    edit_line(2, change, evidence_files.anchor_path())
    assert failed() == ["anchor"]
    assert failed("rec-1") == failed("rec-3") == []
    assert {failure["part"] for failure in compliance_logger.verify_all()["failures"]} == {"anchor"}


@pytest.mark.parametrize("deleted", [1, 3])
def test_a_missing_neighbour_is_the_chains_fault(three: None, deleted: int) -> None:
    """The record before or after was deleted: the chain is named, whether the gap is inside or before the head."""
    if deleted == 3:
        add(4)
        compliance_logger.publish()
    kit.sql("DELETE FROM fairness_checks WHERE seq = :seq", seq=deleted)
    assert failed() == ["chain"]


def test_a_neighbour_that_points_elsewhere_is_the_chains_fault(three: None) -> None:
    """The next row's prev_hash was altered: that row is named there, the chain here."""
    kit.sql("UPDATE fairness_checks SET prev_hash = :hash WHERE seq = 3", hash="a" * 64)
    assert failed("rec-2") == ["chain"]
    assert failed("rec-3") == ["row"]


def test_a_deleted_row_is_named_while_its_line_is_there(three: None) -> None:
    """The row is gone, the line still tells of it: the row and its text are named; another tenant learns nothing."""
    kit.sql("DELETE FROM fairness_checks WHERE seq = 2")
    assert failed() == ["row", "alert_text"]
    with pytest.raises(NotFound):
        compliance_logger.verify_record("rec-2", "another")


@pytest.mark.parametrize("token", [None, "gAAAAA", "other key", "other text"])
def test_an_altered_alert_text_is_named_and_nothing_else(three: None, token: str | None) -> None:
    """Removed, broken, of a foreign key or another text of ours: the alert text is named."""
    if token == "other key":
        from cryptography.fernet import Fernet

        token = Fernet(Fernet.generate_key()).encrypt(b"x").decode()
    elif token == "other text":
        token = security_utils.encrypt_text("All is well.")
    kit.sql("UPDATE fairness_checks SET encrypted_alert = :token WHERE seq = 2", token=token)
    assert failed() == ["alert_text"]
    with pytest.raises((TamperedArtefact, NotFound)):
        compliance_logger.read_alert_text("rec-2", TENANT, "eve", "10.0.0.1", NOW)
    assert compliance_logger.decryptions("rec-2", TENANT) == []


def test_an_alert_text_whose_key_was_given_up_is_not_called_altered(
    three: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody can read it, so it is not valid; but nobody altered it. A number that never was a key's is an alteration."""
    with unit_of_work():
        keys.lock()
        (old,) = keys.newest_first()
        number = security_utils.add_data_key("recovery", NOW)
        keys.remove([old.id])
    assert failed() == ["alert_text"]
    verdict = compliance_logger.verify_record("rec-2", TENANT)
    said = "all that can be read of it is unaltered; the encrypted alert text cannot be read: the data key k1 is gone"
    assert said in verdict["message"] and "Altered" not in verdict["message"]
    assert verdict["parts"]["alert_text"]["unreadable"] is True
    assert "EVIDENCE_DAMAGED" not in capsys.readouterr().out
    kit.sql("UPDATE fairness_checks SET model = 'other' WHERE seq = 2")
    assert "Altered: the row" in compliance_logger.verify_record("rec-2", TENANT)["message"]
    for token in (f"k{number + 1}.gAAAA", "k.gAAAA", "k1", f"k{number}.gAAAA", "k" + "1" * 5000 + ".gAAAA"):
        kit.sql("UPDATE fairness_checks SET encrypted_alert = :token WHERE seq = 2", token=token)
        assert "the encrypted alert text:" in compliance_logger.verify_record("rec-2", TENANT)["message"]


def test_an_alert_text_where_none_was_recorded_is_named(three: None) -> None:
    """A text put beside a record without alert is an alteration too."""
    kit.sql("UPDATE fairness_checks SET encrypted_alert = 'x' WHERE seq = 1")
    assert failed("rec-1") == ["alert_text"]


@pytest.mark.parametrize(
    "statement",
    [
        """UPDATE audits SET result = '{"audit_id": "aud-2", "none": null, "value": 0.4}' WHERE audit_id = 'aud-2'""",
        """UPDATE audits SET counts = '{"n": [2, 2, 4]}' WHERE audit_id = 'aud-2'""",
        "UPDATE audits SET result = '[1e400]' WHERE audit_id = 'aud-2'",
        "UPDATE audits SET tenant = 'another' WHERE audit_id = 'aud-2'",
        "DELETE FROM audits WHERE audit_id = 'aud-2'",
    ],
)
def test_an_altered_audit_is_named_and_nothing_else(three: None, statement: str) -> None:
    """The stored result or counts changed, or gone: the audit is named."""
    kit.sql(statement)
    assert failed() == ["audit"]


def test_two_altered_parts_are_both_named(three: None) -> None:
    """Row and anchor, line and audit, row and line."""
    kit.sql("UPDATE fairness_checks SET dir = 0.5 WHERE seq = 2")
    edit_line(2, lambda line: b"", evidence_files.anchor_path())
    assert failed() == ["row", "anchor"]
    edit_line(2, lambda line: line.replace(b'"alert":true', b'"alert":false'))
    assert failed()[:2] == ["row", "line"]


def test_a_record_before_its_publish_is_pending_not_altered(database: None) -> None:
    """Between commit and publish: pending, neither valid nor failed; health counts it, and after 30 s is not ok."""
    add(1)
    verdict = compliance_logger.verify_record("rec-1", TENANT)
    assert (verdict["valid"], verdict["pending"], verdict["failed"]) == (False, True, [])
    logged_at = NOW + timedelta(seconds=1)
    assert compliance_logger.health(logged_at)["ok"] is True
    assert compliance_logger.health(logged_at + timedelta(seconds=31))["ok"] is False
    kit.sql("UPDATE fairness_checks SET dir = 0.5")
    verdict = compliance_logger.verify_record("rec-1", TENANT)
    assert (verdict["pending"], verdict["failed"]) == (True, ["row"])


def test_unknown_records_are_not_found_whatever_their_name(three: None) -> None:
    """SQL, JSON and path characters are names like others; another tenant's record is not there."""
    for name in (
        "nothing",
        "' OR 1=1 --",
        '","tenant":"acme',
        "../../etc/passwd",
        "rec-2\x00",
        "é" * 500,
        "",
    ):
        with pytest.raises(NotFound):
            compliance_logger.verify_record(name, TENANT)
    with pytest.raises(NotFound):
        compliance_logger.verify_record("rec-2", "another")
    with pytest.raises(NotFound):
        compliance_logger.read_alert_text("rec-2", "another", "eve", "10.0.0.1", NOW)


def test_a_name_that_imitates_a_line_misleads_nobody(database: None) -> None:
    """A model named like the key of a record is escaped in the log and is found under its own id only."""
    add(1, model='x","record_id":"rec-2","y":"')
    add(2)
    compliance_logger.publish()
    assert failed("rec-1") == failed("rec-2") == []


@pytest.mark.parametrize("in_ledger", [False, True])
def test_when_nothing_decides_both_copies_are_named(database: None, in_ledger: bool) -> None:
    """The last record's row with a new hash and the anchor gone: the ledger decides, and where it has nothing nobody does."""
    for number in (1, 2, 3):
        add(number, in_ledger=in_ledger)
    compliance_logger.publish()
    row = kit.rows()[2]
    forged = kit.digest(kit.record(row) | {"model": "forged"})
    kit.sql("UPDATE fairness_checks SET model = 'forged', hash_value = :hash WHERE seq = 3", hash=forged)
    edit_line(3, lambda line: b"", evidence_files.anchor_path())
    assert failed("rec-3") == (["row", "anchor"] if in_ledger else ["row", "line", "anchor"])


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        ("UPDATE fairness_checks SET dir = 0.5 WHERE seq = 2", "row"),
        ("UPDATE fairness_checks SET prev_hash = 'x' WHERE seq = 2", "chain"),
        ("UPDATE fairness_checks SET hash_value = 'x' WHERE seq = 2", "chain"),
        ("DELETE FROM fairness_checks WHERE seq = 2", "row"),
        ("DELETE FROM fairness_checks WHERE seq = 3", "row"),
    ],
)
def test_the_full_scan_names_rows_and_links(three: None, statement: str, part: str) -> None:
    """Row, chain and what follows from them, with the record's place."""
    kit.sql(statement)
    said = compliance_logger.verify_all()
    assert not said["ok"]
    assert part in {failure["part"] for failure in said["failures"]}
    assert {failure["seq"] for failure in said["failures"]} <= {2, 3}
    assert len(compliance_logger.verify_all(limit=1)["failures"]) == 1
