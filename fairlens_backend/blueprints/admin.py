"""Users, API keys, the encryption key, damaged evidence: what administrators do."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import account_manager, api_key_manager, compliance_logger, key_rotator, telemetry
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import counted, success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas._base import PageQuery
from fairlens_backend.schemas.accounts import (
    AcknowledgedDamageAnswer,
    ApiKeyAnswer,
    ApiKeyPageAnswer,
    ApiKeyPath,
    DeletedUserAnswer,
    MadeApiKeyAnswer,
    NewApiKey,
    NewUser,
    RotatedKeyAnswer,
    UserAnswer,
    UserPageAnswer,
    UserPath,
)

bp = APIBlueprint(
    "admin",
    __name__,
    abp_tags=[
        Tag(
            name="administration",
            description="users, keys, encryption, damaged evidence; administrators only",
        )
    ],
    abp_security=SECURED,
)


@bp.post("/api/admin/users", summary="Make a user", responses={**answers(409, success=201), 201: UserAnswer})
@require_role("admin")
def create_user(body: NewUser) -> Response:
    """Make a user of your tenant. Administrators of the tenant "default" may name another one."""
    caller = current_caller()
    made = account_manager.create_user(
        by=caller.username,
        by_tenant=caller.tenant,
        username=body.username,
        password=body.password,
        role=body.role,
        tenant=body.tenant,
        now=telemetry.utc_now(),
    )
    return success(made, f"{made['username']} is a user with the role {made['role']}.", 201)


@bp.get("/api/admin/users", summary="List users", responses={**answers(), 200: UserPageAnswer})
@require_role("admin")
def list_users(query: PageQuery) -> Response:
    """Users of your tenant, oldest first."""
    page = account_manager.list_users(current_caller().tenant, telemetry.utc_now(), query.limit, query.cursor)
    return success(page, counted(len(page["items"]), "user") + ".")


@bp.delete(
    "/api/admin/users/<username>",
    summary="Delete a user",
    responses={**answers(404, 409), 200: DeletedUserAnswer},
)
@require_role("admin")
def delete_user(path: UserPath) -> Response:
    """Delete a user of your tenant; their tokens stop working. Not yourself, not the last administrator."""
    caller = current_caller()
    account_manager.delete_user(caller.username, caller.tenant, path.username, telemetry.utc_now())
    return success({"username": path.username, "deleted": True}, f"{path.username} is deleted.")


@bp.post(
    "/api/admin/api_keys",
    summary="Make an API key",
    responses={**answers(success=201), 201: MadeApiKeyAnswer},
)
@require_role("admin")
def create_api_key(body: NewApiKey) -> Response:
    """Make a key of your tenant. It is shown in this answer and never again."""
    caller = current_caller()
    now = telemetry.utc_now()
    made = api_key_manager.create_api_key(caller.tenant, body.name, body.scope, caller.username, now)
    return success(made, "Keep the key now: it is shown this once. Send it as the header X-Api-Key.", 201)


@bp.get("/api/admin/api_keys", summary="List API keys", responses={**answers(), 200: ApiKeyPageAnswer})
@require_role("admin")
def list_api_keys(query: PageQuery) -> Response:
    """Keys of your tenant, oldest first, revoked ones included, without the keys themselves."""
    page = api_key_manager.list_api_keys(current_caller().tenant, query.limit, query.cursor)
    return success(page, counted(len(page["items"]), "key") + ".")


@bp.delete(
    "/api/admin/api_keys/<id>", summary="Revoke an API key", responses={**answers(404), 200: ApiKeyAnswer}
)
@require_role("admin")
def revoke_api_key(path: ApiKeyPath) -> Response:
    """Revoke a key of your tenant; it stays in the list with the time it was revoked."""
    caller = current_caller()
    key = api_key_manager.revoke_api_key(caller.tenant, path.id, caller.username, telemetry.utc_now())
    return success(key, f"The key {key['name']} is revoked.")


@bp.post(
    "/api/admin/reset_key",
    summary="Rotate the encryption key",
    responses={**answers(), 200: RotatedKeyAnswer},
)
@require_role("admin", operator_only=True)
def reset_key() -> Response:
    """Make a new key for what is stored encrypted, and encrypt it again: some hundred rows at once, the rest by a job.

    The same as POST /api/admin/keys/data/rotate. The key is the server's: operators only.
    """
    done = key_rotator.rotate_data_now(by=current_caller().username, now=telemetry.utc_now())
    return success(
        {"rotated": True, "reencrypted": done["reencrypted"], "job_id": done["job"]["job_id"]},
        f"A new key is in use; {done['reencrypted']} texts were encrypted again, a job goes over all once more.",
    )


@bp.post(
    "/api/admin/acknowledge_damage",
    summary="Acknowledge damage to the evidence files",
    responses={**answers(), 200: AcknowledgedDamageAnswer},
)
@require_role("admin", operator_only=True)
def acknowledge_damage() -> Response:
    """Say that the damage that /api/health?ready=1 tells of was looked into, so that the server counts as ready again.

    Nothing is mended: the records that it hit still fail their verification. The files are the server's: operators only.
    """
    damage = compliance_logger.acknowledge_damage(by=current_caller().username)
    remains = compliance_logger.health()["damaged"]
    told = f"Acknowledged: {damage}." if damage else "The evidence files have no damage to acknowledge."
    more = f" Still found: {remains}." if remains else ""
    return success({"damage": damage, "remains": remains}, told + more)
