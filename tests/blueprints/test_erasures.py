"""The doors of erasure."""

from typing import Any

import pytest

from fairlens_backend import eraser, telemetry
from tests.api import REGISTER, People, assert_envelope

ERASURES = "/v1/erasures"
MAIL = "ann.lee@example.org"


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine too an erasure ends within its answer; where it must not, a test says so itself."""
    monkeypatch.setattr(eraser, "BUDGET_S", 600.0)


@pytest.fixture(autouse=True)
def hiring(people: People) -> None:
    """A model, and Ann's event."""
    declared = {
        "model_name": "hiring",
        "columns": {"decision": "hired", "protected": ["sex"]},
        "favourable": {"decision": ["yes"]},
        "reference_groups": {"sex": "M"},
    }
    assert_envelope(people.admin.post(REGISTER, declared), 201)
    event = {
        "event_id": "ann-1",
        "model_id": "hiring",
        "timestamp": telemetry.timestamp(telemetry.utc_now()),
        "prediction": {"label": "yes"},
        "features": {"email": MAIL},
    }
    assert_envelope(people.monitor.post("/v1/predictions/ingest", [event]), 200)


def test_a_receipt_and_its_place_in_the_list(people: People, others: People) -> None:
    """Erased by value; an auditor reads the receipt, which names nobody; another tenant sees nothing."""
    answer = people.admin.post(ERASURES, {"value": {"field": "email", "text": MAIL}})
    done = assert_envelope(answer, 200)
    assert done["erased"]["rows"] == 1 and done["state"] == "done" and done["ledger_index"] is not None
    assert isinstance(done["by_user_id"], int)
    read = people.auditor.get(f"{ERASURES}/{done['erasure_id']}")
    assert assert_envelope(read, 200) == done
    listed = people.auditor.get(ERASURES)
    assert assert_envelope(listed, 200)["items"] == [done]
    for text in (MAIL, "ann-1", "tok_email"):
        assert text not in answer.get_data(as_text=True) + listed.get_data(as_text=True)
    assert assert_envelope(others.auditor.get(ERASURES), 200)["items"] == []
    assert_envelope(others.auditor.get(f"{ERASURES}/{done['erasure_id']}"), 404)
    again = people.admin.post(ERASURES, {"event_ids": ["ann-1"]})
    assert (
        assert_envelope(again, 200)["found"] is False and "nothing was found" in again.get_json()["message"]
    )


def test_roles(people: People) -> None:
    """Only an administrator erases; only an auditor reads."""
    for caller in (people.monitor, people.auditor):
        assert_envelope(caller.post(ERASURES, {"event_ids": ["ann-1"]}), 403)
    assert_envelope(people.monitor.get(ERASURES), 403)
    assert_envelope(people.monitor.get(f"{ERASURES}/1"), 403)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"event_ids": []},
        {"event_ids": [""]},
        {"event_ids": ["x" * 201]},
        {"event_ids": ["ann-1"], "token": "t"},
        {"token": "not a token"},
        {"value": {"field": "email"}},
        {"value": {"field": "income", "text": "12"}},
        {"value": {"field": "income", "text": 41_223}},
        {"event_ids": ["ann-1"], "dry_run": "no"},
    ],
)
def test_bad_bodies_are_refused_and_erase_nothing(people: People, body: Any) -> None:
    """422 with the field; nothing is recorded, and the value is not repeated."""
    answer = people.admin.post(ERASURES, body)
    details = assert_envelope(answer, 422)
    assert details["field"]
    assert "41223" not in answer.get_data(as_text=True)
    assert assert_envelope(people.auditor.get(ERASURES), 200)["items"] == []


def test_a_long_search_is_202_with_a_job(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer says where to look, and which job goes on."""
    monkeypatch.setattr(eraser, "BUDGET_S", 0.0)
    answer = people.admin.post(ERASURES, {"event_ids": ["ann-1"]})
    done = assert_envelope(answer, 202)
    assert done["state"] == "running" and answer.headers["Location"] == f"{ERASURES}/{done['erasure_id']}"
    job = assert_envelope(people.auditor.get(f"/v1/jobs/{done['job_id']}"), 200)
    assert job["arguments"] == {"erasure_id": done["erasure_id"]}
    assert "ann-1" not in answer.get_data(as_text=True)
