"""GET /api/audit_history, /api/verify_alert, /api/alerts/…/text, /api/get_anchor."""

from typing import Any

import pytest
from flask import Flask

from fairlens_backend import compliance_logger
from tests.api import SUBMIT, Caller, People, assert_envelope, rows_of, submission

EVEN = rows_of({"a": (50, 100), "b": (50, 100)})


@pytest.fixture
def records(people: People) -> list[dict[str, Any]]:
    """Five answers of submissions: alert, none, alert, none, alert."""
    bodies = [
        submission(model_name=f"m{place}") if place % 2 == 0 else submission(EVEN, model_name="even")
        for place in range(5)
    ]
    return [assert_envelope(people.monitor.post(SUBMIT, body), 200) for body in bodies]


def test_history_is_newest_first_and_paged(people: People, records: list[dict[str, Any]]) -> None:
    """Two a page; a record that comes meanwhile neither repeats nor hides one."""
    wanted = [record["record_id"] for record in reversed(records)]
    seen: list[str] = []
    query = ""
    for _ in range(3):
        page = assert_envelope(people.auditor.get(f"/api/audit_history?limit=2{query}"), 200)
        seen += [item["record_id"] for item in page["items"]]
        query = f"&cursor={page['next_cursor']}"
        assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    assert seen == wanted and page["next_cursor"] is None


def test_history_by_model_and_alert(people: People, records: list[dict[str, Any]]) -> None:
    """Each filter alone and both together; a model without records is an empty page."""

    def listed(query: str) -> list[str]:
        items = assert_envelope(people.auditor.get(f"/api/audit_history?{query}"), 200)["items"]
        return [item["record_id"] for item in reversed(items)]

    ids = [record["record_id"] for record in records]
    assert listed("alert=true") == ids[::2]
    assert listed("alert=false") == listed("model=even") == ids[1::2]
    assert listed("model=m2&alert=1") == [ids[2]]
    assert listed("model=even&alert=true") == listed("model=none") == []


def test_a_record_has_its_columns_and_no_person(people: People, records: list[dict[str, Any]]) -> None:
    """SPEC section 3's columns, the figures of the answer, and no encrypted text."""
    item = assert_envelope(people.auditor.get("/api/audit_history?limit=1"), 200)["items"][0]
    named = "record_id timestamp model dir spd eod aod theil alert drift_level female_rate male_rate hash_value audit_id"
    assert set(named.split()) <= set(item)
    assert item["dir"] == 0.5 and item["spd"] == pytest.approx(-0.3) and item["alert"] is True
    assert "rows" not in item and people.tenant not in str(item.get("encrypted_alert"))


def test_a_record_verifies_in_all_its_parts(people: People, records: list[dict[str, Any]]) -> None:
    """Row, line, chain, anchor, alert text and audit of every record."""
    for record in records:
        verdict = assert_envelope(people.auditor.get(f"/api/verify_alert/{record['record_id']}"), 200)
        assert (verdict["valid"], verdict["failed"], verdict["pending"]) == (True, [], False)
        assert {name for name, part in verdict["parts"].items() if part["ok"]} == set(verdict["parts"])
        assert verdict["parts"]["anchor"]["simulated"] is True
        assert "anchor (simulated)" in verdict["message"]


def test_reading_an_alert_is_recorded(people: People, records: list[dict[str, Any]]) -> None:
    """The text names model, group and figures; who read it, when and from where is kept, and a refused reader is not."""
    record_id = records[0]["record_id"]
    path = f"/api/alerts/{record_id}/text"
    assert_envelope(people.monitor.get(path), 403, "not_allowed")
    data = assert_envelope(people.auditor.call("GET", path, environ_base={"REMOTE_ADDR": "203.0.113.9"}), 200)
    assert "m0" in data["text"] and "race" in data["text"]
    kept = compliance_logger.decryptions(record_id, people.tenant)
    assert [(one["username"], one["address"]) for one in kept] == [(people.auditor.username, "203.0.113.9")]
    assert kept[0]["at"] == data["read_at"]


def test_a_reader_stays_readable_after_the_key_is_rotated(
    people: People, operator: Caller, records: list[dict[str, Any]]
) -> None:
    """The same text after rotation, and the record is still valid."""
    path = f"/api/alerts/{records[0]['record_id']}/text"
    before = assert_envelope(people.auditor.get(path), 200)["text"]
    assert assert_envelope(operator.post("/api/admin/reset_key"), 200)["reencrypted"] >= 3
    assert assert_envelope(people.auditor.get(path), 200)["text"] == before
    assert assert_envelope(people.auditor.get(f"/api/verify_alert/{records[0]['record_id']}"), 200)["valid"]


def test_an_anchor_is_found_by_hash_and_by_transaction(app: Flask, records: list[dict[str, Any]]) -> None:
    """Open to all, both names give the same; it says that it is simulated. An unknown hash is 404."""
    nobody = Caller(app.test_client())
    digest = records[0]["evidence"]["hash"]
    found = assert_envelope(nobody.get(f"/api/get_anchor/{digest}"), 200)
    assert found["hash"] == digest and found["tx_id"] == "0x" + digest[:16] and found["simulated"] is True
    assert assert_envelope(nobody.get(f"/api/get_anchor/0x{digest[:16]}"), 200) == found
    assert not {"tenant", "model", "record_id"} & set(found)
    assert_envelope(nobody.get(f"/api/get_anchor/{'0' * 64}"), 404, "not_found")
