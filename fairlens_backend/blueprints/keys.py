"""Keys: which there are, rotating them, retiring the older ones."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import key_reader, key_rotator, telemetry
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import counted, success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas.keys import KeyListAnswer, KeyPath, RetiredPath, RetireRequest, RotateRequest

bp = APIBlueprint(
    "keys",
    __name__,
    abp_tags=[Tag(name="keys", description="Rotation of keys while the server runs")],
    abp_security=SECURED,
)


@bp.get("/api/admin/keys", summary="Keys and their ages", responses={**answers(), 200: KeyListAnswer})
@require_role("admin")
def list_keys() -> Response:
    """Your tenant's key of tokens; for the operator's administrators the server's keys too. Never a key itself."""
    shown = key_reader.show(current_caller().tenant, telemetry.utc_now())
    open_ones = [one["kind"] for one in shown if not one["settled"]]
    told = f"; older ones are still in use of: {', '.join(open_ones)}" if open_ones else ""
    return success({"items": shown}, f"{counted(len(shown), 'key')}{told}.")


@bp.post("/api/admin/keys/<string:kind>/rotate", summary="Rotate a key", responses=answers(404, 409))
@require_role("admin")
def rotate_key(path: KeyPath, body: RotateRequest) -> Response:
    """A new key is in use at once, in every worker within two seconds; what older ones made is written anew in the background.

    `tokens` is your tenant's; the others are the server's and for the operator's administrators. `master` needs the key that
    follows in the server's settings (FERNET_KEY_NEXT).
    """
    caller = current_caller()
    tenant = key_rotator.require_may(path.kind, caller.tenant, body.tenant)
    done = key_rotator.rotate(path.kind, tenant, caller.username, telemetry.utc_now(), revoke=body.revoke)
    return success(done, key_rotator.in_words(done))


@bp.post("/api/admin/keys/<string:kind>/retire", summary="Destroy older keys", responses=answers(404, 409))
@require_role("admin")
def retire_keys(path: RetiredPath, body: RetireRequest) -> Response:
    """Only where nothing needs them, and an hour after the rotation at the earliest; 409 says what still does."""
    caller = current_caller()
    tenant = key_rotator.require_may(path.kind, caller.tenant, body.tenant)
    done = key_rotator.retire(path.kind, tenant, caller.username, telemetry.utc_now())
    return success(done, f"{done['retired']} older keys ({path.kind}) are destroyed.")
