"""Brings the database's schema to the one that this code expects, and back, by the scripts in `migrations/`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from fairlens_backend import config, telemetry
from fairlens_backend.errors import Unavailable
from fairlens_backend.storage.engines import make_sqlite_file
from fairlens_backend.storage.ledger_tables import APPEND_ONLY, grants

if TYPE_CHECKING:
    from alembic.config import Config

_LOCK = 0x736368656D61  # "schema": any number that no appender takes


def upgrade() -> None:
    """Run every migration that the database has not had. Two processes that start at once queue.

    Raises
    ------
    Unavailable : the database does not answer
    """
    from alembic import command

    if is_at_head():
        return
    with _database_errors():
        command.upgrade(_alembic(), "head")
    telemetry.log("SCHEMA_UPGRADED")


def downgrade_to_base() -> None:
    """Undo every migration: all tables and all their rows are gone.

    Raises
    ------
    Unavailable : the database does not answer
    """
    from alembic import command

    with _database_errors():
        command.downgrade(_alembic(), "base")
    telemetry.log("SCHEMA_REMOVED", level="warning")


def is_at_head() -> bool:
    """Whether the database has had every migration, and none that this code does not know.

    Raises
    ------
    Unavailable : the database does not answer
    """
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    wanted = set(ScriptDirectory.from_config(_alembic()).get_heads())
    with _database_errors(), connection() as opened:
        return set(MigrationContext.configure(opened).get_current_heads()) == wanted


@contextmanager
def connection() -> Iterator[Connection]:
    """A connection of its own to the settings' database, closed at the end.

    It differs from the sessions' ones on SQLite: foreign keys are off, since copying a table to alter it
    would otherwise delete the rows that point to it.
    """
    url = config.current().sqlalchemy_url
    if not url.startswith("sqlite"):
        made = create_engine(url, poolclass=NullPool)
    else:
        make_sqlite_file(url)
        timeout_s = config.current().database_busy_timeout_ms / 1000
        made = create_engine(url, poolclass=NullPool, connect_args={"timeout": timeout_s})
        event.listen(made, "connect", _leave_transactions_to_us)
        event.listen(made, "begin", _begin_immediate)
    with made.connect() as opened:
        yield opened


def lock(opened: Connection) -> None:
    """Let one migration at a time past this point, until its transaction ends."""
    if opened.dialect.name == "postgresql":
        opened.execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": _LOCK})


def grant(opened: Connection) -> None:
    """Give DATABASE_APP_ROLE, where it is named, what the server needs of every table there is now, and no more."""
    role = config.current().database_app_role
    if role and opened.dialect.name == "postgresql" and inspect(opened).has_table(APPEND_ONLY[0]):
        for statement in grants(role):
            opened.exec_driver_sql(statement)


def _alembic() -> "Config":
    from alembic.config import Config

    made = Config()
    made.set_main_option("script_location", str(config.PROJECT_ROOT / "migrations").replace("%", "%%"))
    return made


def _leave_transactions_to_us(opened: Any, _record: Any) -> None:
    opened.isolation_level = None  # the driver would end the transaction before each CREATE TABLE


def _begin_immediate(opened: Connection) -> None:
    opened.exec_driver_sql("BEGIN IMMEDIATE")


@contextmanager
def _database_errors() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        telemetry.log("DATABASE_UNAVAILABLE", level="error", error=type(error.orig).__name__)
        raise Unavailable(
            "The database does not answer; its schema is as it was.", retry_after_s=10
        ) from error
