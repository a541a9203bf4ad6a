"""The ledger of evidence: its signed head, its entries, proofs, and the keys that sign."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import ledger_reader
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import counted, success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas.ledger import ConsistencyQuery, EntriesQuery, HeadQuery, InclusionQuery

bp = APIBlueprint(
    "ledger", __name__, abp_tags=[Tag(name="ledger", description="Evidence that others can check")]
)


@bp.get("/v1/ledger/head", summary="The newest signed tree head", security=SECURED, responses=answers(404))
@require_role("auditor")
def head(query: HeadQuery) -> Response:
    """A checkpoint (C2SP tlog-checkpoint) with its time; `format=note` gives the signed note itself, as witnesses read it."""
    found = ledger_reader.head()
    if query.format == "note":
        return Response(found["note"], mimetype="text/plain")
    return success(found, f"The ledger had a size of {found['tree_size']} at {found['time']}.")


@bp.get(
    "/v1/ledger/entries", summary="Entries of the ledger, in order", security=SECURED, responses=answers()
)
@require_role("auditor")
def entries(query: EntriesQuery) -> Response:
    """Your tenant's in full, the bytes that are hashed; of other tenants' entries the leaf hashes, so that roots can be computed."""
    page = ledger_reader.entries(current_caller().tenant, query.start, query.end)
    return success(page, f"{len(page['items'])} of {page['tree_size']} in the ledger.")


@bp.get(
    "/v1/ledger/proof/inclusion",
    summary="Proof that an entry is in the tree (RFC 9162)",
    security=SECURED,
    responses=answers(404),
)
@require_role("auditor")
def inclusion(query: InclusionQuery) -> Response:
    """The audit path from an entry to the root of a tree that has it."""
    proof = ledger_reader.inclusion(query.index, query.leaf_hash, query.tree_size)
    return success(
        proof, f"Entry {proof['leaf_index']} is in the tree of size {proof['tree_size']}, by these hashes."
    )


@bp.get(
    "/v1/ledger/proof/consistency",
    summary="Proof that one tree is the beginning of another (RFC 9162)",
    security=SECURED,
    responses=answers(404),
)
@require_role("auditor")
def consistency(query: ConsistencyQuery) -> Response:
    """The hashes that lead to both roots."""
    proof = ledger_reader.consistency(query.first, query.second)
    return success(
        proof, f"The tree of size {proof['first']} is the beginning of that of size {proof['second']}."
    )


@bp.get("/v1/ledger/key", summary="The public keys that sign heads", security=SECURED, responses=answers())
@require_role("monitor")
def keys() -> Response:
    """Every key with the trees it signed. Keep the first one elsewhere: a key from the server that is checked proves little."""
    found = ledger_reader.keys()
    return success(found, f"{counted(len(found['keys']), 'public key')} of {found['origin']}.")
