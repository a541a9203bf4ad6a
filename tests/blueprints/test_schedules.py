"""Schedules and windows through the API: set, read, refused, reset; a model's windows after its audits; readiness."""

from typing import Any

import pytest

from fairlens_backend import schedule_keeper, telemetry, window_planner
from tests.api import Caller, People, assert_envelope, submission

SCHEDULE, WINDOWS = "/v1/models/hiring/schedule", "/v1/models/hiring/windows"


@pytest.fixture
def model(people: People) -> None:
    """A model of the tenant that somebody has submitted for."""
    assert_envelope(people.monitor.post("/api/submit_predictions", submission()), 200)


def put(caller: Caller, body: Any) -> Any:
    """PUT the schedule."""
    return caller.call("PUT", SCHEDULE, json=body)


@pytest.mark.usefixtures("model")
def test_set_read_list_and_reset(people: People) -> None:
    """What the administrator sets, a monitor reads; reset, it is the server's again."""
    assert assert_envelope(people.monitor.get(SCHEDULE), 200)["origin"] == "default"
    body = {
        "cron": "5 */2 * * *",
        "time_zone": "Europe/Berlin",
        "window_minutes": 120,
        "settings": {"alpha": 0.01},
    }
    made = assert_envelope(put(people.admin, body), 200)
    assert made == {**made, **body, "origin": "own", "changed_by": people.admin.username}
    assert assert_envelope(people.monitor.get(SCHEDULE), 200)["cron"] == "5 */2 * * *"
    listed = assert_envelope(people.monitor.get("/v1/schedules"), 200)
    assert [one["model_id"] for one in listed["items"]] == ["hiring"]
    assert assert_envelope(people.admin.delete(SCHEDULE), 200)["origin"] == "default"


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cron": "every day"}, "cron"),
        ({"cron": "* * * * * *"}, "cron"),
        ({"time_zone": "Mars"}, "time_zone"),
        ({"window_minutes": -1}, "window_minutes"),
        ({"window_minutes": 1.5}, "window_minutes"),
        ({"enabled": "yes"}, "enabled"),
        ({"reaudit": {"share": 2}}, "reaudit.share"),
        ({"settings": {"alpha": 1}}, "settings.alpha"),
        ({"protected_attributes": []}, "protected_attributes"),
        ({"hour": 3}, "hour"),
    ],
)
def test_a_wrong_field_is_named(people: People, body: dict[str, Any], field: str) -> None:
    """With what was expected; nothing is kept."""
    assert assert_envelope(put(people.admin, body), 422, "invalid_input")["field"] == field
    assert assert_envelope(people.monitor.get(SCHEDULE), 200)["origin"] == "default"


@pytest.mark.usefixtures("model")
def test_who_may(people: People, others: People) -> None:
    """Auditors and monitors read; another tenant finds nothing."""
    for caller in (people.monitor, people.auditor):
        assert_envelope(put(caller, {}), 403, "not_allowed")
        assert_envelope(caller.delete(SCHEDULE), 403, "not_allowed")
        assert_envelope(caller.get(WINDOWS), 200)
    assert_envelope(put(others.admin, {}), 404, "not_found")
    assert_envelope(others.monitor.get(WINDOWS), 404, "not_found")
    assert assert_envelope(others.monitor.get("/v1/schedules"), 200)["items"] == []


@pytest.mark.usefixtures("model")
def test_windows_name_their_audits(people: People) -> None:
    """A schedule over what was submitted: the window of the last hours names the audit, and the audit its revision."""
    now = telemetry.utc_now()
    assert_envelope(put(people.admin, {"cron": "* * * * *", "window_minutes": 180}), 200)
    from datetime import timedelta

    window_planner.run_due(lambda: now + timedelta(minutes=2))
    (one,) = assert_envelope(people.monitor.get(WINDOWS, limit=1), 200)["items"]
    assert (one["state"], one["revision"], one["newest"], one["sample_size"]) == ("audited", 1, True, 200)
    audit = assert_envelope(people.monitor.get(f"/v1/audits/{one['audit_id']}"), 200)
    assert (audit["window_end"], audit["revision"], audit["revises"]) == (one["window_end"], 1, None)
    assert audit["sequential"]["alarm"] in (True, False)
    assert assert_envelope(people.monitor.get(WINDOWS, state="failed"), 200)["items"] == []


def test_readiness_says_how_fresh_the_audits_are(people: People, client: Any) -> None:
    """In words and figures, and no name of a model: the route is open to all."""
    parts = assert_envelope(client.get("/api/health?ready=1"), 200)["parts"]["audits"]
    assert parts == {
        **parts,
        **{name: parts[name] for name in ("status", "said", "overdue", "windows_behind")},
    }
    assert "models" not in parts and schedule_keeper.health()["status"] == parts["status"]
