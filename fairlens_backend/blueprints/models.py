"""Registered models: list them, register one with or without its artefact."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import account_manager, config, model_registry, telemetry
from fairlens_backend.auth import Caller, current_caller, require_role
from fairlens_backend.blueprints._envelope import counted, success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.blueprints._requests import accepts_upload
from fairlens_backend.blueprints._uploads import is_upload, read_file, read_request, request_body
from fairlens_backend.core.assessment import Policy
from fairlens_backend.errors import NotAllowed
from fairlens_backend.schemas.checks import ModelsQuery, RegisterRequest

bp = APIBlueprint("models", __name__, abp_tags=[Tag(name="models", description="Registered models")])

POLICY_FIELDS = {"thresholds", "alpha", "correction", "min_group_size", "min_sample_size"}


@bp.get(
    "/api/models", summary="Registered models and what they declare", security=SECURED, responses=answers()
)
@require_role("monitor")
def list_models(query: ModelsQuery) -> Response:
    """Newest registration first, a page at a time."""
    page = model_registry.list_models(current_caller().tenant, query.limit, query.cursor)
    return success(page, counted(len(page["items"]), "model") + ".")


@bp.post(
    "/api/models/register",
    summary="Register a model, with its artefact or without",
    security=SECURED,
    responses=answers(409, success=201),
    openapi_extensions=request_body("RegisterRequest", "artefact"),
)
@accepts_upload
@require_role("admin")
def register_model() -> Response:
    """The artefact (joblib) is kept under its SHA-256 and loaded only while it still has it.

    Loading executes its code in the server that all tenants share: administrators of the tenant "default" only, unless
    TENANT_ARTEFACTS allows it to others. Without an artefact every administrator may register.
    """
    wanted = read_request(RegisterRequest)
    policy = wanted.model_dump(include=POLICY_FIELDS, exclude_none=True)
    Policy(**policy)  # a threshold that cannot be is refused now and not at the first audit
    file = read_file("artefact", required=False) if is_upload() else None
    caller = current_caller()
    if file is not None:
        _check_sender_of_code(caller)
    registered = model_registry.register_model(
        wanted.model_name,
        wanted.version,
        tenant=caller.tenant,
        declarations=wanted.model_dump(exclude={"model_name", "version"}, exclude_none=True),
        artefact=None if file is None else file.stream,
        created_by=caller.username,
        now=telemetry.utc_now(),
    )
    return success(registered, f"Model {wanted.model_name} {wanted.version} is registered.", 201)


def _check_sender_of_code(caller: Caller) -> None:
    if caller.tenant != account_manager.OPERATOR_TENANT and not config.current().tenant_artefacts:
        raise NotAllowed(
            f"An artefact is code that runs in this server: it is for administrators of the tenant "
            f"{account_manager.OPERATOR_TENANT}. Register without it and submit the decisions, or have TENANT_ARTEFACTS set.",
            tenant=caller.tenant,
            setting="TENANT_ARTEFACTS",
        )
