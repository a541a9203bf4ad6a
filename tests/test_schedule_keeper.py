"""Schedules as people see and set them: defaults, what a change means, freshness in words."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fairlens_backend import config, schedule_keeper, schedule_settings, telemetry
from fairlens_backend.errors import ConfigurationError, InvalidInput, NotFound
from fairlens_backend.schemas._base import PageQuery
from fairlens_backend.schemas.schedules import ScheduleRequest
from fairlens_backend.storage import schedules
from fairlens_backend.storage.session import is_postgresql, read_snapshot
from tests.clock_kit import at, decide, ended, quick, schedule, tick, windows
from tests.ingest_kit import register


@pytest.fixture(autouse=True)
def model(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model `hiring`, registered."""
    quick(monkeypatch.setattr)
    register()


def shown(minutes: float = 0, model: str = "hiring") -> dict[str, Any]:
    """The schedule as it is shown."""
    return schedule_keeper.get_schedule("acme", model, at(minutes))


def test_a_model_without_a_schedule_shows_the_server_s(make_settings: Callable[..., config.Settings]) -> None:
    """Before its first decision it has no row, and its schedule is what the settings say."""
    made = shown()
    assert (made["origin"], made["enabled"], made["cron"], made["time_zone"]) == (
        "default",
        True,
        "*/15 * * * *",
        "UTC",
    )
    assert made["next_window_end"][11:16] == "00:15" and made["last_audit_at"] is None
    make_settings(
        AUDIT_CRON="0 7 * * *",
        AUDIT_TIME_ZONE="Asia/Kolkata",
        AUDIT_WINDOW_MINUTES="0",
        AUDIT_DEFAULT="false",
    )
    other = shown()
    assert (other["cron"], other["time_zone"], other["window_minutes"]) == ("0 7 * * *", "Asia/Kolkata", 0)
    assert (other["enabled"], other["next_window_end"]) == (False, None)


def test_what_a_schedule_leaves_open_is_the_server_s() -> None:
    """A line of its own is meant in UTC unless it names a zone; the rest stays as the settings say."""
    made = schedule(cron="30 2 * * *", window_minutes=None, settings={"alpha": 0.01}, reaudit={"share": 0.2})
    assert (made["origin"], made["cron"], made["time_zone"], made["window_minutes"]) == (
        "own",
        "30 2 * * *",
        "UTC",
        60,
    )
    assert made["settings"] == {"alpha": 0.01}
    assert made["reaudit"] == {"share": 0.2, "decisions": 1_000, "days": 45.0}
    assert made["changed_by"] == "ann" and made["next_window_end"][8:16] == "02T02:30"
    back = schedule_keeper.reset_schedule("acme", "hiring", "bob", at(5))
    assert (back["origin"], back["cron"], back["settings"], back["changed_by"]) == (
        "default",
        "*/15 * * * *",
        {},
        "bob",
    )
    assert schedule_keeper.reset_schedule("acme", "hiring", "eve", at(6))["changed_by"] == "bob"


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"cron": "* * *"}, "cron"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"settings": {"thresholds": {"beauty": 1.0}}}, "thresholds"),
        ({"protected_attributes": ["sex", "height"]}, "protected_attributes"),
        ({"version": "v9"}, "version"),
    ],
)
def test_what_is_not_possible_is_refused_by_name(wanted: dict[str, Any], field: str) -> None:
    """Nothing is kept of it."""
    with pytest.raises(InvalidInput) as refused:
        schedule_keeper.put_schedule("acme", "hiring", ScheduleRequest(**wanted), "ann", at(0))
    assert refused.value.details["field"] == field
    assert shown()["origin"] == "default"


def test_nobody_s_model_has_no_schedule() -> None:
    """Neither to read, nor to set, nor are there windows; another tenant's is nobody's."""
    for act in (
        lambda: shown(model="nobody"),
        lambda: schedule("nobody"),
        lambda: windows("nobody"),
        lambda: schedule_keeper.get_schedule("other", "hiring", at(0)),
        lambda: schedule_keeper.reset_schedule("other", "hiring", "ann", at(0)),
    ):
        with pytest.raises(NotFound):
            act()


def test_another_cron_line_counts_from_now_on() -> None:
    """What the old line missed is not made up for by the new one; other changes do not lose a window."""
    schedule()
    decide(3, women=10, men=20)
    schedule(minutes=200, cron="*/10 * * * *")
    decide(203, women=10, men=20)
    assert tick(211) == {"audited": 1}
    schedule(minutes=225, cron="*/10 * * * *", settings={"alpha": 0.01})
    decide(215, women=10, men=20)
    assert tick(226)["audited"] == 1
    assert [end for end, _, _ in ended(windows(state="audited"))] == ["03:30", "03:40"]


def test_pages_of_schedules_and_windows() -> None:
    """Each is on one page, whatever their number."""
    for name in ("a", "b", "c"):
        register(name)
        schedule(name)
    first = schedule_keeper.list_schedules("acme", PageQuery(limit=2), at(0))
    rest = schedule_keeper.list_schedules("acme", PageQuery(limit=2, cursor=first["next_cursor"]), at(0))
    assert [one["model_id"] for one in first["items"] + rest["items"]] == ["a", "b", "c"]
    assert rest["next_cursor"] is None
    with pytest.raises(InvalidInput, match="cursor"):
        schedule_keeper.list_schedules("acme", PageQuery(cursor="nonsense"), at(0))


def test_freshness_in_words_and_figures() -> None:
    """Nothing, a fresh audit, fourteen minutes later, and an hour behind with the windows counted."""
    assert schedule_keeper.freshness(at(0))["status"] == "idle"
    schedule()
    decide(3, women=10, men=20)
    assert schedule_keeper.freshness(at(1))["said"] == "No audit yet."
    tick(16)
    fresh = schedule_keeper.freshness(at(16) + timedelta(minutes=14))
    assert (fresh["status"], fresh["ok"], fresh["said"]) == ("fresh", True, "Last good audit 14 minutes ago.")
    late = schedule_keeper.freshness(at(76), by_model=True)
    assert (late["status"], late["ok"], late["overdue"], late["windows_behind"]) == ("behind", None, 1, 4)
    assert (
        late["said"] == "Last good audit 1 hour ago; 1 of 1 schedules overdue, 4 windows behind."
        or "60 minutes" in late["said"]
    )
    (one,) = late["models"]
    assert (one["tenant"], one["model"], one["windows_behind"], one["last_audit_age_s"]) == (
        "acme",
        "hiring",
        4,
        3_600,
    )
    assert "models" not in schedule_keeper.health() and "hiring" not in str(schedule_keeper.health())


@pytest.mark.parametrize("given", [{"AUDIT_CRON": "every day"}, {"AUDIT_TIME_ZONE": "Nowhere"}])
def test_a_wrong_setting_stops_the_start(
    given: dict[str, str], make_settings: Callable[..., config.Settings]
) -> None:
    """By its name."""
    make_settings(**given)
    with pytest.raises(ConfigurationError, match=next(iter(given))):
        schedule_settings.require_valid()


@pytest.mark.parametrize("skew_h", [-1, 1])
def test_a_web_server_s_clock_may_be_an_hour_off(monkeypatch: pytest.MonkeyPatch, skew_h: int) -> None:
    """A schedule that is set, changed or reset there counts from the common time on, by which the audits go: no window is
    skipped, none made up for from before, and the next one is told right."""
    monkeypatch.setattr(schedules, "common_time", lambda: at(1))
    monkeypatch.setattr(schedule_keeper.telemetry, "utc_now", lambda: at(1 + 60 * skew_h))
    wanted = ScheduleRequest(cron="*/15 * * * *", window_minutes=15)
    for number in range(3):
        if number == 2:
            made = schedule_keeper.reset_schedule("acme", "hiring", "ann")
        else:
            wanted = wanted.model_copy(update={"cron": "*/15 * * * *" if number else "*/30 * * * *"})
            made = schedule_keeper.put_schedule("acme", "hiring", wanted, "ann")
        with read_snapshot():
            row = schedules.find("acme", "hiring")
            assert row is not None and (row.planned_until, row.changed_at) == (at(1), at(1))
        assert made["next_window_end"][11:16] == ("00:30" if number == 0 else "00:15")
    assert schedule_keeper.get_schedule("acme", "hiring")["next_window_end"][11:16] == "00:15"
    (listed,) = schedule_keeper.list_schedules("acme", PageQuery())["items"]
    assert listed["next_window_end"][11:16] == "00:15"
    decide(3, women=10, men=20)
    assert tick(16) == {"audited": 1}
    assert [one["window_end"][11:16] for one in windows()] == ["00:15"]


def test_on_postgresql_the_database_s_clock_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the host says; a SQLite file's users share the host's clock."""
    real = telemetry.utc_now()
    monkeypatch.setattr(telemetry, "utc_now", lambda: real + timedelta(hours=1))
    schedule_keeper.put_schedule("acme", "hiring", ScheduleRequest(), "ann")
    with read_snapshot():
        row = schedules.find("acme", "hiring")
    assert row is not None
    off = row.planned_until - real
    assert (off < timedelta(minutes=1)) is is_postgresql()
    assert is_postgresql() or off == timedelta(hours=1)
