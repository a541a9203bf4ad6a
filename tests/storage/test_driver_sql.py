"""Statements as text: one spelling for both databases, and what they write is what the tables' own types read."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import select

from fairlens_backend.storage import driver_sql, early_labels, ingest_state
from fairlens_backend.storage.event_tables import EarlyLabel
from fairlens_backend.storage.session import read_snapshot, unit_of_work

pytestmark = pytest.mark.usefixtures("database")


def test_a_time_is_kept_as_the_table_keeps_it() -> None:
    """Written past the ORM and read through it: the same instant in UTC; and back by `as_moment`."""
    at = datetime(2026, 3, 2, 14, 30, 15, 120, tzinfo=timezone(timedelta(hours=2)))
    with unit_of_work():
        early_labels.keep([(b"d" * 16, b"l" * 16)], at)
    with read_snapshot() as session:
        assert session.scalars(select(EarlyLabel.received_at)).one() == at.astimezone(UTC)
        ((stored,),) = driver_sql.rows("SELECT received_at FROM early_labels")
        assert driver_sql.as_moment(stored) == at
        assert session.scalars(select(EarlyLabel.digest).where(EarlyLabel.received_at < at)).all() == []


@pytest.mark.parametrize("n", [0, 1, 3000])
def test_a_list_of_any_length_is_one_value(n: int) -> None:
    """Longer than SQLite takes single values, and empty."""
    with unit_of_work():
        driver_sql.run_many(
            "INSERT INTO event_id_pages (id, entries) VALUES (?, ?)", [(2**40 + i, b"x") for i in range(n)]
        )
        wanted = driver_sql.list_of([2**40 + i for i in range(n)])
        sql = f"SELECT count(*) FROM event_id_pages WHERE {driver_sql.among('id')}"
        assert driver_sql.rows(sql, wanted) == [(n,)]


def test_the_state_is_made_once_and_rolled_back_with_its_transaction() -> None:
    """What a failed transaction took is given again; what was saved is read by the next one."""
    with pytest.raises(ZeroDivisionError), unit_of_work():
        ingest_state.lock().next_batch += 5
        ingest_state.save()
        raise ZeroDivisionError
    with unit_of_work():
        state = ingest_state.lock()
        assert (state.next_batch, state.next_run, ingest_state.lock()) == (1, 1, state)
        state.next_batch += 2
        ingest_state.save()
    with unit_of_work():
        assert ingest_state.lock().next_batch == 3
