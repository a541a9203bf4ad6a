"""The doors of single decisions: who may send, in which forms, how many, and what becomes of what cannot be read."""

import gzip
import json
from typing import Any

import pytest
from flask import Flask

from fairlens_backend import telemetry
from fairlens_backend.storage import session
from tests.api import REGISTER, Caller, People, assert_envelope

INGEST, LABELS, LETTERS = "/v1/predictions/ingest", "/v1/predictions/ground_truth", "/v1/dead_letters"


def event(event_id: str = "e1", **changes: Any) -> dict[str, Any]:
    """One event of the model `hiring`, now."""
    made = {
        "event_id": event_id,
        "model_id": "hiring",
        "prediction": {"label": "yes"},
        "demographic_tags": {"sex": "F"},
    }
    return {**made, "timestamp": telemetry.timestamp(telemetry.utc_now()), **changes}


@pytest.fixture
def hiring(people: People) -> None:
    """The model, registered."""
    declared = {
        "model_name": "hiring",
        "version": "v1",
        "columns": {"decision": "hired", "protected": ["sex"]},
        "favourable": {"decision": ["yes"]},
    }
    assert_envelope(people.admin.post(REGISTER, declared), 201)


@pytest.fixture
def key(people: People, hiring: None) -> str:
    """An API key that may send single decisions."""
    made = people.admin.post("/api/admin/api_keys", {"name": "scorer", "scope": "ingest"})
    return str(assert_envelope(made, 201)["key"])


def by_key(people: People, key: str, path: str, body: Any, **headers: str) -> Any:
    """POST with nothing but the key."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    caller = Caller(people.monitor.client)
    return caller.call(
        "POST", path, data=data, content_type="application/json", headers={"X-Api-Key": key, **headers}
    )


def test_a_key_sends_decisions_and_labels(people: People, key: str) -> None:
    """200 with the ids, what is new, what was seen, and what was refused."""
    taken = assert_envelope(
        by_key(people, key, INGEST, [event("a"), event("b"), event("c", prediction={})]), 200
    )
    assert (taken["event_ids"], taken["queued"], taken["duplicates"]) == (["a", "b"], 2, 0)
    assert [one["index"] for one in taken["rejected"]] == [2]
    again = assert_envelope(by_key(people, key, INGEST, event("a")), 200)
    assert (again["queued"], again["duplicates"]) == (0, 1)
    said = assert_envelope(by_key(people, key, LABELS, {"event_id": ["a", "z"], "label": ["yes", "no"]}), 200)
    assert said == {"joined": 1, "unchanged": 0, "waiting": 1, "expired": 0}


def test_a_key_of_another_scope_may_not(people: People, hiring: None) -> None:
    """`submit` is for data sets; a monitor may send, as for those."""
    made = people.admin.post("/api/admin/api_keys", {"name": "nightly", "scope": "submit"})
    other = assert_envelope(made, 201)["key"]
    assert_envelope(by_key(people, other, INGEST, event()), 403, "not_allowed")
    assert assert_envelope(people.monitor.post(INGEST, event()), 200)["queued"] == 1


def test_gzip_bodies(people: People, key: str) -> None:
    """Unpacked up to the limit of a body; cut, false and other encodings are refused by what they are."""
    body = gzip.compress(json.dumps([event(f"g{i}") for i in range(50)]).encode())
    assert (
        assert_envelope(by_key(people, key, INGEST, body, **{"Content-Encoding": "gzip"}), 200)["queued"]
        == 50
    )
    for broken in (body[:-20], b"not gzip"):
        assert_envelope(
            by_key(people, key, INGEST, broken, **{"Content-Encoding": "gzip"}), 400, "malformed_input"
        )
    assert_envelope(by_key(people, key, INGEST, body, **{"Content-Encoding": "br"}), 415)
    bomb = gzip.compress(b"[" + b" " * 30_000_000 + b"]")
    assert len(bomb) < 100_000
    answer = by_key(people, key, INGEST, bomb, **{"Content-Encoding": "gzip"})
    assert_envelope(answer, 413)
    assert "unpacked" in answer.get_json()["message"]


def test_bad_bodies(people: People, key: str) -> None:
    """No JSON, an empty body, no list of events, another type."""
    assert_envelope(by_key(people, key, INGEST, b"[{"), 400, "malformed_input")
    assert_envelope(by_key(people, key, INGEST, b""), 400, "malformed_input")
    assert_envelope(by_key(people, key, INGEST, {"event_id": ["a"], "model_id": "hiring", "label": []}), 422)
    assert_envelope(by_key(people, key, LABELS, {"labels": [{"event_id": "a", "label": None}]}), 422)
    assert_envelope(by_key(people, key, LABELS, {"labels": [{"event_id": "a", "label": ""}]}), 422)
    assert_envelope(by_key(people, key, INGEST, [event(f"{i}") for i in range(501)]), 413, "too_large")
    assert_envelope(by_key(people, key, INGEST, event(model_id="unheard-of")), 404, "not_found")


def test_dead_letters_are_listed_mended_and_deleted(people: People, others: People, key: str) -> None:
    """An administrator sees why, a page at a time; a mended event is counted and its letter gone; a bad one stays."""
    by_key(people, key, INGEST, [event(f"d{i}", prediction={"label": "yes", "score": 2}) for i in range(3)])
    first = assert_envelope(people.admin.get(LETTERS, limit=2), 200)
    rest = assert_envelope(people.admin.get(LETTERS, limit=2, cursor=first["next_cursor"]), 200)
    ids = [one["id"] for one in [*first["items"], *rest["items"]]]
    assert len(ids) == 3 and rest["next_cursor"] is None
    assert first["items"][0]["errors"][0]["field"] == "prediction.score"
    assert_envelope(people.admin.post(f"{LETTERS}/{ids[0]}/replay", {}), 422, "invalid_input")
    mended = {"event": event("d0")}
    assert_envelope(others.admin.post(f"{LETTERS}/{ids[0]}/replay", mended), 404, "not_found")
    assert assert_envelope(people.admin.post(f"{LETTERS}/{ids[0]}/replay", mended), 200)["queued"] == 1
    assert_envelope(others.admin.delete(f"{LETTERS}/{ids[1]}"), 404, "not_found")
    assert assert_envelope(people.admin.delete(f"{LETTERS}/{ids[1]}"), 200)["id"] == ids[1]
    left = assert_envelope(people.admin.get(LETTERS), 200)["items"]
    assert [one["id"] for one in left] == [ids[2]]
    assert_envelope(people.admin.delete(f"{LETTERS}/{ids[1]}"), 404, "not_found")


def test_a_letter_is_tried_again_as_it_was(people: People, hiring: None) -> None:
    """What was refused since its model was not registered is taken once it is."""
    mixed = [event("m1"), event("m2", model_id="lending")]
    assert len(assert_envelope(people.monitor.post(INGEST, mixed), 200)["rejected"]) == 1
    letter = assert_envelope(people.admin.get(LETTERS), 200)["items"][0]
    assert letter["model"] == "lending"
    assert_envelope(people.admin.post(f"{LETTERS}/{letter['id']}/replay", {}), 404, "not_found")
    declared = {
        "model_name": "lending",
        "columns": {"decision": "d", "protected": ["sex"]},
        "favourable": {"decision": ["yes"]},
    }
    assert_envelope(people.admin.post(REGISTER, declared), 201)
    assert assert_envelope(people.admin.post(f"{LETTERS}/{letter['id']}/replay", {}), 200)["queued"] == 1


def test_each_key_has_its_own_limit(make_app: Any) -> None:
    """One service that sends too much is told when to come back; another behind the same address goes on."""
    from tests.api import new_people

    app: Flask = make_app(RATE_LIMIT_INGEST="3 per minute")
    people = new_people(app)
    keys = [
        assert_envelope(people.admin.post("/api/admin/api_keys", {"name": name, "scope": "ingest"}), 201)[
            "key"
        ]
        for name in ("one", "two")
    ]
    for _ in range(3):
        assert by_key(people, keys[0], INGEST, event()).status_code == 404
    assert_envelope(by_key(people, keys[0], INGEST, event()), 429, "rate_limited")
    assert by_key(people, keys[1], INGEST, event()).status_code == 404


def test_a_locked_database_is_503_and_nothing_is_stored(make_app: Any) -> None:
    """With the time to come back; the same batch is new when it comes again."""
    from tests.api import new_people

    app: Flask = make_app(DATABASE_BUSY_TIMEOUT_MS="50")
    if session.is_postgresql():
        pytest.skip("SQLite's lock on the whole file")
    people = new_people(app)
    declared = {
        "model_name": "hiring",
        "columns": {"decision": "hired", "protected": ["sex"]},
        "favourable": {"decision": ["yes"]},
    }
    assert_envelope(people.admin.post(REGISTER, declared), 201)
    other = session.engine().connect()
    with other.begin():
        assert_envelope(people.monitor.post(INGEST, [event("a")]), 503, "unavailable")
    other.close()
    assert assert_envelope(people.monitor.post(INGEST, [event("a")]), 200)["queued"] == 1


def test_labels_that_the_model_does_not_declare_are_told(people: People, key: str) -> None:
    """Where both classes are declared such a label is not joined, and the message says so."""
    declared = {"columns": {"decision": "hired", "protected": ["sex"]}, "favourable": {"decision": ["yes"], "truth": ["good"]},
                "unfavourable": {"decision": ["no"], "truth": ["bad"]}}  # fmt: skip
    assert_envelope(people.admin.post(REGISTER, {"model_name": "strict", "version": "v1", **declared}), 201)
    by_key(people, key, INGEST, [event("a", model_id="strict"), event("b", model_id="strict")])
    answer = by_key(people, key, LABELS, {"event_id": ["a", "b"], "label": ["good", "gud"]})
    assert assert_envelope(answer, 200)["undeclared"] == 1
    assert answer.get_json()["message"] == "1 label joined, 0 waiting, 1 that the model does not declare."
