"""What is said to a database's driver itself, where the layers above cost more than the database does.

Of an append to the ledger on PostgreSQL, in a unit of work of its own, a ping, BEGIN and COMMIT were half, and most of that in
psycopg's and SQLAlchemy's Python. `psycopg.pq` is psycopg's published wrapper of libpq; what it is told, psycopg sees.
"""

import select
import sqlite3
import time
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

IDLE_S: Final = 5.0
"""after which a connection is asked whether it still works, though nothing tells against it: a firewall forgets it silently"""
_USED: Final = "fairlens_used"


def begin(driver: Any) -> None:
    """Open a transaction, on SQLite with the write lock.

    Raises
    ------
    sqlite3.OperationalError : another writer holds the lock for longer than the busy timeout
    """
    if isinstance(driver, sqlite3.Connection):
        driver.execute("BEGIN IMMEDIATE")
    else:
        # Where it fails psycopg sends its own before the first statement, and tells why.
        driver.pgconn.exec_(b"BEGIN")


def commit(driver: Any) -> None:
    """Commit what was begun; it is durable when this returns.

    Raises
    ------
    sqlite3.Error, psycopg.Error : it is not committed; of a connection that broke nobody knows
    """
    if isinstance(driver, sqlite3.Connection):
        driver.execute("COMMIT")
        return
    from psycopg import (
        OperationalError,
        errors,
        pq,
    )  # here, not above: 0.1 s that who has SQLite need not wait

    done = driver.pgconn.exec_(b"COMMIT")
    if done.status != pq.ExecStatus.COMMAND_OK:
        state = done.error_field(pq.DiagnosticField.SQLSTATE)  # none: it is not the server that says it
        made = OperationalError if state is None else errors.lookup(state.decode())
        raise made(done.error_message.decode(errors="replace").strip() or "the connection is lost")
    if done.command_status != b"COMMIT":
        raise errors.InFailedSqlTransaction("the transaction had failed before; nothing was stored")


def watch(made: Engine) -> None:
    """Let a pool of PostgreSQL give no connection that the server has closed, without asking the server each time.

    What was closed can be read from: its end. Only a connection that can be, or was idle, is asked; so a unit of work costs one
    journey less than with SQLAlchemy's `pool_pre_ping`, and a restart of the server is noticed as there. The pool must have been
    made with pool_reset_on_return=None: what is given back is rolled back here, where there is anything to roll back.
    """

    from psycopg import pq

    def roll_back(driver: Any, _record: Any, _state: Any) -> None:
        if driver.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            driver.rollback()

    def keep_time(_driver: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    def check(driver: Any, record: Any, _pooled: Any) -> None:
        used = record.info.get(_USED)
        if used is None or (time.monotonic() - used < IDLE_S and not _readable(driver)):
            return
        try:
            answers = bool(made.dialect.do_ping(driver))
        except made.dialect.loaded_dbapi.Error:
            answers = False
        if not answers:
            raise InvalidatePoolError  # the others of the pool are no better

    event.listen(made, "reset", roll_back)
    event.listen(made, "checkin", keep_time)
    event.listen(made, "checkout", check)


def _readable(driver: Any) -> bool:
    if driver.closed:
        return True
    poll = select.poll()
    poll.register(driver.fileno(), select.POLLIN)
    return bool(poll.poll(0))
