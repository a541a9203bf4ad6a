"""The alerts' doors: read, act, route, test, dead letters."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask

from fairlens_backend import alert_delivery, config, telemetry
from fairlens_backend.storage.alert_tables import AlertRoute
from fairlens_backend.storage.session import current_session, read_snapshot
from tests.api import SUBMIT, People, assert_envelope, rows_of, submission
from tests.conftest import TEST_SECRETS
from tests.receiver import Receiver, running_receiver

SECRET = "a-secret-of-the-receiver"
CLEAR = rows_of({"a": (50, 100), "b": (50, 100)})


@pytest.fixture(autouse=True)
def receiver(app: Flask) -> Iterator[Receiver]:
    """A receiver on loopback, which the settings allow in these tests."""
    before = config.current()
    environ = {name.upper(): str(value) for name, value in vars(before).items()}
    config.use(config.load_settings({**environ, **TEST_SECRETS, "WEBHOOK_ALLOW_PRIVATE": "true"}))
    with running_receiver() as place:
        yield place
    config.use(before)


def breach(people: People, **changes: Any) -> dict[str, Any]:
    """60 of 100 against 30 of 100: the ratio is 0.5, which is CRITICAL."""
    data: dict[str, Any] = assert_envelope(people.monitor.post(SUBMIT, submission(**changes)), 200)
    return data


def ratio(people: People, **query: Any) -> dict[str, Any]:
    items = assert_envelope(people.monitor.get("/v1/alerts", **query), 200)["items"]
    (one,) = [item for item in items if item["metric"] == "disparate_impact_ratio"]
    return dict(one)


def add_route(people: People, url: str, **changes: Any) -> dict[str, Any]:
    body = {"name": "hook", "target": {"channel": "webhook", "url": url, "secret": SECRET}, **changes}
    data: dict[str, Any] = assert_envelope(people.admin.post("/v1/alerts/routes", body), 201)
    return data


def deliver() -> dict[str, int]:
    return alert_delivery.deliver_due(telemetry.utc_now())


def test_a_breach_is_an_alert_with_its_figures_and_history(people: People) -> None:
    """By hand: 0.3 / 0.6 = 0.5 against 0.8; the audit and record of the answer are the alert's."""
    audit = breach(people)
    one = ratio(people)
    assert (one["state"], one["severity"], one["model"], one["attribute"]) == (
        "open",
        "CRITICAL",
        "hiring",
        "race",
    )
    assert one["value"] == 0.5 and one["threshold"] == 0.8 and one["groups_compared"] == ["b", "a"]
    assert (one["audit_id"], one["record_id"]) == (audit["audit_id"], audit["record_id"])
    full = assert_envelope(people.monitor.get(f"/v1/alerts/{one['alert_id']}"), 200)
    assert [event["what"] for event in full["history"]] == ["opened"] and full["messages"] == []


def test_the_list_is_filtered_and_paged(people: People) -> None:
    """By model, state, severity; a cursor goes on where the page ended; each alert once."""
    breach(people), breach(people, model_name="loans")
    every = assert_envelope(people.monitor.get("/v1/alerts", limit=100), 200)["items"]
    assert {one["model"] for one in every} == {"hiring", "loans"}
    for name, value in (("model", "loans"), ("severity", "CRITICAL"), ("state", "open")):
        found = assert_envelope(people.monitor.get("/v1/alerts", limit=100, **{name: value}), 200)["items"]
        assert found == [one for one in every if one[name] == value]
    assert assert_envelope(people.monitor.get("/v1/alerts", state="resolved"), 200)["items"] == []
    seen, cursor = [], None
    while True:
        page = assert_envelope(
            people.monitor.get("/v1/alerts", limit=2, **({"cursor": cursor} if cursor else {})), 200
        )
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == every


def test_a_body_that_may_be_left_out_may_be_announced(people: People) -> None:
    """Many clients name JSON as the type also where they send nothing; what needs a body asks for it."""
    breach(people)
    path = f"/v1/alerts/{ratio(people)['alert_id']}"
    typed = {"data": b"", "content_type": "application/json"}
    assert_envelope(people.auditor.call("POST", f"{path}/silence", **typed), 400, "malformed_input")
    assert_envelope(people.auditor.call("POST", f"{path}/acknowledge", **typed), 200)
    assert_envelope(people.admin.call("POST", "/v1/alerts/dead_letters/9/retry", **typed), 404, "not_found")


def test_acts_and_their_order(people: People, others: People) -> None:
    """Acknowledge, silence, resolve, reopen by an auditor; what is impossible is 409; another tenant's is 404."""
    breach(people)
    path = f"/v1/alerts/{ratio(people)['alert_id']}"
    # The reason is optional, and with it the body.
    assert assert_envelope(people.auditor.call("POST", f"{path}/acknowledge"), 200)["state"] == "acknowledged"
    assert_envelope(people.auditor.post(f"{path}/acknowledge", {}), 409, "conflict")
    quiet = assert_envelope(people.auditor.post(f"{path}/silence", {"hours": 2, "reason": "known"}), 200)
    assert quiet["state"] == "silenced" and quiet["silenced_until"] > quiet["opened_at"]
    until = {"until": "2099-01-01T00:00:00Z", "reason": "known"}
    assert assert_envelope(people.auditor.post(f"{path}/silence", until), 200)["silenced_until"][:4] == "2099"
    assert (
        assert_envelope(people.auditor.post(f"{path}/resolve", {"reason": "went back"}), 200)["state"]
        == "resolved"
    )
    assert_envelope(people.auditor.post(f"{path}/silence", until), 409, "conflict")
    assert (
        assert_envelope(people.auditor.post(f"{path}/reopen", {"reason": "too early"}), 200)["times_opened"]
        == 2
    )
    history = assert_envelope(people.monitor.get(path), 200)["history"]
    assert {event["by"] for event in history[1:]} == {people.auditor.username}
    assert_envelope(others.monitor.get(path), 404, "not_found")
    assert_envelope(others.auditor.post(f"{path}/resolve", {"reason": "x"}), 404, "not_found")
    assert assert_envelope(others.monitor.get("/v1/alerts"), 200)["items"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "x"}, "body"), ({"hours": 1, "until": "2099-01-01T00:00:00Z", "reason": "x"}, "body"),
        ({"hours": 0, "reason": "x"}, "hours"), ({"until": "2099-01-01T00:00:00", "reason": "x"}, "until"),
        ({"until": "tomorrow", "reason": "x"}, "until"), ({"until": "2020-01-01T00:00:00Z", "reason": "x"}, "until"),
        ({"hours": 1}, "reason"), ({"hours": "1", "reason": "x"}, "hours"),
        ({"until": "9999-12-31T23:59:59-14:00", "reason": "x"}, "until"), ({"until": "0001-01-01T00:00:00+14:00", "reason": "x"}, "until"),
    ],
)  # fmt: skip
def test_a_silence_that_cannot_be(people: People, body: dict[str, Any], field: str) -> None:
    """Exactly one of hours and until, with a zone, ahead, and a reason."""
    breach(people)
    answer = people.auditor.post(f"/v1/alerts/{ratio(people)['alert_id']}/silence", body)
    assert assert_envelope(answer, 422)["field"] == field


def test_a_route_is_kept_encrypted_and_its_secret_shown_to_nobody(people: People) -> None:
    """Neither answers, nor the list, nor the row in the database have address, key or password."""
    secrets = ["T0SECRET", "f" * 32, "pass-of-smtp", "hook-secret-of-ours"]
    targets = [
        {"channel": "slack", "url": f"https://hooks.slack.com/services/{secrets[0]}"},
        {"channel": "pagerduty", "routing_key": secrets[1]},
        {"channel": "email", "to": ["ann@example.org"], "smtp": {"host": "mail.example.org", "username": "u", "password": secrets[2], "sender": "f@example.org"}},
        {"channel": "webhook", "url": "https://hooks.example/x", "secret": secrets[3]},
    ]  # fmt: skip
    answers = [people.admin.post("/v1/alerts/routes", {"name": "r", "target": one}) for one in targets]
    made = [assert_envelope(answer, 201) for answer in answers]
    assert [one["target"] for one in made] == [
        "hooks.slack.com",
        "a PagerDuty service",
        "ann@example.org",
        "hooks.example",
    ]
    changed = people.admin.call(
        "PATCH", f"/v1/alerts/routes/{made[0]['id']}", json={"name": "new", "target": targets[1]}
    )
    assert (assert_envelope(changed, 200)["channel"], changed.get_json()["data"]["name"]) == (
        "pagerduty",
        "new",
    )
    listed = people.admin.get("/v1/alerts/routes")
    assert [one["severities"] for one in assert_envelope(listed, 200)["items"]] == [["CRITICAL", "HIGH"]] * 4
    with read_snapshot():
        stored = [
            row.encrypted_target
            for row in current_session().query(AlertRoute).filter_by(tenant=people.tenant)
        ]
    for secret in secrets:
        assert all(secret not in one.get_data(as_text=True) for one in (*answers, changed, listed))
        assert all(secret not in one for one in stored)


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ({"channel": "slack", "url": "ftp://x"}, "target.url"), ({"channel": "pagerduty", "routing_key": "short"}, "target.routing_key"),
        ({"channel": "email", "to": ["a@b.c\r\nBcc: d@e.f"]}, "target.to.0"), ({"channel": "email", "to": ["ann@example.org"]}, "target.smtp"),
        ({"channel": "webhook", "url": "http://[::1", "secret": "a-secret-of-ours"}, "target.url"),
        ({"channel": "slack", "url": "https://hooks.example:99999/x"}, "target.url"),
        ({"channel": "slack", "url": "https://ann:pass@hooks.example/x"}, "target.url"),
        ({"channel": "fax", "to": ["1"]}, "target.channel"), ({"to": ["1"]}, "target.channel"), ({"channel": "webhook", "url": "https://x.example", "secret": "short"}, "target.secret"),
        ({"channel": "email", "to": ["a@b.c"], "smtp": {"host": "m", "sender": "a@b.c", "security": "none", "username": "u", "password": "p"}}, "target.smtp"),
    ],
)  # fmt: skip
def test_a_target_that_cannot_be(people: People, target: dict[str, Any], field: str) -> None:
    """The answer names the field, and repeats no secret."""
    answer = people.admin.post("/v1/alerts/routes", {"name": "r", "target": target})
    assert assert_envelope(answer, 422)["field"] == field
    assert "short" not in answer.get_data(as_text=True) and '"p"' not in answer.get_data(as_text=True)


@pytest.mark.parametrize("body", [{}, {"name": None}])
def test_a_change_that_changes_nothing(people: People, body: dict[str, Any]) -> None:
    """Is refused, and not answered with success."""
    number = add_route(people, "https://hooks.example/x")["id"]
    answer = people.admin.call("PATCH", f"/v1/alerts/routes/{number}", json=body)
    assert assert_envelope(answer, 422)["field"] == "body"


def test_routes_choose_by_severity_and_model(people: People, receiver: Receiver) -> None:
    """A route for another model hears nothing; one for CRITICAL does; a route that is not in use does not."""
    add_route(people, receiver.url + "/loans", models=["loans"])
    add_route(people, receiver.url + "/critical", severities=["CRITICAL"])
    off = add_route(people, receiver.url + "/off")
    people.admin.call("PATCH", f"/v1/alerts/routes/{off['id']}", json={"enabled": False})
    breach(people)
    deliver()
    assert [one.path for one in receiver.received] == ["/hook/critical"]
    messages = assert_envelope(people.monitor.get(f"/v1/alerts/{ratio(people)['alert_id']}"), 200)["messages"]
    assert [(one["kind"], one["status"], one["attempts"]) for one in messages] == [("opened", "delivered", 1)]


def test_a_test_message_says_what_really_happened(people: People, others: People, receiver: Receiver) -> None:
    """200 of the receiver, then its 404, then nobody there: each with its status; a channel that is not set up is 404."""
    number = add_route(people, receiver.url)["id"]
    said = assert_envelope(people.admin.post("/v1/alerts/test", {"route_id": number}), 200)
    assert (said["delivered"], said["status_code"], said["channel"]) == (True, 200, "webhook")
    body = json.loads(receiver.received[0].body)
    assert (
        body["kind"] == "test"
        and body["message_id"] == said["message_id"]
        and body["by"] == people.admin.username
    )
    receiver.script(200, 404)
    answer = people.admin.post("/v1/alerts/test", {"route_id": number})
    said = assert_envelope(answer, 502, "not_delivered")
    assert (said["delivered"], said["status_code"], said["outcome"]) == (False, 404, "failed")
    assert "did not take" in answer.get_json()["message"] and "404" in answer.get_json()["message"]
    config.use(replace(config.current(), webhook_allow_private=False))
    refused = people.admin.post("/v1/alerts/test", {"route_id": number})
    assert_envelope(refused, 502, "not_delivered")
    assert refused.get_json()["message"].endswith("was expected.")
    config.use(replace(config.current(), webhook_allow_private=True))
    gone = add_route(people, "http://127.0.0.1:1/hook")["id"]
    said = assert_envelope(people.admin.post("/v1/alerts/test", {"route_id": gone}), 502, "not_delivered")
    assert (said["delivered"], said["status_code"], said["outcome"]) == (False, None, "retry")
    details = assert_envelope(people.admin.post("/v1/alerts/test", {"channel": "slack"}), 404, "not_found")
    assert details["channel"] == "slack"
    assert_envelope(others.admin.post("/v1/alerts/test", {"route_id": number}), 404, "not_found")
    none = people.admin.post("/v1/alerts/test", {"route_id": 999_999})
    assert_envelope(none, 404, "not_found")
    assert none.get_json()["message"] == "There is no route 999999; it may have been deleted."


def test_dead_letters_are_listed_sent_again_and_deleted(
    people: People, others: People, receiver: Receiver
) -> None:
    """404 of the receiver makes one; retry makes it due; another tenant sees none of it."""
    add_route(people, receiver.url)
    receiver.script(404, 404, 200)
    breach(people)
    deliver()
    (dead,) = assert_envelope(people.admin.get("/v1/alerts/dead_letters"), 200)["items"]
    path = f"/v1/alerts/dead_letters/{dead['id']}"
    assert_envelope(others.admin.delete(path), 404, "not_found")
    assert_envelope(people.admin.post(f"{path}/retry"), 200)
    deliver()
    assert_envelope(people.admin.delete(path), 200)
    assert_envelope(people.admin.delete(path), 404, "not_found")
    assert_envelope(people.admin.post(f"{path}/retry"), 404, "not_found")
    assert [one.headers["x-fairlens-delivery"] for one in receiver.received] == [dead["message_id"]] * 2


def test_the_list_of_routes_says_which_target_is_away(people: People, receiver: Receiver) -> None:
    """A receiver that asks for an hour's pause is shown as away, with its time and reason; another one as well."""
    add_route(people, receiver.url), add_route(people, receiver.url + "/other", models=["loans"])
    receiver.script((503, {"Retry-After": "3600"}))
    breach(people)
    deliver()
    items = assert_envelope(people.admin.get("/v1/alerts/routes"), 200)["items"]
    assert [(one["delivery"], one["last_failure"]) for one in items] == [
        ("open", "the receiver answered 503"), ("closed", None),
    ]  # fmt: skip


def test_two_clear_audits_end_it(people: People, receiver: Receiver) -> None:
    """The whole way through the API: breach, told; clear, clear, all-clear told."""
    add_route(people, receiver.url)
    for rows in (..., CLEAR, CLEAR):
        breach(people, **({} if rows is ... else {"rows": rows}))
    deliver()
    assert ratio(people)["state"] == "resolved"
    bodies = [json.loads(one.body) for one in receiver.received]
    assert [(one["kind"], one["metric"]) for one in bodies if one["metric"] == "disparate_impact_ratio"] == [
        ("opened", "disparate_impact_ratio"), ("resolved", "disparate_impact_ratio"),
    ]  # fmt: skip
