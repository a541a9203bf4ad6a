"""What is said to the driver itself: errors are its own, and a pool gives no connection that the server has closed."""

from contextlib import suppress
from hashlib import md5
from threading import Thread

import psycopg
import pytest
from sqlalchemy import text

from fairlens_backend.errors import Unavailable
from fairlens_backend.storage import drivers, session
from fairlens_backend.storage.session import read_snapshot, unit_of_work


@pytest.fixture
def postgresql(database: None) -> None:
    if not session.is_postgresql():
        pytest.skip("of PostgreSQL's driver")


def backend() -> int:
    with read_snapshot() as here:
        return int(here.execute(text("SELECT pg_backend_pid()")).scalar_one())


def end_backend(number: int) -> None:
    """As a restart of the server does it: the connection ends while it lies in the pool."""
    made = psycopg.connect(session.engine().url.set(drivername="postgresql").render_as_string(False))
    with made:
        # What it waits for is its end, not the signal for it.
        assert made.execute("SELECT pg_terminate_backend(%s, 10000)", (number,)).fetchone() == (True,)
    made.close()


def test_a_connection_that_the_server_closed_is_not_given(postgresql: None) -> None:
    """The next unit of work has a new one, without an error and without a question to the server in between."""
    first = backend()
    assert backend() == first
    end_backend(first)
    assert backend() != first


def test_a_connection_that_was_idle_is_asked(postgresql: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers is given again; one that does not is not."""
    asked: list[bool] = []
    ping = session.engine().dialect.do_ping
    monkeypatch.setattr(drivers, "IDLE_S", 0.0)
    monkeypatch.setattr(session.engine().dialect, "do_ping", lambda one: asked.append(ping(one)) or asked[-1])
    first = backend()
    before = len(asked)
    assert backend() == first and asked[before:] == [True]
    monkeypatch.setattr(session.engine().dialect, "do_ping", lambda one: False)
    assert backend() != first


def test_what_is_given_back_is_rolled_back(postgresql: None) -> None:
    """A read leaves no transaction open behind it, which would hold back the server's cleaning."""
    backend()
    pooled = session.engine().raw_connection()
    assert pooled.driver_connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE  # type: ignore[union-attr]
    pooled.close()


def test_a_transaction_that_had_failed_says_so_at_its_end(postgresql: None) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK then, which nobody may take for success."""
    with (
        pytest.raises(psycopg.errors.InFailedSqlTransaction),
        unit_of_work(),
        suppress(psycopg.errors.DivisionByZero),
    ):
        session.driver_connection().execute("SELECT 1 / 0")


def test_what_the_end_of_a_transaction_finds_is_the_servers_error(postgresql: None) -> None:
    """A constraint that is checked at the end: by its own name, and nothing is stored."""
    with unit_of_work() as here:
        here.execute(text("CREATE TABLE scratch (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
    with pytest.raises(psycopg.errors.UniqueViolation), unit_of_work():
        session.driver_connection().execute("INSERT INTO scratch VALUES (1), (1)")
    with unit_of_work() as here:
        assert here.execute(text("SELECT count(*) FROM scratch")).scalar_one() == 0
        here.execute(text("DROP TABLE scratch"))


def test_a_transaction_that_was_not_begun_is_an_error(postgresql: None) -> None:
    """What came next would commit itself, whatever became of the rest of its act."""
    with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="aborted"), unit_of_work():
        driver = session.driver_connection()
        with suppress(psycopg.errors.DivisionByZero):
            driver.execute("SELECT 1 / 0")
        drivers.begin(driver)


def test_a_connection_lost_under_way_is_unavailable(postgresql: None) -> None:
    """The server ends it between two statements: nothing was stored, and the next unit of work has another one."""
    with pytest.raises(Unavailable, match="nothing was stored"), unit_of_work():
        driver = session.driver_connection()
        number = driver.info.backend_pid
        end_backend(number)
        driver.execute("SELECT 1")
    assert backend() != number


def test_a_connection_lost_before_its_commit_is_unavailable(postgresql: None) -> None:
    """It is told, and that nobody knows; a caller may neither take the act for done nor for undone."""
    with pytest.raises(Unavailable, match="did not say whether"), unit_of_work():
        end_backend(session.driver_connection().info.backend_pid)


def status() -> psycopg.pq.TransactionStatus:
    return session.driver_connection().info.transaction_status  # type: ignore[no-any-return]


def first_value(statement: bytes, *values: int | str | bytes | None, begin: bool = True) -> bytes | None:
    return drivers.first_value(session.driver_connection(begin=begin), statement, values)


def test_a_first_value_inside_a_transaction_shares_its_fate(postgresql: None) -> None:
    """What comes before and later is in the same transaction, and all of it ends together."""
    for ends in (True, False):
        with suppress(ZeroDivisionError), unit_of_work() as here:
            assert first_value(b"CREATE TABLE scratch AS SELECT $1::int AS a", 7) is None
            assert status() == psycopg.pq.TransactionStatus.INTRANS
            assert first_value(b"SELECT a + $1 FROM scratch", -3, begin=False) == b"4"
            assert here.execute(text("SELECT a FROM scratch")).scalar_one() == 7
            here.execute(text("DROP TABLE scratch"))
            if not ends:
                raise ZeroDivisionError
    with read_snapshot() as here:
        assert here.execute(text("SELECT to_regclass('scratch')")).scalar_one() is None


def test_a_first_value_alone_is_committed_when_it_returns(postgresql: None) -> None:
    """Others see it while the unit of work is still open; one that fails leaves nothing, and a transaction may follow it."""
    counted = text("SELECT count(*) FROM scratch")
    with unit_of_work() as here:
        here.execute(text("CREATE TABLE scratch (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
    with unit_of_work() as here:
        kept = b"INSERT INTO scratch VALUES ($1) RETURNING a"
        assert first_value(kept, 7, begin=False) == b"7"
        with session.engine().connect() as other:
            assert other.execute(counted).scalar_one() == 1
        with pytest.raises(psycopg.errors.UniqueViolation):  # found at its end, after its row was sent
            first_value(kept, 7, begin=False)
        assert here.execute(counted).scalar_one() == 1
        assert first_value(kept, 8, begin=False) == b"8"
        here.rollback()
    with unit_of_work() as here:
        assert here.execute(counted).scalar_one() == 1
        here.execute(text("DROP TABLE scratch"))


def test_values_arrive_as_they_are(postgresql: None) -> None:
    """Numbers, texts of any letters, bytes with zeros, nulls, and one far larger than what a socket holds; no row and null are None."""
    large = bytes(range(256)) * 80_000
    with unit_of_work():
        asked = b"SELECT length($1::bytea)::text || $2::text || ($3::bigint + 1) || coalesce($4::text, '-')"
        found = first_value(asked, large, "ä € 😀 '; --", 2**53, None)
        assert found is not None and found.decode() == f"20480000ä € 😀 '; --{2**53 + 1}-"
        assert first_value(b"SELECT md5($1::bytea)", large) == md5(large).hexdigest().encode()
        assert first_value(b"SELECT repeat('x', 9000000)") == b"x" * 9_000_000
        assert first_value(b"SELECT NULL") is None
        assert first_value(b"SELECT 1 WHERE false") is None


@pytest.mark.parametrize("forgotten", ["DEALLOCATE ALL", "DEALLOCATE fairlens_0"])
def test_a_statement_that_the_server_has_forgotten_is_said_whole(postgresql: None, forgotten: str) -> None:
    """And again by name from the next time on."""
    asked = b"SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'fairlens%'"
    for _ in range(2):
        with unit_of_work():
            assert first_value(asked, begin=False) == b"1"
            session.driver_connection().execute(forgotten)
        with unit_of_work():
            assert first_value(asked, begin=False) == b"0"


@pytest.mark.parametrize(
    ("statement", "values", "error"),
    [
        (b"SELECT 1 / $1::int", (0,), psycopg.errors.DivisionByZero),
        (b"SELECT $1::text", ("a\0b",), psycopg.errors.CharacterNotInRepertoire),
        (b"SELECT nothing", (), psycopg.errors.UndefinedColumn),
        (b"SELECT 1; SELECT 2", (), psycopg.errors.SyntaxError),
    ],
)
def test_a_first_value_that_is_refused_is_the_servers_error(
    postgresql: None, statement: bytes, values: tuple[int | str, ...], error: type[psycopg.Error]
) -> None:
    """Alone and as a later one; the connection is of use afterwards."""
    number = backend()
    for later in (False, True):
        with pytest.raises(error), unit_of_work() as here:
            if later:
                here.execute(text("SELECT 1"))
            first_value(statement, *values, begin=False)
    assert backend() == number


def test_a_connection_lost_before_its_first_value_is_unavailable(postgresql: None) -> None:
    """It ends while it is in use; the next unit of work has another one."""
    with pytest.raises(Unavailable), unit_of_work():
        number = int(first_value(b"SELECT pg_backend_pid()") or 0)
        end_backend(number)
        first_value(b"SELECT 1")
    for begin in (True, False):
        with pytest.raises(Unavailable), unit_of_work():
            first_value(b"SELECT pg_terminate_backend(pg_backend_pid())", begin=begin)
    assert backend() != number


def test_others_work_while_a_first_value_is_awaited(postgresql: None) -> None:
    """One that waits for a lock lets the thread run that holds it: else both would stand for ever."""
    order: list[str] = []
    lock = b"SELECT pg_advisory_xact_lock($1)"

    def second() -> None:
        with unit_of_work():
            first_value(lock, 4711)
            order.append("second")

    other = Thread(target=second)
    with unit_of_work():
        first_value(lock, 4711)
        other.start()
        waits = b"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"
        while first_value(waits) != b"1":
            assert other.is_alive()
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_a_transaction_that_was_begun_and_not_used_ends(database: None) -> None:
    """On both databases the next one can write."""
    with unit_of_work():
        session.driver_connection()
    with unit_of_work() as here:
        here.execute(text("CREATE TABLE scratch (a integer)"))
        here.execute(text("DROP TABLE scratch"))
