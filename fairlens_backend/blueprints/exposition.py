"""Figures for Prometheus: of the server for its operator, and of one model for whoever watches that."""

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import fairness_gauges, operation_gauges, telemetry
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._openapi import SECURED_OR_KEY, answers
from fairlens_backend.schemas.audits import ModelPath

bp = APIBlueprint(
    "exposition", __name__, abp_tags=[Tag(name="exposition", description="Figures for Prometheus")]
)


@bp.get(
    "/metrics",
    summary="What the server counts and watches, for Prometheus",
    security=SECURED_OR_KEY,
    responses=answers(),
)
@require_role("monitor", key_scope="metrics", operator_only=True)
def metrics() -> Response:
    """Requests, events, audits, freshness, alerts, messages, jobs, counts, Redis, disk, of all tenants: for the operator's.

    Text, not JSON; errors are JSON. A key may come as `Authorization: Bearer`, as Prometheus sends it.
    """
    return _text(operation_gauges.exposition(telemetry.utc_now(), request.headers.get("Accept", "")))


@bp.get(
    "/v1/metrics/fairness/<string:id>",
    summary="The newest fairness figures of a model, for Prometheus",
    security=SECURED_OR_KEY,
    responses=answers(404),
)
@require_role("monitor", key_scope="metrics")
def fairness(path: ModelPath) -> Response:
    """By metric and attribute: value, interval, limit, breach, severity, size; when, and of which window. No group is named."""
    caller = current_caller()
    return _text(fairness_gauges.exposition(caller.tenant, path.id, request.headers.get("Accept", "")))


def _text(exposed: tuple[bytes, str]) -> Response:
    text, content_type = exposed
    answer = Response(text, content_type=content_type)
    answer.headers["Cache-Control"] = "no-store"
    return answer
