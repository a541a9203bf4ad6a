"""POST/GET/DELETE /api/admin/users and /api/admin/api_keys, POST /api/admin/reset_key and acknowledge_damage."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from fairlens_backend import compliance_logger, credentials, evidence_files, key_rotator
from tests import accounts_app
from tests import evidence_kit as kit
from tests.accounts_app import PASSWORD, assert_envelope, bearer

ROUTES = [
    ("POST", "/api/admin/users"),
    ("GET", "/api/admin/users"),
    ("DELETE", "/api/admin/users/mona"),
    ("POST", "/api/admin/api_keys"),
    ("GET", "/api/admin/api_keys"),
    ("DELETE", "/api/admin/api_keys/1"),
    ("POST", "/api/admin/reset_key"),
    ("POST", "/api/admin/acknowledge_damage"),
]
NEW_USER = {"username": "eve", "password": PASSWORD, "role": "auditor"}
NEW_KEY = {"name": "loan model, Berlin", "scope": "submit"}


@pytest.fixture
def client(database: None, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setattr(credentials, "MEMORY_KIB", 64)
    client = accounts_app.make_client()
    accounts_app.add_user("mona", "monitor")
    accounts_app.add_user("auda", "auditor")
    accounts_app.add_user("tina", "admin", tenant="acme")
    return client


@pytest.mark.parametrize(("method", "address"), ROUTES)
def test_only_administrators_enter(client: FlaskClient, method: str, address: str) -> None:
    """No token 401; monitor, auditor and an API key 403."""
    made = client.post("/api/admin/api_keys", json=NEW_KEY, headers=bearer("admin")).get_json()["data"]
    assert_envelope(client.open(address, method=method), 401, "not_authenticated")
    for headers in (bearer("mona"), bearer("auda"), {"X-Api-Key": made["key"]}):
        assert_envelope(client.open(address, method=method, headers=headers), 403, "not_allowed")


def test_a_new_user_can_log_in(client: FlaskClient) -> None:
    """201 with the user, never with anything of the password; the name and password then work."""
    answer = client.post("/api/admin/users", json=NEW_USER, headers=bearer("admin"))
    data = assert_envelope(answer, 201)
    assert (data["username"], data["role"], data["tenant"]) == ("eve", "auditor", "default")
    assert "password" not in answer.get_data(as_text=True)
    answer = client.post("/api/login", json={"username": "eve", "password": PASSWORD})
    assert assert_envelope(answer, 200)["role"] == "auditor"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"username": "a b"}, "username"),
        ({"username": 5}, "username"),
        ({"username": "'; DROP TABLE users; --"}, "username"),
        ({"password": "short"}, "password"),
        ({"password": None}, "password"),
        ({"role": "root"}, "role"),
        ({"tenant": "../x"}, "tenant"),
        ({"tenant": ""}, "tenant"),
        ({"more": 1}, "more"),
    ],
)
def test_a_bad_user_is_422_with_the_field(client: FlaskClient, change: Any, field: str) -> None:
    """The details name the field and what was expected; a password is not repeated."""
    answer = client.post("/api/admin/users", json={**NEW_USER, **change}, headers=bearer("admin"))
    details = assert_envelope(answer, 422, "invalid_input")
    assert details["field"] == field
    assert "short" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("password", ["\\ud800", "a-half-pair-\\ud800"])
def test_half_a_surrogate_pair_is_no_500(client: FlaskClient, password: str) -> None:
    """JSON can name half a character; it is refused as the caller's mistake."""
    body = f'{{"username": "eve", "password": "{password}", "role": "monitor"}}'
    headers = {**bearer("admin"), "Content-Type": "application/json"}
    assert client.post("/api/admin/users", data=body, headers=headers).status_code in (400, 422)


def test_a_taken_name_is_409(client: FlaskClient) -> None:
    """Nothing is changed by the second request."""
    for status, code in ((201, None), (409, "conflict")):
        assert_envelope(client.post("/api/admin/users", json=NEW_USER, headers=bearer("admin")), status, code)


def test_tenants_are_kept_apart(client: FlaskClient) -> None:
    """An administrator lists and deletes users of their own tenant; only "default" makes users elsewhere."""
    names = [
        one["username"]
        for one in assert_envelope(client.get("/api/admin/users", headers=bearer("tina")), 200)["items"]
    ]
    assert names == ["tina"]
    assert_envelope(client.delete("/api/admin/users/mona", headers=bearer("tina")), 404, "not_found")
    body = {**NEW_USER, "tenant": "default"}
    assert_envelope(client.post("/api/admin/users", json=body, headers=bearer("tina")), 403, "not_allowed")
    body = {**NEW_USER, "tenant": "acme"}
    assert (
        assert_envelope(client.post("/api/admin/users", json=body, headers=bearer("admin")), 201)["tenant"]
        == "acme"
    )
    assert_envelope(client.delete("/api/admin/users/eve", headers=bearer("admin")), 404, "not_found")


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=-1", "limit=x", "cursor=x", "page=2"])
@pytest.mark.parametrize("address", ["/api/admin/users", "/api/admin/api_keys"])
def test_a_bad_page_is_422(client: FlaskClient, address: str, query: str) -> None:
    """limit is 1 to 100, a cursor comes from the page before, other parameters do not exist."""
    details = assert_envelope(client.get(f"{address}?{query}", headers=bearer("admin")), 422, "invalid_input")
    assert details["field"] == query.split("=", maxsplit=1)[0]


def test_lists_are_paged(client: FlaskClient) -> None:
    """Following next_cursor gives every user once and ends with null."""
    seen: list[str] = []
    cursor = ""
    for _ in range(3):
        page = assert_envelope(client.get(f"/api/admin/users?limit=1{cursor}", headers=bearer("admin")), 200)
        seen += [one["username"] for one in page["items"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert (seen, page["next_cursor"]) == (["admin", "mona", "auda"], None)


def test_a_deleted_user_is_gone(client: FlaskClient) -> None:
    """The first answer says so, the second is 404; oneself is 409."""
    assert (
        assert_envelope(client.delete("/api/admin/users/mona", headers=bearer("admin")), 200)["deleted"]
        is True
    )
    assert_envelope(client.delete("/api/admin/users/mona", headers=bearer("admin")), 404, "not_found")
    assert_envelope(client.delete("/api/admin/users/admin", headers=bearer("admin")), 409, "conflict")
    assert_envelope(client.delete("/api/admin/users/a%00b", headers=bearer("admin")), 404, "not_found")
    assert_envelope(
        client.delete("/api/admin/users/" + "x" * 300, headers=bearer("admin")), 422, "invalid_input"
    )


def test_a_key_is_shown_once(client: FlaskClient) -> None:
    """The answer that makes it has it; the list has its public prefix and no secret."""
    made = assert_envelope(client.post("/api/admin/api_keys", json=NEW_KEY, headers=bearer("admin")), 201)
    assert made["key"].startswith(f"fl_{made['prefix']}_")
    answer = client.get("/api/admin/api_keys", headers=bearer("admin"))
    listed = assert_envelope(answer, 200)["items"]
    assert [set(made) - set(one) for one in listed] == [{"key"}]
    assert (listed[0]["name"], listed[0]["created_by"], listed[0]["last_used_at"]) == (
        NEW_KEY["name"],
        "admin",
        None,
    )
    assert made["key"][16:] not in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scope": "submit"}, "name"),
        ({**NEW_KEY, "name": ""}, "name"),
        ({**NEW_KEY, "name": "  "}, "name"),
        ({**NEW_KEY, "name": "a\0b"}, "name"),
        ({**NEW_KEY, "name": "x" * 101}, "name"),
        ({**NEW_KEY, "scope": "everything"}, "scope"),
        ({**NEW_KEY, "tenant": "acme"}, "tenant"),
    ],
)
def test_a_bad_key_is_422_with_the_field(client: FlaskClient, body: Any, field: str) -> None:
    """A name of 1 to 100 printable characters, a scope there is, nothing else: a key is of one's own tenant."""
    answer = client.post("/api/admin/api_keys", json=body, headers=bearer("admin"))
    assert assert_envelope(answer, 422, "invalid_input")["field"] == field


def test_a_key_is_revoked_by_its_own_tenant_only(client: FlaskClient) -> None:
    """Elsewhere it is 404; revoked it stays listed with the time; twice changes nothing; nonsense is 422."""
    made = assert_envelope(client.post("/api/admin/api_keys", json=NEW_KEY, headers=bearer("admin")), 201)
    address = f"/api/admin/api_keys/{made['id']}"
    assert_envelope(client.delete(address, headers=bearer("tina")), 404, "not_found")
    first = assert_envelope(client.delete(address, headers=bearer("admin")), 200)
    second = assert_envelope(client.delete(address, headers=bearer("admin")), 200)
    assert first["revoked_at"] is not None
    assert first["revoked_at"] == second["revoked_at"]
    assert assert_envelope(client.get("/api/admin/api_keys", headers=bearer("tina")), 200)["items"] == []
    for nonsense in ("x", "0", "-1", "1.5", str(2**63)):
        answer = client.delete(f"/api/admin/api_keys/{nonsense}", headers=bearer("admin"))
        assert assert_envelope(answer, 422, "invalid_input")["field"] == "id"
    assert_envelope(
        client.delete(f"/api/admin/api_keys/{2**63 - 1}", headers=bearer("admin")), 404, "not_found"
    )


def test_reset_key_rotates_for_the_operator(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer counts the texts encrypted again and names the job; the desk is told who asked."""
    asked: list[str] = []

    def rotate(by: str, now: Any) -> dict[str, Any]:
        asked.append(by)
        return {"reencrypted": 3, "job": {"job_id": "job_1"}}

    monkeypatch.setattr(key_rotator, "rotate_data_now", rotate)
    data = assert_envelope(client.post("/api/admin/reset_key", headers=bearer("admin")), 200)
    assert (data, asked) == ({"rotated": True, "reencrypted": 3, "job_id": "job_1"}, ["admin"])


@pytest.mark.parametrize("address", ["/api/admin/reset_key", "/api/admin/acknowledge_damage"])
def test_what_is_the_servers_is_not_for_other_tenants_nor_forms(client: FlaskClient, address: str) -> None:
    """Key and evidence files are the server's, so an administrator of another tenant is refused; a form is 415."""
    assert_envelope(client.post(address, headers=bearer("tina")), 403, "not_allowed")
    answer = client.post(address, data={"a": "b"}, headers=bearer("admin"))
    assert_envelope(answer, 415, "unsupported_media")


ACKNOWLEDGE = "/api/admin/acknowledge_damage"


def test_damage_is_acknowledged(
    client: FlaskClient, make_settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answer says what was found, also what only health had seen; then health is well, and the log says who did it.

    The second time there is nothing to acknowledge, and the log claims nothing.
    """
    make_settings(LOG_LEVEL="info")
    kit.add(1)
    compliance_logger.publish()
    evidence_files.log_path().write_bytes(b"")
    capsys.readouterr()
    answer = client.post(ACKNOWLEDGE, headers=bearer("admin"))
    data = assert_envelope(answer, 200)
    assert "0 bytes are left" in data["damage"] and data["remains"] is None
    assert data["damage"] in answer.get_json()["message"]
    assert compliance_logger.health()["ok"]
    again = client.post(ACKNOWLEDGE, headers=bearer("admin"))
    assert assert_envelope(again, 200) == {"damage": None, "remains": None}
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    [line] = [line for line in lines if line["event"] == "EVIDENCE_DAMAGE_ACKNOWLEDGED"]
    assert (line["by"], line["damage"]) == ("admin", data["damage"])
    # Nothing was mended by it.
    assert compliance_logger.verify_record("rec-1", kit.TENANT)["failed"] == ["line"]


def test_records_that_are_gone_remain_until_the_next(client: FlaskClient) -> None:
    """Rows are asked for at every look: what they lack is told again, until a new record closes the gap."""
    for number in (1, 2):
        kit.add(number)
    compliance_logger.publish()
    kit.sql("DELETE FROM fairness_checks WHERE seq = 2")
    data = assert_envelope(client.post(ACKNOWLEDGE, headers=bearer("admin")), 200)
    assert "ends at record 1" in data["damage"] and data["remains"] == data["damage"]
    kit.add(3)
    compliance_logger.publish()
    assert_envelope(client.post(ACKNOWLEDGE, headers=bearer("admin")), 200)
    assert compliance_logger.health()["ok"]
