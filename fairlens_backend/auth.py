"""Who calls, and whether they may: one check before every view, made before any body is read.

A view says who may call it by a mark that stands *under* the route decorator, so that it survives every wrapper:

    @bp.post("/api/evaluate_model")
    @require_role("monitor")
    def evaluate_model(body: EvaluateRequest): ...

A view without a mark is refused. The roles are nested: monitor ⊂ auditor ⊂ admin.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from flask import Flask, current_app, g, request

from fairlens_backend import account_manager, api_key_manager, credentials, telemetry
from fairlens_backend.credentials import ROLES
from fairlens_backend.errors import NotAllowed, NotAuthenticated

View = TypeVar("View", bound=Callable[..., Any])
MARK = "_fairlens_access"
KEY_HEADER = "X-Api-Key"


@dataclass(frozen=True)
class Access:
    """Who may call a view: everybody (`role` None), or a role and those above it, or also keys with a scope."""

    role: str | None
    key_scope: str | None = None
    operator_only: bool = False
    """whether only users and keys of the tenant that runs the server may"""


@dataclass(frozen=True)
class Caller:
    """Who makes this request. Nobody known (an open view): empty names, no role, a tenant that owns no row."""

    username: str
    role: str | None
    tenant: str
    address: str
    kind: Literal["user", "key"] | None
    family: str | None = None
    """the login that the access token comes from; None for keys"""


def require_role(
    role: str, *, key_scope: str | None = None, operator_only: bool = False
) -> Callable[[View], View]:
    """Mark a view as callable by `role` and the roles above it, and by API keys of `key_scope` where one is given.

    Parameters
    ----------
    role : "monitor", "auditor" or "admin"
    key_scope : scope of the API keys that may call it too; None for no key at all
    operator_only : for what belongs to the server and not to a tenant: only users and keys of the tenant "default"

    Raises
    ------
    ValueError : a role or a scope that does not exist; a programming mistake, seen at import

    Examples
    --------
    >>> @require_role("auditor")
    ... def audit_history(): ...
    >>> access_of(audit_history)
    Access(role='auditor', key_scope=None, operator_only=False)
    """
    if role not in ROLES:
        raise ValueError(f"role {role!r} does not exist, there are {', '.join(ROLES)}")
    if key_scope is not None and key_scope not in api_key_manager.SCOPES:
        raise ValueError(f"scope {key_scope!r} does not exist, there are {', '.join(api_key_manager.SCOPES)}")
    return _marker(Access(role, key_scope, operator_only))


def open_to_all(view: View) -> View:
    """Mark a view as callable without a token."""
    return _marker(Access(None))(view)


def access_of(view: Callable[..., Any] | None) -> Access | None:
    """Who may call `view`; None when it says nothing, which refuses everybody."""
    return getattr(view, MARK, None)


def current_caller() -> Caller:
    """Who makes the request that is being answered."""
    caller: Caller = g.caller
    return caller


def init_app(app: Flask) -> None:
    """Check every request of `app` before its view, and before its body is read."""
    app.before_request(check_access)


def check_access() -> None:
    """Set `g.caller`, or refuse.

    Raises
    ------
    NotAuthenticated : no token or key, or one that is expired, altered, revoked or of the wrong type
    NotAllowed : a valid one whose role or scope does not reach; a view that declares no role
    """
    if request.endpoint is None or _answered_by_flask():
        return  # nothing at this address, or nothing of ours: routing's own 404, 405 or file follows
    access = access_of(current_app.view_functions.get(request.endpoint))
    if access is None:
        # Forgetting the mark must close a door, not open it.
        telemetry.log("VIEW_WITHOUT_ROLE", level="error", endpoint=request.endpoint)
        raise NotAllowed("This address declares no role, so nobody may call it.", required_role=None)
    address = request.remote_addr or ""
    if access.role is None:
        g.caller = Caller("", None, "", address, None)
        return
    g.caller = _identify(address)
    _require(access, g.caller)


def _marker(access: Access) -> Callable[[View], View]:
    def mark(view: View) -> View:
        setattr(view, MARK, access)
        return view

    return mark


def _answered_by_flask() -> bool:
    # Flask sets the attribute on its own rules: whether it, and not a view of ours, answers OPTIONS.
    automatic = getattr(request.url_rule, "provide_automatic_options", False)
    preflight = request.method == "OPTIONS" and bool(automatic)
    return preflight or request.endpoint == "static" or str(request.endpoint).endswith(".static")


def _identify(address: str) -> Caller:
    now = telemetry.utc_now()
    header = request.headers.get("Authorization")
    key = request.headers.get(KEY_HEADER)
    if header is not None:
        scheme, _, token = header.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise NotAuthenticated(
                "The Authorization header is not of the form 'Bearer <access_token>'.",
                expected="Bearer <access_token>",
            )
        if credentials.prefix_of(token.strip()) is not None:
            # Many programs, Prometheus among them, send a secret in this header only.
            return _of_key(token.strip(), address, now)
        user = account_manager.identify(token.strip(), now)
        return Caller(user.username, user.role, user.tenant, address, "user", user.family)
    if key is not None:
        return _of_key(key.strip(), address, now)
    raise NotAuthenticated(
        "No token. Log in with POST /api/login and send the header 'Authorization: Bearer <access_token>'.",
        expected="Bearer <access_token>",
    )


def _of_key(key: str, address: str, now: datetime) -> Caller:
    found = api_key_manager.identify(key, now)
    g.key_scope = found.scope
    # The lowest role: what a key may do beyond it is said by its scope alone.
    return Caller(f"key:{found.prefix}", ROLES[0], found.tenant, address, "key")


def _require(access: Access, caller: Caller) -> None:
    if caller.kind == "key":
        if access.key_scope is None:
            raise NotAllowed(
                f"This call takes no API key; log in as {access.role}.", required_role=access.role
            )
        if g.key_scope != access.key_scope:
            raise NotAllowed(
                f"The key's scope is {g.key_scope}, this call needs {access.key_scope}.",
                scope=g.key_scope,
                required_scope=access.key_scope,
            )
        _require_operator(access, caller)
        return
    required = access.role or ROLES[0]
    if caller.role not in ROLES or ROLES.index(caller.role) < ROLES.index(required):
        raise NotAllowed(
            f"Your role is {caller.role}, this call needs {required}.",
            role=caller.role,
            required_role=required,
        )
    _require_operator(access, caller)


def _require_operator(access: Access, caller: Caller) -> None:
    if access.operator_only and caller.tenant != account_manager.OPERATOR_TENANT:
        raise NotAllowed(
            f"This call is for the tenant {account_manager.OPERATOR_TENANT}, which runs the server.",
            tenant=caller.tenant,
        )
