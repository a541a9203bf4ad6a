"""Every route: without a token, with every role that is too low, with one that may, and with one bad body."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from flask.testing import FlaskClient

from fairlens_backend import config, credentials, telemetry
from fairlens_backend.auth import access_of
from fairlens_backend.core.signed_note import Checkpoint, sign_note
from fairlens_backend.storage import job_queue, outbox
from fairlens_backend.storage.session import unit_of_work
from tests.api import (
    EVALUATE,
    PASSWORD,
    REGISTER,
    ROLES,
    SUBMIT,
    Caller,
    People,
    assert_envelope,
    log_in,
    new_people,
    submission,
)

ALERT_TARGET = {"channel": "webhook", "url": "http://127.0.0.1:1/hook", "secret": "a secret of the receiver"}
EVENT = {"event_id": "e", "model_id": "loan_model", "prediction": {"label": 1}}
_SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(32))
UNKNOWN_LEDGER = "old 0\n\n" + sign_note(Checkpoint("log.example", 1, bytes(32)).text, "log.example", _SIGNER)
TEXT = {"/metrics", "/v1/metrics/fairness/<string:id>"}
HTML = {"/docs", "/docs/ui/<path:name>", "/static/<path:filename>"}


@dataclass
class Route:
    """One route of the table: who may call it, how it succeeds, how it is refused for what was sent."""

    method: str
    rule: str
    role: str | None
    good: dict[str, Any] = field(default_factory=dict)
    bad: dict[str, Any] | None = None
    status: int = 200
    path: str = ""
    bad_path: str = ""
    bad_status: int = 422
    by_key: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.rule}"


def get(rule: str, role: str | None, bad: str | None, **more: Any) -> Route:
    """A GET whose bad request is a query string or another path."""
    if bad is None or bad.startswith("/"):
        return Route("GET", rule, role, bad_path=bad or "", **more)
    return Route("GET", rule, role, bad={"query_string": bad}, **more)


def post(rule: str, role: str | None, good: Any, bad: Any, status: int = 200, **more: Any) -> Route:
    """A POST of JSON bodies."""
    return Route("POST", rule, role, {"json": good}, {"json": bad}, status, **more)


ROUTES = [
    get("/", None, None),
    get("/api/health", None, "ready=perhaps"),
    post("/api/login", None, {"username": "{username}", "password": PASSWORD}, {"username": 5, "password": "x"}),
    post("/api/refresh", None, {"refresh_token": "{refresh_token}"}, {"refresh": "x"}),
    Route("POST", "/api/logout", "monitor"),
    get("/api/models", "monitor", "limit=0"),
    post(REGISTER, "admin", {"model_name": "a-new-one"}, {"model_name": "../x"}, 201),
    post(EVALUATE, "monitor", {"n_samples": 200, "seed": 1}, {"n_samples": 0}),
    post(SUBMIT, "monitor", submission(), submission(rows="x"), by_key=True),
    get("/api/monitor_fairness", None, "scenario=foul"),
    get("/api/fairness_trend", "monitor", "metric=beauty"),
    get("/api/pre_alert", "monitor", "threshold=nan"),
    get("/api/predict_fairness_drift", "monitor", "horizon=0"),
    get("/api/audit_history", "auditor", "cursor=none"),
    get("/api/verify_alert/<string:record_id>", "auditor", "/api/verify_alert/" + "x" * 65, path="/api/verify_alert/{record_id}"),
    get("/api/alerts/<string:record_id>/text", "auditor", f"/api/alerts/{'x' * 65}/text", path="/api/alerts/{record_id}/text"),
    get("/api/get_anchor/<string:hash>", None, "/api/get_anchor/xyz", path="/api/get_anchor/{hash}"),
    get("/v1/ledger/head", "auditor", "format=xml"),
    get("/v1/ledger/entries", "auditor", "start=-1"),
    get("/v1/ledger/proof/inclusion", "auditor", "/v1/ledger/proof/inclusion?index=0&tree_size=0", path="/v1/ledger/proof/inclusion?index=0"),
    get("/v1/ledger/proof/consistency", "auditor", "/v1/ledger/proof/consistency?first=0",
        path="/v1/ledger/proof/consistency?first=1"),
    get("/v1/ledger/key", "monitor", None),
    get("/v1/ledger/witness", "monitor", None),
    # A ledger that this server was not told to witness: what it answers to everybody, since the note says who asks.
    Route("POST", "/v1/ledger/witness/add-checkpoint", None, good={"data": UNKNOWN_LEDGER, "content_type": "text/plain"},
        bad={"json": {"old": 0}}, status=404, bad_status=415),
    post("/api/admin/users", "admin", {"username": "{new_name}", "password": PASSWORD, "role": "monitor"},
         {"username": "a b", "password": PASSWORD, "role": "monitor"}, 201),
    get("/api/admin/users", "admin", "limit=many"),
    Route("DELETE", "/api/admin/users/<username>", "admin", path="/api/admin/users/{username}", bad_path="/api/admin/users/" + "x" * 201),
    post("/api/admin/api_keys", "admin", {"name": "nightly", "scope": "submit"}, {"name": "", "scope": "all"}, 201),
    get("/api/admin/api_keys", "admin", "cursor=%2e%2e%2f"),
    Route("DELETE", "/api/admin/api_keys/<id>", "admin", path="/api/admin/api_keys/{key_id}", bad_path="/api/admin/api_keys/first"),
    Route("POST", "/api/admin/reset_key", "admin", bad={"data": b"{", "content_type": "application/json"}, bad_status=400),
    Route("POST", "/api/admin/acknowledge_damage", "admin", bad={"data": b"{", "content_type": "application/json"}, bad_status=400),
    get("/api/admin/keys", "admin", None),
    post("/api/admin/keys/<string:kind>/rotate", "admin", {}, {"revoke": "yes"}, path="/api/admin/keys/tokens/rotate"),
    post("/api/admin/keys/<string:kind>/retire", "admin", {}, {"tenant": 5}, path="/api/admin/keys/tokens/retire"),
    post("/v1/models/<string:id>/audit", "monitor", {"window_hours": 2}, {"window_hours": 0}, path="/v1/models/hiring/audit"),
    post("/v1/models/<string:id>/policy/dry_run", "monitor", {"alpha": 0.01}, {"alpha": 1},
         path="/v1/models/hiring/policy/dry_run"),
    post("/v1/models/<string:id>/backtest", "monitor", {"grain": "audit"}, {"grain": "minute"}, path="/v1/models/hiring/backtest"),
    get("/v1/models/<string:id>/drift", "monitor", "/v1/models/hiring/drift?window_days=0",
        path="/v1/models/hiring/drift?metrics=dir"),
    get("/v1/models/<string:id>/schedule", "monitor", f"/v1/models/{'x' * 101}/schedule", path="/v1/models/hiring/schedule"),
    Route("PUT", "/v1/models/<string:id>/schedule", "admin", {"json": {"window_minutes": 30}}, {"json": {"cron": "61 * * * *"}},
          path="/v1/models/hiring/schedule"),
    Route("DELETE", "/v1/models/<string:id>/schedule", "admin", path="/v1/models/hiring/schedule",
          bad_path=f"/v1/models/{'x' * 101}/schedule"),
    get("/v1/schedules", "monitor", "limit=0"),
    get("/v1/models/<string:id>/windows", "monitor", "/v1/models/hiring/windows?state=lost", path="/v1/models/hiring/windows"),
    post("/v1/predictions/ingest", "monitor", [EVENT], []),
    post("/v1/predictions/ground_truth", "monitor", {"labels": [{"event_id": "e", "label": 1}]}, {"labels": []}),
    post("/v1/predictions/attributes", "admin", {"attributes": [{"event_id": "e", "attributes": {"race": "x"}}]},
         {"attributes": []}),
    get("/v1/tenant/privacy", "admin", None),
    Route("PUT", "/v1/tenant/privacy", "admin", {"json": {"store_features": False}}, {"json": {"proxies": {"gender": "on"}}}),
    post("/v1/erasures", "admin", {"event_ids": ["e"], "dry_run": True}, {"event_ids": []}),
    get("/v1/erasures", "auditor", "cursor=none"),
    get("/v1/erasures/<int:id>", "auditor", "/v1/erasures/0", path="/v1/erasures/{erasure_id}"),
    get("/v1/models/<string:id>/proxy_estimates", "monitor", "/v1/models/loan_model/proxy_estimates?window_hours=0",
        path="/v1/models/{proxied}/proxy_estimates?window_hours=2"),
    get("/v1/dead_letters", "admin", "cursor=none"),
    post("/v1/dead_letters/<id>/replay", "admin", {"event": EVENT}, {"event": 5}, path="/v1/dead_letters/{letter_id}/replay"),
    Route("DELETE", "/v1/dead_letters/<id>", "admin", path="/v1/dead_letters/{letter_id}", bad_path="/v1/dead_letters/first"),
    get("/v1/audits", "monitor", "severity=SEVERE"),
    get("/v1/audits/<string:id>", "monitor", "counts=some", path="/v1/audits/{audit_id}"),
    get("/v1/audits/<string:id>/thresholds", "monitor", "/v1/audits/aud_x/thresholds",
        path="/v1/audits/{audit_id}/thresholds?attribute=race"),
    get("/v1/audits/<string:id>/estimates", "monitor", "/v1/audits/aud_x/estimates",
        path="/v1/audits/{audit_id}/estimates?attribute=race"),
    get("/v1/audits/<string:id>/decomposition", "monitor", "/v1/audits/aud_x/decomposition?attribute=race",
        path="/v1/audits/{crossed_id}/decomposition?attribute=race&stratum=region"),
    get("/v1/compliance/report/<string:model_id>", "auditor", "/v1/compliance/report/hiring?start_date=2025-02-01&end_date=2025-01-01",
        path="/v1/compliance/report/hiring?start_date=2025-01-01&end_date=2025-01-31"),
    get("/v1/alerts", "monitor", "state=loud"),
    get("/v1/alerts/<string:id>", "monitor", "/v1/alerts/" + "x" * 65, path="/v1/alerts/{alert_id}"),
    post("/v1/alerts/<string:id>/acknowledge", "auditor", {}, {"reason": ""}, path="/v1/alerts/{alert_id}/acknowledge"),
    post("/v1/alerts/<string:id>/silence", "auditor", {"hours": 1, "reason": "known"}, {"hours": 0, "reason": "known"},
         path="/v1/alerts/{alert_id}/silence"),
    post("/v1/alerts/<string:id>/resolve", "auditor", {"reason": "went back"}, {"reason": 5}, path="/v1/alerts/{alert_id}/resolve"),
    post("/v1/alerts/<string:id>/reopen", "auditor", {"reason": "too early"}, {}, path="/v1/alerts/{closed_alert_id}/reopen"),
    get("/v1/alerts/routes", "admin", "limit=0"),
    post("/v1/alerts/routes", "admin", {"name": "on call", "target": ALERT_TARGET}, {"name": "on call", "target": {"channel": "fax"}}, 201),
    Route("PATCH", "/v1/alerts/routes/<int:id>", "admin", {"json": {"enabled": False}}, {"json": {"enabled": "no"}},
          path="/v1/alerts/routes/{route_id}"),
    Route("DELETE", "/v1/alerts/routes/<int:id>", "admin", path="/v1/alerts/routes/{route_id}", bad_path="/v1/alerts/routes/0"),
    post("/v1/alerts/test", "admin", {"route_id": "{route_id}"}, {"channel": "fax"}, status=502),
    get("/v1/alerts/dead_letters", "admin", "cursor=none"),
    Route("POST", "/v1/alerts/dead_letters/<int:id>/retry", "admin", path="/v1/alerts/dead_letters/{dead_id}/retry",
          bad_path="/v1/alerts/dead_letters/0/retry"),
    Route("DELETE", "/v1/alerts/dead_letters/<int:id>", "admin", path="/v1/alerts/dead_letters/{dead_id}",
          bad_path="/v1/alerts/dead_letters/0"),
    get("/v1/metrics", "monitor", None),
    get("/v1/metrics/<string:name>", "monitor", "value=-1", path="/v1/metrics/dir"),
    get("/v1/jobs", "auditor", "state=lost"),
    get("/v1/jobs/<string:id>", "auditor", "/v1/jobs/" + "x" * 65, path="/v1/jobs/{job_id}"),
    Route("POST", "/v1/jobs/<string:id>/cancel", "admin", path="/v1/jobs/{job_id}/cancel", bad_path="/v1/jobs/job_none/cancel",
          bad_status=404),
    Route("POST", "/v1/jobs/<string:id>/retry", "admin", path="/v1/jobs/{dead_job_id}/retry", bad_path="/v1/jobs/job_none/retry",
          bad_status=404),
    post("/v1/models/<string:id>/rebuild_counts", "admin", {"first_day": "{yesterday}", "last_day": "{tomorrow}"},
         {"first_day": "today", "last_day": 5}, 202, path="/v1/models/loan_model/rebuild_counts"),
    get("/metrics", "monitor", None),
    get("/v1/metrics/fairness/<string:id>", "monitor", "/v1/metrics/fairness/never", path="/v1/metrics/fairness/hiring",
        bad_status=404),
    get("/openapi.json", None, None),
    get("/docs", None, None),
    get("/docs/ui/<path:name>", None, "/docs/ui/none.js", path="/docs/ui/css/swagger-ui.css", bad_status=404),
    get("/static/<path:filename>", None, "/static/none.css", path="/static/pages.css", bad_status=404),
]  # fmt: skip
OPERATORS_ONLY = {"/metrics", "/api/admin/reset_key", "/api/admin/acknowledge_damage"}
TABLE = pytest.mark.parametrize("route", ROUTES, ids=str)


@dataclass(frozen=True)
class Place:
    """A tenant's people, and the names of what exists there."""

    people: People
    known: dict[str, str]


@pytest.fixture(scope="module")
def standing() -> list[Place]:
    """The place that `place` gives to all who change nothing, once it is made."""
    return []


@pytest.fixture
def place(app: Flask, demo_model: Any, standing: list[Place]) -> Callable[[bool], Place]:
    """A tenant of this test's own for who may change something, the common one for who is refused or only reads."""

    def made(changes: bool) -> Place:
        if not changes and standing:
            return standing[0]
        people = new_people(app)
        registered = people.admin.upload(REGISTER, demo_model[1], "artefact", demo_model[0])
        assert_envelope(registered, 201)
        one = Place(people, names_in(people))
        if not changes:
            standing.append(one)
        return one

    return made


def names_in(people: People) -> dict[str, str]:
    """Make what every kind of path names: a record with an alert, its hash, a key, users; how each is called."""
    record = assert_envelope(people.monitor.post(SUBMIT, submission()), 200)
    key = assert_envelope(
        people.admin.post("/api/admin/api_keys", {"name": "machine", "scope": "submit"}), 201
    )
    rows = [{**row, "region": "NS"[place % 2]} for place, row in enumerate(submission()["rows"])]
    crossed = submission(rows, columns={"decision": "decision", "protected": ["race", "region"]})
    return {
        "record_id": record["record_id"],
        "audit_id": record["audit_id"],
        "crossed_id": assert_envelope(people.monitor.post(SUBMIT, crossed), 200)["audit_id"],
        "hash": record["evidence"]["hash"],
        "key_id": str(key["id"]),
        "key": key["key"],
        "username": people.monitor.username,
        "letter_id": dead_letter(people),
        **alert_names(people),
        **jobs_of(people),
        "proxied": proxied(people),
        "erasure_id": erased(people),
        "new_name": f"new-{people.tenant}",
        "refresh_token": people.monitor.refresh_token,
    }


def erased(people: People) -> str:
    """The number of an erasure that found nothing."""
    done = assert_envelope(people.admin.post("/v1/erasures", {"event_ids": ["never-sent"]}), 200)
    return str(done["erasure_id"])


def dead_letter(people: People) -> str:
    """The id of a dead letter of the tenant."""
    bad = {"event_id": "bad", "model_id": "loan_model"}
    assert_envelope(people.monitor.post("/v1/predictions/ingest", [bad]), 200)
    return str(assert_envelope(people.admin.get("/v1/dead_letters"), 200)["items"][0]["id"])


def jobs_of(people: People) -> dict[str, str]:
    """A job of the tenant that waits, one that was cancelled, and days of which something is counted."""
    assert_envelope(people.monitor.post("/v1/predictions/ingest", [{**EVENT, "event_id": "counted"}]), 200)
    now = telemetry.utc_now()
    waiting, ended = (
        job_queue.enqueue(people.tenant, "rebuild_counts", {"days": []}, by="ann", now=now).job_id
        for _ in range(2)
    )
    job_queue.cancel(people.tenant, ended, now)
    days = {"yesterday": now - timedelta(days=1), "tomorrow": now + timedelta(days=1)}
    return {
        "job_id": waiting,
        "dead_job_id": ended,
        **{name: str(day.date()) for name, day in days.items()},
    }


def proxied(people: People) -> str:
    """A model with a decision whose gender is known by proxy only."""
    assert_envelope(people.admin.call("PUT", "/v1/tenant/privacy", json={"proxies": {"gender": True}}), 200)
    event = {**EVENT, "event_id": "by-proxy", "features": {"first_name": "Maria"}}
    assert_envelope(people.monitor.post("/v1/predictions/ingest", [event]), 200)
    return "loan_model"


def alert_names(people: People) -> dict[str, str]:
    """An open alert and a closed one of the tenant, a route, and a message that its receiver refused."""
    route = {"name": "hook", "target": ALERT_TARGET}
    number = assert_envelope(people.admin.post("/v1/alerts/routes", route), 201)["id"]
    assert_envelope(people.monitor.post(SUBMIT, submission(model_name="alerting")), 200)
    found = assert_envelope(people.monitor.get("/v1/alerts", model="alerting"), 200)["items"]
    closed = found[0]["alert_id"]
    assert_envelope(people.auditor.post(f"/v1/alerts/{closed}/resolve", {"reason": "for the test"}), 200)
    with unit_of_work():
        waiting = outbox.of_order(next(one["alert_id"] for one in found if one["announced_at"]))[0]
        waiting.dead_at = telemetry.utc_now()
    names = {"alert_id": found[1]["alert_id"], "closed_alert_id": closed}
    return {**names, "route_id": number, "dead_id": str(waiting.id)}


def filled(value: Any, known: dict[str, str]) -> Any:
    """The request with the names of this tenant in it."""
    if isinstance(value, dict):
        return {name: filled(inner, known) for name, inner in value.items()}
    if value == "{route_id}":  # a number in a body, not in a path
        return int(known["route_id"])
    return value.format(**known) if isinstance(value, str) and "{" in value else value


def knock(caller: Caller, route: Route, known: dict[str, str], given: dict[str, Any] | None = None) -> Any:
    """Call a route with what succeeds, or with `given`."""
    return caller.call(route.method, filled(route.path or route.rule, known), **filled(given or {}, known))


def test_the_table_has_every_route(app: Flask) -> None:
    """A route that is not in the table above is tested by nobody; one that is gone must leave it."""
    there = {
        (method, str(rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(route.method, route.rule) for route in ROUTES} == there


def test_every_view_says_who_may_call_it(app: Flask) -> None:
    """No view relies on the default, which refuses everybody."""
    silent = [
        name
        for name, view in app.view_functions.items()
        if access_of(view) is None and not name.endswith("static")
    ]
    assert silent == []


@TABLE
def test_without_a_token(route: Route, client: FlaskClient, place: Callable[[bool], Place]) -> None:
    """401 where a role is needed, even with a body that is wrong; an open route answers."""
    known = place(route.role is None and route.method != "GET").known
    if route.role is not None:
        for given in (route.good, route.bad or {}):
            answer = knock(Caller(client), route, known, given)
            assert_envelope(answer, 401, "not_authenticated")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    elif route.rule in HTML:
        assert knock(Caller(client), route, known).status_code == 200
    elif route.rule == "/openapi.json":
        assert knock(Caller(client), route, known).get_json()["openapi"].startswith("3.1")
    else:
        assert_envelope(knock(Caller(client), route, known, route.good), route.status)


@pytest.mark.parametrize("route", [one for one in ROUTES if one.role not in (None, "monitor")], ids=str)
def test_each_role_that_is_too_low(route: Route, place: Callable[[bool], Place]) -> None:
    """403 that names both roles, whatever the body holds."""
    there = place(False)
    for role in ROLES[: ROLES.index(route.role or "monitor")]:
        for given in (route.good, route.bad or {}):
            details = assert_envelope(
                knock(there.people.of(role), route, there.known, given), 403, "not_allowed"
            )
            assert (details["role"], details["required_role"]) == (role, route.role)


@TABLE
def test_each_role_that_may(route: Route, operator: Caller, place: Callable[[bool], Place]) -> None:
    """The lowest role that may, succeeds; what is the server's belongs to the operator's administrators alone."""
    there = place(route.method != "GET")
    people, known = there.people, there.known
    if route.rule in HTML or route.rule == "/openapi.json":
        assert knock(people.monitor, route, known).status_code == 200
        return
    caller = people.of(route.role or "monitor")
    if route.rule in OPERATORS_ONLY:
        assert_envelope(knock(caller, route, known), 403, "not_allowed")
        caller = operator
    if route.rule in TEXT:
        answer = knock(caller, route, known)
        assert (answer.status_code, answer.mimetype) == (200, "text/plain")
        return
    assert_envelope(knock(caller, route, known, route.good), route.status)


@TABLE
def test_higher_roles_may_too(route: Route, place: Callable[[bool], Place]) -> None:
    """monitor ⊂ auditor ⊂ admin: a bad body gets beyond the role check with every higher role."""
    there = place(route.method != "GET" and route.bad is None)
    for role in ROLES[ROLES.index(route.role or "monitor") :]:
        answer = knock(there.people.of(role), route, there.known, route.bad)
        assert answer.status_code not in (401, 500) and (
            route.rule in OPERATORS_ONLY or answer.status_code != 403
        )


@pytest.mark.parametrize("route", [one for one in ROUTES if one.bad or one.bad_path], ids=str)
def test_one_bad_request(route: Route, operator: Caller, place: Callable[[bool], Place]) -> None:
    """The answer names the field that is wrong, and nothing of it is a fault of the server."""
    there = place(False)
    caller = operator if route.rule in OPERATORS_ONLY else there.people.admin
    path = route.bad_path or filled(route.path or route.rule, there.known)
    details = assert_envelope(caller.call(route.method, path, **(route.bad or {})), route.bad_status)
    if route.bad_status == 422:
        assert details["field"] and details["expected"]


@pytest.mark.parametrize("route", [one for one in ROUTES if one.role], ids=str)
def test_a_key_opens_what_its_scope_names(
    route: Route, client: FlaskClient, place: Callable[[bool], Place]
) -> None:
    """A key with the scope `submit` submits; at every other door that needs a role it is refused."""
    known = place(route.by_key).known
    answer = knock(Caller(client), route, known, {**route.good, "headers": {"X-Api-Key": known["key"]}})
    assert_envelope(answer, route.status if route.by_key else 403, None if route.by_key else "not_allowed")


def signed(people: People, **changes: Any) -> str:
    """The monitor's access token with other claims, signed with the server's secret."""
    claims = jwt.decode(people.monitor.token or "", options={"verify_signature": False})
    return jwt.encode({**claims, **changes}, config.current().jwt_secret, algorithm="HS256")


@pytest.mark.parametrize("route", [one for one in ROUTES if one.role], ids=str)
def test_tokens_that_are_not_good(route: Route, client: FlaskClient, place: Callable[[bool], Place]) -> None:
    """Expired, tampered, unsigned, of another secret, a refresh token, another role, no token at all: 401 everywhere."""
    there = place(False)
    people, known = there.people, there.known
    good = people.monitor.token or ""
    head, body, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    past = int((telemetry.utc_now() - timedelta(seconds=1)).timestamp())
    tokens = {
        "expired": signed(people, exp=past),
        "tampered": f"{head}.{body[:-2]}{'AA' if body[-2:] != 'AA' else 'BB'}.{signature}",
        "cut": good[:-4],
        "unsigned": jwt.encode(claims, None, algorithm="none"),
        "foreign": jwt.encode(claims, "another-secret-of-32-characters-or-more", algorithm="HS256"),
        "refresh": people.monitor.refresh_token,
        "promoted": signed(people, role="admin"),
        "moved": signed(people, tenant="default"),
        "nobody": signed(people, sub="nobody"),
        "empty": "",
        "odd": "' OR 1=1 --",
    }
    for name, token in tokens.items():
        assert (name, knock(Caller(client, token), route, known, route.good).status_code) == (name, 401)


def test_what_was_refused_or_read_changed_nothing(place: Callable[[bool], Place]) -> None:
    """After all those calls the common tenant has what it had: its tokens work, its key, alerts, jobs and letters are there."""
    there = place(False)
    people, known = there.people, there.known
    for caller in (people.monitor, people.auditor, people.admin):
        assert_envelope(caller.get("/api/models"), 200)
    alerts = assert_envelope(people.monitor.get("/v1/alerts", model="alerting"), 200)["items"]
    states = {one["alert_id"]: one["state"] for one in alerts}
    assert (states[known["alert_id"]], states[known["closed_alert_id"]]) == ("open", "resolved")
    assert assert_envelope(people.auditor.get(f"/v1/jobs/{known['job_id']}"), 200)["state"] == "waiting"
    names = {"/v1/alerts/routes": ("route_id", "id"), "/v1/dead_letters": ("letter_id", "id")}
    for path, (name, key) in names.items():
        items = assert_envelope(people.admin.get(path), 200)["items"]
        assert [str(one[key]) for one in items] == [str(known[name])]
    (key,) = assert_envelope(people.admin.get("/api/admin/api_keys"), 200)["items"]
    assert (str(key["id"]), key["revoked_at"]) == (known["key_id"], None)
    users = assert_envelope(people.admin.get("/api/admin/users"), 200)["items"]
    assert {one["username"] for one in users} == {people.of(role).username for role in ROLES}
    audits = assert_envelope(people.auditor.get("/v1/audits"), 200)["items"]
    assert len(audits) == 3


def test_a_promoted_user_logs_in_anew(app: Flask, people: People) -> None:
    """A token of a deleted user works no longer, at once."""
    assert_envelope(people.admin.delete(f"/api/admin/users/{people.auditor.username}"), 200)
    assert_envelope(people.auditor.get("/api/audit_history"), 401, "not_authenticated")
    with pytest.raises(credentials.NotAuthenticated):
        log_in(app, people.auditor.username)


def test_no_tenant_sees_another_ones(others: People, place: Callable[[bool], Place]) -> None:
    """Every route with an id answers 404 for another tenant's, every list is without it, every figure too."""
    own, there = place(True), others.admin
    people, known = own.people, own.known
    for path in ("/api/verify_alert/{record_id}", "/api/alerts/{record_id}/text"):
        assert_envelope(there.get(path.format(**known)), 404, "not_found")
    for path in ("/api/admin/users/{username}", "/api/admin/api_keys/{key_id}"):
        assert_envelope(there.delete(path.format(**known)), 404, "not_found")
    assert assert_envelope(there.get("/api/audit_history"), 200)["items"] == []
    assert assert_envelope(there.get("/api/models"), 200)["items"] == []
    assert assert_envelope(there.get("/api/admin/api_keys"), 200)["items"] == []
    names = {user["username"] for user in assert_envelope(there.get("/api/admin/users"), 200)["items"]}
    assert names == {others.of(role).username for role in ROLES}
    assert assert_envelope(there.get("/api/fairness_trend"), 200)["n_checks"] == 0
    assert assert_envelope(there.get("/api/pre_alert"), 200)["n_checks"] == 0
    assert_envelope(there.get("/api/fairness_trend?model=hiring"), 404, "not_found")
    assert_envelope(there.post(EVALUATE, {"n_samples": 100}), 404, "not_found")
    assert_envelope(
        there.post(
            "/api/admin/users",
            {"username": "spy", "password": PASSWORD, "role": "admin", "tenant": people.tenant},
        ),
        403,
    )
    # What was refused changed nothing: the owner still has all of it.
    assert_envelope(people.monitor.get("/api/fairness_trend?model=hiring"), 200)
    assert_envelope(people.auditor.get(f"/api/verify_alert/{known['record_id']}"), 200)
    assert assert_envelope(people.admin.get("/api/admin/api_keys"), 200)["items"][0]["revoked_at"] is None
