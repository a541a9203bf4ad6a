"""Audits on the clock, on the database of the settings: each window once, missed ones, ones without data, pauses."""

from collections.abc import Callable

import pytest
from sqlalchemy import select

from fairlens_backend import (
    audit_reader,
    config,
    schedule_keeper,
)
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.storage.tables import FairnessCheck
from tests.clock_kit import at, audits_there, decide, ended, quick, schedule, tick, windows
from tests.ingest_kit import event, register, send


@pytest.fixture(autouse=True)
def model(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model `hiring`, registered, and audits without resampling."""
    quick(monkeypatch.setattr)
    register(reference_groups={"sex": "M"})


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
