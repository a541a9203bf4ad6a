"""Rows of what tenants want done with personal data."""

from datetime import datetime
from typing import Any

from fairlens_backend.storage.detail_tables import TenantPrivacy
from fairlens_backend.storage.session import current_session, lock_for_append

_LOCK = 0x70726976  # "priv": any number that no other appender takes


def find(tenant: str) -> TenantPrivacy | None:
    """The tenant's row; None where it has set nothing."""
    return current_session().get(TenantPrivacy, tenant, populate_existing=True)


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
