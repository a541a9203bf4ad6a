"""The doors of privacy, of estimates by proxy and of attributes that come apart."""

from typing import Any

import pytest

from fairlens_backend import telemetry
from tests.api import REGISTER, Caller, People, assert_envelope

PRIVACY = "/v1/tenant/privacy"
INGEST = "/v1/predictions/ingest"
ATTRIBUTES = "/v1/predictions/attributes"
ESTIMATES = "/v1/models/hiring/proxy_estimates"


@pytest.fixture
def hiring(people: People) -> None:
    """A model that takes single decisions."""
    declared = {
        "model_name": "hiring",
        "columns": {"decision": "hired", "protected": ["sex"]},
        "favourable": {"decision": ["yes"]},
        "reference_groups": {"sex": "M"},
    }
    assert_envelope(people.admin.post(REGISTER, declared), 201)


def put(people: People, body: Any) -> Any:
    """Change the tenant's switches as its administrator."""
    return people.admin.call("PUT", PRIVACY, json=body)


def event(event_id: str, **changes: Any) -> dict[str, Any]:
    """A decision of now."""
    return {
        "event_id": event_id,
        "model_id": "hiring",
        "timestamp": telemetry.timestamp(telemetry.utc_now()),
        "prediction": {"label": "yes"},
        **changes,
    }


def test_what_changes_nothing_is_not_called_a_change(people: People) -> None:
    """An empty body, at any depth, is a mistake; the same switches again are no change and keep who set them, and when."""
    for empty in ({}, {"proxies": {}}, {"fields": {"zip": None}, "store_features": None}):
        answer = put(people, empty)
        assert_envelope(answer, 422)
        details = answer.get_json()["error"]["details"]
        assert details["field"] == "body" and "store_features" in details["expected"]
    assert assert_envelope(people.admin.get(PRIVACY), 200)["updated_by"] is None
    first = put(people, {"store_features": False, "personal_fields": {}})
    assert first.get_json()["message"] == "The tenant's privacy settings are changed."
    again = put(people, {"store_features": False})
    assert again.get_json()["message"].endswith("are so already: nothing is changed.")
    assert assert_envelope(again, 200) == assert_envelope(first, 200)


def test_switches_are_read_and_changed(people: People, others: People) -> None:
    """What is left out stays; another tenant's stay its own; who changed them is told."""
    before = assert_envelope(people.admin.get(PRIVACY), 200)
    assert before["proxies"] == {"gender": False, "race": False, "income_bracket": False}
    assert before["store_features"] is True and before["updated_by"] is None
    changed = {
        "proxies": {"gender": True},
        "fields": {"first_name": ["vorname"]},
        "personal_fields": {"chef": "name"},
    }
    after = assert_envelope(put(people, changed), 200)
    assert (
        after["proxies"]["gender"]
        and after["fields"]["first_name"] == ["vorname"]
        and "zip" in after["fields"]["zip"]
    )
    assert_envelope(put(people, {"store_features": False}), 200)
    again = assert_envelope(people.admin.get(PRIVACY), 200)
    assert (again["personal_fields"], again["store_features"], again["proxies"]["gender"]) == (
        {"chef": "name"},
        False,
        True,
    )
    assert again["updated_by"] == people.admin.username
    assert assert_envelope(others.admin.get(PRIVACY), 200)["personal_fields"] == {}


@pytest.mark.parametrize(
    "body",
    [
        {"proxies": {"gender": "yes"}},
        {"proxies": {"shoe_size": True}},
        {"personal_fields": {"x": "shoe size"}},
        {"fields": {"first_name": "vorname"}},
        {"store_features": 1},
        {"colour": "red"},
    ],
)
def test_bad_switches_are_refused(people: People, body: Any) -> None:
    """By the field, and nothing is changed."""
    error = put(people, body)
    assert_envelope(error, 422, "invalid_input")
    assert assert_envelope(people.admin.get(PRIVACY), 200)["updated_by"] is None


def test_estimates_and_attributes_of_one_window(people: People, hiring: None) -> None:
    """By proxy first; once a key of the scope supplies the attribute, it is counted and no longer estimated."""
    assert_envelope(put(people, {"proxies": {"gender": True}}), 200)
    assert_envelope(people.monitor.get(ESTIMATES, attribute="sex"), 404, "not_found")
    events = [event(f"e{i}", features={"first_name": "Mary"}) for i in range(3)]
    assert assert_envelope(people.monitor.post(INGEST, events), 200)["queued"] == 3
    found = assert_envelope(people.monitor.get(ESTIMATES, attribute="sex"), 200)
    assert found["is_estimate"] and found["attributes"]["sex"]["by_proxy"] == 3
    made = people.admin.post("/api/admin/api_keys", {"name": "hr", "scope": "attributes"})
    key = {"X-Api-Key": assert_envelope(made, 201)["key"]}
    body = {"event_id": ["e0", "e1", "zz"], "attributes": {"sex": ["female", "male", "female"]}}
    supplied = assert_envelope(Caller(people.monitor.client).post(ATTRIBUTES, body, headers=key), 200)
    assert (supplied["moved"], supplied["waiting"], supplied["rejected"]) == (2, 1, [])
    found = assert_envelope(people.monitor.get(ESTIMATES), 200)["attributes"]["sex"]
    assert (found["by_proxy"], found["recorded"]) == (1, 2)
    assert_envelope(Caller(people.monitor.client).post(INGEST, events, headers=key), 403, "not_allowed")


def test_who_sends_decisions_may_not_supply_attributes(people: People, hiring: None) -> None:
    """Neither a key for ingest nor a monitor or auditor; an administrator may."""
    made = people.admin.post("/api/admin/api_keys", {"name": "model", "scope": "ingest"})
    key = {"X-Api-Key": assert_envelope(made, 201)["key"]}
    body = {"attributes": [{"event_id": "e0", "attributes": {"sex": "female"}}]}
    assert_envelope(Caller(people.monitor.client).post(ATTRIBUTES, body, headers=key), 403, "not_allowed")
    for person in (people.monitor, people.auditor):
        assert_envelope(person.post(ATTRIBUTES, body), 403, "not_allowed")
    assert assert_envelope(people.admin.post(ATTRIBUTES, body), 200)["waiting"] == 1
