"""The catalogue of metrics."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import metric_catalogue
from fairlens_backend.auth import require_role
from fairlens_backend.blueprints._envelope import success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas.audits import MetricPath, MetricQuery

bp = APIBlueprint("catalogue", __name__, abp_tags=[Tag(name="metrics", description="What each metric is")])


@bp.get("/v1/metrics", summary="Every metric", security=SECURED, responses=answers())
@require_role("monitor")
def list_metrics() -> Response:
    """Formula, direction, range, needs, source and default limit of each."""
    found = metric_catalogue.list_metrics()
    return success({"items": found}, f"{len(found)} metrics.")


@bp.get(
    "/v1/metrics/<string:name>",
    summary="One metric, and what a value means",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def read_metric(path: MetricPath, query: MetricQuery) -> Response:
    """`value=0.72` is put in words and held against the default limit."""
    found = metric_catalogue.describe(path.name, query.value)
    return success(found, found.get("meaning") or found["definition"])
