"""POST /api/login, /api/refresh, /api/logout."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from fairlens_backend import account_manager, credentials
from fairlens_backend.blueprints import auth as doors
from tests import accounts_app
from tests.accounts_app import ADMIN_PASSWORD, assert_envelope, bearer


@pytest.fixture
def client(database: None, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setattr(credentials, "MEMORY_KIB", 64)
    return accounts_app.make_client()


def log_in(client: FlaskClient, password: str = ADMIN_PASSWORD, username: str = "admin") -> Any:
    return client.post("/api/login", json={"username": username, "password": password})


def test_login_answers_tokens_that_open_doors(client: FlaskClient) -> None:
    """The access token of the answer is taken at an administrator's door."""
    data = assert_envelope(log_in(client), 200)
    assert set(data) == {"access_token", "refresh_token", "expires_in", "token_type", "role"}
    headers = {"Authorization": f"Bearer {data['access_token']}"}
    assert_envelope(client.get("/api/admin/users", headers=headers), 200)


def test_wrong_logins_are_401_then_429(client: FlaskClient) -> None:
    """Neither answer says which of name and password is wrong; the wait stands in Retry-After."""
    first = log_in(client, "wrong").get_json()
    assert_envelope(log_in(client, "wrong", "nobody"), 401, "not_authenticated")
    assert log_in(client, "wrong", "nobody").get_json()["message"] == first["message"]
    for _ in range(2):
        assert_envelope(log_in(client, "wrong"), 401, "not_authenticated")
    answer = log_in(client, "wrong")
    assert_envelope(answer, 429, "rate_limited")
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("address", ["/api/login", "/api/refresh"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"data": b""}, 400),
        ({"data": b"{", "content_type": "application/json"}, 400),
        ({"data": b"\xff{}", "content_type": "application/json"}, 400),
        ({"json": []}, 422),
        ({"json": "x"}, 400),
        ({"json": {}}, 422),
        ({"json": {"username": "admin", "password": 5, "refresh_token": 5}}, 422),
        ({"json": {"username": "", "password": "", "refresh_token": ""}}, 422),
        ({"json": {"username": "x" * 201, "password": "x" * 1025, "refresh_token": "x" * 5000}}, 422),
        ({"data": b"a=b", "content_type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_bad_bodies_are_said_to_be(client: FlaskClient, address: str, body: Any, status: int) -> None:
    """No JSON 400, another form 415, missing, empty, long, unknown and mistyped fields 422."""
    code = {400: "malformed_input", 415: "unsupported_media", 422: "invalid_input"}[status]
    assert_envelope(client.post(address, **body), status, code)


def test_a_password_of_a_bad_body_is_not_repeated(client: FlaskClient) -> None:
    """The answer to a password in a wrong place or of a wrong length does not hold it."""
    secret = "my-secret-password" * 60
    answer = client.post("/api/login", json={"username": "admin", "password": secret})
    assert_envelope(answer, 422, "invalid_input")
    assert "my-secret-password" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("name", ["a\0b", "admin' --", "../../etc/passwd", "\u202eadmin", "😀"])
def test_odd_names_are_a_wrong_login(client: FlaskClient, name: str) -> None:
    """A NUL, SQL, a path, a direction mark, an emoji: 401, never a 500."""
    assert_envelope(log_in(client, username=name), 401, "not_authenticated")


def test_refresh_answers_new_tokens_once(client: FlaskClient) -> None:
    """The second use is 401, says why, and ends the login."""
    first = assert_envelope(log_in(client), 200)["refresh_token"]
    second = assert_envelope(client.post("/api/refresh", json={"refresh_token": first}), 200)
    again = client.post("/api/refresh", json={"refresh_token": first})
    assert assert_envelope(again, 401, "not_authenticated")["reason"] == "reused"
    headers = {"Authorization": f"Bearer {second['access_token']}"}
    assert_envelope(client.get("/api/admin/users", headers=headers), 401, "not_authenticated")


def test_an_access_token_does_not_refresh(client: FlaskClient) -> None:
    """It is of another type."""
    token = assert_envelope(log_in(client), 200)["access_token"]
    answer = client.post("/api/refresh", json={"refresh_token": token})
    assert assert_envelope(answer, 401, "not_authenticated")["reason"] == "wrong_type"


@pytest.mark.parametrize("role", ["monitor", "auditor", "admin"])
def test_logout_ends_the_login_of_any_role(client: FlaskClient, role: str) -> None:
    """Afterwards neither token of that login is taken; no body is needed."""
    accounts_app.add_user("eve", role)
    tokens = accounts_app.tokens_of("eve")
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert_envelope(client.post("/api/logout", headers=headers), 200)
    assert_envelope(client.post("/api/logout", headers=headers), 401, "not_authenticated")
    answer = client.post("/api/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert_envelope(answer, 401, "not_authenticated")


def test_logout_without_a_token_is_401_and_with_a_key_403(client: FlaskClient) -> None:
    """A key has no login to end."""
    assert_envelope(client.post("/api/logout"), 401, "not_authenticated")
    key = client.post(
        "/api/admin/api_keys", json={"name": "k", "scope": "submit"}, headers=bearer("admin")
    ).get_json()["data"]["key"]
    assert_envelope(client.post("/api/logout", headers={"X-Api-Key": key}), 403, "not_allowed")


def test_logout_takes_no_body_that_is_not_json(client: FlaskClient) -> None:
    """A form is 415 here as everywhere."""
    answer = client.post("/api/logout", data={"a": "b"}, headers=bearer("admin"))
    assert_envelope(answer, 415, "unsupported_media")


def test_the_login_door_tells_the_desk_where_the_call_comes_from(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address of the log is the caller's."""
    seen: list[str] = []
    real = account_manager.login

    def spy(username: str, password: str, address: str, now: Any) -> Any:
        seen.append(address)
        return real(username, password, address, now)

    monkeypatch.setattr(doors.account_manager, "login", spy)
    log_in(client)
    assert seen == ["127.0.0.1"]
