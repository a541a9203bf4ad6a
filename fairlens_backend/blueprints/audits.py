"""Audits over a window, and questions about stored ones: the list, one in full, what-if, mix or rates, dry runs."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import audit_reader, telemetry, window_auditor
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas.audits import (
    AuditPath,
    AuditQuery,
    AuditsQuery,
    DecompositionQuery,
    DryRunRequest,
    EstimatesQuery,
    ModelPath,
    ThresholdsQuery,
    WindowAuditRequest,
)

bp = APIBlueprint(
    "audits", __name__, abp_tags=[Tag(name="audits", description="Audits and what follows from them")]
)


@bp.post(
    "/v1/models/<string:id>/audit",
    summary="Audit what was submitted for a model in the last hours",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def audit_model(path: ModelPath, body: WindowAuditRequest) -> Response:
    """The counts of the window's submissions are summed and assessed as one; a window without rows is UNKNOWN."""
    answer = window_auditor.audit_window(current_caller().tenant, path.id, body, telemetry.utc_now())
    return success(answer, answer["message"])


@bp.get("/v1/audits", summary="Audits, newest first", security=SECURED, responses=answers())
@require_role("monitor")
def list_audits(query: AuditsQuery) -> Response:
    """One page of headline figures; `next_cursor` asks for the next, and is null on the last."""
    page = audit_reader.list_audits(current_caller().tenant, query)
    return success(page, f"{len(page['items'])} audits.")


@bp.get("/v1/audits/<string:id>", summary="One audit in full", security=SECURED, responses=answers(404))
@require_role("monitor")
def read_audit(path: AuditPath, query: AuditQuery) -> Response:
    """Every metric of every attribute, every group, every sentence; `counts=1` adds the table they came from."""
    audit = audit_reader.read_audit(current_caller().tenant, path.id, counts=query.counts)
    return success(audit, f"An audit of {audit['model_id']}: {audit['overall_severity']}.")


@bp.get(
    "/v1/audits/<string:id>/thresholds",
    summary="Which thresholds by group would meet a criterion, and at what cost",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def thresholds(path: AuditPath, query: ThresholdsQuery) -> Response:
    """From the audit's score bins alone; nothing is changed."""
    found = audit_reader.thresholds(current_caller().tenant, path.id, query)
    said = [pair["sentence"] or pair["reason"] for pair in found["pairs"]]
    return success(found, found["reason"] or said[0])


@bp.get(
    "/v1/audits/<string:id>/estimates",
    summary="Error rates by group where labels are not there yet, from calibrated scores",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def estimates(path: AuditPath, query: EstimatesQuery) -> Response:
    """Marked as estimates, with the check of calibration and the coverage of labels, beside the labelled figures."""
    found = audit_reader.estimates(current_caller().tenant, path.id, query)
    return success(
        found, f"Estimates for {len(found['groups'])} groups of {query.attribute}; {found['assumption']}"
    )


@bp.get(
    "/v1/audits/<string:id>/decomposition",
    summary="How much of a gap is who was decided on, and how much how they were treated",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def decomposition(path: AuditPath, query: DecompositionQuery) -> Response:
    """Of the gap in this audit, or with `against` of its change since an earlier one; the parts add up exactly."""
    found = audit_reader.decomposition(current_caller().tenant, path.id, query)
    return success(found, found["sentence"] or found["reason"])


@bp.post(
    "/v1/models/<string:id>/policy/dry_run",
    summary="How often would other settings have alerted",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def dry_run(path: ModelPath, body: DryRunRequest) -> Response:
    """Tries settings on the model's stored audits; what is left out stays as registered. Nothing is written."""
    found = audit_reader.dry_run(current_caller().tenant, path.id, body, telemetry.utc_now())
    return success(found, found["sentence"])
