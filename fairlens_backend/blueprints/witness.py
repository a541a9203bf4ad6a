"""This server as a witness of other ledgers: its key, and the cosigning of heads that continue those it cosigned before."""

from flask import Response, request
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import ledger_witness, telemetry
from fairlens_backend.auth import open_to_all, require_role
from fairlens_backend.blueprints._envelope import success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.blueprints._requests import takes_text
from fairlens_backend.ledger_witness import AnotherSize

bp = APIBlueprint(
    "witness", __name__, abp_tags=[Tag(name="witness", description="Cosigning heads of other ledgers")]
)


@bp.get("/v1/ledger/witness", summary="This server as a witness", security=SECURED, responses=answers())
@require_role("monitor")
def about() -> Response:
    """Its name, its public key, and the ledgers whose heads it cosigns (WITNESS_LOGS)."""
    found = ledger_witness.about(telemetry.utc_now())
    n = len(found["logs"])
    return success(found, f"{found['name']} cosigns the heads of {n} ledger{'' if n == 1 else 's'}.")


@bp.post(
    "/v1/ledger/witness/add-checkpoint",
    summary="Cosign a head of a ledger of WITNESS_LOGS",
    responses=answers(403, 404, 409),
)
@open_to_all
@takes_text
def add_checkpoint() -> Response:
    """C2SP tlog-witness: the head's own signature says who asks, so it takes no token. The answer is the cosignature's line;
    409 answers with the size of the last head that was cosigned here."""
    try:
        line = ledger_witness.add_checkpoint(request.get_data(), telemetry.utc_now())
    except AnotherSize as error:
        return Response(f"{error.known_size}\n", 409, mimetype="text/x.tlog.size")
    return Response(line, mimetype="text/plain")
