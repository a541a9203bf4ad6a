"""A person's raw rows are erased; what was erased, and when, without saying of whom."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import eraser, telemetry
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import counted, success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas.erasures import ErasurePath, ErasureRequest, ErasuresQuery

bp = APIBlueprint(
    "erasures", __name__, abp_tags=[Tag(name="privacy", description="Personal data and proxies")]
)


@bp.post(
    "/v1/erasures",
    summary="Erase a person's raw rows, by event ids, by a personal value or by its token",
    security=SECURED,
    responses=answers(202),
)
@require_role("admin")
def erase(body: ErasureRequest) -> Response:
    """200 with the receipt, or 202 where there is much to search: a job goes on with it. Counts, audits and the ledger stay.

    An erased event is not taken again. The erasure is an entry of the ledger, with counts and a keyed digest of what was asked.
    """
    caller = current_caller()
    asked = body.model_dump(include={"event_ids", "token", "value"})
    done = eraser.erase(caller.tenant, asked, caller.username, telemetry.utc_now(), dry_run=body.dry_run)
    if done["state"] == "running":
        said = f"Erasure {done['erasure_id']} is under way; the job {done['job_id']} goes on with it."
        answer = success(done, said, 202)
        answer.headers["Location"] = f"/v1/erasures/{done['erasure_id']}"
        return answer
    return success(done, _said(done))


@bp.get("/v1/erasures", summary="Erasures, newest first", security=SECURED, responses=answers())
@require_role("auditor")
def list_erasures(query: ErasuresQuery) -> Response:
    """What was erased and what remains, as counts; never what was asked for."""
    page = eraser.page(current_caller().tenant, query.limit, query.cursor)
    return success(page, counted(len(page["items"]), "erasure") + ".")


@bp.get(
    "/v1/erasures/<int:id>",
    summary="One erasure: its receipt, or how far it is",
    security=SECURED,
    responses=answers(404),
)
@require_role("auditor")
def read_erasure(path: ErasurePath) -> Response:
    """`ledger_index` is the entry that records it; none for a dry run."""
    done = eraser.read(current_caller().tenant, path.id)
    return success(done, _said(done))


def _said(done: dict[str, object]) -> str:
    number = done["erasure_id"]
    if done["state"] == "running":
        return f"Erasure {number} is under way."
    if not done["found"]:
        return f"Erasure {number}: nothing was found."
    return f"Erasure {number}: found, {'not erased: a dry run' if done['dry_run'] else 'and erased'}."
