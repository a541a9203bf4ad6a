"""Who may enter: marks on views, tokens, keys. Every refusal comes before the body is read."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from flask import Response
from flask.testing import FlaskClient
from flask_limiter import RequestLimit
from limits.errors import StorageError
from pydantic import BaseModel
from werkzeug.middleware.proxy_fix import ProxyFix

from fairlens_backend import account_manager, api_key_manager, auth, config, credentials, telemetry
from fairlens_backend.auth import current_caller, open_to_all, require_role
from fairlens_backend.blueprints._envelope import success
from fairlens_backend.blueprints._limits import login_limit
from fairlens_backend.errors import ConfigurationError
from tests import accounts_app
from tests.accounts_app import assert_envelope, bearer

ROLES = ("monitor", "auditor", "admin")


class Wanted(BaseModel):
    """A body that the view below takes."""

    number: int


def who() -> Response:
    caller = current_caller()
    return success(
        {"username": caller.username, "role": caller.role, "tenant": caller.tenant, "kind": caller.kind,
         "address": caller.address},
        "You.",
    )  # fmt: skip


def view() -> Callable[[], Response]:
    """A view of its own, since a mark stays on the function that it was put on."""
    return lambda: who()  # noqa: PLW0108


def build() -> Any:
    app = accounts_app.make_app()
    for role in ROLES:
        app.get(f"/{role}", endpoint=role)(require_role(role)(view()))
    app.get("/open", endpoint="open")(open_to_all(view()))
    app.get("/unmarked", endpoint="unmarked")(view())
    app.get("/operator", endpoint="operator")(require_role("admin", operator_only=True)(view()))

    @app.post("/keyed")
    @require_role("monitor", key_scope="submit")
    def keyed(body: Wanted) -> Response:
        return who()

    @app.post("/strict")
    @require_role("auditor")
    def strict(body: Wanted) -> Response:
        return who()

    @app.post("/tried")
    @open_to_all
    @login_limit
    def tried(body: Wanted) -> Response:
        return who()

    return app


@pytest.fixture
def client(database: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    monkeypatch.setattr(
        credentials, "MEMORY_KIB", 64
    )  # these tests make many users; the cost has its own test
    account_manager.ensure_admin(telemetry.utc_now())
    accounts_app.add_user("mona", "monitor")
    accounts_app.add_user("auda", "auditor")
    accounts_app.add_user("tina", "admin", tenant="acme")
    yield build().test_client()


USERS = {"monitor": "mona", "auditor": "auda", "admin": "admin"}


def claims_of(username: str) -> dict[str, Any]:
    """What a right token of that user says."""
    token = accounts_app.tokens_of(username)["access_token"]
    claims: dict[str, Any] = jwt.decode(token, config.current().jwt_secret, algorithms=["HS256"])
    return claims


def signed(claims: dict[str, Any], secret: str | None = None, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, secret or config.current().jwt_secret, algorithm=algorithm)


def refused(client: FlaskClient, token: str) -> Any:
    """The details of the 401 that a token gets."""
    answer = client.get("/monitor", headers={"Authorization": f"Bearer {token}"})
    details = assert_envelope(answer, 401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert token not in answer.get_data(as_text=True)
    return details


@pytest.mark.parametrize("needed", ROLES)
@pytest.mark.parametrize("held", ROLES)
def test_roles_are_nested(client: FlaskClient, held: str, needed: str) -> None:
    """monitor ⊂ auditor ⊂ admin: each role enters its own doors and those of the roles before it, no other."""
    answer = client.get(f"/{needed}", headers=bearer(USERS[held]))
    if ROLES.index(held) >= ROLES.index(needed):
        assert assert_envelope(answer, 200)["username"] == USERS[held]
    else:
        details = assert_envelope(answer, 403, "not_allowed")
        assert (details["role"], details["required_role"]) == (held, needed)


def test_a_view_without_a_mark_is_closed_to_everybody(client: FlaskClient) -> None:
    """Forgetting the decorator closes a door, also for an administrator."""
    assert_envelope(client.get("/unmarked", headers=bearer("admin")), 403, "not_allowed")
    assert_envelope(client.get("/unmarked"), 403, "not_allowed")


def test_an_open_view_needs_no_token_and_knows_nobody(client: FlaskClient) -> None:
    """Also with a bad token: an open view does not look. Its caller has a tenant that owns no row."""
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        data = assert_envelope(client.get("/open", headers=headers), 200)
        assert (data["username"], data["role"], data["tenant"], data["kind"]) == ("", None, "", None)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Bearer \u00e9\u00e9"},
        {"Authorization": "Bearer " + "x" * 5000},
    ],
)
def test_no_token_or_no_token_at_all_is_401(client: FlaskClient, headers: dict[str, str]) -> None:
    """Missing, empty, of another scheme, nonsense: 401 with the scheme to use."""
    answer = client.get("/monitor", headers=headers)
    assert_envelope(answer, 401, "not_authenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_scheme_is_read_without_regard_to_case(client: FlaskClient) -> None:
    """RFC 9110 section 11.1: the scheme's name is case-insensitive."""
    token = accounts_app.tokens_of("mona")["access_token"]
    assert_envelope(client.get("/monitor", headers={"Authorization": f"bearer {token}"}), 200)


def test_expired_token_is_401_and_says_so(client: FlaskClient) -> None:
    """A token of a second ago."""
    past = int((telemetry.utc_now() - timedelta(seconds=1)).timestamp())
    assert refused(client, signed({**claims_of("mona"), "exp": past}))["reason"] == "expired"


def test_refresh_token_is_no_access_token(client: FlaskClient) -> None:
    """Right signature, wrong type."""
    assert refused(client, accounts_app.tokens_of("mona")["refresh_token"])["reason"] == "wrong_type"


def test_a_role_written_into_a_token_is_401(client: FlaskClient) -> None:
    """A token whose claims were changed without the secret does not have the signature any more."""
    head, _, signature = accounts_app.tokens_of("mona")["access_token"].split(".")
    payload = base64.urlsafe_b64encode(json.dumps({**claims_of("mona"), "role": "admin"}).encode())
    refused(client, f"{head}.{payload.decode().rstrip('=')}.{signature}")


def test_tokens_of_other_secrets_and_algorithms_are_401(client: FlaskClient) -> None:
    """Another secret, HS512 with our secret, no signature at all: the algorithm is the server's to choose."""
    claims = claims_of("mona")
    refused(client, signed(claims, "another-secret-of-forty-characters-00000"))
    refused(client, signed(claims, config.current().jwt_secret + "x" * 64))
    refused(client, jwt.encode(claims, config.current().jwt_secret.ljust(64, "="), algorithm="HS512"))
    refused(client, jwt.encode(claims, None, algorithm="none"))  # type: ignore[arg-type]


@pytest.mark.parametrize("claim", ["sub", "role", "tenant", "exp", "iat", "jti", "type", "family"])
def test_a_token_without_a_required_claim_is_401(client: FlaskClient, claim: str) -> None:
    """Every claim that is relied on must be there, also under our own signature."""
    refused(client, signed({name: value for name, value in claims_of("mona").items() if name != claim}))


@pytest.mark.parametrize(
    ("claim", "value"),
    [("exp", "tomorrow"), ("exp", None), ("exp", 1e400), ("exp", True), ("sub", 5), ("role", ["admin"]),
     ("tenant", None), ("type", 1), ("type", ["access"]), ("family", 7), ("jti", 1), ("role", "admin"),
     ("role", "root"), ("tenant", "acme"), ("sub", "nobody"), ("sub", "admin"), ("family", "0" * 32)],
)  # fmt: skip
def test_a_token_whose_claims_do_not_fit_the_user_is_401(client: FlaskClient, claim: str, value: Any) -> None:
    """Claims of a wrong type, and claims that are not what the user's row and login say."""
    refused(client, signed({**claims_of("mona"), claim: value}))


def test_a_deleted_users_token_is_401(client: FlaskClient) -> None:
    """At the next call, not when the token expires."""
    headers = bearer("mona")
    account_manager.delete_user("admin", "default", "mona", telemetry.utc_now())
    assert_envelope(client.get("/monitor", headers=headers), 401, "not_authenticated")


def test_the_role_is_checked_before_the_body(client: FlaskClient) -> None:
    """A caller without the right learns nothing about fields: 401 and 403 win over 400, 415 and 422."""
    for body in ({"data": "{", "content_type": "application/json"}, {"data": "x"}, {"json": {"number": "x"}}):
        assert_envelope(client.post("/strict", **body), 401, "not_authenticated")
        assert_envelope(client.post("/strict", **body, headers=bearer("mona")), 403, "not_allowed")
    assert_envelope(
        client.post("/strict", json={"number": "x"}, headers=bearer("auda")), 422, "invalid_input"
    )


def test_unknown_addresses_and_methods_say_so(client: FlaskClient) -> None:
    """404 and 405 need no token: there is nothing behind them."""
    assert_envelope(client.get("/nowhere"), 404, "not_found")
    assert_envelope(client.put("/monitor"), 405, "method_not_allowed")


def test_preflights_pass_and_head_does_not(client: FlaskClient) -> None:
    """A browser asks OPTIONS without a token; HEAD is a GET."""
    assert client.options("/admin").status_code == 200
    assert client.head("/admin").status_code == 401


# --- keys


def make_key() -> str:
    key: str = api_key_manager.create_api_key("acme", "loans", "submit", "tina", telemetry.utc_now())["key"]
    return key


def test_a_key_enters_where_its_scope_is_named(client: FlaskClient) -> None:
    """With its tenant, the lowest role and its public prefix as the name."""
    key = make_key()
    data = assert_envelope(client.post("/keyed", json={"number": 1}, headers={"X-Api-Key": key}), 200)
    assert (data["username"], data["role"], data["tenant"], data["kind"]) == (
        f"key:{key[3:15]}", "monitor", "acme", "key",
    )  # fmt: skip


@pytest.mark.parametrize("address", ROLES)
def test_a_key_enters_nowhere_else(client: FlaskClient, address: str) -> None:
    """Also not where its role would do: a key is for what its scope says."""
    assert_envelope(client.get(f"/{address}", headers={"X-Api-Key": make_key()}), 403, "not_allowed")


def test_a_key_of_another_scope_is_403(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer names both scopes."""
    monkeypatch.setattr(api_key_manager, "SCOPES", ("submit", "other"))
    made = api_key_manager.create_api_key("acme", "x", "other", "tina", telemetry.utc_now())
    answer = client.post("/keyed", json={"number": 1}, headers={"X-Api-Key": made["key"]})
    details = assert_envelope(answer, 403, "not_allowed")
    assert (details["scope"], details["required_scope"]) == ("other", "submit")


def test_wrong_and_revoked_keys_are_401(client: FlaskClient) -> None:
    """One character wrong, an unknown prefix, nonsense, a token in the key's place, revoked."""
    key = make_key()
    other = key[:-1] + ("A" if key[-1] != "A" else "B")
    token = accounts_app.tokens_of("admin")["access_token"]
    for bad in (other, "fl_" + "0" * 12 + key[15:], "x", "", token, key + "x", key.upper()):
        answer = client.post("/keyed", json={"number": 1}, headers={"X-Api-Key": bad})
        assert_envelope(answer, 401, "not_authenticated")
        assert not bad or bad not in answer.get_json()["message"].split()
    api_key_manager.revoke_api_key("acme", 1, "tina", telemetry.utc_now())
    answer = client.post("/keyed", json={"number": 1}, headers={"X-Api-Key": key})
    assert assert_envelope(answer, 401, "not_authenticated")["reason"] == "revoked_key"


def test_a_bad_token_is_not_saved_by_a_good_key(client: FlaskClient) -> None:
    """Where both come the token speaks: one request is one caller."""
    headers = {"X-Api-Key": make_key(), "Authorization": "Bearer nonsense"}
    assert_envelope(client.post("/keyed", json={"number": 1}, headers=headers), 401, "not_authenticated")


def test_a_keys_use_is_noted_at_most_once_a_minute(client: FlaskClient) -> None:
    """Calls within a minute leave `last_used_at` as it is; a revoked key's use is not noted."""
    key, now = make_key(), telemetry.utc_now()

    def used_at(seconds: int) -> Any:
        api_key_manager.identify(key, now + timedelta(seconds=seconds))
        return api_key_manager.list_api_keys("acme")["items"][0]["last_used_at"]

    first = used_at(0)
    assert first == telemetry.timestamp(now)
    assert used_at(59) == first
    assert used_at(60) == telemetry.timestamp(now + timedelta(seconds=60))


def test_a_key_is_kept_as_a_hash() -> None:
    """The row has the SHA-256 of the key, which two keys never share; the secret has 256 bits."""
    key, prefix, key_hash = credentials.new_api_key()
    assert key.startswith(f"fl_{prefix}_")
    assert len(base64.urlsafe_b64decode(key[16:] + "=")) == 32
    assert len(key_hash) == 64
    assert key not in key_hash
    assert credentials.same_key(key, key_hash)
    assert not credentials.same_key(key[:-1], key_hash)


# --- the rest


def test_only_the_operators_enter_what_belongs_to_the_server(client: FlaskClient) -> None:
    """An administrator of another tenant is refused."""
    assert_envelope(client.get("/operator", headers=bearer("admin")), 200)
    assert_envelope(client.get("/operator", headers=bearer("tina")), 403, "not_allowed")


def test_the_address_is_the_proxys_word_only_behind_a_proxy(client: FlaskClient) -> None:
    """X-Forwarded-For counts where the roof has put ProxyFix, and nowhere else."""
    headers = {**bearer("mona"), "X-Forwarded-For": "203.0.113.9"}
    assert assert_envelope(client.get("/monitor", headers=headers), 200)["address"] == "127.0.0.1"
    client.application.wsgi_app = ProxyFix(client.application.wsgi_app, x_for=1)  # type: ignore[method-assign]
    assert assert_envelope(client.get("/monitor", headers=headers), 200)["address"] == "203.0.113.9"


def test_marks_name_roles_and_scopes_that_exist() -> None:
    """A misspelt role fails at import and not as a door that nobody can open."""
    with pytest.raises(ValueError, match="superuser"):
        require_role("superuser")
    with pytest.raises(ValueError, match="everything"):
        require_role("monitor", key_scope="everything")


def test_marks_survive_the_route_decorator(client: FlaskClient) -> None:
    """The test that walks all routes reads them from the registered views."""
    views = client.application.view_functions
    assert auth.access_of(views["strict"]) == auth.Access("auditor")
    assert auth.access_of(views["keyed"]) == auth.Access("monitor", "submit")
    assert auth.access_of(views["unmarked"]) is None


def test_more_logins_than_allowed_are_429_also_with_bad_bodies(
    make_settings: Any, client: FlaskClient
) -> None:
    """The limit of login counts every call, says when to come back, and leaves other doors open."""
    make_settings(RATE_LIMIT_LOGIN="3 per minute", RATE_LIMIT_DEFAULT="100 per minute")
    for _ in range(3):
        assert_envelope(client.post("/tried", json={"number": "x"}), 422, "invalid_input")
    answer = client.post("/tried", json={"number": 1})
    assert_envelope(answer, 429, "rate_limited")
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert_envelope(client.get("/open"), 200)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RATE_LIMIT_LOGIN", "often"),
        ("RATE_LIMIT_DEFAULT", "20 per blue moon"),
        ("REDIS_URL", "nowhere://"),
    ],
)
def test_a_limit_that_cannot_be_read_stops_the_start(make_settings: Any, name: str, value: str) -> None:
    """Otherwise nothing would be limited, and nobody would notice."""
    make_settings(**{name: value})
    with pytest.raises(ConfigurationError, match=name):
        accounts_app.make_app()


def test_the_usual_limit_holds_for_each_endpoint(make_settings: Any, client: FlaskClient) -> None:
    """RATE_LIMIT_DEFAULT is counted for each endpoint, also for callers without a token."""
    make_settings(RATE_LIMIT_DEFAULT="2 per minute")
    for _ in range(2):
        assert_envelope(client.get("/admin"), 401, "not_authenticated")
    assert_envelope(client.get("/admin"), 429, "rate_limited")
    assert_envelope(client.get("/open"), 200)


def test_an_answer_stands_when_the_count_cannot_be_read(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage of the limits going away during a call costs its headers, not its answer."""

    def away(self: Any) -> Any:
        raise StorageError(OSError("connection refused"))

    assert "X-RateLimit-Limit" in client.get("/open").headers
    monkeypatch.setattr(RequestLimit, "window", property(away))
    answer = client.get("/open")
    assert_envelope(answer, 200)
    assert "X-RateLimit-Limit" not in answer.headers
