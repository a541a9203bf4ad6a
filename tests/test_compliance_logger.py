"""Records, their chain, their pages, and who reads alert texts. Hashes are made here by json and hashlib."""

import hashlib
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from fairlens_backend import compliance_logger, evidence_files, key_rotator
from fairlens_backend.errors import Conflict, InvalidInput, NotFound
from fairlens_backend.storage.session import unit_of_work
from tests import evidence_kit as kit
from tests.evidence_kit import NOW, TENANT, add


@pytest.fixture
def three(database: None) -> None:
    """Three published records; the middle one has an alert."""
    for number in (1, 2, 3):
        add(number, alert="Women were approved less often." if number == 2 else None)
    assert compliance_logger.publish()["pending"] == 0


def test_the_record_is_hashed_as_written_here_by_hand(database: None) -> None:
    """The first record's canonical text, spelled out: keys sorted, doubles as short as they can be, time with microseconds."""
    with unit_of_work():
        got = compliance_logger.log_event(
            {
                "record_id": "rec-é", "tenant": "acme", "model": "loan \"a\"", "model_version": "1", "audit_id": "aud-1",
                "sample_size": np.int64(1000), "severity": "HIGH", "alert": np.True_, "audit_sha256": "ab" * 32,
                "dir": np.float64(0.75), "spd": -1e-7, "eod": 1.0, "aod": 0, "theil": None, "drift_level": 5e-324,
                "alert_text": "Grüße",
            },
            now=NOW,
        )  # fmt: skip
    text_digest = hashlib.sha256("Grüße".encode()).hexdigest()
    canonical = (
        '{"alert":true,"alert_text_sha256":"' + text_digest + '","aod":0,"audit_id":"aud-1","audit_sha256":"' + "ab" * 32
        + '","dir":0.75,"drift_level":5e-324,"eod":1,"female_rate":null,"male_rate":null,"model":"loan \\"a\\"","model_version":"1",'
        '"prev_hash":"' + "0" * 64 + '","record_id":"rec-é","sample_size":1000,"seq":1,"severity":"HIGH","spd":-1e-7,'
        '"tenant":"acme","theil":null,"timestamp":"2026-01-02T03:04:05.678901Z"}'
    ).encode()  # fmt: skip
    assert got["hash_value"] == hashlib.sha256(canonical).hexdigest()
    compliance_logger.publish()
    assert (
        kit.log_bytes()
        == canonical.replace(
            b'"male_rate"', b'"hash_value":"' + got["hash_value"].encode() + b'","male_rate"'
        )
        + b"\n"
    )
    row = kit.rows()[0]
    assert (row["hash_value"], row["dir"], row["spd"], row["drift_level"]) == (
        got["hash_value"],
        0.75,
        -1e-7,
        5e-324,
    )
    assert "Grüße" not in str(row)


@pytest.mark.parametrize("figure", [0.1, 1 / 3, -2.5e-10, 1e300, 5e-324, 123456789.12345679, -0.0])
def test_doubles_come_back_from_the_database_as_they_went(database: None, figure: float) -> None:
    """Every double is the same after the round trip: the row's hash can be made again."""
    add(1, dir=figure, spd=-figure, theil=figure)
    compliance_logger.publish()
    assert kit.rows()[0]["dir"] == figure
    assert compliance_logger.verify_record("rec-1", TENANT)["valid"]


def test_a_rolled_back_unit_of_work_leaves_no_record(database: None) -> None:
    """Nothing of a check that failed afterwards is there, and the next takes its place in the chain."""
    with pytest.raises(RuntimeError), unit_of_work():
        add(1)
        assert compliance_logger.publish()["reason"] == "called inside a unit of work"
        raise RuntimeError
    assert kit.rows() == []
    assert compliance_logger.publish()["head_seq"] == 0
    add(2)
    compliance_logger.publish()
    kit.assert_in_order(1)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dir": float("nan")}, "dir"), ({"spd": float("inf")}, "spd"), ({"theil": "0.1"}, "theil"), ({"eod": True}, "eod"),
        ({"sample_size": 1.5}, "sample_size"), ({"sample_size": -1}, "sample_size"), ({"model": None}, "model"),
        ({"model": "a\x00b"}, "model"), ({"model": "\ud800"}, "model"), ({"model": "m" * 201}, "model"),
        ({"alert_text": 5}, "alert_text"), ({"alert_text": "\udfff"}, "alert_text"), ({"unheard_of": 1}, "unheard_of"),
    ],
)  # fmt: skip
def test_a_bad_event_is_refused_by_name(database: None, change: dict[str, Any], named: str) -> None:
    """A value that cannot be kept is InvalidInput with the key's name, and nothing is stored."""
    with pytest.raises(InvalidInput) as caught:
        add(1, **change)
    assert caught.value.details["field"] == named
    assert kit.rows() == []


def test_a_record_id_or_audit_is_taken_once(database: None) -> None:
    """The same record id, and the same audit: Conflict."""
    add(1)
    with pytest.raises(Conflict):
        add(2, record_id="rec-1")
    with pytest.raises(Conflict):
        add(3, audit_id="aud-1")
    assert len(kit.rows()) == 1


def test_an_alerts_text_is_given_out_with_the_record_of_its_reader(three: None) -> None:
    """Who, when, from where, each time; a record without alert has no text; the text is in no file and no row."""
    for number, name in enumerate(("ann", "bob")):
        got = compliance_logger.read_alert_text(
            "rec-2", TENANT, name, "192.0.2.7", NOW + timedelta(hours=number)
        )
        assert got["text"] == "Women were approved less often."
    assert compliance_logger.decryptions("rec-2", TENANT) == [
        {"username": "ann", "at": "2026-01-02T03:04:05.678901Z", "address": "192.0.2.7"},
        {"username": "bob", "at": "2026-01-02T04:04:05.678901Z", "address": "192.0.2.7"},
    ]
    assert compliance_logger.decryptions("rec-2", "another") == []
    with pytest.raises(NotFound):
        compliance_logger.read_alert_text("rec-1", TENANT, "ann", "192.0.2.7", NOW)
    assert b"Women" not in kit.log_bytes()
    assert "Women" not in str(kit.rows())


def test_no_text_is_given_out_when_its_record_cannot_be_kept(
    three: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit of the decryption fails: the caller gets the error, not the text."""
    from fairlens_backend.storage import session

    def refuse(_session: Any) -> None:
        raise OSError("disk")

    monkeypatch.setattr(session.Session, "commit", refuse)
    with pytest.raises(OSError, match="disk"):
        compliance_logger.read_alert_text("rec-2", TENANT, "ann", "192.0.2.7", NOW)


def test_a_key_rotation_leaves_every_record_valid(three: None) -> None:
    """Rotation changes the token, not the record: row, line, anchor and text stay as they were recorded."""
    before, files = kit.rows()[1]["encrypted_alert"], (kit.log_bytes(), kit.anchor_bytes())
    assert key_rotator.rotate_data_now("admin", NOW)["reencrypted"] == 1
    assert kit.rows()[1]["encrypted_alert"] != before
    assert compliance_logger.verify_record("rec-2", TENANT)["valid"]
    assert (kit.log_bytes(), kit.anchor_bytes()) == files
    add(4, alert="again")
    assert compliance_logger.read_alert_text("rec-4", TENANT, "ann", "192.0.2.7", NOW)["text"] == "again"


def test_a_publish_reads_the_new_lines_only(three: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes read and written by a publish do not depend on the files' length."""
    sizes: list[int] = []
    real = evidence_files.read_span

    def counted(path: Any, start: int, length: int) -> bytes:
        got = real(path, start, length)
        sizes.append(len(got))
        return got

    monkeypatch.setattr(evidence_files, "read_span", counted)
    costs = []
    for number in range(10, 40):
        add(number)
        sizes.clear()
        compliance_logger.publish()
        costs.append(sum(sizes))
    assert len(set(costs)) == 1
    assert costs[0] < 100


def test_history_is_paged_newest_first(database: None) -> None:
    """Each record once, whatever comes in between the pages; filters by model and alert; tenants apart."""
    for number in range(1, 8):
        add(number, model="a" if number % 2 else "b", alert="x" if number in (2, 3) else None)
    add(99, tenant="another")
    seen, cursor = [], None
    while True:
        page = compliance_logger.history(TENANT, limit=3, cursor=cursor)
        seen += [item["record_id"] for item in page["items"]]
        add(100 + len(seen))
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"rec-{number}" for number in (7, 6, 5, 4, 3, 2, 1)]
    ids = [item["record_id"] for item in compliance_logger.history(TENANT, model="b", alert=True)["items"]]
    assert ids == ["rec-2"]
    alerts = compliance_logger.history(TENANT, alert=False, model="a")["items"]
    assert [item["record_id"] for item in alerts] == ["rec-7", "rec-5", "rec-1"]
    assert "encrypted_alert" not in alerts[0]
