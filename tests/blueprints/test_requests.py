"""Around every request: its id, its log line, its size, its media type, its rate, headers, cross-origin calls."""

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fairlens_backend.blueprints import _requests
from tests.api import EVALUATE, SUBMIT, Caller, People, assert_envelope, log_in, new_people, submission
from tests.conftest import TEST_SECRETS

MakeApp = Callable[..., Flask]


def lines(text: str) -> list[dict[str, Any]]:
    """Log lines as objects."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("given", ["abc-123", "A.b_c:9", "x" * 100])
def test_a_request_id_is_taken(client: FlaskClient, given: str) -> None:
    """The caller's own id is in the answer's header and body."""
    answer = client.get("/api/health", headers={"X-Request-ID": given})
    assert_envelope(answer, 200)
    assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 101, "a b", 'a"b', "é", "{}", "<script>"])
def test_a_request_id_that_could_do_harm_is_replaced(client: FlaskClient, given: str) -> None:
    """An id of another form would write into logs and pages; a new one is made, another at each request."""
    made = {client.get("/nowhere", headers={"X-Request-ID": given}).headers["X-Request-ID"] for _ in range(2)}
    assert len(made) == 2 and all(len(one) == 32 for one in made)


def test_every_line_of_a_request_has_its_id(make_app: MakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    """Audit, login and the request's own line carry it, with role, path, status and milliseconds; no secret is in any."""
    app = make_app(LOG_LEVEL="info")
    admin = log_in(app, "admin", TEST_SECRETS["ADMIN_PASSWORD"])
    capsys.readouterr()
    answer = admin.post(SUBMIT, submission(), headers={"X-Request-ID": "trace-me"})
    assert_envelope(answer, 200)
    written = capsys.readouterr().err
    of_request = [line for line in lines(written) if line["request_id"] == "trace-me"]
    assert {"AUDIT_COMPLETED", "REQUEST"} <= {line["event"] for line in of_request}
    (line,) = [line for line in of_request if line["event"] == "REQUEST"]
    assert (line["method"], line["path"], line["status"], line["role"]) == ("POST", SUBMIT, 200, "admin")
    assert 0 < line["milliseconds"] < 60_000
    assert (admin.token or "?") not in written and TEST_SECRETS["ADMIN_PASSWORD"] not in written


def test_a_path_cannot_forge_a_log_line(make_app: MakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    """A line break in a path stays inside its JSON text."""
    client = make_app(LOG_LEVEL="info").test_client()
    capsys.readouterr()
    client.get('/x%0a{"event":"FORGED"}')
    assert [line["event"] for line in lines(capsys.readouterr().err)] == ["REQUEST"]


@pytest.mark.parametrize(
    "path", ["/", "/api/health", "/nowhere", "/docs", "/openapi.json", "/static/pages.css", EVALUATE]
)
def test_security_headers_are_on_every_answer(client: FlaskClient, path: str) -> None:
    """On pages, documents, errors; JSON is not to be stored."""
    answer = client.get(path)
    assert (
        answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["X-Frame-Options"] == "DENY"
    )
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "'unsafe-inline'" not in answer.headers["Content-Security-Policy"] or path == "/docs"
    assert "unsafe-eval" not in answer.headers["Content-Security-Policy"]
    assert "Strict-Transport-Security" not in answer.headers
    if answer.mimetype == "application/json":
        assert answer.headers["Cache-Control"] == "no-store"


def test_browsers_may_call_from_listed_origins_only(make_app: MakeApp, client: FlaskClient) -> None:
    """Without the setting no origin may; with it the listed ones, credentials never, and not one that only begins alike."""
    mine, theirs = "https://ours.example", "https://ours.example.evil.test"
    assert "Access-Control-Allow-Origin" not in client.get("/api/health", headers={"Origin": mine}).headers
    listed = make_app(CORS_ORIGINS=f"{mine}, https://second.example").test_client()
    answer = listed.get("/api/health", headers={"Origin": mine})
    assert answer.headers["Access-Control-Allow-Origin"] == mine
    assert "Access-Control-Allow-Credentials" not in answer.headers
    for origin in (theirs, "null", "http://ours.example"):
        assert (
            "Access-Control-Allow-Origin" not in listed.get("/api/health", headers={"Origin": origin}).headers
        )
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    answer = listed.options(SUBMIT, headers={"Origin": mine, **preflight})
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, mine)
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"].lower()


def test_bodies_over_the_limit(make_app: MakeApp) -> None:
    """413 with the setting's name, for JSON and for uploads, with and without a length, and before the body is read."""
    app = make_app(MAX_JSON_BYTES="2000", MAX_UPLOAD_BYTES="5000")
    people = new_people(app)
    body = json.dumps(submission(model_name="x" * 5000)).encode()
    details = assert_envelope(
        people.monitor.call("POST", SUBMIT, data=body, content_type="application/json"), 413, "too_large"
    )
    assert details == {"limit_bytes": 2000, "setting": "MAX_JSON_BYTES"}
    chunked = {
        "input_stream": io.BytesIO(body),
        "content_type": "application/json",
        "environ_overrides": {"wsgi.input_terminated": True},
    }
    details = assert_envelope(
        people.monitor.call("POST", SUBMIT, headers={"Transfer-Encoding": "chunked"}, **chunked), 413
    )
    assert details["setting"] == "MAX_JSON_BYTES"
    assert_envelope(
        Caller(app.test_client()).call("POST", "/api/login", data=body, content_type="application/json"), 413
    )
    answer = people.monitor.upload(SUBMIT, submission(rows=...), content=b"race,decision\n" + b"a,1\n" * 2000)
    assert assert_envelope(answer, 413, "too_large") == {"limit_bytes": 5000, "setting": "MAX_UPLOAD_BYTES"}
    answer = people.monitor.upload(
        SUBMIT, json.dumps(submission())[:-1] + " " * 3000 + "}", content=b"race\n"
    )
    assert assert_envelope(answer, 413, "too_large")["setting"] == "MAX_UPLOAD_BYTES"
    assert assert_envelope(people.auditor.get("/api/audit_history"), 200)["items"] == []


def test_the_json_part_of_an_upload_has_the_limit_of_json(make_app: MakeApp) -> None:
    """A part `request` over MAX_JSON_BYTES in an upload that is small enough is refused by that setting's name."""
    people = new_people(make_app(MAX_JSON_BYTES="2000", MAX_UPLOAD_BYTES="100000"))
    answer = people.monitor.upload(
        SUBMIT, json.dumps(submission())[:-1] + " " * 3000 + "}", content=b"race\n"
    )
    assert assert_envelope(answer, 413, "too_large") == {"limit_bytes": 2000, "setting": "MAX_JSON_BYTES"}


def test_a_form_of_a_thousand_parts(people: People) -> None:
    """More parts than any form here has is 413, and the sentence does not blame the size."""
    form = {f"part{number}": "x" for number in range(1500)}
    answer = people.monitor.call("POST", SUBMIT, data=form, content_type="multipart/form-data")
    assert_envelope(answer, 413, "too_large")
    assert "parts" in answer.get_json()["message"]


def test_a_small_file_that_unfolds(make_app: MakeApp) -> None:
    """Gzip of 1 MB of rows in 2 kB is refused at ten times the upload limit, not unfolded."""
    import gzip

    people = new_people(make_app(MAX_UPLOAD_BYTES="20000"))
    content = gzip.compress(b"race,decision\n" + b"a,1\n" * 250_000)
    assert len(content) < 10_000
    answer = people.monitor.upload(SUBMIT, submission(rows=...), content=content)
    assert_envelope(answer, 413, "too_large")
    assert "MAX_UPLOAD_BYTES" in answer.get_json()["message"]


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/xml",
        "text/csv",
        "application/octet-stream",
        "",
    ],
)
@pytest.mark.parametrize("path", [SUBMIT, EVALUATE, "/api/models/register", "/api/login", "/api/admin/users"])
def test_other_kinds_of_body(people: People, path: str, kind: str) -> None:
    """415 that names what is taken."""
    details = assert_envelope(
        people.admin.call("POST", path, data=b"a=b", content_type=kind), 415, "unsupported_media"
    )
    assert "application/json" in details["expected"]


def test_uploads_where_none_is_taken(people: People) -> None:
    """multipart/form-data at a door that takes JSON only is 415."""
    assert_envelope(people.admin.upload("/api/login", "{}", content=b"x"), 415, "unsupported_media")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/health"),
        ("POST", "/"),
        ("GET", "/api/login"),
        ("DELETE", "/api/models"),
        ("PATCH", SUBMIT),
        ("TRACE", "/"),
    ],
)
def test_other_methods(client: FlaskClient, method: str, path: str) -> None:
    """405 in the envelope, with Allow."""
    answer = client.open(path, method=method)
    assert_envelope(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/api",
        "/api/health/",
        "/static/../app.py",
        "/docs/ui/..%2f..%2fapp.py",
        "/api/verify_alert/",
        "/%00",
        "/api/verify_alert/a/b",
    ],
)
def test_other_addresses(client: FlaskClient, path: str) -> None:
    """404 in the envelope."""
    assert_envelope(client.get(path), 404, "not_found")


def test_more_calls_than_allowed(make_app: MakeApp) -> None:
    """429 with Retry-After; another address is not concerned, a client cannot choose its own, and login has a rate of its own."""
    app = make_app(RATE_LIMIT_DEFAULT="3 per minute", RATE_LIMIT_LOGIN="2 per minute")
    client = app.test_client()
    for turn in range(3):
        assert_envelope(client.get("/api/health", headers={"X-Forwarded-For": f"192.0.2.{turn}"}), 200)
    answer = client.get("/api/health", headers={"X-Forwarded-For": "192.0.2.77"})
    assert_envelope(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert_envelope(client.get("/api/monitor_fairness?n_samples=100"), 200)
    assert_envelope(client.get("/api/health", environ_base={"REMOTE_ADDR": "198.51.100.7"}), 200)
    for _ in range(2):
        assert_envelope(client.post("/api/login", json={"username": "x"}), 422)
    assert_envelope(client.post("/api/login", json={"username": "x"}), 429, "rate_limited")


class SilentCaller(io.RawIOBase):
    """A connection and the body on it: after a few bytes nothing comes, which a socket with a timeout reports."""

    def __init__(self) -> None:
        self.timeout: float | None = None

    def settimeout(self, seconds: float) -> None:
        """As a socket's."""
        self.timeout = seconds

    def readable(self) -> bool:
        """It can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Wait for what never comes."""
        assert self.timeout is not None, "this read would hold its thread for ever"
        raise TimeoutError("timed out")

    def readinto(self, buffer: Any) -> int:
        """The same, for buffered readers."""
        return len(self.read(len(buffer)))


@pytest.mark.parametrize(
    ("path", "status"), [("/api/nowhere", 404), (SUBMIT, 401), ("/api/health", 405), ("/api/login", 400)]
)
def test_a_caller_who_falls_silent_holds_no_thread(client: FlaskClient, path: str, status: int) -> None:
    """A body is announced and does not come: the refusal is answered all the same, and every wait has an end."""
    silent = SilentCaller()
    given = {"wsgi.input": silent, "wsgi.input_terminated": True, "gunicorn.socket": silent}
    answer = client.post(
        path, content_type="application/json", environ_overrides={**given, "CONTENT_LENGTH": "1000000"}
    )
    assert_envelope(answer, status)
    assert silent.timeout == _requests.SILENCE_S


def test_an_address_in_a_path_is_not_logged(make_app: MakeApp, capsys: pytest.CaptureFixture[str]) -> None:
    """The log has the route instead, and other paths as they are."""
    client = make_app(LOG_LEVEL="info").test_client()
    for path in (
        "/v1/models/ann.lee@example.org/drift",
        "/no/such/ann.lee@example.org",
        "/v1/models/hiring/drift",
    ):
        client.get(path)
    paths = [one["path"] for one in lines(capsys.readouterr().err) if one["event"] == "REQUEST"]
    assert paths == ["/v1/models/<string:id>/drift", "not shown", "/v1/models/hiring/drift"]
