"""Bytes of what was erased, below the rows: freed pages and the log of SQLite, dead rows of PostgreSQL."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final, cast

from fairlens_backend.storage.session import current_session, engine, is_postgresql

TOUCHED: Final = (
    "event_batches",
    "event_details",
    "event_id_pages",
    "early_labels",
    "early_attributes",
    "dead_letters",
    "erasures",
    "count_deltas",
    "count_buckets",
)


@contextmanager
def overwritten() -> Iterator[None]:
    """Let SQLite overwrite with zeros what the unit of work under way deletes or replaces inside.

    Not for all deletions: an ingest that merges its ids frees thousands of pages that hold nothing readable.
    """
    if is_postgresql():
        yield
        return
    connection = current_session().connection()
    before = connection.exec_driver_sql("PRAGMA secure_delete").scalar()
    connection.exec_driver_sql("PRAGMA secure_delete=ON")
    try:
        yield
        current_session().flush()
    finally:
        connection.exec_driver_sql(f"PRAGMA secure_delete={int(before or 0)}")


def clear_log() -> bool | None:
    """Bring SQLite's log into its file and empty it, outside of any transaction; None on PostgreSQL.

    Returns
    -------
    bool : whether it is empty. A reader that is still at an older state of the rows keeps it.
    """
    if is_postgresql():
        return None
    with closing(engine().raw_connection()) as pooled:
        driver = cast(sqlite3.Connection, pooled.driver_connection)
        busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def compact() -> None:
    """Write the database's file anew without what earlier deletions left in it. Nobody else can write meanwhile.

    PostgreSQL rewrites the tables that erasures touch; it needs their owner's rights.
    """
    if is_postgresql():
        with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in TOUCHED:
                connection.exec_driver_sql(f"VACUUM FULL {table}")
        return
    with closing(engine().raw_connection()) as pooled:
        driver: Any = pooled.driver_connection
        driver.execute("VACUUM")
    clear_log()
