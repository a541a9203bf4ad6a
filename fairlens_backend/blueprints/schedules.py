"""When models are audited on the clock, and what became of their windows."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import schedule_keeper
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import counted, success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas._base import PageQuery
from fairlens_backend.schemas.audits import ModelPath
from fairlens_backend.schemas.schedules import ScheduleRequest, WindowsQuery

bp = APIBlueprint("schedules", __name__, abp_tags=[Tag(name="schedules", description="Audits on the clock")])


@bp.get(
    "/v1/models/<string:id>/schedule",
    summary="When a model is audited, how, and when it last was",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def read_schedule(path: ModelPath) -> Response:
    """What the schedule leaves open is filled in from the server's settings; `origin` says whether anybody set it."""
    found = schedule_keeper.get_schedule(current_caller().tenant, path.id)
    state = f"at {found['cron']} ({found['time_zone']})" if found["enabled"] else "not"
    return success(found, f"{path.id} is audited {state}.")


@bp.put(
    "/v1/models/<string:id>/schedule",
    summary="Set when and how a model is audited",
    security=SECURED,
    responses=answers(404),
)
@require_role("admin")
def set_schedule(path: ModelPath, body: ScheduleRequest) -> Response:
    """The whole schedule: what is left out is as the server's settings say. A new cron line counts from now on."""
    caller = current_caller()
    found = schedule_keeper.put_schedule(caller.tenant, path.id, body, caller.username)
    return success(found, f"The schedule of {path.id} is set.")


@bp.delete(
    "/v1/models/<string:id>/schedule",
    summary="Audit a model as the server's settings say again",
    security=SECURED,
    responses=answers(404),
)
@require_role("admin")
def reset_schedule(path: ModelPath) -> Response:
    """The model's own schedule is gone; to stop its audits set one with `enabled` false."""
    caller = current_caller()
    found = schedule_keeper.reset_schedule(caller.tenant, path.id, caller.username)
    return success(found, f"{path.id} is audited as the server's settings say.")


@bp.get(
    "/v1/schedules", summary="Every model that is audited on the clock", security=SECURED, responses=answers()
)
@require_role("monitor")
def list_schedules(query: PageQuery) -> Response:
    """A model is in it from its first decision on, or from when a schedule was set for it."""
    page = schedule_keeper.list_schedules(current_caller().tenant, query)
    return success(page, counted(len(page["items"]), "schedule") + ".")


@bp.get(
    "/v1/models/<string:id>/windows",
    summary="Which windows of a model were audited, by which audit, in which revision",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def list_windows(path: ModelPath, query: WindowsQuery) -> Response:
    """What was done last first: audited, empty (no decisions, and none before), failed or skipped, with the reason."""
    page = schedule_keeper.list_windows(current_caller().tenant, path.id, query)
    return success(page, f"{len(page['items'])} windows of {path.id}.")
