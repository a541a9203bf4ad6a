"""Rows of users, their refresh tokens and API keys. Everything runs inside the caller's unit of work."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, delete, exists, insert, or_, select, update
from sqlalchemy.engine import CursorResult, Result
from sqlalchemy.exc import IntegrityError

from fairlens_backend.storage import driver_sql, row_numbers, session
from fairlens_backend.storage.detail_tables import TenantPrivacy
from fairlens_backend.storage.event_tables import CountSeries
from fairlens_backend.storage.tables import ApiKey, RefreshToken, RegisteredModel, User

FIRST_ADMIN_LOCK = 0x464C_0001  # any number of our own: workers that start at once queue behind it


def lock_first_admin() -> None:
    """Let one worker at a time look whether there is a user at all, until its unit of work ends."""
    session.lock_for_append(FIRST_ADMIN_LOCK)


def any_user() -> bool:
    """Whether there is a user, in any tenant."""
    return bool(session.current_session().scalar(select(exists().select_from(User))))


def is_tenant_there(tenant: str) -> bool:
    """Whether a tenant has a user, an API key, a model, or anything of single decisions."""
    of = (User, ApiKey, RegisteredModel, TenantPrivacy, CountSeries)
    return any(
        session.current_session().execute(select(table.tenant).where(table.tenant == tenant).limit(1)).first()
        for table in of
    )


def add_user(tenant: str, username: str, password_hash: str, role: str, now: datetime) -> int | None:
    """Insert a user; its id, or None when the name is taken."""
    here = session.current_session()
    user = User(
        id=row_numbers.fresh(User),
        tenant=tenant,
        username=username,
        password_hash=password_hash,
        role=role,
        created_at=now,
        failed_logins=0,
    )
    try:
        # The unique name decides, not a look beforehand: two requests may bring the same name at once.
        with here.begin_nested():
            here.add(user)
    except IntegrityError:
        return None
    return user.id


def find_user(username: str) -> User | None:
    """The user of that name, in whatever tenant."""
    if not username.isprintable():
        return None  # no account has such a name, and PostgreSQL refuses a NUL in a query
    return session.current_session().scalar(select(User).where(User.username == username))


def lock_user(username: str) -> User | None:
    """The user of that name as last committed, with no other writer of the row until this unit of work ends."""
    if not username.isprintable():
        return None
    query = select(User).where(User.username == username).with_for_update()
    return session.current_session().scalar(query.execution_options(populate_existing=True))


def list_users(tenant: str, limit: int, after: int) -> list[User]:
    """Up to `limit` users of a tenant with an id above `after`, oldest first."""
    query = select(User).where(User.tenant == tenant, User.id > after).order_by(User.id).limit(limit)
    return list(session.current_session().scalars(query))


def lock_admins(tenant: str) -> int:
    """How many administrators a tenant has; none of them is deleted elsewhere until this unit of work ends."""
    query = select(User.id).where(User.tenant == tenant, User.role == "admin").with_for_update()
    return len(session.current_session().scalars(query).all())


def delete_user(user: User) -> None:
    """Delete a user with their refresh tokens. Their number, which the ledger tells, is nobody else's afterwards."""
    here = session.current_session()
    row_numbers.note_deleted(User, user.id)
    here.execute(delete(RefreshToken).where(RefreshToken.user_id == user.id))
    here.execute(delete(User).where(User.id == user.id))


def find_session(username: str, family: str) -> User | None:
    """The user of that name, if that login of theirs was not ended. One query, by two indexes."""
    alive = exists().where(
        RefreshToken.family == family, RefreshToken.user_id == User.id, RefreshToken.revoked_at.is_(None)
    )
    return session.current_session().scalar(select(User).where(User.username == username, alive))


def add_refresh_token(jti: str, family: str, user_id: int, issued_at: datetime, expires_at: datetime) -> None:
    """Insert a refresh token that was not used yet."""
    values = {
        "jti": jti,
        "family": family,
        "user_id": user_id,
        "issued_at": issued_at,
        "expires_at": expires_at,
    }
    session.current_session().execute(insert(RefreshToken).values(values))


def use_refresh_token(jti: str, now: datetime) -> bool:
    """Mark a refresh token as used; False when it is unknown, revoked or was used before. One of two callers wins."""
    fresh = (RefreshToken.jti == jti, RefreshToken.used_at.is_(None), RefreshToken.revoked_at.is_(None))
    return _changed(session.current_session().execute(update(RefreshToken).where(*fresh).values(used_at=now)))


def find_refresh_token(jti: str) -> RefreshToken | None:
    """The refresh token of that id, as last committed."""
    return session.current_session().get(RefreshToken, jti, populate_existing=True)


def revoke_family(family: str, now: datetime) -> bool:
    """Revoke every token that comes from one login; False when none was left to revoke."""
    alive = (RefreshToken.family == family, RefreshToken.revoked_at.is_(None))
    return _changed(
        session.current_session().execute(update(RefreshToken).where(*alive).values(revoked_at=now))
    )


def revoke_all(now: datetime) -> int:
    """End every login of everybody; how many tokens were revoked."""
    alive = update(RefreshToken).where(RefreshToken.revoked_at.is_(None)).values(revoked_at=now)
    return int(session.current_session().execute(alive).rowcount)  # type: ignore[attr-defined]


def delete_refresh_tokens(expired_before: datetime) -> int:
    """Delete refresh tokens that expired before a time; how many there were."""
    result = session.current_session().execute(
        delete(RefreshToken).where(RefreshToken.expires_at < expired_before)
    )
    return _count(result)


def add_api_key(
    tenant: str, name: str, prefix: str, key_hash: str, scope: str, by: str, now: datetime
) -> ApiKey:
    """Insert an API key."""
    key = ApiKey(
        tenant=tenant,
        name=name,
        prefix=prefix,
        key_hash=key_hash,
        scope=scope,
        created_by=by,
        created_at=now,
    )
    session.current_session().add(key)
    session.current_session().flush()
    return key


class FoundKey(NamedTuple):
    """What every call with an API key reads of its row."""

    id: int
    prefix: str
    tenant: str
    scope: str
    key_hash: str
    revoked_at: datetime | None
    last_used_at: datetime | None


def find_api_key(prefix: str) -> FoundKey | None:
    """The key of that prefix, in whatever tenant, revoked or not. Read at every call, so past the ORM, and never kept:
    a revoked key is refused at once, by every worker."""
    session.current_session().flush()
    found = driver_sql.rows(
        "SELECT id, prefix, tenant, scope, key_hash, revoked_at, last_used_at FROM api_keys WHERE prefix = ?",
        prefix,
    )
    if not found:
        return None
    *rest, revoked_at, last_used_at = found[0]
    return FoundKey(*rest, driver_sql.as_moment(revoked_at), driver_sql.as_moment(last_used_at))


def list_api_keys(tenant: str, limit: int, after: int) -> list[ApiKey]:
    """Up to `limit` keys of a tenant with an id above `after`, oldest first, revoked ones included."""
    query = select(ApiKey).where(ApiKey.tenant == tenant, ApiKey.id > after).order_by(ApiKey.id).limit(limit)
    return list(session.current_session().scalars(query))


def revoke_api_key(tenant: str, key_id: int, now: datetime) -> ApiKey | None:
    """Revoke a key of a tenant, once; None when there is no such key."""
    here = session.current_session()
    mine: tuple[ColumnElement[bool], ...] = (ApiKey.id == key_id, ApiKey.tenant == tenant)
    here.execute(
        update(ApiKey).where(*mine, ApiKey.revoked_at.is_(None)).values(revoked_at=now),
        execution_options={"synchronize_session": False},
    )
    return here.scalar(select(ApiKey).where(*mine).execution_options(populate_existing=True))


def note_api_key_use(key_id: int, now: datetime, unless_since: datetime) -> None:
    """Note that a key was used now, unless that was noted after `unless_since`."""
    stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= unless_since)
    session.current_session().execute(
        update(ApiKey).where(ApiKey.id == key_id, stale).values(last_used_at=now),
        execution_options={"synchronize_session": False},
    )


def _count(result: Result[tuple[()]]) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0


def _changed(result: Result[tuple[()]]) -> bool:
    return _count(result) > 0
