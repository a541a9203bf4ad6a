"""Audits on the clock, on the database of the settings: each window once, missed ones, changed ones, ones without data."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event as hooks
from sqlalchemy import select, update

from fairlens_backend import (
    audit_reader,
    audit_runner,
    config,
    schedule_keeper,
    window_planner,
    window_runner,
)
from fairlens_backend.errors import Conflict, Unavailable
from fairlens_backend.storage import audit_windows, schedules, session
from fairlens_backend.storage.audit_windows import Span
from fairlens_backend.storage.schedule_tables import AuditWindow, Schedule
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.storage.tables import Audit, AuditFigure, FairnessCheck
from tests.clock_kit import at, decide, ended, quick, schedule, tick, windows
from tests.ingest_kit import event, label, register, send


@pytest.fixture(autouse=True)
def model(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model `hiring`, registered, and audits without resampling."""
    quick(monkeypatch.setattr)
    register(reference_groups={"sex": "M"})


def audits_there() -> int:
    """How many audits the database has."""
    with read_snapshot() as rows:
        return len(rows.scalars(select(Audit.audit_id)).all())


def test_a_model_that_sends_decisions_is_audited_without_anybody_asking() -> None:
    """From its first decision on, every quarter of an hour, over the last hour; not before the window is over and settled."""
    decide(3, women=10, men=20)
    assert tick(4) == {} and windows() == []
    assert tick(15.1) == {}  # what is on its way gets 15 seconds
    assert tick(15.25) == {"audited": 1}
    assert tick(15.5) == {} and tick(29) == {}
    assert tick(30.5) == {"audited": 1, "compared": 1}
    found = windows()
    assert [(one["window_start"][11:16], one["window_end"][11:16], one["sample_size"]) for one in found] == [
        ("23:15", "00:15", 80),
        ("23:30", "00:30", 80),
    ]
    shown = schedule_keeper.get_schedule("acme", "hiring", at(31))
    assert (shown["origin"], shown["cron"], shown["window_minutes"]) == ("default", "*/15 * * * *", 60)
    assert shown["last_audit_id"] == found[-1]["audit_id"]
    assert shown["last_data_end"][11:16] == "00:15"  # the second window's own quarter of an hour had none


def test_a_server_s_new_timetable_counts_at_once(make_settings: Callable[..., config.Settings]) -> None:
    """From once a day to every quarter of an hour: the next audit comes in the next quarter, not at midnight."""
    make_settings(AUDIT_CRON="0 0 * * *")
    decide(3, women=10, men=20)
    assert tick(4) == {}
    make_settings(AUDIT_CRON="*/15 * * * *", AUDIT_CATCH_UP="1")
    assert tick(5) == {}
    assert tick(15.25) == {"audited": 1}


def test_defaults_can_be_turned_off(make_settings: Callable[..., config.Settings]) -> None:
    """With AUDIT_DEFAULT=false only models with a schedule of their own are audited."""
    make_settings(AUDIT_DEFAULT="false")
    decide(3, women=10, men=20)
    assert tick(4) == {} and tick(20) == {}
    schedule(minutes=20)
    assert tick(31) == {"empty": 1}


def test_the_audit_is_of_the_window_s_decisions() -> None:
    """Its counts are those of the quarter of an hour alone, by hand: 10 of 40 women, 20 of 40 men."""
    schedule()
    decide(3, women=10, men=20)
    decide(17, women=40, men=0)
    assert tick(16) == {"audited": 1}
    (one,) = windows()
    audit = audit_reader.read_audit("acme", one["audit_id"], counts=True)
    assert (audit["window_start"], audit["window_end"]) == (one["window_start"], one["window_end"])
    ratio = audit["attributes"]["sex"]["disparate_impact_ratio"]
    assert (audit["sample_size"], ratio["value"], audit["revision"], audit["revises"]) == (80, 0.5, 1, None)
    assert audit["counts"]["events"] == 80 and audit["counts"]["audits"] == []


def test_each_window_is_audited_once_whatever_the_ticks() -> None:
    """Forty ticks at odd times over two hours: eight windows, one audit each, no gap."""
    schedule()
    for minute in range(0, 120, 5):
        decide(minute, 5, women=2, men=3)
    for step in range(1, 41):
        tick(step * 3.1)
    found = windows()
    assert [one["revision"] for one in found] == [1] * 8 and audits_there() == 8
    assert {one["sample_size"] for one in found} == {30}
    assert len({(one["window_start"], one["window_end"]) for one in found}) == 8


def test_missed_windows_are_made_up_for_oldest_first() -> None:
    """After three hours without a tick the eleven windows come in their order, as many a tick as the settings allow."""
    schedule()
    for minute in range(0, 180, 15):
        decide(minute + 1, women=10, men=20)
    assert tick(0.5) == {}
    assert tick(170) == {"audited": 11}
    assert [one["window_end"][11:16] for one in windows()] == sorted(
        one["window_end"][11:16] for one in windows()
    )


def test_catching_up_is_bounded_and_what_is_given_up_is_said(
    make_settings: Callable[..., config.Settings],
) -> None:
    """Of 40 missed windows the newest eight are audited, four a tick; the other 32 are one row with the reason."""
    make_settings(AUDIT_CATCH_UP="8", AUDITS_PER_TICK="4")
    schedule()
    for minute in range(0, 600, 15):
        decide(minute + 1, 2, women=1, men=1)
    assert tick(601) == {"skipped": 1, "audited": 3}
    assert tick(602) == {"audited": 4}
    assert tick(603) == {"audited": 1}
    found = windows()
    skipped = found[0]
    assert (skipped["state"], skipped["n_windows"], skipped["audit_id"]) == ("skipped", 32, None)
    assert "32 windows" in skipped["reason"] and "AUDIT_CATCH_UP" in skipped["reason"]
    assert (skipped["window_start"][11:16], skipped["window_end"][11:16]) == ("00:00", "08:00")
    assert found[1]["window_start"] == skipped["window_end"] and len(found) == 9


def test_a_model_that_catches_up_does_not_keep_others_waiting(
    make_settings: Callable[..., config.Settings],
) -> None:
    """Of two models that are behind both get a share of the tick."""
    make_settings(AUDITS_PER_TICK="4")
    register("lending")
    for name in ("hiring", "lending"):
        schedule(name)
        for minute in range(0, 120, 15):
            decide(minute + 1, 2, women=1, men=1, model=name)
    assert tick(121) == {"audited": 4}
    assert (len(windows("hiring")), len(windows("lending"))) == (2, 2)


def test_data_that_stops_is_told_once_and_shown_always() -> None:
    """The first window without decisions is an audit that says UNKNOWN; those after it are noted, and make no history."""
    schedule()
    decide(3, women=10, men=20)
    for minute in (16, 31, 46, 61):
        tick(minute)
    assert ended(windows()) == [
        ("00:15", 1, "audited"),
        ("00:30", 1, "audited"),
        ("00:45", 1, "empty"),
        ("01:00", 1, "empty"),
    ]
    stopped = audit_reader.read_audit("acme", windows()[1]["audit_id"])
    assert (stopped["overall_severity"], stopped["sample_size"]) == ("UNKNOWN", 0)
    assert any("Nothing was decided by hiring" in one for one in stopped["remarks"])
    shown = schedule_keeper.get_schedule("acme", "hiring", at(62))
    assert shown["data_is_coming"] is False and shown["last_data_end"][11:16] == "00:15"
    decide(63, women=10, men=20)
    assert tick(76)["audited"] == 1
    assert schedule_keeper.get_schedule("acme", "hiring", at(77))["data_is_coming"] is True
    assert audits_there() == 3


def test_labels_make_a_new_revision_that_stands_in_the_place_of_the_old() -> None:
    """Labels an hour later: the audit of the window names the one before, the series has its figures once, the newest."""
    schedule()
    ids = decide(3, women=10, men=20)
    assert tick(16) == {"audited": 1}
    assert tick(32) == {"audited": 1, "compared": 1}  # looked at once more, and the same
    label([(one, "good") for one in ids], now=at(60))
    done = tick(61)
    assert done["revised"] == 1
    first, second = windows(state="audited")[0], windows(state="audited")[-1]
    assert (first["revision"], first["newest"], second["revision"], second["newest"]) == (1, False, 2, True)
    audit = audit_reader.read_audit("acme", second["audit_id"])
    assert (audit["revision"], audit["revises"]) == (2, first["audit_id"])
    assert (first["labelled_size"], second["labelled_size"]) == (0, 80)
    assert any("Revision 2 of this window" in one for one in audit["remarks"])
    with read_snapshot() as rows:
        apart = rows.execute(
            select(AuditFigure.audit_id, AuditFigure.apart).where(
                AuditFigure.attribute == "sex",
                AuditFigure.metric == "demographic_parity_difference",
                AuditFigure.audit_id.in_([first["audit_id"], second["audit_id"]]),
            )
        ).all()
    assert dict(tuple(row) for row in apart) == {first["audit_id"]: False, second["audit_id"]: True}


def test_a_past_window_stays_of_the_versions_it_was_of() -> None:
    """80 decisions by two versions were audited together; the schedule then asks for v2: the revision has all 80 still."""
    register(version="v2", reference_groups={"sex": "M"})
    schedule()
    ids = decide(3, 20, women=5, men=10)
    decide(4, 20, women=5, men=10, model_version="v2")
    assert tick(16) == {"audited": 1}
    schedule(minutes=17, version="v2")
    tick(33)
    label([(one, "good") for one in ids], now=at(60))
    assert tick(61)["revised"] == 1
    again = windows(state="audited")[-1]
    assert (again["window_end"][11:16], again["version"], again["revision"]) == ("00:15", None, 2)
    assert (again["sample_size"], again["labelled_size"]) == (80, 40)


def test_a_change_below_the_setting_is_let_be_and_adds_up() -> None:
    """With 5 % of 80 decisions: three labels change nothing, a fourth makes a revision with all four."""
    schedule(reaudit={"share": 0.05})
    ids = decide(3, women=10, men=20)
    tick(16)
    label([(one, "good") for one in ids[:3]], now=at(40))
    assert "revised" not in tick(41)
    label([(ids[3], "bad")], now=at(60))
    assert tick(61)["revised"] == 1
    assert windows(state="audited")[-1]["labelled_size"] == 4


def test_late_events_change_a_window_that_had_none() -> None:
    """A spool that comes late fills windows that were empty: they are audited after all, oldest first."""
    schedule()
    decide(3, women=10, men=20)
    for minute in (16, 31, 46, 61):
        tick(minute)
    decide(35, women=10, men=20)
    tick(63)
    decide(50, women=5, men=20)
    tick(80)
    again = [one for one in windows() if one["revision"] == 2]
    assert ended(again) == [("00:45", 2, "audited"), ("01:00", 2, "audited")]
    assert [one["sample_size"] for one in again] == [80, 80]


def test_a_window_is_not_audited_anew_for_ever() -> None:
    """Labels without end for eight hours: revisions come after 15, 30, 60, 120 and 240 minutes at the earliest."""
    schedule(minutes=-1, cron="0 0 * * *", window_minutes=60 * 24)
    ids = decide(-30, n=300, women=100, men=200)
    tick(1)
    for minute in range(2, 482, 5):
        label([(one, "good") for one in ids[minute : minute + 5]], now=at(minute))
        tick(minute + 0.5)
    revisions = [one for one in windows() if one["state"] == "audited"]
    assert [one["revision"] for one in revisions] == [1, 2, 3, 4, 5, 6]
    assert audits_there() == 6


def test_what_lies_too_far_back_is_let_be() -> None:
    """Labels behind the look-back: no revision, and the window is settled."""
    schedule(reaudit={"days": 1})
    ids = decide(3, women=10, men=20)
    tick(16)
    with unit_of_work() as rows:
        rows.execute(update(Schedule).values(planned_until=at(3_000), next_due_at=at(9_000)))
    label([(one, "good") for one in ids], now=at(3_000))
    tick(3_001)
    assert [one["compared_next_at"] for one in windows(state="audited")] == [None]


def test_events_of_last_month_and_of_tomorrow(make_settings: Callable[..., config.Settings]) -> None:
    """Those of last month are in no window of today; those of tomorrow, a day ahead, wait for theirs."""
    make_settings(INGEST_MAX_AHEAD_S="200000")
    schedule()
    decide(-43_200, women=10, men=20)
    decide(1_445, women=10, men=20)
    decide(3, women=10, men=20)
    assert tick(16) == {"audited": 1}
    assert windows()[0]["sample_size"] == 80
    for minute in range(31, 1_457, 15):
        tick(minute)
    tomorrow = [one for one in windows(state="audited") if one["window_end"][8:13] == "03T00"]
    assert [(one["window_end"][11:16], one["sample_size"]) for one in tomorrow] == [("00:15", 80)]


def test_a_clock_that_is_an_hour_ahead_on_one_host_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers go by the common time: on PostgreSQL the database's, whatever the host's own clock says."""
    asked = []
    monkeypatch.setattr(schedules, "common_time", lambda: asked.append(1) or at(16))
    monkeypatch.setattr(window_planner.telemetry, "utc_now", lambda: at(76))
    schedule()
    decide(3, women=10, men=20)
    assert window_planner.run_due()["audited"] == 1 and asked
    assert [one["window_end"][11:16] for one in windows()] == ["00:15"]


def test_postgresql_gives_the_common_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's clock is not asked; SQLite's users share a machine, and there it is."""
    real = schedules.common_time()
    monkeypatch.setattr(schedules.telemetry, "utc_now", lambda: at(0))
    assert (schedules.common_time() == at(0)) is not session.is_postgresql()
    assert abs(schedules.common_time() - real) < timedelta(minutes=1) or not session.is_postgresql()


def test_one_worker_at_a_time() -> None:
    """A lease that another holds is respected until it runs out; its holder's number is then worth nothing."""
    schedule()
    decide(3, women=10, men=20)
    with unit_of_work():
        other = schedules.take(1, "another", at(16), 60)
    assert other is not None and tick(16.5) == {} and windows() == []
    assert tick(17.1) == {"audited": 1}
    with pytest.raises(schedules.LeaseLost), unit_of_work():
        schedules.hold(other)


def test_a_worker_that_was_taken_for_dead_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it counts, another takes the model: nothing of its audit is kept, and the window is audited by the other."""
    schedule()
    decide(3, women=10, men=20)
    real = window_runner.window_counts_reader.read_window

    def slow(*args: Any, **more: Any) -> Any:
        with unit_of_work():
            assert schedules.take(1, "another", at(1_000), 60) is not None
        return real(*args, **more)

    monkeypatch.setattr(window_runner.window_counts_reader, "read_window", slow)
    assert tick(16) == {}
    assert (windows(), audits_there()) == ([], 0)
    monkeypatch.setattr(window_runner.window_counts_reader, "read_window", real)
    assert tick(1_002)["audited"] >= 1


def test_a_long_audit_keeps_its_lease(
    make_settings: Callable[..., config.Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than the lease: it is renewed meanwhile, and nobody else gets it."""
    import threading

    make_settings(AUDIT_LEASE_S="1")
    schedule()
    decide(3, women=10, men=20)
    real, renewed = window_runner.window_counts_reader.read_window, threading.Event()
    kept = window_runner.schedules.renew

    def renew(*args: Any) -> None:
        kept(*args)
        renewed.set()

    def slow(*args: Any, **more: Any) -> Any:
        assert renewed.wait(20)
        return real(*args, **more)

    monkeypatch.setattr(window_runner.schedules, "renew", renew)
    monkeypatch.setattr(window_runner.window_counts_reader, "read_window", slow)
    assert tick(16) == {"audited": 1}


def test_a_window_cannot_be_there_twice() -> None:
    """The unique key is the last word, whatever the code before it believes."""
    span = Span(None, at(0), at(15), at(0))
    facts = {"revision": 1, "state": "empty", "reason": None, "audit_id": None, "holder": "h"}
    facts |= {"done_at": at(16), "check_at": None, "check_from": at(16), "looked": None}
    with unit_of_work():
        audit_windows.add("acme", "hiring", span, **facts)
    with pytest.raises(Conflict), unit_of_work():
        audit_windows.add("acme", "hiring", span, **facts)


@pytest.mark.parametrize("where", ["audits.insert", "compliance_logger.log_event", "audit_history.keep"])
def test_a_failure_anywhere_leaves_nothing_and_the_next_tick_does_it(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes away in the middle of an audit's unit of work: no audit, no window, no sequence; then all of it."""
    schedule()
    decide(3, women=10, men=20)
    room, name = where.split(".")

    def fails(*_: Any, **__: Any) -> None:
        raise Unavailable("The database does not answer; nothing was stored.")

    with monkeypatch.context() as patch:
        patch.setattr(getattr(audit_runner, room), name, fails)
        with pytest.raises(Unavailable):
            tick(16)
    assert (windows(), audits_there()) == ([], 0)
    # The lease is this process's own: it need not wait for it.
    assert tick(16.1) == {"audited": 1}
    assert (len(windows()), audits_there()) == (1, 1)


def test_a_record_that_cannot_be_kept_is_not_a_window_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another conflict than that of the window: it failed, and says why; it is not taken for one that is done."""

    def refuse(*_: Any, **__: Any) -> None:
        raise Conflict("There is a record of that name already.")

    monkeypatch.setattr(audit_runner.compliance_logger, "log_event", refuse)
    schedule()
    decide(3, women=10, men=20)
    assert tick(16) == {"failed": 1}
    (one,) = windows()
    assert (one["state"], one["reason"]) == ("failed", "There is a record of that name already.")


def test_what_the_schedule_asks_for_and_nobody_counted_is_said_once_a_window() -> None:
    """An attribute of a model that declares none, which no decision has: the window failed, with the reason."""
    register(columns={"decision": "hired"}, version="v0")
    schedule(protected_attributes=["height"])
    decide(3, women=10, men=20)
    decide(20, women=10, men=20)
    assert tick(16) == {"failed": 1} and tick(31) == {"failed": 1}
    assert all("height" in one["reason"] for one in windows())
    assert "height" in schedule_keeper.get_schedule("acme", "hiring", at(32))["last_error"]
    schedule(minutes=32)
    decide(33, women=10, men=20)
    assert tick(46) == {"audited": 1}
    assert schedule_keeper.get_schedule("acme", "hiring", at(47))["last_error"] is None


def test_a_bug_is_tried_again_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five tries, further and further apart, then the window is recorded as failed and those after it go on."""
    schedule()
    decide(3, women=10, men=20)
    decide(20, women=10, men=20)

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("a mistake of ours")

    with monkeypatch.context() as patch:
        patch.setattr(audit_runner, "assess", broken)
        assert [tick(16 + minute) for minute in (0, 0.1, 0.3, 1, 2.5)] == [{}] * 5
        assert windows() == []
        assert tick(22) == {"failed": 1}
    assert tick(31) == {"audited": 1}
    assert "failed 5 times" in windows()[0]["reason"]


def test_nobody_else_s_windows_and_schedules_are_seen() -> None:
    """Tenants have models of one name, and each its own windows."""
    register(tenant="other")
    decide(3, women=10, men=20)
    tick(4)
    tick(16)
    from fairlens_backend.schemas.schedules import WindowsQuery

    assert schedule_keeper.list_windows("other", "hiring", WindowsQuery())["items"] == []
    with read_snapshot() as rows:
        assert {row.tenant for row in rows.scalars(select(FairnessCheck))} == {"acme"}


def test_a_paused_schedule_does_not_make_up_for_the_pause() -> None:
    """Disabled for an hour: its windows are not missed ones."""
    schedule()
    decide(3, women=10, men=20)
    tick(16)
    schedule(minutes=17, enabled=False)
    decide(20, women=10, men=20)
    assert tick(75) == {}
    schedule(minutes=76)
    assert tick(91) == {"audited": 1, "compared": 1} or tick(91) == {}
    assert [end for end, _, _ in ended(windows())] == ["00:15", "01:30"]


GROWING = ("audits", "fairness_checks", "audit_windows", "audit_figures", "count_buckets", "count_deltas", "event_batches",
           "event_cells", "alerts", "ledger_entries", "outbox")  # fmt: skip


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


def test_an_event_is_taken_whoever_sends_it_twice() -> None:
    """The same event again changes no window."""
    schedule()
    decide(3, women=10, men=20)
    tick(16)
    send(
        [event("hiring-3-F-0", timestamp=at(3).isoformat(), demographic_tags={"sex": "F", "age": 41})],
        now=at(20),
    )
    tick(40)
    assert [one["revision"] for one in windows() if one["window_end"][11:16] == "00:15"] == [1]
