"""GET /api/admin/keys, POST /api/admin/keys/{kind}/rotate and retire: who may, what is said, and what comes of it."""

from datetime import timedelta
from typing import Any

import pytest

from fairlens_backend import job_runner, telemetry
from tests.api import Caller, People, assert_envelope, log_in

KEYS = "/api/admin/keys"


def of(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in items}


def test_the_operator_sees_all_keys_and_a_tenant_its_own(operator: Caller, people: People) -> None:
    """Kind, version, age, what is outstanding; a tenant's administrator has its key of tokens alone."""
    items = of(assert_envelope(operator.get(KEYS), 200)["items"])
    assert set(items) == {"data", "jwt", "tokens", "ledger", "master"}
    assert items["data"]["outstanding"].keys() == {"alert_texts", "dead_letters", "alert_routes"}
    assert items["data"]["age_days"] >= 0
    (own,) = assert_envelope(people.admin.get(KEYS), 200)["items"]
    assert (own["kind"], own["tenant"], own["version"], own["settled"]) == ("tokens", people.tenant, 1, True)


def test_a_tenant_rotates_its_key_of_tokens_and_follows_the_job(people: People) -> None:
    """The answer names the job, which its auditor may read; when it is done the key is settled."""
    done = assert_envelope(people.admin.post(f"{KEYS}/tokens/rotate", {}), 200)
    assert (done["kind"], done["tenant"], done["version"]) == ("tokens", people.tenant, 2)
    job = f"/v1/jobs/{done['job']['job_id']}"
    assert assert_envelope(people.auditor.get(job), 200)["state"] == "waiting"
    now = telemetry.utc_now()
    while assert_envelope(people.auditor.get(job), 200)["state"] != "done":
        now += timedelta(seconds=30)
        job_runner.run_due(now, budget_s=60)
    (own,) = assert_envelope(people.admin.get(KEYS), 200)["items"]
    assert (own["version"], own["settled"], own["job"]["state"]) == (2, True, "done")
    refused = assert_envelope(people.admin.post(f"{KEYS}/tokens/retire", {}), 409, "conflict")
    assert refused == {"field": "kind"}


@pytest.mark.parametrize("kind", ["data", "jwt", "ledger", "master"])
def test_the_servers_keys_are_the_operators(people: People, kind: str) -> None:
    """403 for another tenant's administrator, whatever the body."""
    assert_envelope(people.admin.post(f"{KEYS}/{kind}/rotate", {}), 403, "not_allowed")
    if kind in ("data", "master"):
        assert_envelope(people.admin.post(f"{KEYS}/{kind}/retire", {}), 403, "not_allowed")


def test_the_operator_rotates_every_kind(operator: Caller, people: People) -> None:
    """Each gives the next version; people who are logged in stay so."""
    before = of(assert_envelope(operator.get(KEYS), 200)["items"])
    for kind in ("data", "jwt", "ledger", "tokens"):
        done = assert_envelope(operator.post(f"{KEYS}/{kind}/rotate", {}), 200)
        assert done["version"] == before[kind]["version"] + 1
    assert_envelope(people.monitor.get("/api/models"), 200)
    named = assert_envelope(operator.post(f"{KEYS}/tokens/rotate", {"tenant": people.tenant}), 200)
    assert named["tenant"] == people.tenant


@pytest.mark.parametrize("act", ["rotate", "retire"])
def test_a_tenant_that_is_not_there(operator: Caller, act: str) -> None:
    """404 with its name; no key and no row is made for it."""
    refused = assert_envelope(operator.post(f"{KEYS}/tokens/{act}", {"tenant": "acmee"}), 404, "not_found")
    assert refused["tenant"] == "acmee"


def test_the_master_key_needs_the_one_that_follows(operator: Caller) -> None:
    """409 that names the setting; nothing to retire is no fault."""
    assert assert_envelope(operator.post(f"{KEYS}/master/rotate", {}), 409)["field"] == "FERNET_KEY_NEXT"
    assert assert_envelope(operator.post(f"{KEYS}/master/retire", {}), 200)["retired"] == 0


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("paper/rotate", {}, "kind"),
        ("jwt/retire", {}, "kind"),
        ("data/rotate", {"revoke": True}, "revoke"),
        ("data/rotate", {"tenant": "acme"}, "tenant"),
        ("tokens/rotate", {"tenant": 5}, "tenant"),
        ("tokens/rotate", {"tenant": ""}, "tenant"),
        ("tokens/retire", {"tenant": ""}, "tenant"),
        ("jwt/rotate", {"revoke": "yes"}, "revoke"),
        ("jwt/rotate", {"now": True}, "now"),
    ],
)
def test_what_is_wrong_is_named(operator: Caller, path: str, body: Any, field: str) -> None:
    """422 with the field; nothing is rotated."""
    before = of(assert_envelope(operator.get(KEYS), 200)["items"])
    assert assert_envelope(operator.post(f"{KEYS}/{path}", body), 422)["field"] == field
    after = of(assert_envelope(operator.get(KEYS), 200)["items"])
    assert {kind: one["version"] for kind, one in before.items()} == {
        kind: one["version"] for kind, one in after.items()
    }


def test_a_revoking_rotation_ends_the_callers_login_too(make_app: Any) -> None:
    """In a server of its own: the next call is 401, logging in anew is not."""
    from fairlens_backend import config

    app = make_app()
    admin = log_in(app, "admin", config.current().admin_password)
    assert_envelope(admin.post(f"{KEYS}/jwt/rotate", {"revoke": True}), 200)
    assert assert_envelope(admin.get(KEYS), 401)["reason"] == "revoked"
    again = log_in(app, "admin", config.current().admin_password)
    assert of(assert_envelope(again.get(KEYS), 200)["items"])["jwt"]["version"] == 2
