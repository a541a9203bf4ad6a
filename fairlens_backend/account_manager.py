"""People's accounts: the first administrator, logging in and out, tokens that rotate, users of a tenant.

`login` and `refresh` keep what they learn from a refusal (a failure counted, a family revoked), so they commit before
they raise: call them outside any unit of work.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from fairlens_backend import config, credentials, login_throttle, signing_keys, telemetry
from fairlens_backend.credentials import ROLES
from fairlens_backend.errors import Conflict, InvalidInput, NotAllowed, NotAuthenticated, NotFound
from fairlens_backend.login_throttle import Attempts
from fairlens_backend.storage import ledger_events, pages, users
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.storage.tables import User

OPERATOR_TENANT = "default"
"""The tenant of those who run the server: its administrators make the first user of every other tenant."""


@dataclass(frozen=True)
class Identity:
    """Who an access token stands for, as the user's row has it now."""

    username: str
    role: str
    tenant: str
    family: str


def ensure_admin(now: datetime) -> bool:
    """Make the first administrator from ADMIN_USERNAME and ADMIN_PASSWORD when there is no user at all.

    Several workers may start at once: one makes it. Returns whether it was this one.
    """
    settings = config.current()
    with read_snapshot():
        if users.any_user():
            return False
    password_hash = credentials.hash_password(settings.admin_password)
    with unit_of_work():
        users.lock_first_admin()
        if users.any_user():
            return False
        users.add_user(OPERATOR_TENANT, settings.admin_username, password_hash, "admin", now)
        ledger_events.user_changed("created", settings.admin_username, None, now)
    made = {"username": settings.admin_username, "role": "admin", "tenant": OPERATOR_TENANT}
    telemetry.log("USER_CREATED", **made, by="")
    return True


def login(username: str, password: str, address: str, now: datetime) -> dict[str, Any]:
    """Tokens for a name and its password.

    Parameters
    ----------
    username, password : as typed
    address : where the call comes from, for the log

    Returns
    -------
    dict : access_token, refresh_token, expires_in (seconds the access token lives), token_type, role

    Raises
    ------
    NotAuthenticated : wrong name or wrong password, which of the two is not said and takes the same work
    RateLimited : too soon after failed logins, or locked; also with the right password, so that guesses
        made in parallel learn no more than guesses made one after the other
    """
    with read_snapshot():
        user = users.find_user(username)
    if user is None:
        login_throttle.check_stranger(username, now)
        credentials.verify_password(password, None)
        login_throttle.note_stranger(username, now)
        _refuse(address)
    login_throttle.check(_attempts(user), now)
    right = credentials.verify_password(password, user.password_hash)
    # Hashed before the transaction: 40 ms that no other writer should wait for.
    better_hash = _better_hash(password, user.password_hash) if right else None
    tokens, locked = None, False
    with unit_of_work():
        row = users.lock_user(username)
        if row is not None:
            login_throttle.check(_attempts(row), now)
            _remember(row, Attempts() if right else login_throttle.after_failure(_attempts(row), now))
            locked = row.locked_until is not None
            row.password_hash = better_hash or row.password_hash
            tokens = _issue(row, credentials.new_id(), now) if right else None
            if locked:
                ledger_events.user_changed("locked", username, None, now)
    if locked:
        telemetry.log("ACCOUNT_LOCKED", level="warning", username=username, address=address)
    if tokens is None:
        _refuse(address)
    telemetry.log("LOGIN", username=username, tenant=user.tenant, address=address)
    return tokens


def refresh(refresh_token: str, now: datetime) -> dict[str, Any]:
    """New tokens for a refresh token, which is used up by it.

    One that was used before is in two hands: then all tokens of that login are revoked.

    Returns
    -------
    dict : as `login` gives it, with the role that the user has now

    Raises
    ------
    NotAuthenticated : expired, altered, revoked, used before, or its user is gone
    """
    claims = signing_keys.read_token(refresh_token, "refresh", now)
    tokens, reused = None, False
    with unit_of_work():
        # The user's row is locked first: a logout at the same moment must not miss the token made here.
        user = users.lock_user(claims.username)
        if user is not None and users.use_refresh_token(claims.jti, now):
            tokens = _issue(user, claims.family, now)
        elif user is not None:
            found = users.find_refresh_token(claims.jti)
            reused = found is not None and found.used_at is not None
            if reused:
                users.revoke_family(claims.family, now)
    if reused:
        telemetry.log("REFRESH_TOKEN_REUSED", level="warning", username=claims.username, family=claims.family)
        raise NotAuthenticated(
            "This refresh token was used before, so all tokens of that login are revoked. Log in again.",
            reason="reused",
        )
    if tokens is None:
        raise NotAuthenticated("This login was ended. Log in again.", reason="revoked")
    return tokens


def logout(username: str, family: str, now: datetime) -> None:
    """End a login: its refresh tokens and its access tokens stop working."""
    with unit_of_work():
        users.lock_user(username)
        users.revoke_family(family, now)
    telemetry.log("LOGOUT", username=username)


def identify(access_token: str, now: datetime) -> Identity:
    """Whom an access token stands for.

    The user's row and the login it comes from are looked up, so a deleted user, a changed role and a logout
    take effect at once and not when the token expires.

    Raises
    ------
    NotAuthenticated : expired, altered, of another type, its login ended, its user gone or changed
    """
    claims = signing_keys.read_token(access_token, "access", now)
    with read_snapshot():
        user = users.find_session(claims.username, claims.family)
    if user is None:
        raise NotAuthenticated("This login was ended. Log in again.", reason="revoked")
    if (user.role, user.tenant) != (claims.role, claims.tenant):
        raise NotAuthenticated("The account was changed since this login. Log in again.", reason="changed")
    return Identity(user.username, user.role, user.tenant, claims.family)


def purge_expired(now: datetime) -> int:
    """Delete refresh tokens that no access token of theirs can outlive; how many. For the clock.

    With them goes what is remembered of failed logins of names without an account.
    """
    with unit_of_work():
        login_throttle.forget_strangers(now)
        return users.delete_refresh_tokens(now - timedelta(seconds=config.current().jwt_access_expire))


def create_user(
    by: str, by_tenant: str, username: str, password: str, role: str, now: datetime, tenant: str | None = None
) -> dict[str, Any]:
    """Make a user.

    Parameters
    ----------
    by, by_tenant : the administrator who asks, and their tenant
    username : unique on the server; 1 to 100 letters, digits and . _ @ + -
    password : at least 12 characters, at most 1024 bytes, not the username
    role : monitor, auditor or admin
    tenant : the administrator's own when None; another one only for the operator's administrators

    Raises
    ------
    InvalidInput : a field is not as described; a password is never repeated, only its length
    NotAllowed : another tenant
    Conflict : the name is taken
    """
    wanted = by_tenant if tenant is None else tenant
    credentials.check_new_name(username, "username")
    credentials.check_new_name(wanted, "tenant", credentials.TENANT)
    credentials.check_new_password(username, password)
    if role not in ROLES:
        known = ", ".join(ROLES)
        raise InvalidInput(
            f"role is {role[:100]!r}, one of {known} was expected.",
            field="role", got=role[:100], expected=f"one of {known}",
        )  # fmt: skip
    if by_tenant not in (wanted, OPERATOR_TENANT):
        raise NotAllowed(f"You may make users of your own tenant {by_tenant} only.", tenant=by_tenant)
    password_hash = credentials.hash_password(password)
    with unit_of_work():
        if users.add_user(wanted, username, password_hash, role, now) is None:
            raise Conflict(f"The username {username} is taken.", username=username)
        made = users.find_user(username)
        ledger_events.user_changed("created", username, by, now)
        assert made is not None
    telemetry.log("USER_CREATED", username=username, role=role, tenant=wanted, by=by)
    return _shown(made, now)


def list_users(tenant: str, now: datetime, limit: int = 20, cursor: str | None = None) -> dict[str, Any]:
    """Users of a tenant, oldest first: `{"items": [...], "next_cursor": str or None}`.

    Raises
    ------
    InvalidInput : a cursor that no page gave
    """
    after = pages.decode_cursor(cursor)
    with read_snapshot():
        rows = users.list_users(tenant, limit + 1, after)
    more = len(rows) > limit
    return {
        "items": [_shown(row, now) for row in rows[:limit]],
        "next_cursor": pages.encode_cursor(rows[limit - 1].id) if more else None,
    }


def delete_user(by: str, tenant: str, username: str, now: datetime) -> None:
    """Delete a user of a tenant; their tokens stop working. API keys belong to the tenant and stay.

    Raises
    ------
    NotFound : no such user in the tenant
    Conflict : oneself, or the tenant's last administrator
    """
    if username == by:
        raise Conflict("You cannot delete yourself; another administrator can.", username=username)
    with unit_of_work():
        admins = users.lock_admins(tenant)
        user = users.lock_user(username)
        if user is None or user.tenant != tenant:
            raise NotFound(f"There is no user {username[:100]}.", username=username[:100])
        if user.role == "admin" and admins <= 1:
            raise Conflict(f"{username} is the last administrator of {tenant}.", username=username)
        ledger_events.user_changed("deleted", username, by, now)
        users.delete_user(user)
    telemetry.log("USER_DELETED", username=username, tenant=tenant, by=by)


def _issue(user: User, family: str, now: datetime) -> dict[str, Any]:
    settings = config.current()
    about = {"sub": user.username, "role": user.role, "tenant": user.tenant, "family": family}
    jti = credentials.new_id()
    users.add_refresh_token(jti, family, user.id, now, now + timedelta(seconds=settings.jwt_refresh_expire))
    access, renewal = {**about, "jti": credentials.new_id()}, {**about, "jti": jti}
    return {
        "access_token": signing_keys.sign_token(access, "access", now, settings.jwt_access_expire),
        "refresh_token": signing_keys.sign_token(renewal, "refresh", now, settings.jwt_refresh_expire),
        "expires_in": settings.jwt_access_expire,
        "token_type": "Bearer",
        "role": user.role,
    }


def _refuse(address: str) -> NoReturn:
    # Without the name: people type their password into the wrong field.
    telemetry.log("LOGIN_FAILED", level="warning", address=address)
    raise NotAuthenticated("The username or the password is wrong.", reason="wrong_credentials")


def _attempts(user: User) -> Attempts:
    return Attempts(user.failed_logins, user.last_failure_at, user.locked_until)


def _remember(user: User, attempts: Attempts) -> None:
    user.failed_logins = attempts.failed
    user.last_failure_at = attempts.last_failure_at
    user.locked_until = attempts.locked_until


def _better_hash(password: str, password_hash: str) -> str | None:
    return credentials.hash_password(password) if credentials.needs_rehash(password_hash) else None


def _shown(user: User, now: datetime) -> dict[str, Any]:
    locked = user.locked_until is not None and user.locked_until > now
    return {
        "username": user.username,
        "role": user.role,
        "tenant": user.tenant,
        "created_at": telemetry.timestamp(user.created_at),
        "locked_until": telemetry.timestamp(user.locked_until) if locked and user.locked_until else None,
    }
