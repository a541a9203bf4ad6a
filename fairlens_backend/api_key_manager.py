"""API keys of machines: made and shown once, kept as a hash, found again by their public prefix, revoked."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fairlens_backend import credentials, telemetry
from fairlens_backend.errors import InvalidInput, NotAuthenticated, NotFound
from fairlens_backend.storage import ledger_events, pages, users
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.storage.tables import ApiKey

SCOPES = ("submit", "ingest", "attributes", "metrics")
"""What a key can be for. submit: send data sets of predictions; ingest: send single decisions and their labels; attributes:
supply protected attributes of decisions, which whoever sends these need not know; metrics: read the figures for Prometheus."""
MAX_NAME_LENGTH = 100
NOTE_USE_EVERY = timedelta(
    minutes=1
)  # a row written at every call would make all calls of a key wait for each other


@dataclass(frozen=True)
class KeyIdentity:
    """Whose key it is and what it is for."""

    prefix: str
    tenant: str
    scope: str


def create_api_key(tenant: str, name: str, scope: str, by: str, now: datetime) -> dict[str, Any]:
    """Make a key of a tenant.

    Parameters
    ----------
    tenant : the administrator's own
    name : what it is for, in words; 1 to 100 printable characters
    scope : one of `SCOPES`
    by : username of the administrator

    Returns
    -------
    dict
        the key's row as `list_api_keys` gives it, and `key`, which nobody can be shown a second time

    Raises
    ------
    InvalidInput : an unknown scope, or a name that is empty, too long or not printable
    """
    if scope not in SCOPES:
        known = ", ".join(SCOPES)
        raise InvalidInput(
            f"scope is {scope[:100]!r}, one of {known} was expected.",
            field="scope",
            got=scope[:100],
            expected=f"one of {known}",
        )
    if not name.strip() or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        raise InvalidInput(
            f"name is {name[:MAX_NAME_LENGTH]!r}, 1 to {MAX_NAME_LENGTH} printable characters were expected.",
            field="name",
            got=name[:MAX_NAME_LENGTH],
            expected=f"1 to {MAX_NAME_LENGTH} printable characters",
        )
    key, prefix, key_hash = credentials.new_api_key()
    with unit_of_work():
        row = users.add_api_key(tenant, name, prefix, key_hash, scope, by, now)
        shown = {**_shown(row), "key": key}
        ledger_events.api_key_changed("created", row, by, now)
    telemetry.log("API_KEY_CREATED", prefix=prefix, scope=scope, tenant=tenant, by=by)
    return shown


def list_api_keys(tenant: str, limit: int = 20, cursor: str | None = None) -> dict[str, Any]:
    """Keys of a tenant, oldest first, revoked ones included, without any secret: `{"items", "next_cursor"}`.

    Raises
    ------
    InvalidInput : a cursor that no page gave
    """
    after = pages.decode_cursor(cursor)
    with read_snapshot():
        rows = users.list_api_keys(tenant, limit + 1, after)
    more = len(rows) > limit
    return {
        "items": [_shown(row) for row in rows[:limit]],
        "next_cursor": pages.encode_cursor(rows[limit - 1].id) if more else None,
    }


def revoke_api_key(tenant: str, key_id: int, by: str, now: datetime) -> dict[str, Any]:
    """Revoke a key of a tenant; revoking it twice changes nothing.

    Raises
    ------
    NotFound : no such key in the tenant
    """
    with unit_of_work():
        row = users.revoke_api_key(tenant, key_id, now) if key_id <= pages.LARGEST_ID else None
        if row is None:
            raise NotFound(f"There is no API key {key_id}.", id=key_id)
        shown = _shown(row)
        if row.revoked_at == now:  # else it was revoked before
            ledger_events.api_key_changed("revoked", row, by, now)
    telemetry.log("API_KEY_REVOKED", prefix=row.prefix, tenant=tenant, by=by)
    return shown


def identify(key: str, now: datetime) -> KeyIdentity:
    """Whose key this is; notes that it was used, at most once a minute.

    Raises
    ------
    NotAuthenticated : not a key of this server, or a revoked one
    """
    prefix = credentials.prefix_of(key)
    with read_snapshot():
        row = users.find_api_key(prefix) if prefix is not None else None
    # The prefix is public: only how much of the secret is right must not show in the time.
    if row is None or not credentials.same_key(key, row.key_hash):
        raise NotAuthenticated("The API key is not known.", reason="invalid_key")
    if row.revoked_at is not None:
        raise NotAuthenticated("The API key was revoked.", reason="revoked_key")
    if row.last_used_at is None or row.last_used_at <= now - NOTE_USE_EVERY:
        with unit_of_work():
            users.note_api_key_use(row.id, now, now - NOTE_USE_EVERY)
    return KeyIdentity(row.prefix, row.tenant, row.scope)


def _shown(row: ApiKey) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "prefix": row.prefix,
        "scope": row.scope,
        "created_by": row.created_by,
        "created_at": telemetry.timestamp(row.created_at),
        "last_used_at": None if row.last_used_at is None else telemetry.timestamp(row.last_used_at),
        "revoked_at": None if row.revoked_at is None else telemetry.timestamp(row.revoked_at),
    }
