"""/v1/jobs and POST /v1/models/{id}/rebuild_counts."""

from datetime import timedelta
from typing import Any

import pytest

from fairlens_backend import job_runner, telemetry
from tests.api import People, assert_envelope

REBUILD = "/v1/models/counted/rebuild_counts"


@pytest.fixture
def counted(people: People) -> dict[str, str]:
    """A model with two decisions counted, and the days around them."""
    model = {
        "model_name": "counted",
        "columns": {"decision": "d", "protected": ["sex"]},
        "favourable": {"decision": [1]},
    }
    assert_envelope(people.admin.post("/api/models/register", model), 201)
    events = [
        {
            "event_id": f"e{n}",
            "model_id": "counted",
            "prediction": {"label": n},
            "demographic_tags": {"sex": "F"},
        }
        for n in (0, 1)
    ]
    assert assert_envelope(people.monitor.post("/v1/predictions/ingest", events), 200)["queued"] == 2
    now = telemetry.utc_now()
    return {
        "first_day": str((now - timedelta(days=1)).date()),
        "last_day": str((now + timedelta(days=1)).date()),
    }


def test_counting_anew_is_a_job(people: People, others: People, counted: dict[str, str]) -> None:
    """202 with the job and where to read it; when a worker has run it, its result is there; only for its tenant."""
    answer = people.admin.post(REBUILD, counted)
    job = assert_envelope(answer, 202)
    where = answer.headers["Location"]
    assert where == f"/v1/jobs/{job['job_id']}" and job["state"] == "waiting"
    assert assert_envelope(people.auditor.get("/v1/jobs"), 200)["items"][0]["job_id"] == job["job_id"]
    for _ in range(20):  # jobs that others left may stand before it
        job_runner.run_due(telemetry.utc_now())
        told = assert_envelope(people.auditor.get(where), 200)
        if told["state"] == "done":
            break
    assert (told["state"], told["result"]["cells_changed"], told["created_by"]) == (
        "done",
        0,
        people.admin.username,
    )
    assert_envelope(others.auditor.get(where), 404, "not_found")
    assert_envelope(others.admin.post(f"{where}/cancel"), 404, "not_found")
    assert assert_envelope(others.auditor.get("/v1/jobs"), 200)["items"] == []
    assert_envelope(others.admin.post(REBUILD, counted), 404, "not_found")


def test_a_key_makes_one_job(people: People, counted: dict[str, str]) -> None:
    """The same Idempotency-Key gives the same job; one that is no key is refused."""
    ids = {
        assert_envelope(people.admin.post(REBUILD, counted, headers={"Idempotency-Key": key}), 202)["job_id"]
        for key in ("a", "a", "b")
    }
    assert len(ids) == 2
    for key in ("", "x" * 201):
        answer = people.admin.post(REBUILD, counted, headers={"Idempotency-Key": key})
        assert assert_envelope(answer, 422)["field"] == "Idempotency-Key"


def test_cancelling_and_trying_anew(people: People, counted: dict[str, str]) -> None:
    """Only what fits its state; 409 says which it has."""
    where = f"/v1/jobs/{assert_envelope(people.admin.post(REBUILD, counted), 202)['job_id']}"
    assert_envelope(people.admin.post(f"{where}/retry"), 409, "conflict")
    assert assert_envelope(people.admin.post(f"{where}/cancel"), 200)["state"] == "cancelled"
    assert_envelope(people.admin.post(f"{where}/cancel"), 409, "conflict")
    assert (
        assert_envelope(people.auditor.get("/v1/jobs?state=cancelled"), 200)["items"][0]["state"]
        == "cancelled"
    )
    assert assert_envelope(people.admin.post(f"{where}/retry"), 200)["state"] == "waiting"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"first_day": "2026-13-01", "last_day": "2026-03-01"}, "first_day"),
        ({"first_day": "2026-03-02", "last_day": "2026-03-01"}, "last_day"),
        ({"first_day": "1000-01-01", "last_day": "2026-03-01"}, "last_day"),
        ({"first_day": "2026-03-01"}, "last_day"),
        ({"first_day": 5, "last_day": "2026-03-01"}, "first_day"),
        ({"first_day": "2026-03-01", "last_day": "2026-03-01", "day": 1}, "day"),
    ],
)
def test_days_that_are_none(people: People, counted: dict[str, str], body: Any, field: str) -> None:
    """422 with the field."""
    assert assert_envelope(people.admin.post(REBUILD, body), 422)["field"] == field


def test_pages(people: People, counted: dict[str, str]) -> None:
    """Newest first, each page going on where the one before ended; a cursor that is none is refused."""
    ids = [assert_envelope(people.admin.post(REBUILD, counted), 202)["job_id"] for _ in range(3)]
    first = assert_envelope(people.auditor.get("/v1/jobs?limit=2"), 200)
    rest = assert_envelope(people.auditor.get(f"/v1/jobs?limit=2&cursor={first['next_cursor']}"), 200)
    assert [one["job_id"] for one in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None
    assert assert_envelope(people.auditor.get("/v1/jobs?cursor=job_1"), 422)["field"] == "cursor"
