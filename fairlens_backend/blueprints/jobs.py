"""Background jobs: what was asked for, how far it is, what came of it."""

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import count_jobs, job_runner, telemetry
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import counted, success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.errors import InvalidInput
from fairlens_backend.schemas.audits import ModelPath
from fairlens_backend.schemas.jobs import JobPath, JobsQuery, RebuildRequest

bp = APIBlueprint(
    "jobs", __name__, abp_tags=[Tag(name="jobs", description="Background jobs")], abp_security=SECURED
)
KEY_HEADER = "Idempotency-Key"
MAX_KEY = 200


@bp.get("/v1/jobs", summary="Background jobs, newest first", responses=answers())
@require_role("auditor")
def list_jobs(query: JobsQuery) -> Response:
    """One page; `next_cursor` asks for the next. With state=dead those that were given up."""
    page = job_runner.page(current_caller().tenant, query.state, query.limit, query.cursor)
    return success(page, counted(len(page["items"]), "job") + ".")


@bp.get("/v1/jobs/<string:id>", summary="One background job", responses=answers(404))
@require_role("auditor")
def read_job(path: JobPath) -> Response:
    """Its state, how far it is in [0, 1], its result, or why its last try failed."""
    job = job_runner.read(current_caller().tenant, path.id)
    return success(job, f"The job {job['name']} is {job['state']}.")


@bp.post("/v1/jobs/<string:id>/cancel", summary="Cancel a background job", responses=answers(404, 409))
@require_role("admin")
def cancel_job(path: JobPath) -> Response:
    """At once when it waits; after the step that is under way when it runs. What its steps have done stays done."""
    caller = current_caller()
    job = job_runner.cancel(caller.tenant, path.id, caller.username, telemetry.utc_now())
    ends = "is cancelled" if job["state"] == "cancelled" else "ends after the step that is under way"
    return success(job, f"The job {job['name']} {ends}.")


@bp.post(
    "/v1/jobs/<string:id>/retry",
    summary="Try a dead or cancelled job anew",
    responses=answers(404, 409),
)
@require_role("admin")
def retry_job(path: JobPath) -> Response:
    """It goes on from the last step that it finished."""
    caller = current_caller()
    job = job_runner.retry(caller.tenant, path.id, caller.username, telemetry.utc_now())
    return success(job, f"The job {job['name']} waits for a worker.")


@bp.post(
    "/v1/models/<string:id>/rebuild_counts",
    summary="Count days of a model anew from its raw rows",
    responses=answers(404, success=202),
)
@require_role("admin")
def rebuild_counts(path: ModelPath, body: RebuildRequest) -> Response:
    """In the background, day by day; the answer names the job. A second call with the same Idempotency-Key gives the same job.

    Days whose raw rows were purged stay as they are: counts are all that is left of them.
    """
    caller = current_caller()
    job = job_runner.enqueue(
        caller.tenant,
        count_jobs.REBUILD,
        count_jobs.rebuild_arguments(caller.tenant, path.id, body.first_day, body.last_day),
        by=caller.username,
        now=telemetry.utc_now(),
        key=_key(),
    )
    answer = success(job, f"The days are counted anew by the job {job['job_id']}.", 202)
    answer.headers["Location"] = f"/v1/jobs/{job['job_id']}"
    return answer


def _key() -> str | None:
    key = request.headers.get(KEY_HEADER)
    if key is not None and not (0 < len(key) <= MAX_KEY and key.isprintable()):
        raise InvalidInput(
            f"{KEY_HEADER} has {len(key)} characters; 1 to {MAX_KEY} printable ones were expected.",
            field=KEY_HEADER,
            expected=f"1 to {MAX_KEY} printable characters",
        )
    return key
