"""Alerts: read them, act on them, say where they go, try it out, look at what could not be delivered."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import alert_actions, alert_delivery, alert_reader, alert_router, telemetry
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import counted, success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.errors import NotDelivered
from fairlens_backend.schemas._base import PageQuery
from fairlens_backend.schemas.alerts import (
    AcknowledgeRequest,
    AlertPath,
    AlertsQuery,
    AlertTestRequest,
    NewRoute,
    NumberPath,
    ReasonRequest,
    RouteChange,
    SilenceRequest,
)

bp = APIBlueprint(
    "alerts",
    __name__,
    abp_tags=[Tag(name="alerts", description="Alerts, their routes and messages")],
    abp_security=SECURED,
)


@bp.get("/v1/alerts", summary="Alerts, newest first", responses=answers())
@require_role("monitor")
def list_alerts(query: AlertsQuery) -> Response:
    """One alert a metric of an attribute of a model, from its opening to its end."""
    page = alert_reader.list_alerts(current_caller().tenant, query)
    return success(page, counted(len(page["items"]), "alert") + ".")


@bp.get("/v1/alerts/routes", summary="Where alerts go", responses=answers())
@require_role("admin")
def list_routes(query: PageQuery) -> Response:
    """An alert that no route takes goes to the channels of the settings, listed as `defaults`. Secrets are not shown."""
    now = telemetry.utc_now()
    page = alert_router.list_routes(current_caller().tenant, query.limit, query.cursor, now)
    return success(page, counted(len(page["items"]), "route") + ".")


@bp.post("/v1/alerts/routes", summary="Send alerts to a channel", responses=answers(success=201))
@require_role("admin")
def add_route(body: NewRoute) -> Response:
    """An alert goes by every route whose severities and models it matches. The target is kept encrypted."""
    caller = current_caller()
    made = alert_router.add_route(caller.tenant, body, caller.username, telemetry.utc_now())
    return success(made, f"Route {made['id']} is in use: try it with POST /v1/alerts/test.", 201)


@bp.patch("/v1/alerts/routes/<int:id>", summary="Change a route", responses=answers(404))
@require_role("admin")
def change_route(path: NumberPath, body: RouteChange) -> Response:
    """What is left out stays as it is."""
    caller = current_caller()
    changed = alert_router.change_route(caller.tenant, path.id, body, caller.username)
    return success(changed, f"Route {path.id} is changed.")


@bp.delete("/v1/alerts/routes/<int:id>", summary="Delete a route", responses=answers(404))
@require_role("admin")
def delete_route(path: NumberPath) -> Response:
    """What waits for it becomes a dead letter."""
    caller = current_caller()
    gone = alert_router.delete_route(caller.tenant, path.id, caller.username)
    return success(gone, f"Route {path.id} is deleted.")


@bp.post("/v1/alerts/test", summary="Send a test message", responses=answers(404, 502))
@require_role("admin")
def send_test(body: AlertTestRequest) -> Response:
    """At once, and the answer is the receiver's: its status, or why there was none. 502 when it did not take the message."""
    caller = current_caller()
    said = alert_delivery.send_test(caller.tenant, body, caller.username, telemetry.utc_now())
    if not said["delivered"]:
        raise NotDelivered(
            f"{said['target']} did not take the test message: {said['reason'].rstrip('.')}.", **said
        )
    return success(said, f"{said['target']} took the test message: {said['reason']}.")


@bp.get("/v1/alerts/dead_letters", summary="Messages that could not be delivered", responses=answers())
@require_role("admin")
def list_dead(query: PageQuery) -> Response:
    """Oldest first, each with what the receiver said last."""
    page = alert_delivery.list_dead(current_caller().tenant, query.limit, query.cursor)
    return success(page, counted(len(page["items"]), "dead letter") + ".")


@bp.post(
    "/v1/alerts/dead_letters/<int:id>/retry",
    summary="Deliver a dead letter after all",
    responses=answers(404, 409),
)
@require_role("admin")
def retry_dead(path: NumberPath) -> Response:
    """Refused when a later message of the same alert has arrived: this one would tell of the past."""
    caller = current_caller()
    row = alert_delivery.retry_dead(caller.tenant, path.id, caller.username, telemetry.utc_now())
    return success(row, "The message is due again.")


@bp.delete(
    "/v1/alerts/dead_letters/<int:id>",
    summary="Delete a message that could not be delivered",
    responses=answers(404),
)
@require_role("admin")
def delete_dead(path: NumberPath) -> Response:
    """For good; the alert itself stays."""
    caller = current_caller()
    gone = alert_delivery.delete_dead(caller.tenant, path.id, caller.username)
    return success(gone, f"Dead letter {path.id} is deleted.")


@bp.get("/v1/alerts/<string:id>", summary="One alert, its history and its messages", responses=answers(404))
@require_role("monitor")
def read_alert(path: AlertPath) -> Response:
    """Who did what when, and what came of every message."""
    alert = alert_reader.read_alert(current_caller().tenant, path.id)
    return success(
        alert, f"{alert['severity']} on {alert['attribute']} of {alert['model']}: {alert['state']}."
    )


@bp.post(
    "/v1/alerts/<string:id>/acknowledge",
    summary="Say that you look after an alert",
    responses=answers(404, 409),
)
@require_role("auditor")
def acknowledge(path: AlertPath, body: AcknowledgeRequest) -> Response:
    """No more reminders; when it becomes worse, and when it ends, it is told."""
    caller = current_caller()
    now = telemetry.utc_now()
    row = alert_actions.acknowledge(caller.tenant, path.id, caller.username, body.reason, now)
    return success(row, "Acknowledged: no more reminders come.")


@bp.post(
    "/v1/alerts/<string:id>/silence", summary="Silence an alert for a while", responses=answers(404, 409)
)
@require_role("auditor")
def silence(path: AlertPath, body: SilenceRequest) -> Response:
    """Nothing is told until then; if it is still open, it speaks."""
    caller = current_caller()
    row = alert_actions.silence(caller.tenant, path.id, body, caller.username, telemetry.utc_now())
    return success(row, f"Silent until {row['silenced_until']}.")


@bp.post("/v1/alerts/<string:id>/resolve", summary="Close an alert", responses=answers(404, 409))
@require_role("auditor")
def resolve(path: AlertPath, body: ReasonRequest) -> Response:
    """The next breach opens it again; who wants no word of a known breach silences it."""
    caller = current_caller()
    row = alert_actions.resolve(caller.tenant, path.id, caller.username, body.reason, telemetry.utc_now())
    return success(row, "Closed. The next breach opens it again; to hear nothing of a known one, silence it.")


@bp.post("/v1/alerts/<string:id>/reopen", summary="Open a closed alert again", responses=answers(404, 409))
@require_role("auditor")
def reopen(path: AlertPath, body: ReasonRequest) -> Response:
    """It is told like a new one."""
    caller = current_caller()
    row = alert_actions.reopen(caller.tenant, path.id, caller.username, body.reason, telemetry.utc_now())
    return success(row, "Open again.")
