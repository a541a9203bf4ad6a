"""What is said to a database's driver itself, where the layers above cost more than the database does.

Of an append to the ledger on PostgreSQL, in a unit of work of its own, a ping, BEGIN and COMMIT were half, and most of that in
psycopg's and SQLAlchemy's Python. `psycopg.pq` is psycopg's published wrapper of libpq; what it is told, psycopg sees.
"""

import select
import sqlite3
import time
from collections.abc import Sequence
from functools import cache
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError

IDLE_S: Final = 5.0
"""after which a connection is asked whether it still works, though nothing tells against it: a firewall forgets it silently"""
_USED: Final = "fairlens_used"
_NO_SUCH_STATEMENT: Final = b"26000"
_names: WeakKeyDictionary[Any, dict[bytes, bytes]] = WeakKeyDictionary()
"""of each connection the statements that the server has read, with their names"""


@cache
def _pq() -> Any:
    """psycopg's libpq; imported where it is needed: 0.1 s that who has SQLite need not wait."""
    from psycopg import pq

    return pq


def begin(driver: Any) -> None:
    """Open a transaction, on SQLite with the write lock.

    Raises
    ------
    sqlite3.OperationalError : another writer holds the lock for longer than the busy timeout
    psycopg.Error : none is open; what came next would commit itself
    """
    if isinstance(driver, sqlite3.Connection):
        driver.execute("BEGIN IMMEDIATE")
        return
    begun = driver.pgconn.exec_(b"BEGIN")
    if _is_error(begun):
        raise _error(begun)


def first_value(driver: Any, statement: bytes, values: Sequence[int | str | bytes | None]) -> bytes | None:
    """What a statement gives in the first column of its first row, as PostgreSQL's text; None for null or no row.

    Outside a transaction it is one of its own, which is committed when this returns, and one that the server has read before: of
    an append to the ledger, BEGIN and COMMIT with their journeys were a third, and the reading a tenth.

    Parameters
    ----------
    statement : with $1, $2, … for the values

    Raises
    ------
    psycopg.Error : the server's own error, or the connection is lost; of one that commits itself nobody knows then
    """
    pq = _pq()
    server, encoding = driver.pgconn, driver.info.encoding
    sent = [None if one is None else _spelled(one, encoding) for one in values]
    # Texts as bytes of known length: in text form one with a NUL would end there, so the server refuses it.
    forms = [pq.Format.TEXT if isinstance(one, int) else pq.Format.BINARY for one in values]
    if is_open(driver):
        answer = server.exec_params(statement, sent, param_formats=forms)
    else:
        answer = server.exec_prepared(_name(driver, statement), sent, param_formats=forms)
        if _state(answer) == _NO_SUCH_STATEMENT:
            del _names[driver]  # psycopg has the server forget every statement when a table may have changed
            answer = server.exec_params(statement, sent, param_formats=forms)
    if _is_error(answer):
        raise _error(answer)
    found: bytes | None = answer.get_value(0, 0) if answer.ntuples else None
    return found


def is_open(driver: Any) -> bool:
    """Whether a transaction is open, one that has failed included."""
    if isinstance(driver, sqlite3.Connection):
        return driver.in_transaction
    return bool(driver.pgconn.transaction_status != _pq().TransactionStatus.IDLE)


def _name(driver: Any, statement: bytes) -> bytes:
    """The name by which the server knows a statement on this connection."""
    known = _names.setdefault(driver, {})
    if statement not in known:
        name = b"fairlens_%d" % len(known)
        made = driver.pgconn.prepare(name, statement)
        if _is_error(made):
            raise _error(made)
        known[statement] = name
    return known[statement]


def _spelled(value: int | str | bytes, encoding: str) -> bytes:
    if isinstance(value, int):
        return b"%d" % value
    return value.encode(encoding) if isinstance(value, str) else value


def commit(driver: Any) -> None:
    """Commit what was begun; it is durable when this returns.

    Raises
    ------
    sqlite3.Error, psycopg.Error : it is not committed; of a connection that broke nobody knows
    """
    if isinstance(driver, sqlite3.Connection):
        driver.execute("COMMIT")
        return
    done = driver.pgconn.exec_(b"COMMIT")
    if _is_error(done):
        raise _error(done)
    if done.command_status != b"COMMIT":
        from psycopg import errors

        raise errors.InFailedSqlTransaction("the transaction had failed before; nothing was stored")


def _is_error(answer: Any) -> bool:
    return answer.status not in (_pq().ExecStatus.COMMAND_OK, _pq().ExecStatus.TUPLES_OK)


def _state(answer: Any) -> bytes | None:
    """The SQLSTATE of an error; None where it is not the server that says it."""
    state: bytes | None = answer.error_field(_pq().DiagnosticField.SQLSTATE)
    return state


def _error(answer: Any) -> Exception:
    """What psycopg would raise for a result that is an error."""
    from psycopg import OperationalError, errors

    state = _state(answer)
    made = OperationalError if state is None else errors.lookup(state.decode())
    return made(answer.error_message.decode(errors="replace").strip() or "the connection is lost")


def watch(made: Engine) -> None:
    """Let a pool of PostgreSQL give no connection that the server has closed, without asking the server each time.

    What was closed can be read from: its end. Only a connection that can be, or was idle, is asked; so a unit of work costs one
    journey less than with SQLAlchemy's `pool_pre_ping`, and a restart of the server is noticed as there. The pool must have been
    made with pool_reset_on_return=None: what is given back is rolled back here, where there is anything to roll back.
    """

    def roll_back(driver: Any, _record: Any, _reset: Any) -> None:
        if is_open(driver):
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
