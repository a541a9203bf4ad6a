"""The server about itself: what it offers, whether it lives, its OpenAPI document and a page to browse it."""

from importlib.resources import files
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, render_template, request, send_from_directory
from flask_openapi3 import APIBlueprint, Tag
from pydantic import Field

from fairlens_backend import __version__, audit_scheduler, schedule_keeper, server_health, telemetry
from fairlens_backend.auth import access_of, open_to_all
from fairlens_backend.blueprints._envelope import success
from fairlens_backend.blueprints._openapi import answers
from fairlens_backend.errors import Unavailable
from fairlens_backend.schemas._base import Query

bp = APIBlueprint(
    "operations", __name__, abp_tags=[Tag(name="server", description="The server about itself")]
)
pages = Blueprint(
    "pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static"
)

MODULES = {
    "checks": "audit a registered model or submitted predictions",
    "events": "single decisions and their true outcomes, dead letters",
    "audits": "audits of a window, what-if thresholds, dry runs of other settings, mix or rates",
    "schedules": "when models are audited on the clock, and which windows were",
    "metrics": "the catalogue of metrics, and what a value means",
    "trend": "moving averages, pre-alerts and predictions over the last checks",
    "jobs": "background work: what was asked for, how far it is, what came of it",
    "exposition": "figures for Prometheus",
    "evidence": "records, their verification, alert texts, anchors",
    "models": "registered models",
    "accounts": "logins, users, API keys, key rotation",
    "server": "health and documentation",
}
# Swagger UI needs inline styles and draws its icons from data URLs; everything still comes from this server.
PAGE_POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"
SWAGGER_FILES = files("flask_openapi3_swagger") / "templates" / "swagger"


class HealthQuery(Query):
    """Liveness, or readiness too."""

    ready: bool = Field(
        False, description="1 also checks database, ledger, scheduler, disk and how fresh the audits are"
    )


def endpoints() -> list[dict[str, Any]]:
    """Every endpoint with its methods, role and summary, from the routes themselves."""
    described = current_app.api_doc["paths"]  # type: ignore[attr-defined]
    found = []
    for path, operations in sorted(described.items()):
        for method, operation in operations.items():
            found.append(
                {
                    "method": method.upper(),
                    "path": path,
                    "role": operation.get("x-role", "open"),
                    "summary": operation.get("summary", ""),
                }
            )
    return found


@bp.get("/", summary="What this server is and offers", responses=answers())
@open_to_all
def index() -> Response | str:
    """A page for a browser, JSON for everything else."""
    described = {"name": "FairLens", "version": __version__, "modules": MODULES, "endpoints": endpoints()}
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        return render_template("index.html", **described)
    return success(
        {**described, "openapi": "/openapi.json", "docs": "/docs"},
        "FairLens watches the decisions of deployed models.",
    )


@bp.get("/api/health", summary="Is the server alive; with ready=1, can it work", responses=answers())
@open_to_all
def health(query: HealthQuery) -> Response:
    """503 when a part that an audit needs is down, with what each part says."""
    if not query.ready:
        return success({"alive": True, "version": __version__}, "FairLens is alive.")
    now = telemetry.utc_now()
    parts = {
        **server_health.check(now),
        "scheduler": audit_scheduler.clock_health(now),
        "audits": schedule_keeper.health(),
    }
    down = [name for name, part in parts.items() if part["ok"] is False]
    if down:
        raise Unavailable(f"Not ready: {', '.join(down)}.", retry_after_s=5, parts=parts)
    degraded = [name for name, part in parts.items() if part.get("status") in ("degraded", "failed")]
    told = {"alive": True, "ready": True, "version": __version__, "degraded": degraded, "parts": parts}
    return success(
        told, f"FairLens is ready, degraded: {', '.join(degraded)}." if degraded else "FairLens is ready."
    )


@pages.get("/openapi.json")
@open_to_all
def openapi_document() -> Response:
    """The OpenAPI 3.1 document."""
    return jsonify(current_app.api_doc)  # type: ignore[attr-defined]


@pages.get("/docs")
@open_to_all
def docs() -> Response:
    """Swagger UI on the OpenAPI document, all from this server."""
    page = Response(render_template("docs.html"))
    page.headers["Content-Security-Policy"] = PAGE_POLICY
    return page


@pages.get("/docs/ui/<path:name>")
@open_to_all
def docs_file(name: str) -> Response:
    """One of Swagger UI's own files."""
    return send_from_directory(str(SWAGGER_FILES), name, max_age=86400)


def mark_roles(document: dict[str, Any], view_functions: dict[str, Any], rules: Any) -> None:
    """Write each operation's role beside it as `x-role`, and at the end of its description, from the marks on the views."""
    for rule in rules:
        path = (
            str(rule.rule).replace("<string:", "{").replace("<int:", "{").replace("<", "{").replace(">", "}")
        )
        access = access_of(view_functions.get(rule.endpoint))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            operation = document["paths"].get(path, {}).get(method.lower())
            if operation is not None and access is not None:
                role = access.role or "open"
                operation["x-role"] = f"{role} or key" if access.key_scope else role
                key = f", or an API key with the scope {access.key_scope}" if access.key_scope else ""
                # Pages that show the document show descriptions, and no extensions.
                told = operation.get("description", "")
                operation["description"] = f"{told}\n\nRole: {role}{key}.".strip()
