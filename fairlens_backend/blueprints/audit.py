"""Records and their evidence: history, verification, alert texts, anchors."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag
from pydantic import Field

from fairlens_backend import blockchain_anchor, compliance_logger, telemetry, trend_analyzer
from fairlens_backend.auth import current_caller, open_to_all, require_role
from fairlens_backend.blueprints._envelope import counted, success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas._base import PathPart
from fairlens_backend.schemas.checks import HistoryQuery

bp = APIBlueprint(
    "audit", __name__, abp_tags=[Tag(name="evidence", description="Records and their evidence")]
)


class RecordPath(PathPart):
    """A record's id."""

    record_id: str = Field(max_length=64)


class HashPath(PathPart):
    """A record's hash, or the transaction id that begins with it."""

    hash: str = Field(max_length=70)


@bp.get("/api/audit_history", summary="Records, newest first", security=SECURED, responses=answers())
@require_role("auditor")
def audit_history(query: HistoryQuery) -> Response:
    """One page; `next_cursor` asks for the next, and is null on the last."""
    page = trend_analyzer.history(
        current_caller().tenant, limit=query.limit, cursor=query.cursor, model=query.model, alert=query.alert
    )
    return success(page, counted(len(page["items"]), "record") + ".")


@bp.get(
    "/api/verify_alert/<string:record_id>",
    summary="Is a record unaltered, in the log, in the chain, anchored?",
    security=SECURED,
    responses=answers(404),
)
@require_role("auditor")
def verify_alert(path: RecordPath) -> Response:
    """Recomputes every hash and names the part that fails: row, line, chain, simulated anchor, alert text, audit, ledger."""
    verdict = compliance_logger.verify_record(path.record_id, current_caller().tenant)
    return success(verdict, verdict["message"])


@bp.get(
    "/api/alerts/<string:record_id>/text",
    summary="Read an alert's text; the reading is recorded",
    security=SECURED,
    responses=answers(404, 409),
)
@require_role("auditor")
def alert_text(path: RecordPath) -> Response:
    """Decrypts the text for this user, once who, when and from where are on record."""
    caller = current_caller()
    answer = compliance_logger.read_alert_text(
        path.record_id, caller.tenant, caller.username, caller.address, telemetry.utc_now()
    )
    return success(answer, "The alert's text. That you read it was recorded.")


@bp.get(
    "/api/get_anchor/<string:hash>",
    summary="The anchor of a record's hash (simulated)",
    responses=answers(404),
)
@open_to_all
def get_anchor(path: HashPath) -> Response:
    """The simulated blockchain's entry: no real chain is asked, and the answer says so."""
    return success(blockchain_anchor.get_anchor(path.hash), "The anchor; the blockchain is simulated.")
