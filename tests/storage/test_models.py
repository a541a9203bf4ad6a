"""Rows of registered models."""

from datetime import UTC, datetime

import pytest

from fairlens_backend.errors import Conflict
from fairlens_backend.storage import models
from fairlens_backend.storage.session import read_snapshot, unit_of_work

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("database")


def add(name: str, version: str, tenant: str = "default") -> None:
    models.insert(
        tenant=tenant,
        name=name,
        version=version,
        declarations={"features": ["a"]},
        artefact_path=None,
        artefact_sha256=None,
        created_by="tests",
        created_at=NOW,
    )


def test_a_second_row_of_one_name_and_version_is_a_conflict_and_the_unit_of_work_goes_on() -> None:
    """The unique constraint speaks as Conflict; what else the unit of work holds is kept."""
    with unit_of_work():
        add("m", "1")
        with pytest.raises(Conflict):
            add("m", "1")
        add("m", "2")
    with read_snapshot():
        assert models.versions("default", "m", 10) == ["2", "1"]


def test_another_tenant_may_use_the_same_name_and_sees_its_own() -> None:
    """Names are unique within a tenant, and no query crosses tenants."""
    with unit_of_work():
        add("m", "1")
        add("m", "1", tenant="other")
    with read_snapshot():
        assert len(models.page("default", 10)) == 1
        assert models.find("third", "m") is None


def test_find_gives_the_version_registered_last() -> None:
    """Newest is the order of registration: 10 after 9 is newer although "10" < "9" as text."""
    with unit_of_work():
        add("m", "9")
        add("m", "10")
    with read_snapshot():
        newest, older = models.find("default", "m"), models.find("default", "m", "9")
    assert newest is not None and newest.version == "10"
    assert older is not None and older.version == "9" and older.created_at == NOW


def test_pages_follow_each_other_newest_first() -> None:
    """Each page starts before the last id of the one before."""
    with unit_of_work():
        for version in "abc":
            add("m", version)
    with read_snapshot():
        first = models.page("default", 2)
        second = models.page("default", 2, before_id=first[-1].id)
    assert [row.version for row in first] == ["c", "b"]
    assert [row.version for row in second] == ["a"]
