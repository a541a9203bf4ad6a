"""GET /, /api/health, /openapi.json, /docs."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from fairlens_backend import __version__, telemetry
from fairlens_backend.storage.event_tables import CountSeries
from fairlens_backend.storage.job_tables import CountedDay
from fairlens_backend.storage.session import unit_of_work
from tests.api import assert_envelope
from tests.redis_server import RedisServer

MakeApp = Callable[..., Flask]
LOADED = re.compile(r"""(?:src|href|action)\s*=\s*["']([^"']+)|url\(["']?([^"')]+)|@import\s+["']([^"']+)""")


def test_the_document_for_programs(client: FlaskClient) -> None:
    """Name, version, modules and every endpoint with its role."""
    data = assert_envelope(client.get("/"), 200)
    assert (data["name"], data["version"]) == ("FairLens", __version__)
    listed = {(one["method"], one["path"]): one["role"] for one in data["endpoints"]}
    assert (
        listed["POST", "/api/evaluate_model"] == "monitor"
        and listed["GET", "/api/audit_history"] == "auditor"
    )
    assert (
        listed["POST", "/api/submit_predictions"] == "monitor or key"
        and listed["GET", "/api/health"] == "open"
    )
    assert all(one["summary"] for one in data["endpoints"])


def test_a_browser_gets_a_page(client: FlaskClient) -> None:
    """The same as HTML for who asks for HTML; JSON for everybody else, whatever their Accept says."""
    page = client.get("/", headers={"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"})
    assert page.mimetype == "text/html" and "/api/submit_predictions" in page.get_data(as_text=True)
    for accept in ("application/json", "*/*", "", "image/png", "text/html;q=x,,;"):
        assert client.get("/", headers={"Accept": accept}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_nothing_from_outside(client: FlaskClient, path: str) -> None:
    """Every address that a page or what it loads names is on this server, and is there."""
    to_visit, seen = [path], set()
    while to_visit:
        here = to_visit.pop()
        seen.add(here)
        answer = client.get(here, headers={"Accept": "text/html,*/*;q=0.1"})
        assert answer.status_code == 200, here
        if answer.mimetype not in ("text/html", "text/css"):
            continue
        for match in LOADED.finditer(answer.get_data(as_text=True)):
            address = next(part for part in match.groups() if part)
            if answer.mimetype == "text/html" and match[0].startswith("action"):
                continue
            if address.startswith(("data:", "#")):
                continue
            assert address.startswith("/") and not address.startswith("//"), (here, address)
            if address not in seen and not address.startswith("/api"):
                to_visit.append(address)


def test_pages_have_no_inline_script(client: FlaskClient) -> None:
    """The policy forbids them, so a page with one would be a broken page."""
    for path in ("/", "/docs"):
        text = client.get(path, headers={"Accept": "text/html"}).get_data(as_text=True)
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=", text)


def test_liveness_needs_nothing(client: FlaskClient) -> None:
    """Alive without looking at any part."""
    assert assert_envelope(client.get("/api/health"), 200) == {"alive": True, "version": __version__}


def test_readiness_names_every_part(client: FlaskClient) -> None:
    """What an audit needs, and what the server works without, each with its word."""
    parts = assert_envelope(client.get("/api/health?ready=1"), 200)["parts"]
    needed = {"database", "ledger", "disk", "scheduler"}
    assert set(parts) == needed | {"audits", "redis", "counts", "jobs", "ledger_check"}
    assert parts["database"]["ok"] and parts["disk"]["free_mb"] > 0
    assert parts["redis"] == {"ok": None, "status": "disabled"}


def test_readiness_tells_what_is_degraded(
    make_app: MakeApp, redis_url: str, redis_server: RedisServer
) -> None:
    """Redis away, or counts that are not their rows: the server works on, answers 200, and says so, naming nobody's model."""
    client = make_app(REDIS_URL=redis_url).test_client()
    assert assert_envelope(client.get("/api/health?ready=1"), 200)["parts"]["redis"]["status"] == "ok"
    with unit_of_work() as rows:
        series = CountSeries(tenant="t", model="hiring-secret", version="v", attributes="[]")
        rows.add(series)
        rows.flush()
        now = telemetry.utc_now()
        times = {"next_check_at": now, "earliest_check_at": now, "checked_at": now}
        rows.add(CountedDay(series_id=series.id, day=1, counted=1, raw_rows=2, cells_wrong=1, **times))
    redis_server.kill()
    answer = client.get("/api/health?ready=1")
    told = assert_envelope(answer, 200)
    assert told["degraded"] == ["redis", "counts", "jobs"]
    assert (
        told["parts"]["counts"]["mismatches"] == 1 and "rebuild-counts" in told["parts"]["counts"]["reason"]
    )
    assert "hiring-secret" not in answer.get_data(as_text=True)
    assert_envelope(client.get("/api/health"), 200)


def test_readiness_fails_with_a_disk_that_is_too_full(make_app: MakeApp) -> None:
    """503 with Retry-After, and the part with its reason."""
    client = make_app(MIN_FREE_DISK_MB=str(10**9)).test_client()
    answer = client.get("/api/health?ready=1")
    parts = assert_envelope(answer, 503, "unavailable")["parts"]
    assert not parts["disk"]["ok"] and "MIN_FREE_DISK_MB" in parts["disk"]["reason"]
    assert_envelope(client.get("/api/health"), 200)


def operations(app: Flask, client: FlaskClient) -> list[tuple[str, str, dict[str, Any]]]:
    """Every operation of the document."""
    document = client.get("/openapi.json").get_json()
    return [
        (method, path, one) for path, methods in document["paths"].items() for method, one in methods.items()
    ]


def test_the_openapi_document_has_every_route(app: Flask, client: FlaskClient) -> None:
    """Every /api route is in it with summary, role and security; every reference in it leads somewhere."""
    document = client.get("/openapi.json").get_json()
    assert document["openapi"].startswith("3.1") and document["info"]["version"] == __version__
    there = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule.rule)))
        for rule in app.url_map.iter_rules()
        if str(rule.rule).startswith("/api")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = operations(app, client)
    assert there <= {(method, path) for method, path, _ in described}
    for method, path, one in described:
        assert one["summary"] and one["x-role"], (method, path)
        assert bool(one.get("security")) == (one["x-role"] != "open"), (method, path)
    for reference in re.findall(r'"\$ref": ?"#/([^"]+)"', client.get("/openapi.json").get_data(as_text=True)):
        node: Any = document
        for part in reference.split("/"):
            assert part in node, reference
            node = node[part]


def test_paths_of_the_document_declare_their_variables(app: Flask, client: FlaskClient) -> None:
    """{record_id} in a path stands among its parameters, required."""
    for _, path, one in operations(app, client):
        declared = {
            parameter["name"]
            for parameter in one.get("parameters", [])
            if parameter["in"] == "path" and parameter["required"]
        }
        assert set(re.findall(r"{(\w+)}", path)) == declared, path
