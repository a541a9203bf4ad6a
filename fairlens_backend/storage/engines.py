"""Engines of SQLAlchemy, set up as this product needs them: SQLite with WAL and the write lock first, PostgreSQL's pool watched."""

import os
import sqlite3
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from fairlens_backend.storage import drivers

READ_ONLY: Final = "fairlens_read_only"
"""the execution option of an engine on which nothing is written"""
WAL_RETRY_S: Final = 0.02


def make_engine(url: str, busy_timeout_ms: int) -> Engine:
    """A new engine of a database; SQLite's file is made where it is missing.

    Parameters
    ----------
    busy_timeout_ms : how long a writer waits for SQLite's write lock
    """
    if not url.startswith("sqlite"):
        made = create_engine(url, pool_size=5, max_overflow=10, pool_reset_on_return=None)
        drivers.watch(made)
        return made
    make_sqlite_file(url)
    made = create_engine(url, connect_args={"timeout": busy_timeout_ms / 1000, "check_same_thread": False})
    event.listen(made, "connect", partial(_set_up_sqlite, busy_timeout_ms / 1000))
    event.listen(made, "begin", _begin)
    return made


def make_sqlite_file(url: str) -> None:
    """Make the folder and the empty file of a SQLite URL where they are missing, readable by their owner alone."""
    file = make_url(url).database
    if file and file != ":memory:":
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        # SQLite gives its log the same mode. What cannot be opened here, SQLite itself refuses with its own words.
        with suppress(OSError):
            os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))


def _set_up_sqlite(wait_s: float, connection: sqlite3.Connection, _record: Any) -> None:
    # The driver's own BEGIN comes late and without a lock; `_begin_immediate` sends the one that is wanted.
    connection.isolation_level = None
    _use_wal(connection, wait_s)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _use_wal(connection: sqlite3.Connection, wait_s: float) -> None:
    """Switch the file to WAL, where it is not yet.

    Of two processes that open a new file at once SQLite tells one "database is locked" at once, whatever its busy
    timeout: the workers of a first start did not all come up.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= deadline:
                raise
            time.sleep(WAL_RETRY_S)
        else:
            return


def _begin(connection: Any) -> None:
    driver = connection.connection.driver_connection
    statement = "BEGIN" if connection.get_execution_options().get(READ_ONLY) else "BEGIN IMMEDIATE"
    if not driver.in_transaction:
        try:
            driver.execute(statement)
        except sqlite3.OperationalError as error:
            raise OperationalError(statement, None, error) from error
