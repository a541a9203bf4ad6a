"""A slow drift is announced before its threshold is crossed, a steady model is left in peace. Seeds are counted from 1."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from benchmarks.drift_lead_time import BEGIN, first_warning, in_time, simulate
from fairlens_backend.core.drift.drift_settings import BaselineWindow, DriftSettings
from fairlens_backend.core.drift.early_warning import early_warning, footing, warnings_over_time
from fairlens_backend.core.drift.series import Check, Series

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("rows", [100, 400])
@pytest.mark.no_cover
def test_slow_drift_is_announced_before_it_crosses(rows: int) -> None:
    """Of 25 runs whose ratio crosses 0.80 within 10 days at least 80 % are announced in time; all of 200 in the benchmark."""
    leads = [in_time(first_warning(simulate(seed, rows, 10)), 10) for seed in range(1, 26)]
    assert sum(lead is not None for lead in leads) >= 20


@pytest.mark.parametrize("metric", ["disparate_impact_ratio", "statistical_parity_difference"])
@pytest.mark.no_cover
def test_a_steady_model_is_not_accused(metric: str) -> None:
    """Of 20 steady runs of 30 days with an audit every quarter of an hour at most one ever warns."""
    warned = [first_warning(simulate(seed, 400, None, metric)) for seed in range(1, 21)]
    assert sum(first is not None for first in warned) <= 1


def test_a_daily_rhythm_is_no_drift() -> None:
    """A ratio that swings by ±0.04 every day, a third of the way to its limit: of 10 steady runs of 30 days none warns."""
    assert not any(first_warning(simulate(seed, 1_600, None, cycle=0.04)) for seed in range(1, 11))


def test_a_verdict_sees_its_past_alone() -> None:
    """What the series said at a time is what it says with everything later taken away."""
    series = simulate(3, 400, 5)
    for check, verdict in list(warnings_over_time(series))[::60]:
        assert early_warning(series.between(None, check.time)) == verdict


def test_the_period_is_the_finest_whose_noise_does_not_reach_the_limit() -> None:
    """By hand: 0.12 to the limit; a quarter's error of 0.12 makes 0.06 an hour, 0.042 in two, under 0.04 in three hours."""
    quarter = timedelta(minutes=15)
    noisy = [0.92 + 0.001 * (-1) ** place for place in range(96 * 20)]
    checks = [
        Check(BEGIN + (place + 1) * quarter, x, 0.12**2, 100, "ok", None, BEGIN + place * quarter)
        for place, x in enumerate(noisy)
    ]
    series = Series("m", "sex", "dir", 0.8, "below", checks)
    found = footing(series)
    assert not isinstance(found, str)
    assert (found.series.grain_hours, found.fine_enough) == (3, True)
    assert found.resolution == pytest.approx(0.12 / (0.12 / 12**0.5), rel=1e-3)
    coarse = footing(series, DriftSettings(grains=(1, 2)))
    assert not isinstance(coarse, str)
    assert (coarse.series.grain_hours, coarse.fine_enough) == (2, False)


def test_without_a_baseline_nothing_is_known() -> None:
    """None, not False: a series that is too short is not a fair one."""
    series = simulate(1, 400, None).between(None, BEGIN + 10 * HOUR)
    found = early_warning(series)
    assert (found["early_warning"], found["status"]) == (None, "no_baseline")
    assert "20 needed" in found["reasons"][0]
    assert early_warning(replace(series, checks=()))["early_warning"] is None


def test_checks_without_a_value_are_no_all_clear() -> None:
    """A steady model of which then nobody knows anything for 20 checks: None, where a value at each would say False."""
    known = [Check(BEGIN + place * HOUR, 0.9 + 0.001 * (-1) ** place) for place in range(60)]
    unknown = [Check(BEGIN + place * HOUR, None) for place in range(60, 80)]
    series = Series("m", "sex", "dir", 0.8, "below", known)
    settings = DriftSettings(grains=(1,))
    before = early_warning(series, settings)
    assert (before["early_warning"], before["status"]) == (False, "ok")
    after = early_warning(replace(series, checks=known + unknown), settings)
    assert (after["early_warning"], after["status"]) == (None, "insufficient_data")


def test_a_model_that_starts_beyond_its_limit_warns_at_once() -> None:
    """It cannot move away from a good baseline; the average says it."""
    series = simulate(2, 1_600, None, start=0.7)
    found = early_warning(series)
    assert found["early_warning"]
    assert found["pre_alert"]["beyond"]
    assert found["grain_hours"] == 2


def test_a_declared_baseline_can_be_older_than_the_drift() -> None:
    """Against the first day the second half of a fall is a shift; the verdict goes into JSON as it is."""
    series = simulate(4, 1_600, 10)
    declared = BaselineWindow(BEGIN, BEGIN + timedelta(days=2))
    found = early_warning(series, declared=declared)
    assert found["early_warning"]
    assert found["baseline"]["declared"]
    assert json.loads(json.dumps(found)) == found
    assert "It has moved from its baseline" in found["reasons"][0]
