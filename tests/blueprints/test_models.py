"""GET /api/models, POST /api/models/register."""

import hashlib
from typing import Any

import pytest

from fairlens_backend import config
from tests.api import EVALUATE, REGISTER, People, assert_envelope, log_in, new_people
from tests.conftest import TEST_SECRETS

DECLARED = {
    "model_name": "hiring",
    "version": "2026.1",
    "columns": {"decision": "hired", "protected": ["sex", "race"]},
    "favourable": {"decision": ["yes", 1, True]},
    "reference_groups": {"sex": "male", "race": 1},
    "thresholds": {"disparate_impact_ratio": 0.85},
    "use_case": "hiring",
    "description": "who is invited",
    "features": ["years", "school"],
    "metadata": {"owner": "people team", "trained": {"rows": 12000, "on": ["a", None, 1.5]}},
}


def test_what_is_registered_is_listed(people: People) -> None:
    """Everything that was declared comes back as it was sent; without an artefact there is no digest."""
    made = assert_envelope(people.admin.post(REGISTER, DECLARED), 201)
    (listed,) = assert_envelope(people.monitor.get("/api/models"), 200)["items"]
    assert listed == made
    assert (listed["name"], listed["version"], listed["artefact_sha256"]) == ("hiring", "2026.1", None)
    assert listed["created_by"] == people.admin.username
    sent = {name: value for name, value in DECLARED.items() if name not in ("model_name", "version")}
    kept = listed["declarations"]
    assert {name: kept[name] for name in sent if name not in ("columns", "favourable")} == {
        name: value for name, value in sent.items() if name not in ("columns", "favourable")
    }
    assert kept["columns"]["protected"] == ["sex", "race"] and kept["favourable"]["decision"] == [
        "yes",
        1,
        True,
    ]


def test_a_name_and_version_are_taken_once(people: People, others: People) -> None:
    """The second is 409 and changes nothing; another version and another tenant are free."""
    assert_envelope(people.admin.post(REGISTER, DECLARED), 201)
    assert_envelope(people.admin.post(REGISTER, {**DECLARED, "description": "other"}), 409, "conflict")
    assert_envelope(people.admin.post(REGISTER, {**DECLARED, "version": "2"}), 201)
    assert_envelope(others.admin.post(REGISTER, DECLARED), 201)
    items = assert_envelope(people.monitor.get("/api/models"), 200)["items"]
    assert [item["version"] for item in items] == ["2", "2026.1"]
    assert items[1]["declarations"]["description"] == "who is invited"


def test_an_artefact_is_kept_under_its_digest(people: People) -> None:
    """SHA-256 of the bytes sent, in the answer and as the file's name; no name of the caller's is a path."""
    content = b"not a model, but bytes of one length " * 100
    made = assert_envelope(people.admin.upload(REGISTER, {"model_name": "bytes"}, "artefact", content), 201)
    digest = hashlib.sha256(content).hexdigest()
    assert made["artefact_sha256"] == digest
    assert (config.current().models_path / f"{digest}.pkl").read_bytes() == content
    assert "artefact_path" not in made


def test_a_file_that_is_no_model_is_said_to_be_at_the_first_evaluation(people: People) -> None:
    """Registering executes nothing, so it cannot tell; evaluating is 422, not a fault."""
    declared = {**DECLARED, "model_name": "garbage", "reference_groups": {}}
    assert_envelope(people.admin.upload(REGISTER, declared, "artefact", b"garbage"), 201)
    details = assert_envelope(people.monitor.post(EVALUATE, {"model_name": "garbage"}), 422, "invalid_input")
    assert details["field"] == "model_name"


def test_a_model_without_artefact_cannot_be_evaluated(people: People) -> None:
    """404 that says that predictions can be submitted."""
    assert_envelope(people.admin.post(REGISTER, DECLARED), 201)
    answer = people.monitor.post(EVALUATE, {"model_name": "hiring"})
    assert_envelope(answer, 404, "not_found")
    assert "artefact" in answer.get_json()["message"]


def test_an_altered_artefact_is_not_loaded(people: People, loan_model: dict[str, Any]) -> None:
    """409 tampered_artefact, with both digests; restored, it evaluates again."""
    path = config.current().models_path / f"{loan_model['artefact_sha256']}.pkl"
    content = path.read_bytes()
    try:
        path.write_bytes(content + b"\0")
        details = assert_envelope(people.monitor.post(EVALUATE, {}), 409, "tampered_artefact")
        assert details["registered_sha256"] != details["found_sha256"]
    finally:
        path.write_bytes(content)
    assert_envelope(people.monitor.post(EVALUATE, {"n_samples": 100, "seed": 1}), 200)


def test_pages_of_models(people: People) -> None:
    """Newest first, each once, whatever is registered while one turns the pages."""
    for number in range(7):
        assert_envelope(people.admin.post(REGISTER, {"model_name": f"m{number}"}), 201)
    seen, query = [], "limit=3"
    while True:
        page = assert_envelope(people.monitor.get(f"/api/models?{query}"), 200)
        seen += [item["name"] for item in page["items"]]
        assert_envelope(people.admin.post(REGISTER, {"model_name": f"late{len(seen)}"}), 201)
        if page["next_cursor"] is None:
            break
        query = f"limit=3&cursor={page['next_cursor']}"
    assert seen == [f"m{number}" for number in reversed(range(7))]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"features": []}, "features"),
        ({"features": ["a", 5]}, "features.1"),
        ({"description": "x" * 2001}, "description"),
        ({"use_case": "astrology"}, "use_case"),
        ({"thresholds": {"nothing": 1}}, "thresholds"),
        ({"metadata": {"a": "x" * 70_000}}, "metadata"),
        ({"metadata": "text"}, "metadata"),
        ({"rows": []}, "rows"),
        ({"model_name": ...}, "model_name"),
    ],
)
def test_declarations_that_cannot_be(people: People, change: dict[str, Any], field: str) -> None:
    """422 and the field, before anything is kept."""
    body = {name: value for name, value in {**DECLARED, **change}.items() if value is not ...}
    assert assert_envelope(people.admin.post(REGISTER, body), 422, "invalid_input")["field"] == field
    assert assert_envelope(people.monitor.get("/api/models"), 200)["items"] == []


def test_metadata_that_is_nested_beyond_reading(people: People) -> None:
    """More than 20 levels are refused; they would break whoever writes them as JSON."""
    deep: Any = 1
    for _ in range(600):
        deep = {"a": deep}
    assert_envelope(people.admin.post(REGISTER, {"model_name": "deep", "metadata": deep}), 422)


def test_a_pickle_comes_from_an_administrator_only(people: People) -> None:
    """An artefact of a monitor or an auditor is refused before it is read."""
    for caller in (people.monitor, people.auditor):
        assert_envelope(caller.upload(REGISTER, DECLARED, "artefact", b"\x80\x04."), 403, "not_allowed")


def test_code_comes_from_the_operator_only(make_app: Any) -> None:
    """Loading an artefact runs it in the server of all tenants: another tenant's administrator registers without one.

    Nothing of the refused artefact stays. TENANT_ARTEFACTS allows it where all tenants are trusted.
    """
    app = make_app()
    theirs = new_people(app).admin
    answer = theirs.upload(REGISTER, DECLARED, "artefact", b"\x80\x04.")
    assert assert_envelope(answer, 403, "not_allowed")["setting"] == "TENANT_ARTEFACTS"
    assert assert_envelope(theirs.get("/api/models"), 200)["items"] == []
    assert list(config.current().models_path.glob("*.pkl")) == []
    assert_envelope(theirs.post(REGISTER, DECLARED), 201)
    operator = log_in(app, "admin", TEST_SECRETS["ADMIN_PASSWORD"])
    assert_envelope(operator.upload(REGISTER, DECLARED, "artefact", b"\x80\x04."), 201)
    trusting = new_people(make_app(TENANT_ARTEFACTS="true")).admin
    assert_envelope(trusting.upload(REGISTER, DECLARED, "artefact", b"\x80\x04."), 201)
