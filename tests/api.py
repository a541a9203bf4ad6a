"""A server to knock at, people of each role, and the one check of every answer's envelope."""

import io
import itertools
import json
import uuid
from dataclasses import dataclass
from typing import Any, NoReturn

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fairlens_backend import account_manager, telemetry

PASSWORD = "correct horse battery staple"
ROLES = ("monitor", "auditor", "admin")
ENVELOPE = {"status", "data", "message", "error", "request_id", "timestamp"}
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_numbers = itertools.count(1)


def strict_json(text: str) -> Any:
    """JSON as the standard has it: NaN and Infinity are an error."""

    def refuse(constant: str) -> NoReturn:
        raise AssertionError(f"{constant} in an answer: {text[:300]}")

    return json.loads(text, parse_constant=refuse)


def assert_envelope(response: Any, status: int, code: str | None = None) -> Any:
    """The answer has this status and SPEC's envelope; gives `data`, or `error.details` of an error."""
    text = response.get_data(as_text=True)
    assert response.status_code == status, text[:2000]
    assert response.mimetype == "application/json", text[:300]
    body = strict_json(text)
    assert set(body) == ENVELOPE
    assert "Traceback" not in text and "sqlite3." not in text and "psycopg" not in text
    assert response.headers["X-Request-ID"] == body["request_id"] != ""
    assert {name: response.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert body["timestamp"].endswith("Z") and body["message"].endswith("."), body["message"]
    # The words of a program, not of a person.
    assert not any(
        word in body["message"] for word in ("NaN", "NoneType", "instance of", "should be", "[a-z")
    )
    if status < 400:
        assert code is None
        assert (body["status"], body["error"]) == ("success", None)
        return body["data"]
    assert (body["status"], body["data"]) == ("error", None)
    if code is not None:
        assert body["error"]["code"] == code, body
    assert isinstance(body["error"]["details"], dict)
    if status in (429, 503):
        assert int(response.headers["Retry-After"]) > 0
    return body["error"]["details"]


@dataclass
class Caller:
    """Somebody with a token, or nobody with None."""

    client: FlaskClient
    token: str | None = None
    tenant: str = ""
    username: str = ""
    refresh_token: str = ""

    def call(self, method: str, path: str, **given: Any) -> TestResponse:
        """One request with this caller's token."""
        headers = dict(given.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        return self.client.open(path, method=method, headers=headers, **given)

    def get(self, path: str, **query: Any) -> TestResponse:
        """GET with a query string."""
        return self.call("GET", path, query_string=query or None)

    def post(self, path: str, json: Any = None, **given: Any) -> TestResponse:
        """POST of a JSON body."""
        return self.call("POST", path, json=json, **given)

    def delete(self, path: str) -> TestResponse:
        """DELETE."""
        return self.call("DELETE", path)

    def upload(
        self, path: str, request: Any, part: str = "file", content: bytes | None = None
    ) -> TestResponse:
        """POST of multipart/form-data: the JSON beside a file."""
        form: dict[str, Any] = {"request": request if isinstance(request, str) else json.dumps(request)}
        if content is not None:
            form[part] = (io.BytesIO(content), f"{part}.bin")
        return self.call("POST", path, data=form, content_type="multipart/form-data")


@dataclass
class People:
    """One tenant's user of each role."""

    tenant: str
    monitor: Caller
    auditor: Caller
    admin: Caller

    def of(self, role: str) -> Caller:
        """The user of this role."""
        caller: Caller = getattr(self, role)
        return caller


def log_in(app: Flask, username: str, password: str = PASSWORD) -> Caller:
    """A user's caller, with fresh tokens."""
    tokens = account_manager.login(username, password, "192.0.2.1", telemetry.utc_now())
    caller = Caller(app.test_client(), tokens["access_token"], username=username)
    caller.refresh_token = tokens["refresh_token"]
    return caller


def new_people(app: Flask, tenant: str | None = None) -> People:
    """A tenant that nobody else uses, with a user of each role."""
    tenant = tenant or f"tenant-{next(_numbers)}-{uuid.uuid4().hex[:8]}"
    callers = {}
    for role in ROLES:
        name = f"{role}-{uuid.uuid4().hex[:10]}"
        account_manager.create_user("admin", "default", name, PASSWORD, role, telemetry.utc_now(), tenant)
        callers[role] = log_in(app, name)
        callers[role].tenant = tenant
    return People(tenant, **callers)


def rows_of(counts: dict[str, tuple[int, int]], attribute: str = "race") -> list[dict[str, Any]]:
    """Rows with `selected` of `n` favourable decisions in each group: {"a": (selected, n)}."""
    return [
        {attribute: group, "decision": int(place < selected)}
        for group, (selected, n) in counts.items()
        for place in range(n)
    ]


def submission(rows: Any = None, **changes: Any) -> dict[str, Any]:
    """A body of /api/submit_predictions that is taken: 60 of 100 against 30 of 100."""
    body = {
        "model_name": "hiring",
        "columns": {"decision": "decision", "protected": ["race"]},
        "favourable": {"decision": [1]},
        "rows": rows_of({"a": (60, 100), "b": (30, 100)}) if rows is None else rows,
        **changes,
    }
    return {name: value for name, value in body.items() if value is not ...}


SUBMIT, EVALUATE, REGISTER = "/api/submit_predictions", "/api/evaluate_model", "/api/models/register"
