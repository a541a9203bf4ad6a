"""Single decisions and their true outcomes come in; what could not be read is listed, mended, sent again."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import attribute_supply, dead_letter_box, gauges, prediction_ingest, telemetry
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import counted, success
from fairlens_backend.blueprints._limits import ingest_limit
from fairlens_backend.blueprints._openapi import SECURED, SECURED_OR_KEY, answers
from fairlens_backend.blueprints._requests import packed_body, reads_own_body
from fairlens_backend.prediction_ingest import Sender
from fairlens_backend.schemas.events import (
    ATTRIBUTES_EXAMPLE,
    EVENT_TABLE_EXAMPLE,
    LABELS_EXAMPLE,
    DeadLetterPath,
    DeadLettersQuery,
    ReplayRequest,
    openapi_body,
)

bp = APIBlueprint(
    "ingest", __name__, abp_tags=[Tag(name="events", description="Single decisions and labels")]
)


@bp.post(
    "/v1/predictions/ingest",
    summary="Send decisions: one event, a list of at most 500, or columns of at most 10,000",
    security=SECURED_OR_KEY,
    responses=answers(404),
    openapi_extensions=openapi_body(
        ("PredictionEvent", "PredictionEvent[]", "EventTable"), EVENT_TABLE_EXAMPLE
    ),
)
@reads_own_body
@ingest_limit
@require_role("monitor", key_scope="ingest")
def ingest() -> Response:
    """The answer comes when the events are durable and counted. An event_id counts once; what is not as expected becomes
    a dead letter, and the rest of the batch is kept. The body may be gzip."""
    taken = prediction_ingest.ingest(_sender(), packed_body(), telemetry.utc_now())
    gauges.note_events(
        ingested=taken["queued"], duplicate=taken["duplicates"], rejected=len(taken["rejected"])
    )
    said = f"{counted(taken['queued'], 'new event')}, {len(taken['rejected'])} refused"
    odd = sum(one["n_events"] for one in taken.get("warnings", ()))
    odd_said = f", {counted(odd, 'label')} that the model does not declare (see warnings)" if odd else ""
    return success(taken, f"{said}{odd_said}.")


@bp.post(
    "/v1/predictions/ground_truth",
    summary="Send true outcomes by event_id, before or after their decision",
    security=SECURED_OR_KEY,
    responses=answers(),
    openapi_extensions=openapi_body(("LabelList", "LabelTable"), LABELS_EXAMPLE),
)
@reads_own_body
@ingest_limit
@require_role("monitor", key_scope="ingest")
def ground_truth() -> Response:
    """Counts move in the minute of the decision; a label that comes before its decision waits for it. Whether that is one of the
    model's labels is seen then: the answer to the decision warns where it is none."""
    taken = prediction_ingest.add_labels(_sender(), packed_body(), telemetry.utc_now())
    gauges.note_labels(**{name: taken[name] for name in ("joined", "unchanged", "waiting", "expired")})
    odd = f", {taken['undeclared']} that the model does not declare" if taken.get("undeclared") else ""
    return success(taken, f"{counted(taken['joined'], 'label')} joined, {taken['waiting']} waiting{odd}.")


@bp.post(
    "/v1/predictions/attributes",
    summary="Supply protected attributes by event_id, apart from their decisions and before or after them",
    security=SECURED_OR_KEY,
    responses=answers(),
    openapi_extensions=openapi_body(("AttributeList", "AttributeTable"), ATTRIBUTES_EXAMPLE),
)
@reads_own_body
@ingest_limit
@require_role("admin", key_scope="attributes")
def attributes() -> Response:
    """Whoever sends decisions need not know the attributes: a key of this scope supplies them, and nothing else.

    Counts move in the minute of the decision; what comes before its decision waits for it. A later supply moves it again.
    """
    given = attribute_supply.supply(_sender(), packed_body(), telemetry.utc_now())
    return success(given, f"{counted(given['moved'], 'decision')} moved, {given['waiting']} waiting.")


@bp.get(
    "/v1/dead_letters",
    summary="Events that could not be taken, and why",
    security=SECURED,
    responses=answers(),
)
@require_role("admin")
def dead_letters(query: DeadLettersQuery) -> Response:
    """Oldest first. The events are kept encrypted and are not shown."""
    page = dead_letter_box.list_letters(current_caller().tenant, query.limit, query.cursor)
    return success(page, counted(len(page["items"]), "dead letter") + ".")


@bp.post(
    "/v1/dead_letters/<id>/replay",
    summary="Send a dead letter's event again, mended or as it was",
    security=SECURED,
    responses=answers(404),
)
@require_role("admin")
def replay_dead_letter(path: DeadLetterPath, body: ReplayRequest) -> Response:
    """The letter is deleted when its event is taken; otherwise it stays."""
    taken = dead_letter_box.replay(_sender(), path.id, body.event, telemetry.utc_now())
    return success(taken, "The event is taken and the dead letter deleted.")


@bp.delete(
    "/v1/dead_letters/<id>",
    summary="Delete a dead letter",
    security=SECURED,
    responses=answers(404),
)
@require_role("admin")
def delete_dead_letter(path: DeadLetterPath) -> Response:
    """For good."""
    gone = dead_letter_box.delete(_sender(), path.id)
    return success(gone, f"Dead letter {path.id} is deleted.")


def _sender() -> Sender:
    caller = current_caller()
    return Sender(caller.tenant, caller.username)
