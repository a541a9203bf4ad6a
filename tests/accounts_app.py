"""A small application with the doors of accounts and nothing else, and people to knock at them."""

from typing import Any

from flask.testing import FlaskClient
from flask_openapi3 import Info, OpenAPI

from fairlens_backend import account_manager, auth, telemetry
from fairlens_backend.blueprints import _envelope, _limits, _requests, admin
from fairlens_backend.blueprints import auth as auth_doors
from fairlens_backend.blueprints._json import StrictJson
from fairlens_backend.blueprints._openapi import SECURITY_SCHEMES
from fairlens_backend.schemas._base import Envelope

PASSWORD = "correct horse battery staple"
ADMIN_PASSWORD = "Vq9-tree-Kite-river-42"


def make_app() -> OpenAPI:
    """The doors in the order of the real application: rate, role, body."""
    app = OpenAPI(
        "accounts",
        info=Info(title="accounts", version="0"),
        security_schemes=SECURITY_SCHEMES,
        validation_error_model=Envelope,
        validation_error_callback=_envelope.invalid_request,
        doc_ui=False,
    )
    app.json = StrictJson(app)
    _requests.init_app(app)
    _limits.init_app(app)
    auth.init_app(app)
    app.before_request(_requests.check_body)
    _envelope.init_app(app)
    return app


def make_client() -> FlaskClient:
    """A client of the doors of accounts; there is one user, admin."""
    app = make_app()
    app.register_api(auth_doors.bp)
    app.register_api(admin.bp)
    account_manager.ensure_admin(telemetry.utc_now())
    return app.test_client()


def add_user(username: str, role: str, tenant: str = "default") -> None:
    """Make a user with `PASSWORD`."""
    account_manager.create_user("admin", "default", username, PASSWORD, role, telemetry.utc_now(), tenant)


def tokens_of(username: str) -> dict[str, Any]:
    """Tokens of a user made by `add_user`, or of admin."""
    password = ADMIN_PASSWORD if username == "admin" else PASSWORD
    return account_manager.login(username, password, "192.0.2.1", telemetry.utc_now())


def bearer(username: str) -> dict[str, str]:
    """The header that a logged-in user sends."""
    return {"Authorization": f"Bearer {tokens_of(username)['access_token']}"}


def assert_envelope(answer: Any, status: int, code: str | None = None) -> Any:
    """The answer has this status and the envelope of SPEC; gives `data`, or `error.details` of an error."""
    body = answer.get_json()
    assert answer.status_code == status, body
    assert set(body) == {"status", "data", "message", "error", "request_id", "timestamp"}
    assert body["message"].endswith(".")
    if code is None:
        assert (body["status"], body["error"]) == ("success", None)
        return body["data"]
    assert (body["status"], body["data"], body["error"]["code"]) == ("error", None, code)
    return body["error"]["details"]
