"""The compliance report: as data, as PDF, as one HTML file."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import compliance_report, telemetry
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas.reports import ReportPath, ReportQuery

bp = APIBlueprint(
    "compliance",
    __name__,
    abp_tags=[Tag(name="compliance", description="Reports for those who have to answer for a model")],
)


@bp.get(
    "/v1/compliance/report/<string:model_id>",
    summary="The compliance report of a model over some days, as JSON, PDF or HTML",
    security=SECURED,
    responses=answers(404),
)
@require_role("auditor")
def read_report(path: ReportPath, query: ReportQuery) -> Response:
    """Eight sections with plots and proofs. JSON is the data; the other two print its SHA-256, and the same data gives the same bytes."""
    tenant, now = current_caller().tenant, telemetry.utc_now()
    if query.format == "json":
        found = compliance_report.compliance_report(tenant, path.model_id, query, now)
        results = found["report"]["results"]
        verdict = results["overall_severity"] if results else "UNKNOWN, since no audit lies in these days"
        days = f"{query.start_date} to {query.end_date}"
        return success(found, f"{path.model_id}, {days}: {verdict}.")
    file = compliance_report.report_file(tenant, path.model_id, query, now)
    answer = Response(file.content, mimetype=file.media_type.partition(";")[0], content_type=file.media_type)
    disposition = "inline" if query.format == "html" else "attachment"
    answer.headers["Content-Disposition"] = f'{disposition}; filename="{file.name}"'
    answer.headers["Cache-Control"] = "no-store"
    if file.content_policy:
        answer.headers["Content-Security-Policy"] = file.content_policy
    return answer
