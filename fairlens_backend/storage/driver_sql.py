"""Statements of the ingest path as text, given straight to the driver in the unit of work under way.

The ORM builds, checks and looks up every statement anew: 0.1 to 0.3 ms each, and a transaction of 500 events has a dozen
(they were 3.5 of 8.5 ms CPU a batch). As text one costs some microseconds, and errors are still SQLAlchemy's own. A `?` stands for a
value on both databases; names of tables and columns are constants of the rooms that write them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from fairlens_backend.storage.session import current_session, is_postgresql

_KEY: Final = "driver_sql"


def rows(sql: str, *values: Any) -> list[Any]:
    """The rows that a statement gives, as tuples."""
    return list(_executed(sql, values).fetchall())


def run(sql: str, *values: Any) -> int:
    """Run one statement; how many rows it changed."""
    return int(_executed(sql, values).rowcount)


def run_many(sql: str, many: Sequence[tuple[Any, ...]]) -> None:
    """Run one statement for each tuple of values; nothing for none."""
    if len(many) == 1:
        _executed(sql, many[0])
    elif many:
        _executed(sql, list(many), "executemany")


def _executed(sql: str, values: Any, method: str = "execute") -> Any:
    """The cursor of a statement. Of an error is made what SQLAlchemy makes of it, without the values."""
    connection = _connection()
    text = _of_driver(sql, connection.dialect.name == "postgresql")
    if connection.dispatch.before_cursor_execute or connection.dispatch.after_cursor_execute:
        return connection.exec_driver_sql(text, values)  # somebody listens to statements
    # Bytes as bytes: as text PostgreSQL's are twice as long, and both sides convert them.
    binary = {"binary": True} if connection.dialect.name == "postgresql" else {}
    cursor = connection.connection.cursor(**binary)
    try:
        getattr(cursor, method)(text, values)
    except connection.dialect.loaded_dbapi.Error as error:
        gone = connection.dialect.is_disconnect(error, connection.connection, cursor)
        if gone:
            connection.invalidate(error)
        wrapped = DBAPIError.instance(
            text,
            None,
            error,
            connection.dialect.loaded_dbapi.Error,
            connection_invalidated=gone,
            dialect=connection.dialect,
        )
        raise wrapped from error
    return cursor


def _connection() -> Connection:
    """The connection of the unit of work under way; asking the session for it each time costs as much as a statement."""
    session = current_session()
    kept: Connection | None = session.info.get(_KEY)
    if kept is None or kept.closed:
        kept = session.info[_KEY] = session.connection()
    return kept


def among(column: str) -> str:
    """The condition that an integer column is one of a list, which `list_of` makes its one value.

    One statement for lists of any length: each other text would be parsed and planned anew.
    """
    return f"{column} = ANY(?)" if is_postgresql() else f"{column} IN (SELECT value FROM json_each(?))"


def list_of(numbers: Sequence[int]) -> Any:
    """A list of integers as the value of `among`."""
    return list(numbers) if is_postgresql() else msgspec.json.encode(list(numbers)).decode()


def moment(at: datetime) -> Any:
    """A time as `tables.UtcDateTime` keeps it."""
    return at if is_postgresql() else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def as_moment(stored: Any) -> datetime | None:
    """A time that `tables.UtcDateTime` kept."""
    if stored is None:
        return None
    at = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def as_json(stored: Any) -> Any:
    """A JSON column's content: a text on SQLite, read already by PostgreSQL's driver."""
    return msgspec.json.decode(stored) if isinstance(stored, str | bytes) else stored


@lru_cache(maxsize=256)
def _of_driver(sql: str, postgresql: bool) -> str:
    return sql.replace("%", "%%").replace("?", "%s") if postgresql else sql
