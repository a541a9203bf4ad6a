"""The one row of the ingest's state, which is also its lock: what the next batch and the next run of ids are called."""

from dataclasses import dataclass
from typing import Final

from fairlens_backend.storage import driver_sql
from fairlens_backend.storage.session import current_session, is_postgresql

_KEY: Final = "ingest_state"


@dataclass
class State:
    """As the row; `raw_from_minute` is the minute from which on no raw row was purged."""

    next_batch: int
    next_run: int
    raw_from_minute: int


def lock() -> State:
    """Let one writer at a time past this point, until its transaction ends; makes the row at the first time.

    SQLite's unit of work holds the write lock already. On PostgreSQL the row itself is the lock: one trip to the server
    reads it and waits for it, and after the wait gives the row as the one before left it.
    """
    session = current_session()
    held: State | None = session.info.get(_KEY)
    if held is not None:
        return held
    sql = "SELECT next_batch, next_run, raw_from_minute FROM ingest_state WHERE id = 1"
    sql += " FOR UPDATE" if is_postgresql() else ""
    found = driver_sql.rows(sql)
    if not found:
        driver_sql.run(
            "INSERT INTO ingest_state (id, next_batch, next_run, raw_from_minute) VALUES (1, 1, 1, 0)"
            " ON CONFLICT DO NOTHING"
        )
        found = driver_sql.rows(sql)
    state = session.info[_KEY] = State(*found[0])
    return state


def save() -> None:
    """Write what the holder of the lock changed."""
    state = lock()
    driver_sql.run(
        "UPDATE ingest_state SET next_batch = ?, next_run = ?, raw_from_minute = ? WHERE id = 1",
        state.next_batch,
        state.next_run,
        state.raw_from_minute,
    )


def raw_from_minute() -> int:
    """The minute from which on no raw row was purged; needs no lock."""
    found = driver_sql.rows("SELECT raw_from_minute FROM ingest_state WHERE id = 1")
    return int(found[0][0]) if found else 0
