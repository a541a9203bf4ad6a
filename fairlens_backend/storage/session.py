"""The one place that opens, commits and rolls back a database transaction."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, cast

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import PoolProxiedConnection

from fairlens_backend import config, telemetry
from fairlens_backend.errors import Unavailable
from fairlens_backend.storage import drivers
from fairlens_backend.storage.engines import READ_ONLY, make_engine


class _Session(Session):
    """A session that joins the transaction which its unit of work has opened without it."""

    pooled: PoolProxiedConnection | None = None
    """what that transaction runs on; None where there is none"""
    ends: bool = False
    """whether it is being committed: of one that is cut off then nobody knows"""

    def __init__(self, bind: Engine) -> None:
        super().__init__(bind, expire_on_commit=False)
        self.last_acts: dict[Callable[[list[Any]], object], list[Any]] = {}

    @property
    def unused(self) -> bool:
        """Whether nothing was asked of it: what a unit of work did, it did through the driver."""
        return not (self.in_transaction() or self.identity_map or self.info)

    @property
    def reads_only(self) -> bool:
        """Whether it is a `read_snapshot`'s, whose transaction is never committed."""
        return bool(cast(Engine | Connection, self.bind).get_execution_options().get(READ_ONLY))

    def get_bind(self, *given: Any, **named: Any) -> Engine | Connection:
        if self.pooled is not None and isinstance(self.bind, Engine):
            self.bind = Connection(self.bind, self.pooled)
        return super().get_bind(*given, **named)


_session: ContextVar[_Session | None] = ContextVar("session", default=None)
_spare: deque[_Session] = deque(maxlen=16)
"""sessions that were not used: to make one and to close it is a tenth of an append to the ledger"""
_engines: dict[str, Engine] = {}
_engines_lock = threading.Lock()


def engine() -> Engine:
    """The engine of the current settings' database; one a URL and process."""
    url = config.current().sqlalchemy_url
    with _engines_lock:
        if url not in _engines:
            _engines[url] = make_engine(url, config.current().database_busy_timeout_ms)
        return _engines[url]


def dispose_engines() -> None:
    """Close every connection. A forked worker and a test call it; the next use opens new ones."""
    with _engines_lock:
        for made in _engines.values():
            made.dispose(close=False)
        _engines.clear()
        _reading.cache_clear()


def _after_fork() -> None:
    """A connection may not be used on both sides of a fork, and a lock that another thread held stays shut in the child."""
    global _engines_lock
    _engines_lock = threading.Lock()
    dispose_engines()


os.register_at_fork(after_in_child=_after_fork)


def current_session() -> Session:
    """The session of the unit of work under way.

    Raises
    ------
    RuntimeError : outside a unit of work; a programming mistake
    """
    return _current()


@contextmanager
def unit_of_work() -> Iterator[Session]:
    """All or nothing: what happens inside is committed at the end, or not at all when an error leaves it.

    Inside another unit of work it joins that one, whose end decides. On SQLite the write lock is taken at
    the start, so that two workers queue instead of failing in the middle.

    Raises
    ------
    Unavailable : the database is locked for longer than the busy timeout, out of reach, or its disk is full
    """
    outer = _session.get()
    if outer is not None:
        if outer.reads_only:
            raise RuntimeError("unit_of_work() inside read_snapshot(): take the unit of work outside")
        yield outer
        return
    with _session_on(engine()) as session:
        yield session
        _finish(session)


@contextmanager
def read_snapshot() -> Iterator[Session]:
    """One consistent view of the rows, for reading only: it waits for no writer, and nothing is committed.

    Inside a unit of work it joins that one, and so sees what it has written.

    Raises
    ------
    Unavailable : the database does not answer
    """
    outer = _session.get()
    if outer is not None:
        yield outer
        return
    with _session_on(_reading(engine())) as session:
        yield session


@lru_cache(maxsize=16)  # made anew it is half of what a short read costs
def _reading(made: Engine) -> Engine:
    return made.execution_options(**{READ_ONLY: True})


def hold_moment() -> None:
    """Let all that a `read_snapshot` reads be of one moment on PostgreSQL too, whose statements have each their own.

    Before the first read of the outermost one; for reads that are compared with each other.
    """
    if is_postgresql():
        current_session().connection(execution_options={"isolation_level": "REPEATABLE READ"})


def at_end(act: Callable[[list[Any]], object]) -> list[Any]:
    """What the unit of work under way gives to `act` when all else is done, right before it commits: a list to add to.

    A unit of work that joined another one has its end there.

    Raises
    ------
    RuntimeError : outside a unit of work, inside a `read_snapshot`, or inside a savepoint, which can be undone while its unit of
        work goes on; a programming mistake
    """
    session = _current()
    if session.reads_only:
        raise RuntimeError("a read_snapshot() has nothing to do at its end: take a unit of work")
    if session.in_nested_transaction():
        raise RuntimeError(
            "what waits for the unit of work's end would outlive its savepoint: wait outside of it"
        )
    return session.last_acts.setdefault(act, [])


def not_at_end(act: Callable[[list[Any]], object]) -> list[Any]:
    """What `at_end` has gathered for `act` so far, which is taken back: the caller does it now.

    Raises
    ------
    RuntimeError : there is something, and this is inside a savepoint, which could undo it; a programming mistake
    """
    session = _current()
    if session.last_acts and session.in_nested_transaction():
        raise RuntimeError("what waits for the unit of work's end cannot be done inside a savepoint")
    return session.last_acts.pop(act, [])


def _finish(session: _Session) -> None:
    if session.last_acts and session.in_transaction():
        session.flush()  # what others wait for comes after it
    session.ends = not session.in_transaction()  # what is alone commits itself
    for act, what in session.last_acts.items():
        act(what)
    session.ends = True
    if session.in_transaction():
        session.commit()
    # Still open where the session had nothing to say to the database: its transaction never joined the driver's.
    if session.pooled is not None and drivers.is_open(session.pooled.driver_connection):
        drivers.commit(session.pooled.driver_connection)


@contextmanager
def _session_on(bind: Engine) -> Iterator[_Session]:
    session = _take(bind)
    try:
        token = _session.set(session)
        try:
            yield session
        finally:
            _session.reset(token)
            _give_back(session)
    except (OperationalError, bind.dialect.loaded_dbapi.OperationalError) as error:
        raise _unavailable(getattr(error, "orig", error), session.ends) from error


def _take(bind: Engine) -> _Session:
    try:
        session = _spare.pop()
    except IndexError:
        return _Session(bind)
    session.bind, session.ends = bind, False
    return session


def _give_back(session: _Session) -> None:
    pooled, session.pooled = session.pooled, None
    session.last_acts.clear()
    if session.unused:
        session.bind = None
        _spare.append(session)
    else:
        session.close()
    if pooled is not None:
        pooled.close()


def driver_connection(*, begin: bool = True) -> Any:
    """The driver's own connection of the unit of work under way, in its transaction.

    Where the unit of work has used nothing else yet, its transaction is opened without SQLAlchemy, at a fraction of the cost;
    what comes later joins it.

    Parameters
    ----------
    begin : False for one statement that is all that the unit of work does: it is then a transaction of its own
    """
    session = _current()
    if session.in_transaction():
        driver = session.connection().connection.driver_connection  # a savepoint under way is begun with this
    else:
        if session.pooled is None:
            session.pooled = cast(Engine, session.bind).raw_connection()
        driver = session.pooled.driver_connection
    # Of a session that has said nothing yet neither has psycopg: it sends BEGIN with the first statement that goes through it.
    if begin and not drivers.is_open(driver):
        drivers.begin(driver)
    return driver


def _current() -> _Session:
    session = _session.get()
    if session is None:
        raise RuntimeError("storage was used outside unit_of_work()")
    return session


def is_postgresql() -> bool:
    """Whether the database is PostgreSQL."""
    return engine().dialect.name == "postgresql"


def lock_for_append(name: int) -> None:
    """Let one transaction at a time past this point until it ends (SQLite's write lock does that by itself)."""
    if is_postgresql():
        current_session().execute(text("SELECT pg_advisory_xact_lock(:name)"), {"name": name})


def ping() -> None:
    """Ask the database for one row; raises Unavailable when it does not answer."""
    with read_snapshot() as session:
        session.execute(text("SELECT 1"))


def _unavailable(error: BaseException | None, ends: bool) -> Unavailable:
    reason = str(error).lower()
    telemetry.log("DATABASE_UNAVAILABLE", level="error", error=type(error).__name__)
    if "locked" in reason or "busy" in reason:
        return Unavailable(
            "The database is busy with other writers; nothing was stored. Try again.", retry_after_s=2
        )
    if "full" in reason or "disk i/o" in reason or "no space" in reason:
        return Unavailable("The database's disk is full; nothing was stored.", retry_after_s=60)
    if ends:
        return Unavailable(
            "The database went away while it stored this, and did not say whether it has. Look before you send it again; events and"
            " labels may be sent again, since each counts once.",
            retry_after_s=10,
        )
    return Unavailable("The database does not answer; nothing was stored.", retry_after_s=10)
