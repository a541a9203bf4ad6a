"""The ledger's rows: one sequence without gaps, times that never go back, and a database that refuses to change any of it."""

import json
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import rfc8785
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from fairlens_backend import config
from fairlens_backend.core import merkle
from fairlens_backend.errors import InvalidInput
from fairlens_backend.storage import (
    ledger,
    ledger_heads,
    ledger_search,
    ledger_tables,
    migrate,
    session,
    tables,
)
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from tests.core.test_merkle import mth

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def add(number: int = 0, *, now: datetime = NOW, tenant: str = "acme", **body: Any) -> int:
    with unit_of_work():
        return ledger.append("MODEL_REGISTERED", tenant, {"number": number, **body}, now)


def a_head() -> ledger_tables.LedgerHead:
    return ledger_tables.LedgerHead(tree_size=1, at="2026-01-03", root=b"r", note="n")


def leaves() -> list[bytes]:
    with read_snapshot():
        return [one.leaf for one in ledger.entries(0, 10**6)]


@pytest.fixture(params=["create_all", "migrations"])
def ledger_there(request: pytest.FixtureRequest, settings: config.Settings) -> Any:
    """The tables as the tests make them and as migrations do."""
    if request.param == "create_all":
        tables.Base.metadata.create_all(session.engine())
    else:
        migrate.upgrade()
    yield
    session.dispose_engines()


def test_an_entry_is_the_canonical_json_of_what_is_documented(database: None) -> None:
    """The keys of docs/evidence-format.md, spelled by another library, in the tenant and at the time that were given."""
    assert add(1, model="loan", record_id="rec_1", share=0.1) == 0
    (leaf,) = leaves()
    said = json.loads(leaf)
    assert leaf == rfc8785.dumps(said)
    assert len(said.pop("salt")) == 32
    body = {"number": 1, "model": "loan", "record_id": "rec_1", "share": 0.1}
    assert said == {
        "body": body, "index": 0, "tenant": "acme", "time": "2026-01-02T03:04:05.678901Z", "type": "MODEL_REGISTERED",
        "version": 1,
    }  # fmt: skip
    with read_snapshot():
        (entry,) = ledger_search.about_record("MODEL_REGISTERED", "rec_1", "acme")
        assert (entry.index, entry.subject, entry.leaf_hash) == (0, "loan", merkle.leaf_hash(leaf))
        assert ledger_search.about_record("MODEL_REGISTERED", "rec_1", "another") == []
        assert ledger_search.about_record("KEY_ROTATED", "rec_1", "acme") == []


def test_the_same_event_twice_has_two_hashes(database: None) -> None:
    """The salt differs, so a hash tells nobody that two entries say the same."""
    add(1), add(1)
    first, second = map(json.loads, leaves())
    assert first["salt"] != second["salt"]


def test_appending_one_by_one_and_in_groups_gives_one_tree(database: None) -> None:
    """Roots of every size, and proofs between all of them, as the definition has them."""
    for number in range(5):
        add(number)
    with unit_of_work():
        events = [("USER_CHANGED", "acme", {"user_id": number}) for number in range(9)]
        assert ledger.append_many(events, NOW) == range(5, 14)
        assert ledger.append_many([], NOW) == range(14, 14)
        assert ledger.append("MODEL_REGISTERED", "acme", {}, NOW) == 14
    add(15)
    kept = leaves()
    with read_snapshot():
        assert ledger.size() == 16
        for size in range(17):
            assert ledger.frontier(size).root() == mth(kept[:size])
        for index in range(16):
            proof = merkle.inclusion_proof(index, 16, ledger.hashes_of)
            own = merkle.leaf_hash(kept[index])
            assert merkle.verify_inclusion(index, 16, own, proof, mth(kept))
            assert ledger_search.index_of_hash(own, batch=3) == index
        assert ledger_search.index_of_hash(bytes(32), batch=3) is None


def test_an_undone_unit_of_work_leaves_no_entry_and_no_gap(database: None) -> None:
    """What this process saw of a tail that never was committed misleads nobody."""
    add(1)
    with pytest.raises(ZeroDivisionError), unit_of_work():
        ledger.append("KEY_ROTATED", "default", {}, NOW)
        ledger.append_many([("KEY_ROTATED", "default", {})] * 3, NOW)
        1 / 0  # noqa: B018
    assert add(2) == 1
    with unit_of_work() as here:
        with pytest.raises(ZeroDivisionError), here.begin_nested():
            ledger.append("KEY_ROTATED", "default", {}, NOW)
            1 / 0  # noqa: B018
        assert ledger.append("MODEL_REGISTERED", "acme", {}, NOW) == 2
    assert [json.loads(leaf)["index"] for leaf in leaves()] == [0, 1, 2]


def test_times_never_go_back(database: None) -> None:
    """Neither behind the entry before nor behind a head that was signed since."""
    add(now=NOW)
    add(now=NOW - timedelta(days=1))
    with unit_of_work():
        ledger_heads.add(2, "2026-01-03T00:00:00.000000Z", bytes(32), "a head")
    add(now=NOW)
    with unit_of_work():
        ledger.append_many([("KEY_ROTATED", "default", {})], NOW)
    first = "2026-01-02T03:04:05.678901Z"
    later = "2026-01-03T00:00:00.000000Z"
    assert [json.loads(leaf)["time"] for leaf in leaves()] == [first, first, later, later]


def test_many_writers_make_one_sequence(database: None) -> None:
    """Threads that append at once, some in groups and some undone: no gap, no fork, each told its own place."""
    told: list[int] = []

    def work(number: int) -> None:
        for turn in range(10):
            if turn % 5 == 1:
                with unit_of_work():
                    ledger.append_at_end("USER_CHANGED", "acme", {"by": number}, NOW)
            elif turn % 5 == 2:
                with unit_of_work() as here:  # the transaction is a session's before the ledger has it
                    here.execute(text("SELECT 1"))
                    told.append(ledger.append("USER_CHANGED", "acme", {"by": number}, NOW))
            elif turn % 5 == 4:
                with unit_of_work():
                    told.extend(ledger.append_many([("USER_CHANGED", "acme", {"by": number})] * 3, NOW))
            elif turn % 5 == 3:
                with pytest.raises(ZeroDivisionError), unit_of_work():
                    ledger.append("USER_CHANGED", "acme", {}, NOW)
                    1 / 0  # noqa: B018
            else:
                told.append(add(number))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    kept = leaves()
    indexes = [json.loads(leaf)["index"] for leaf in kept]
    assert indexes == list(range(4 * (6 + 2 * 3)))
    assert len(told) == len(set(told)) == 4 * (4 + 2 * 3) and set(told) < set(indexes)
    with read_snapshot():
        assert ledger.frontier(len(kept)).root() == mth(kept)


def test_an_append_and_what_comes_after_it_are_one_transaction(database: None) -> None:
    """The ledger opens the transaction without a session; rows that a session adds later share its fate, and see the entry."""
    for fails in (False, True):
        with suppress(ZeroDivisionError), unit_of_work() as here:
            assert ledger.append("KEY_ROTATED", "default", {}, NOW) == int(fails)
            here.add(a_head())
            if fails:
                assert ledger.size() == 2
                1 / 0  # noqa: B018
        with read_snapshot():
            assert ledger.size() == 1
            assert len(ledger_heads.between(0, 9, 9)) == 1
    with pytest.raises(ZeroDivisionError), unit_of_work():
        ledger.append("KEY_ROTATED", "default", {}, NOW)
        1 / 0  # noqa: B018
    with unit_of_work() as here:
        ledger.append("KEY_ROTATED", "default", {}, NOW)
        with pytest.raises(ZeroDivisionError), here.begin_nested():
            ledger.append("KEY_ROTATED", "default", {}, NOW)
            1 / 0  # noqa: B018
    assert [json.loads(leaf)["index"] for leaf in leaves()] == [0, 1]


def test_an_append_joins_what_a_session_has_not_yet_said(database: None) -> None:
    """Rows that wait in a session, or nothing at all: the entry is in one transaction with what comes after it, and is undone with it."""
    for begins in (lambda here: here.add(a_head()), lambda here: here.connection()):
        add()
        size = len(leaves())
        with pytest.raises(ZeroDivisionError), unit_of_work() as here:
            begins(here)
            ledger.append("KEY_ROTATED", "default", {}, NOW)
            1 / 0  # noqa: B018
        assert len(leaves()) == size
    with read_snapshot():
        assert not ledger_heads.between(0, 9, 9)


def test_an_append_is_kept_though_a_session_has_nothing_to_say(database: None) -> None:
    """A savepoint in which nothing happens, and a row that is taken back: the entry that came before is committed all the same."""

    def empty_savepoint(here: Session) -> None:
        with here.begin_nested():
            pass

    def taken_back(here: Session) -> None:
        row = a_head()
        here.add(row)
        here.expunge(row)

    for size, silent in enumerate((empty_savepoint, taken_back), 1):
        with unit_of_work() as here:
            ledger.append("KEY_ROTATED", "default", {}, NOW)
            silent(here)
        assert len(leaves()) == size


def test_an_event_at_the_end_is_the_last_of_its_act(database: None) -> None:
    """It is there when the unit of work is committed, after all else of it and in the order of its like, and not otherwise."""

    def enter(name: str) -> None:
        ledger.append_at_end("KEY_ROTATED", "default", {"key": name}, NOW)

    with unit_of_work():
        enter("alone")
    with unit_of_work() as here:
        enter("first")
        with unit_of_work():
            enter("second")  # a unit of work inside another one has no end of its own
        assert ledger.size() == 1
        here.add(a_head())  # its row comes before them too, as their time shows
    with unit_of_work():
        enter("third")
        assert ledger.append("KEY_ROTATED", "default", {"key": "now"}, NOW) == 4
        enter("last")
    with unit_of_work():
        enter("covered")
        assert ledger.read_tail().tree.size == 7
    with pytest.raises(ZeroDivisionError), unit_of_work():
        enter("undone")
        1 / 0  # noqa: B018
    with unit_of_work():
        pass  # what an undone unit of work had gathered is not the next one's
    kept = [json.loads(leaf) for leaf in leaves()]
    assert [one["body"]["key"] for one in kept] == [
        "alone",
        "first",
        "second",
        "third",
        "now",
        "last",
        "covered",
    ]
    assert [one["index"] for one in kept] == list(range(7))
    assert [one["time"][:10] for one in kept] == ["2026-01-02"] + ["2026-01-03"] * 6
    with read_snapshot():
        assert ledger.frontier(7).root() == mth(leaves())


def test_what_cannot_be_appended_at_the_end_is_refused_at_once(database: None) -> None:
    """Not at the end, where nobody would see why; and a read has no end at which it could be kept."""
    with pytest.raises(InvalidInput, match="knows no event"), unit_of_work():
        ledger.append_at_end("KEY_LOST", "default", {}, NOW)
    with pytest.raises(InvalidInput, match="canonical JSON"), unit_of_work():
        ledger.append_at_end("KEY_ROTATED", "default", {"key": float("nan")}, NOW)
    with pytest.raises(RuntimeError, match="read_snapshot"), read_snapshot():
        ledger.append_at_end("KEY_ROTATED", "default", {}, NOW)
    with pytest.raises(RuntimeError, match="outside unit_of_work"):
        ledger.append_at_end("KEY_ROTATED", "default", {}, NOW)
    assert leaves() == []
    with unit_of_work(), suppress(InvalidInput):
        ledger.append_at_end("KEY_ROTATED", "default", {"key": float("nan")}, NOW)
    assert leaves() == []


def test_no_event_waits_across_the_edge_of_a_savepoint(database: None) -> None:
    """One from inside would outlive what it records, one from outside would go with what it has nothing to do with."""
    with unit_of_work() as here:
        with pytest.raises(RuntimeError, match="outlive its savepoint"), here.begin_nested():
            ledger.append_at_end("KEY_ROTATED", "default", {"key": "inside"}, NOW)
        ledger.append_at_end("KEY_ROTATED", "default", {"key": "outside"}, NOW)
        with pytest.raises(RuntimeError, match="inside a savepoint"), here.begin_nested():
            ledger.append("KEY_ROTATED", "default", {"key": "now"}, NOW)
    assert [json.loads(leaf)["body"]["key"] for leaf in leaves()] == ["outside"]


def test_an_entry_takes_its_turn_behind_a_head(database: None) -> None:
    """What this process remembers of the tail knows nothing of a head that another one signed."""
    add(), add()
    remembered = dict(ledger._seen)
    add()
    ledger._seen.update(remembered)
    assert add() == 3
    with unit_of_work():
        ledger_heads.add(4, "2026-01-03T00:00:00.000000Z", bytes(32), "a head")
    assert add() == 4
    assert json.loads(leaves()[-1])["time"] == "2026-01-03T00:00:00.000000Z"
    with read_snapshot():
        assert ledger.frontier(5).root() == mth(leaves())


def test_another_processes_entries_are_seen(database: None) -> None:
    """What this process remembers of the tail is a guess; it looks again when the ledger has moved on, or back."""
    add(1)
    remembered = dict(ledger._seen)
    add(2), add(3)
    ledger._seen.update(remembered)  # as if a second process had appended the two
    assert add(4) == 3
    ledger._seen[session.engine()] = ledger.Tail(merkle.Frontier(9, (bytes(32),) * 2), "", bytes(32))
    assert add(5) == 4  # as after the loss of committed entries, when a standby took over
    with read_snapshot():
        assert ledger.frontier(5).root() == mth(leaves())


@pytest.mark.parametrize("kind", ["USER_DELETED", "", "audit_completed"])
def test_an_unknown_event_is_refused(database: None, kind: str) -> None:
    """The error names the events there are; nothing is appended."""
    with pytest.raises(InvalidInput, match="AUDIT_COMPLETED"), unit_of_work():
        ledger.append(kind, "acme", {}, NOW)
    with pytest.raises(InvalidInput, match="AUDIT_COMPLETED"), unit_of_work():
        ledger.append_many([("KEY_ROTATED", "acme", {}), (kind, "acme", {})], NOW)
    assert leaves() == []


def test_a_body_without_canonical_json_is_refused(database: None) -> None:
    """NaN, and a number that a double does not hold."""
    for value in (float("nan"), 2**60):
        with pytest.raises(InvalidInput, match="canonical JSON"):
            add(value=value)
    assert leaves() == []


CHANGES = [
    "UPDATE {table} SET {column} = {column}",
    "UPDATE {table} SET {column} = {column} WHERE {key} = 0",
    "DELETE FROM {table}",
    "DELETE FROM {table} WHERE {key} >= 0",
]


@pytest.mark.parametrize("change", [*CHANGES, "REPLACE", "TRUNCATE {table}"])
@pytest.mark.parametrize("table", ledger_tables.APPEND_ONLY)
def test_the_database_refuses(ledger_there: None, table: str, change: str) -> None:
    """UPDATE, DELETE, INSERT OR REPLACE and TRUNCATE by SQL, whoever asks; the rows are as they were."""
    add(1)
    with unit_of_work() as here:
        here.add(
            tables.Base.metadata.tables
            and ledger_tables.LedgerHead(id=1, tree_size=1, at="t", root=b"r", note="n")
        )
        here.add(ledger_tables.LedgerKey(id=1, name="n", public_key="p", first_size=0, created_at=NOW))
        here.add(ledger_tables.LedgerAttestation(id=1, head_id=1, kind="k", name="n", at="t", content=b"c"))
    postgresql = session.is_postgresql()
    key = "leaf_index" if table == "ledger_entries" else "id"
    column = {"ledger_entries": "leaf", "ledger_heads": "note", "ledger_keys": "name"}.get(table, "content")
    if change == "REPLACE":
        # PostgreSQL's nearest: an insert that updates on conflict.
        update = f"ON CONFLICT ({key}) DO UPDATE SET {column} = EXCLUDED.{column}" if postgresql else ""
        start = "INSERT INTO" if postgresql else "INSERT OR REPLACE INTO"
        statement = f"{start} {table} SELECT * FROM {table} WHERE true {update}"
    elif change.startswith("TRUNCATE") and not postgresql:
        pytest.skip("SQLite has no TRUNCATE")
    else:
        statement = change.format(table=table, column=column, key=key)
    if not postgresql and "= 0" in change and table != "ledger_entries":
        statement = statement.replace(
            "= 0", "= 1"
        )  # SQLite's triggers are a row's: they see rows that are hit
    before = dump(table)
    with pytest.raises(DBAPIError, match="append-only"), unit_of_work() as here:
        here.execute(text(statement))
    assert dump(table) == before != []


def dump(table: str) -> list[Any]:
    with read_snapshot() as here:
        return [tuple(row) for row in here.execute(text(f"SELECT * FROM {table}"))]


def test_the_applications_role_has_no_grants_to_change_it(
    settings: config.Settings, make_settings: Any, postgres_database: str | None
) -> None:
    """On PostgreSQL a role of its own may read and append, and neither change the ledger nor switch its triggers off."""
    if postgres_database is None:
        pytest.skip("SQLite has no roles")
    owner = create_engine(postgres_database)
    role = "fairlens_app_" + make_url(postgres_database).database[-12:]  # type: ignore[index]
    with owner.begin() as here:
        here.execute(text(f"CREATE ROLE {role} LOGIN"))
    try:
        make_settings(DATABASE_APP_ROLE=role)
        migrate.upgrade()
        migrate.upgrade()
        url = make_url(postgres_database).set(username=role).render_as_string(hide_password=False)
        make_settings(DATABASE_URL=url, DATABASE_APP_ROLE=role)
        assert migrate.is_at_head()
        assert add(1) == 0 and add(2) == 1
        with unit_of_work():
            ledger_heads.add_key("n", "p", 0, NOW)
            ledger_heads.replace_wrapped_key("p", "w")
            ledger_heads.add(2, "t", b"r", "n")
        for table in ledger_tables.APPEND_ONLY:
            for statement in (
                f"UPDATE {table} SET {'leaf_index' if table == 'ledger_entries' else 'id'} = 7", f"DELETE FROM {table}",
                f"TRUNCATE {table}", f"ALTER TABLE {table} DISABLE TRIGGER ALL", f"DROP TABLE {table}",
                f"DROP TRIGGER {table}_append_only ON {table}",
            ):  # fmt: skip
                with (
                    pytest.raises(DBAPIError, match=r"permission denied|must be owner"),
                    unit_of_work() as here,
                ):
                    here.execute(text(statement))
        for statement in (
            "SET session_replication_role = replica",
            "DROP FUNCTION fairlens_append_only() CASCADE",
        ):
            with pytest.raises(DBAPIError, match=r"permission denied|must be owner"), unit_of_work() as here:
                here.execute(text(statement))
    finally:
        session.dispose_engines()
        with owner.begin() as here:
            here.execute(text(f"DROP OWNED BY {role}"))
            here.execute(text(f"DROP ROLE {role}"))
        owner.dispose()
    assert len(leaves_of(postgres_database)) == 2


def leaves_of(url: str) -> list[Any]:
    made = create_engine(url)
    with made.connect() as here:
        rows = here.execute(text("SELECT leaf FROM ledger_entries")).all()
    made.dispose()
    return list(rows)


def test_triggers_fire_for_replication_too(database: None) -> None:
    """Where the database is PostgreSQL, whoever owns it cannot slip past them by session_replication_role either."""
    if not session.is_postgresql():
        pytest.skip("SQLite has no such setting")
    add(1)
    with pytest.raises(DBAPIError, match="append-only"), unit_of_work() as here:
        here.execute(text("SET LOCAL session_replication_role = replica"))
        here.execute(text("DELETE FROM ledger_entries"))
