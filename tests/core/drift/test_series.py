"""A series keeps its gaps, puts checks together by their rows, and shares no rows between checks."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from fairlens_backend.core.drift.series import Check, Series, align, variance_of_interval
from fairlens_backend.errors import InvalidInput

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
QUARTER = timedelta(minutes=15)


def of(*checks: Check, threshold: float = 0.8, when: Any = "below") -> Series:
    return Series("loans", "sex", "disparate_impact_ratio", threshold, when, checks)


def test_checks_come_in_order_of_time_and_the_later_given_of_one_time_counts() -> None:
    """A re-audit of a window replaces the audit that it revises; zones do not matter."""
    early = Check(NOON.astimezone(timezone(timedelta(hours=2))), 0.9)
    series = of(Check(NOON + HOUR, 0.7), early, Check(NOON, 0.85))
    assert series.values == (0.85, 0.7)
    assert [check.time for check in series.checks] == [NOON, NOON + HOUR]
    assert {check.time.tzinfo for check in series.checks} == {UTC}


@pytest.mark.parametrize(
    "check",
    [
        Check(datetime(2026, 3, 1), 0.9),
        Check(NOON, math.nan),
        Check(NOON, 0.9, math.inf),
        Check(NOON, 0.9, start=datetime(2026, 3, 1)),
    ],
)
def test_times_without_a_zone_and_numbers_that_are_none_are_refused(check: Check) -> None:
    """The error names the field."""
    with pytest.raises(InvalidInput) as refused:
        of(check)
    assert refused.value.details["field"].startswith("checks[0].")


def test_a_period_weighs_its_checks_by_their_rows() -> None:
    """By hand: (0.9·100 + 0.6·300)/400 = 0.675; variance (100²·0.01 + 300²·0.02)/400² = 0.011875."""
    series = of(Check(NOON + QUARTER, 0.9, 0.01, 100), Check(NOON + 4 * QUARTER, 0.6, 0.02, 300))
    (hour,) = series.at_grain("hour").checks
    assert hour.time == NOON + HOUR
    assert hour.start == NOON
    assert hour.value == pytest.approx(0.675)
    assert hour.variance == pytest.approx(0.011875)
    assert hour.n == 400


def test_a_period_s_standard_error_is_what_its_values_scatter_by() -> None:
    """Of 4,000 simulated periods of 4 checks of unequal size the empirical and the stated variance agree within 5 %."""
    rng = np.random.default_rng(11)
    sizes = np.array([50, 100, 200, 400])
    checks = []
    for period in range(4_000):
        for place, n in enumerate(sizes):
            rate = rng.binomial(n, 0.4) / n
            time = NOON + period * HOUR + (place + 1) * QUARTER
            checks.append(Check(time, float(rate), 0.24 / n, int(n)))
    merged = of(*checks).at_grain(1).checks
    assert len(merged) == 4_000
    values = np.array([check.value for check in merged])
    assert values.var() == pytest.approx(merged[0].variance, rel=0.05)


def test_a_gap_stays_a_gap_and_says_why() -> None:
    """A period without an audit, or without a value, is None and not 0; the series has every period between its ends."""
    series = of(
        Check(NOON + HOUR, 0.9, n=10),
        Check(NOON + 3 * HOUR, None, status="no_ground_truth", reason="No row has a known truth."),
        Check(NOON + 4 * HOUR, 0.8, n=10),
    ).at_grain(1)
    assert series.values == (0.9, None, None, 0.8)
    assert [check.status for check in series.checks] == ["ok", "insufficient_data", "no_ground_truth", "ok"]
    assert series.checks[1].reason == "No audit in this period."
    assert series.checks[2].reason == "No row has a known truth."
    assert series.points()[1]["n"] == 0


def test_a_period_holds_the_windows_that_end_in_it() -> None:
    """A window that ends at 13:00 is of the hour from 12 to 13; the day's last one ends at midnight."""
    at = [NOON + place * QUARTER for place in (0, 1, 4, 5)]
    series = of(*(Check(time, float(place), n=1) for place, time in enumerate(at))).at_grain(1)
    assert [(check.time.hour, check.value) for check in series.checks] == [(12, 0.0), (13, 1.5), (14, 3.0)]
    midnight = of(Check(datetime(2026, 3, 2, tzinfo=UTC), 0.5, n=1)).at_grain("day")
    assert midnight.checks[0].start == datetime(2026, 3, 1, tzinfo=UTC)


def test_a_last_period_that_is_not_over_can_be_left_out() -> None:
    """Half an hour is no hour: it is noisier than the baseline's."""
    at = [NOON + place * QUARTER for place in range(1, 7)]
    series = of(*(Check(time, 0.9, n=1) for time in at))
    assert len(series.at_grain(1).checks) == 2
    assert len(series.at_grain(1, complete=True).checks) == 1
    assert len(of(*series.checks[:4]).at_grain(1, complete=True).checks) == 1


def test_checks_that_share_rows_count_once() -> None:
    """An hour audited every quarter: of 8 audits those of disjoint hours are taken, the same with or without later ones."""
    checks = [
        Check(NOON + place * QUARTER, 0.9, n=40, start=NOON + place * QUARTER - HOUR) for place in range(8)
    ]
    taken = of(*checks).without_overlaps()
    assert [check.time for check in taken.checks] == [NOON, NOON + HOUR]
    assert of(*checks[:6]).without_overlaps().checks == taken.checks
    assert sum(check.n for check in of(*checks).at_grain(1).checks) == 80
    assert len(of(Check(NOON, 1.0), Check(NOON + QUARTER, 1.0)).without_overlaps().checks) == 2


def test_a_window_is_open_at_its_start_and_closed_at_its_end() -> None:
    """Windows that follow each other share no check and miss none."""
    series = of(*(Check(NOON + place * HOUR, 0.9) for place in range(6)))
    first, second = series.between(None, NOON + 2 * HOUR), series.between(NOON + 2 * HOUR)
    assert [len(first.checks), len(second.checks)] == [3, 3]


@pytest.mark.parametrize("grain", [0, 5, 25, 169, -1, 1.5, "week", True, None])
def test_a_grain_that_does_not_tile_days_is_refused(grain: Any) -> None:
    """5 hours would drift against the clock."""
    with pytest.raises(InvalidInput):
        of(Check(NOON, 1.0)).at_grain(grain)


def test_a_wrong_clock_does_not_fill_the_memory() -> None:
    """An audit dated to 1970 would make half a million hours of gaps: refused; its 20,000 days are taken."""
    series = of(Check(datetime(1970, 1, 2, tzinfo=UTC), 0.9), Check(NOON, 0.9))
    with pytest.raises(InvalidInput):
        series.at_grain("hour")
    assert len(series.at_grain("day").checks) > 20_000


def test_series_of_different_times_share_one_grid() -> None:
    """A series without a check at a time has None there, with n 0; gaps of all stay on the grid of a grain."""
    one = of(Check(NOON, 0.9, 0.04, 10), Check(NOON + 3 * HOUR, 0.8, None, 10))
    other = Series(
        "loans", "race", "equal_opportunity_difference", 0.05, "above", [Check(NOON + HOUR, 0.02, None, 4)]
    )
    exact = align([one, other])
    assert exact["times"] == [(NOON + hours * HOUR).isoformat() for hours in (0, 1, 3)]
    assert [row["values"] for row in exact["series"]] == [[0.9, None, 0.8], [None, 0.02, None]]
    assert exact["series"][0]["standard_errors"] == [0.2, None, None]
    hourly = align([one, other], "hour")
    assert len(hourly["times"]) == 4
    assert hourly["series"][1]["values"] == [None, 0.02, None, None]
    assert hourly["series"][1]["statuses"][0] == "insufficient_data"
    assert align([])["times"] == []
    assert of().at_grain(1).values == ()


def test_limits_are_compared_with_a_tolerance() -> None:
    """0.55 − 0.48 does not breach 0.07; a signed metric breaches on both sides."""
    above = of(threshold=0.07, when="above")
    assert not above.is_beyond(0.55 - 0.48)
    assert above.is_beyond(0.0701)
    signed = of(threshold=0.1, when="outside")
    assert [signed.is_beyond(x) for x in (-0.11, 0.0, 0.11)] == [True, False, True]
    assert [of().is_beyond(x) for x in (0.79, 0.8)] == [True, False]
    assert signed.room(-0.04) == pytest.approx(0.06)


def test_the_variance_of_an_interval_that_is_cut_off_comes_from_its_longer_arm() -> None:
    """None without an interval; ±1.96 standard errors otherwise."""
    assert variance_of_interval(0.5, {"lower": 0.5 - 0.196, "upper": 0.5 + 0.196}) == pytest.approx(
        0.01, rel=1e-3
    )
    assert variance_of_interval(0.5, None) is None
    assert variance_of_interval(None, {"lower": 0.0, "upper": 1.0}) is None
    assert variance_of_interval(0.5, {"lower": 0.5, "upper": 0.5}) is None
