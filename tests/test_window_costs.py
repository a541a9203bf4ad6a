"""What an audit on the clock reads does not grow with the history: rows and query plans."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event as hooks
from sqlalchemy import select

from fairlens_backend import (
    window_planner,
)
from fairlens_backend.storage import session
from fairlens_backend.storage.schedule_tables import AuditWindow
from fairlens_backend.storage.session import unit_of_work
from fairlens_backend.storage.tables import Audit
from tests.clock_kit import at, decide, quick, schedule, tick
from tests.ingest_kit import register

GROWING = ("audits", "fairness_checks", "audit_windows", "audit_figures", "count_buckets", "count_deltas", "event_batches",
           "event_cells", "alerts", "ledger_entries", "outbox")  # fmt: skip


@pytest.fixture(autouse=True)
def model(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model `hiring`, registered, and audits without resampling."""
    quick(monkeypatch.setattr)
    register(reference_groups={"sex": "M"})


def test_an_audit_reads_as_many_rows_after_a_long_history() -> None:
    """The rows that come back from all statements of a tick are counted: as many after 400 more windows as before."""
    schedule()
    decide(3, women=10, men=20)
    decide(18, women=10, men=20)
    tick(16)
    before, _ = watched(lambda: tick(31))
    for day in range(1, 40):
        decide(-1440 * day, 10, women=5, men=5)
    fill_history(400)
    decide(33, women=10, men=20)
    decide(48, women=10, men=20)
    tick(46)
    after, _ = watched(lambda: tick(61))
    assert before > 30 and after <= before + 20, (before, after)


def test_no_statement_of_an_audit_goes_through_a_whole_table() -> None:
    """The query plan of each: what grows with history is found by an index."""
    schedule()
    decide(3, women=10, men=20)
    decide(18, women=10, men=20)
    tick(16)
    _, statements = watched(lambda: window_planner.run_due(lambda: at(31)))
    assert len(statements) > 20
    postgres = session.is_postgresql()
    with unit_of_work() as rows:
        connection = rows.connection()
        if postgres:  # a planner that may read a small table whole says nothing of a large one
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for statement, parameters in statements:
            explain = ("EXPLAIN " if postgres else "EXPLAIN QUERY PLAN ") + statement
            plan = [
                str(row[0] if postgres else row[3]) for row in connection.exec_driver_sql(explain, parameters)
            ]
            whole = [
                line
                for line in plan
                for table in GROWING
                if (
                    f"Seq Scan on {table}" in line
                    if postgres
                    else line.split(" USING ")[0] == f"SCAN {table}"
                )
                and " USING " not in line
            ]
            # The end of a table by its key, a few rows, is not the whole of it.
            few = "LIMIT" in statement and not any("TEMP B-TREE" in line or "Sort" in line for line in plan)
            assert few or not whole, (statement, plan)


def watched(act: Callable[[], Any]) -> tuple[int, list[tuple[str, Any]]]:
    """How many rows came back from the SELECTs of an act, and the statements with their parameters."""
    statements: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _x: Any, many: bool) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE")) and not many:
            statements.append((statement, parameters))

    hooks.listen(session.engine(), "before_cursor_execute", note)
    try:
        act()
    finally:
        hooks.remove(session.engine(), "before_cursor_execute", note)
    rows_back = 0
    with unit_of_work() as rows:
        for statement, parameters in statements:
            if statement.lstrip().upper().startswith("SELECT"):
                rows_back += len(rows.connection().exec_driver_sql(statement, parameters).fetchall())
    return rows_back, statements


def fill_history(n: int) -> None:
    """Windows and audits of long ago."""
    with unit_of_work() as rows:
        oldest = select(AuditWindow).where(AuditWindow.state == "audited").order_by(AuditWindow.window_end)
        old = rows.scalars(oldest).first()
        assert old is not None
        audit = rows.get_one(Audit, old.audit_id)
        for i in range(1, n):
            shift = timedelta(minutes=15 * i)
            columns = {c.name: getattr(old, c.name) for c in AuditWindow.__table__.columns if c.name != "id"}
            columns |= {name: columns[name] - shift for name in ("window_start", "window_end", "own_start")}
            rows.add(AuditWindow(**{**columns, "audit_id": f"aud_old_{i}", "check_at": None}))
            more = {c.name: getattr(audit, c.name) for c in Audit.__table__.columns}
            rows.add(Audit(**{**more, "audit_id": f"aud_old_{i}", "created_at": audit.created_at - shift}))
