"""Ages fall into the six bands, lower edge included; what cannot be an age is unknown, with a reason."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.enrich.age_band import BANDS, age_at, age_band, age_band_at
from fairlens_backend.core.group_definitions import AGE_BANDS, GroupDefinition

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)


def test_the_edges():
    """Each limit belongs to the band above it."""
    ages = [0, 17, 17.999, 18, 29.999, 30, 39, 40, 49, 50, 59, 60, 130]
    assert [age_band(age).group for age in ages] == [
        "UNDER_18", "UNDER_18", "UNDER_18", "18_30", "18_30", "30_40", "30_40", "40_50", "40_50", "50_60", "50_60",
        "60_PLUS", "60_PLUS",
    ]  # fmt: skip


@given(st.floats(0, 130))
def test_as_the_group_definitions_have_it(age):
    """The bands are those that a model's definition `bands` makes."""
    bands = GroupDefinition.parse({"bands": list(AGE_BANDS)})
    assert bands.groups == BANDS
    assert age_band(age).group == bands.apply([age])[0]


@pytest.mark.parametrize(
    "age",
    [
        -1,
        131,
        999,
        1e9,
        10**400,
        -(10**400),
        float("inf"),
        float("nan"),
        None,
        "",
        "  ",
        "abc",
        "-5",
        True,
        [],
        "１８",
    ],
)
def test_impossible_ages(age):
    """They are unknown, and the reason is said."""
    found = age_band(age)
    assert found.group == "unknown" and found.reason


@pytest.mark.parametrize("age", ["42", " 42.5 ", 42, np.int64(42), np.float32(42), "40_50"])
def test_ages_as_they_are_written(age):
    """Texts and numbers of other libraries are read; a band stays itself."""
    assert age_band(age).group == "40_50"


@pytest.mark.parametrize(
    ("born", "group"),
    [
        ("2008-11-22", "18_30"), ("2008-11-23", "UNDER_18"), (date(1996, 11, 22), "30_40"), ("19961123", "18_30"),
        (datetime(1966, 11, 22, 23), "60_PLUS"), ("1966-11-23T00:00:00Z", "50_60"), (pd.Timestamp("1980-01-01"), "40_50"),
    ],
)  # fmt: skip
def test_dates_of_birth(born, group):
    """The age on the day of the event counts, not today's."""
    assert age_band_at(born, AT).group == group


@pytest.mark.parametrize(
    "born",
    [
        "2026-11-23",
        "1800-01-01",
        "1990-02-30",
        "03/04/1990",
        "1990",
        "1990-13-01",
        "",
        None,
        19900101,
        pd.NaT,
    ],
)
def test_dates_that_are_none(born):
    """After the event, too long ago, not in the calendar or not in ISO order: unknown with a reason."""
    found = age_band_at(born, AT)
    assert found.group == "unknown" and found.reason


def test_the_day_is_the_events():
    """A birthday has begun in Auckland and not in UTC."""
    at = datetime(2026, 11, 21, 20, tzinfo=UTC)
    assert age_band_at("2008-11-22", at).group == "UNDER_18"
    assert age_band_at("2008-11-22", at.astimezone(timezone(timedelta(hours=13)))).group == "18_30"


@given(st.dates(date(1900, 1, 1), date(2026, 1, 1)), st.integers(0, 40_000))
def test_age_is_the_birthdays_passed(born, days):
    """The age is the number of birthdays since, counted one by one."""
    day = born + timedelta(days=days)
    birthdays = 0
    for year in range(born.year + 1, day.year + 1):
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        on = (
            date(year, 3, 1)
            if (born.month, born.day) == (2, 29) and not leap
            else date(year, born.month, born.day)
        )
        birthdays += on <= day
    assert age_at(born, day) == birthdays
