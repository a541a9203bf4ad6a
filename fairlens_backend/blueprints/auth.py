"""Logging in, staying in, logging out."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import account_manager, telemetry
from fairlens_backend.auth import current_caller, open_to_all, require_role
from fairlens_backend.blueprints._envelope import success
from fairlens_backend.blueprints._limits import login_limit
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas.accounts import LoginRequest, RefreshRequest, TokensAnswer

bp = APIBlueprint("auth", __name__, abp_tags=[Tag(name="accounts", description="users, tokens and keys")])


@bp.post(
    "/api/login",
    summary="Log in",
    responses={**answers(), 200: TokensAnswer},
)
@open_to_all
@login_limit
def login(body: LoginRequest) -> Response:
    """Tokens for a name and its password. Failures in a row slow the next try down, then lock the account."""
    now = telemetry.utc_now()
    tokens = account_manager.login(body.username, body.password, current_caller().address, now)
    return success(tokens, f"Logged in as {body.username} ({tokens['role']}).")


@bp.post(
    "/api/refresh",
    summary="Get new tokens",
    responses={**answers(), 200: TokensAnswer},
)
@open_to_all
@login_limit
def refresh(body: RefreshRequest) -> Response:
    """New tokens for a refresh token, which is used up. One that was used before revokes all tokens of its login."""
    tokens = account_manager.refresh(body.refresh_token, telemetry.utc_now())
    return success(tokens, "New tokens. The refresh token that you sent works no longer.")


@bp.post(
    "/api/logout",
    summary="Log out",
    responses=answers(),
    security=SECURED,
)
@require_role("monitor")
def logout() -> Response:
    """End the login that the access token comes from: its access and refresh tokens stop working."""
    caller = current_caller()
    account_manager.logout(caller.username, caller.family or "", telemetry.utc_now())
    return success(None, "Logged out.")
