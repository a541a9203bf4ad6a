"""Rows of what tenants want done with personal data."""

from datetime import datetime
from typing import Any

from sqlalchemy import select

from fairlens_backend.storage.detail_tables import TenantPrivacy
from fairlens_backend.storage.event_tables import CountSeries, DeadLetter
from fairlens_backend.storage.session import current_session, lock_for_append

_LOCK = 0x70726976  # "priv": any number that no other appender takes


def find(tenant: str) -> TenantPrivacy | None:
    """The tenant's row; None where it has set nothing."""
    return current_session().get(TenantPrivacy, tenant, populate_existing=True)


def token_versions() -> dict[str, int]:
    """The version of the token key of each tenant that has changed its first one."""
    wanted = select(TenantPrivacy.tenant, TenantPrivacy.token_key_version)
    return {
        row[0]: row[1] for row in current_session().execute(wanted.where(TenantPrivacy.token_key_version > 1))
    }


def tenants() -> set[str]:
    """Every tenant of whose events something is kept, or that has switches of its own."""
    found = set(current_session().scalars(select(TenantPrivacy.tenant)))
    found |= set(current_session().scalars(select(CountSeries.tenant).distinct()))
    return found | set(current_session().scalars(select(DeadLetter.tenant).distinct()))


def use_token_version(tenant: str, version: int, by: str, now: datetime) -> None:
    """Let this version make the tenant's tokens from here on."""
    lock_for_append(_LOCK)
    row = find(tenant)
    if row is None:
        row = TenantPrivacy(tenant=tenant, switches={}, updated_by=by[:64], updated_at=now)
        current_session().add(row)
    row.token_key_version = version
    current_session().flush()


def keep(tenant: str, switches: dict[str, Any], by: str, now: datetime) -> TenantPrivacy:
    """Put these switches in the place of the tenant's; the version of its token key stays."""
    lock_for_append(_LOCK)
    row = find(tenant)
    if row is None:
        row = TenantPrivacy(tenant=tenant, token_key_version=1, switches={}, updated_by=by, updated_at=now)
        current_session().add(row)
    row.switches, row.updated_by, row.updated_at = switches, by[:64], now
    current_session().flush()
    return row
