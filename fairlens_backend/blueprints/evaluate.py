"""Audits by request: evaluate a registered model, submit a real model's predictions, watch the demonstration."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import model_evaluator, prediction_submission, telemetry
from fairlens_backend.auth import current_caller, open_to_all, require_role
from fairlens_backend.blueprints._envelope import success
from fairlens_backend.blueprints._openapi import SECURED, SECURED_OR_KEY, answers
from fairlens_backend.blueprints._requests import accepts_upload
from fairlens_backend.blueprints._uploads import is_upload, read_file, read_request, request_body
from fairlens_backend.errors import InvalidInput
from fairlens_backend.schemas.checks import DemoQuery, EvaluateRequest, SubmitRequest

bp = APIBlueprint("evaluate", __name__, abp_tags=[Tag(name="checks", description="Audits by request")])


@bp.post(
    "/api/evaluate_model",
    summary="Score a data set with a registered model and audit its decisions",
    security=SECURED,
    responses=answers(404),
    openapi_extensions=request_body("EvaluateRequest", "file"),
)
@accepts_upload
@require_role("monitor")
def evaluate_model() -> Response:
    """Mode `demo` scores simulated loans; mode `prod` scores the CSV in the part `file`."""
    wanted = read_request(EvaluateRequest)
    caller, now = current_caller(), telemetry.utc_now()
    if wanted.mode == "demo":
        if is_upload() and read_file("file", required=False) is not None:
            raise InvalidInput(
                "mode is 'demo', which takes no file; mode 'prod' does.",
                field="mode",
                got="demo",
                expected="prod",
            )
        answer = model_evaluator.evaluate_simulated(caller.tenant, wanted, now)
    else:
        if not is_upload():
            raise InvalidInput(
                "mode is 'prod', which scores an uploaded file: send multipart/form-data with the parts 'request' and 'file'.",
                field="file",
                got=None,
                expected="a CSV file",
            )
        file = read_file("file")
        assert file is not None
        answer = model_evaluator.evaluate_file(caller.tenant, wanted, file.stream, now)
    return success(answer, answer["message"])


@bp.post(
    "/api/submit_predictions",
    summary="Audit the predictions of a real model",
    security=SECURED_OR_KEY,
    responses=answers(409),
    openapi_extensions=request_body("SubmitRequest", "file"),
)
@accepts_upload
@require_role("monitor", key_scope="submit")
def submit_predictions() -> Response:
    """Decisions, and truth and scores where they are known, as JSON `rows` or as a CSV in the part `file`."""
    wanted = read_request(SubmitRequest)
    file = read_file("file", required=wanted.rows is None) if is_upload() else None
    answer = prediction_submission.submit(
        current_caller().tenant, wanted, None if file is None else file.stream, telemetry.utc_now()
    )
    return success(answer, answer["message"])


@bp.get(
    "/api/monitor_fairness",
    summary="A demonstration on simulated loans; nothing is stored",
    responses=answers(),
)
@open_to_all
def monitor_fairness(query: DemoQuery) -> Response:
    """`scenario=fair` is parity within noise, `scenario=drifted` is what FairLens is there to see."""
    answer = model_evaluator.demonstrate(query)
    return success(answer, answer["message"])
