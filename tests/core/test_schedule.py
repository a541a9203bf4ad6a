"""When a model is due: cron lines against days counted by hand, changes of clocks against the calendar, missed windows."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from fairlens_backend.core.schedule import Timetable, check_delay, missed, reaudit_limit
from fairlens_backend.errors import InvalidInput

BERLIN = "Europe/Berlin"


def utc(text: str) -> datetime:
    """A time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due(cron: str, zone: str, after: str, until: str) -> list[str]:
    """The due times as text."""
    return [f"{at:%d %H:%M}" for at in Timetable(cron, zone).due(utc(after), utc(until))]


def test_every_quarter_of_an_hour() -> None:
    """The first end is left out, the last is in; seconds do not matter."""
    assert due("*/15 * * * *", "UTC", "2026-01-01 00:00", "2026-01-01 01:00") == [
        "01 00:15",
        "01 00:30",
        "01 00:45",
        "01 01:00",
    ]
    assert due("*/15 * * * *", "UTC", "2026-01-01 00:14:59.5", "2026-01-01 00:15:00") == ["01 00:15"]
    assert due("*/15 * * * *", "UTC", "2026-01-01 00:15:00", "2026-01-01 00:15:59") == []


def test_a_line_is_meant_in_its_zone() -> None:
    """Six in the morning on weekdays in Berlin is five in UTC in winter, four in summer; Saturday has none."""
    assert due("0 6 * * 1-5", BERLIN, "2026-01-08 00:00", "2026-01-13 00:00") == [
        "08 05:00",
        "09 05:00",
        "12 05:00",
    ]
    assert due("0 6 * * 1-5", BERLIN, "2026-07-09 00:00", "2026-07-10 00:00") == ["09 04:00"]


def test_the_hour_that_is_left_out() -> None:
    """On 29 March 2026 Berlin has no 02:30: it comes right after the gap, at 03:00, which is 01:00 in UTC, and once."""
    assert due("30 2 * * *", BERLIN, "2026-03-28 12:00", "2026-03-30 12:00") == ["29 01:00", "30 00:30"]
    assert due("0,30 2 * * *", BERLIN, "2026-03-28 12:00", "2026-03-29 12:00") == ["29 01:00"]


def test_the_hour_that_comes_twice() -> None:
    """On 25 October 2026 02:30 comes at 00:30 and at 01:30 in UTC: a line for it is due once."""
    assert due("30 2 * * *", BERLIN, "2026-10-24 12:00", "2026-10-26 12:00") == ["25 00:30", "26 01:30"]


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2026-03-30", 96), ("2026-10-25", 100)])
def test_every_quarter_of_an_hour_takes_no_notice_of_the_clocks(day: str, quarters: int) -> None:
    """A day of 23 hours has 92 quarters, one of 25 has 100: none is left out, none is there twice."""
    from zoneinfo import ZoneInfo

    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(BERLIN))
    end = start + timedelta(days=1)  # the same time on the wall
    found = Timetable("*/15 * * * *", BERLIN).due(
        start.astimezone(UTC) - timedelta(minutes=1), end.astimezone(UTC) - timedelta(minutes=1)
    )
    assert len(found) == quarters
    assert {b - a for a, b in itertools.pairwise(found)} == {timedelta(minutes=15)}


def test_windows_to_the_due_time_before_tile_days_of_any_length() -> None:
    """Midnight to midnight in Berlin: 24, 23, 24 hours; with fixed minutes the short day's window reaches back an hour more."""
    daily = Timetable("0 0 * * *", BERLIN)
    days = daily.due(utc("2026-03-28 00:00"), utc("2026-03-31 00:00"))
    windows = [daily.window(at, 0) for at in days]
    assert [(end - start) / timedelta(hours=1) for start, end in windows] == [24, 23, 24]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(windows))
    assert daily.window(days[1], 1440)[0] == days[1] - timedelta(hours=24)
    autumn = daily.window(daily.last_due(utc("2026-10-26 12:00")) or utc("1970-01-01"), 0)
    assert (autumn[1] - autumn[0]) == timedelta(hours=25)


def test_the_newest_are_the_last_of_all() -> None:
    """Found backwards, they are those that a search forwards ends with."""
    table = Timetable("7,41 */3 * * *", "America/New_York")
    every = table.due(utc("2026-02-20 00:00"), utc("2026-03-20 00:00"))
    for n in (1, 5, 60):
        assert table.newest_due(utc("2026-02-20 00:00"), utc("2026-03-20 00:00"), n) == every[-n:]


def test_what_was_missed_is_made_up_for_oldest_first_and_bounded() -> None:
    """Five hours away, three windows are audited and two given up: the first two; nothing is missed twice."""
    hourly, start = Timetable("0 * * * *"), utc("2026-01-01 00:00")
    found = missed(hourly, start, start + timedelta(hours=5, minutes=1), 3)
    assert [at.hour for at in found.due] == [3, 4, 5]
    assert found.given_up == (utc("2026-01-01 01:00"), utc("2026-01-01 02:00"), 2)
    again = missed(hourly, found.given_up[1], start + timedelta(hours=5, minutes=1), 3)
    assert (again.due, again.given_up) == (found.due, None)
    none = missed(hourly, start, start, 3)
    assert (none.due, none.given_up) == ([], None)


def test_a_year_away_is_counted() -> None:
    """35,040 quarters of an hour in 2026, of which 96 are made up for."""
    found = missed(Timetable("*/15 * * * *"), utc("2026-01-01 00:00"), utc("2027-01-01 00:00"), 96)
    assert len(found.due) == 96 and found.given_up is not None and found.given_up[2] == 35_040 - 96


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "* * * * * *", "61 * * * *", "* 24 * * *", "a b c d e", "*/0 * * * *", "5-1 * * * *", "0 0 31 2 *",
     "@daily", "0 0 1 1 8", "L * * * *", "* * * * 1#9"],
)  # fmt: skip
def test_a_line_that_is_none_is_refused_by_name(cron: str) -> None:
    """Not five fields, out of range, or a day that never comes."""
    with pytest.raises(InvalidInput) as refused:
        Timetable(cron)
    assert refused.value.details["field"] == "cron"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "Europe", "berlin\0"])
def test_a_zone_that_is_none_is_refused_by_name(zone: str) -> None:
    """What the time zone database does not know, or should not be asked."""
    with pytest.raises(InvalidInput) as refused:
        Timetable("0 0 * * *", zone)
    assert refused.value.details["field"] == "time_zone"


def test_when_a_window_is_audited_anew() -> None:
    """A share of its decisions, at least one, at most so many; and later and later with each revision."""
    assert [reaudit_limit(n, 0.01, 1_000) for n in (0, 60, 150, 10_000, 10**9)] == [1, 1, 2, 100, 1_000]
    minutes = [check_delay(revision) / timedelta(minutes=1) for revision in (1, 2, 3, 100)]
    assert minutes[:3] == [15, 30, 60] and minutes[3] == 15 * 2**20
