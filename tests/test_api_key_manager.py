"""Keys of machines at the desk; their doors are tested in `blueprints/test_admin.py` and `test_auth.py`."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from fairlens_backend import api_key_manager
from fairlens_backend.errors import InvalidInput, NotAuthenticated, NotFound
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.storage.tables import ApiKey

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def make_key(tenant: str = "acme", name: str = "loans") -> str:
    key: str = api_key_manager.create_api_key(tenant, name, "submit", "tina", NOW)["key"]
    return key


def test_a_key_stands_for_its_tenant_and_scope(database: None) -> None:
    """Two keys of two tenants are told apart."""
    found = [api_key_manager.identify(make_key(tenant), NOW) for tenant in ("acme", "default")]
    assert [(one.tenant, one.scope) for one in found] == [("acme", "submit"), ("default", "submit")]


def test_the_row_holds_no_key(database: None) -> None:
    """Whoever reads the table cannot call: no column has the secret part."""
    key = make_key()
    with read_snapshot() as session:
        row = session.execute(select(ApiKey.__table__).where(ApiKey.prefix == key[3:15])).one()
    assert [value for value in row if key[16:] in str(value)] == []


def test_an_unknown_scope_is_refused(database: None) -> None:
    """The error names the scopes there are."""
    with pytest.raises(InvalidInput, match="one of submit") as told:
        api_key_manager.create_api_key("acme", "loans", "everything", "tina", NOW)
    assert told.value.details["field"] == "scope"


def test_a_revoked_key_is_refused_at_once(database: None) -> None:
    """And only its own tenant can revoke it."""
    key = make_key()
    with pytest.raises(NotFound):
        api_key_manager.revoke_api_key("default", 1, "admin", NOW)
    api_key_manager.revoke_api_key("acme", 1, "tina", NOW)
    with pytest.raises(NotAuthenticated, match="revoked"):
        api_key_manager.identify(key, NOW + timedelta(seconds=1))


def test_keys_are_listed_by_page(database: None) -> None:
    """Every key comes once, oldest first."""
    for name in ("k1", "k2", "k3"):
        make_key(name=name)
    first = api_key_manager.list_api_keys("acme", limit=2)
    second = api_key_manager.list_api_keys("acme", limit=2, cursor=first["next_cursor"])
    assert [one["name"] for one in first["items"] + second["items"]] == ["k1", "k2", "k3"]
    assert second["next_cursor"] is None
