"""Migrations: from nothing to the newest schema and back, on the database the settings name."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect

from fairlens_backend import config
from fairlens_backend.errors import Unavailable
from fairlens_backend.storage import migrate, session, tables

pytestmark = pytest.mark.usefixtures("settings")


def tables_there() -> set[str]:
    with migrate.connection() as connection:
        return set(inspect(connection).get_table_names())


def differences() -> list[Any]:
    """What Alembic would change to make the database equal to tables.py."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with migrate.connection() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, tables.Base.metadata))


def test_empty_to_head_to_base_to_head() -> None:
    """Up makes every table, down leaves none, and up again works; doing it twice changes nothing."""
    wanted = set(tables.Base.metadata.tables) | {"alembic_version"}
    assert not migrate.is_at_head()
    for _ in range(2):
        migrate.upgrade()
        migrate.upgrade()
        assert migrate.is_at_head() and tables_there() == wanted
        migrate.downgrade_to_base()
        assert not migrate.is_at_head() and tables_there() == {"alembic_version"}


def test_the_migrated_schema_is_the_one_of_the_tables() -> None:
    """Tables, columns, types, keys and indexes: Alembic finds nothing to change."""
    assert len(differences()) >= len(tables.Base.metadata.tables)  # the comparison does see an empty database
    migrate.upgrade()
    assert differences() == []


def test_rows_go_in_and_come_out_of_a_migrated_database() -> None:
    """A generated id, a time with its zone and a foreign key that deletes its dependants."""
    migrate.upgrade()
    now = datetime(2026, 3, 1, tzinfo=UTC)
    with session.unit_of_work() as rows:
        user = tables.User(tenant="t", username="u", password_hash="x", role="admin", created_at=now)
        rows.add(user)
        rows.flush()
        rows.add(tables.RefreshToken(jti="j", family="f", user_id=user.id, issued_at=now, expires_at=now))
    with session.unit_of_work() as rows:
        found = rows.get(tables.User, user.id)
        assert found is not None and found.created_at == now
        rows.delete(found)
    with session.read_snapshot() as rows:
        assert rows.get(tables.RefreshToken, "j") is None
    session.dispose_engines()


def test_an_upgrade_that_fails_leaves_the_schema_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps are one transaction: who looks meanwhile sees none of them, and afterwards all or none."""

    def fail(_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(migrate, "grant", fail)  # what comes after the last step
    with pytest.raises(ZeroDivisionError):
        migrate.upgrade()
    assert tables_there() == set()
    monkeypatch.undo()
    migrate.upgrade()
    assert migrate.is_at_head()


def test_processes_that_start_at_once_migrate_once() -> None:
    """Workers started together queue: each ends well, with the schema at head."""
    code = "from fairlens_backend.storage import migrate; migrate.upgrade(); assert migrate.is_at_head()"
    # Settings of this test as the environment of the others: names are the upper-case attributes.
    environment = {name.upper(): str(value) for name, value in vars(config.current()).items()}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=config.PROJECT_ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    outcomes = [(worker.communicate()[1], worker.returncode) for worker in workers]
    assert [code for _, code in outcomes] == [0, 0, 0], outcomes
    assert migrate.is_at_head()


def test_a_database_out_of_reach_is_unavailable(make_settings: Any, tmp_path: Path) -> None:
    """The sentence says that nothing was changed."""
    (tmp_path / "file").mkdir()
    make_settings(DATABASE_URL=f"sqlite:///{tmp_path / 'file'}")
    with pytest.raises(Unavailable, match="schema is as it was"):
        migrate.upgrade()
    with pytest.raises(Unavailable):
        migrate.is_at_head()


def test_the_command_line_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """`alembic upgrade head` in the project's root, and its SQL without a database (`--sql`)."""
    from alembic import command
    from alembic.config import Config

    monkeypatch.chdir("/")
    ini = Config(str(config.PROJECT_ROOT / "alembic.ini"))
    command.upgrade(ini, "head")
    assert migrate.is_at_head()
    command.upgrade(ini, "head", sql=True)
