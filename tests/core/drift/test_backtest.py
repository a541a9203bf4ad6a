"""A back-test scores alarms by hand-made times, and no detector sees what came later."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from fairlens_backend.core.drift.backtest import DETECTORS, ChangePoint, alarms_over_time, score
from fairlens_backend.core.drift.drift_settings import DriftSettings
from fairlens_backend.core.drift.series import Check, Series

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SETTINGS = DriftSettings(window=4, horizon=4, predict_checks=10, n_resamples=100, grains=(1,))


def of(values: list[Any], variance: float = 1e-4) -> Series:
    checks = [
        Check(BEGIN + (place + 1) * HOUR, x, variance, 100, "ok", None, BEGIN + place * HOUR)
        for place, x in enumerate(values)
    ]
    return Series("loans", "sex", "m", 0.8, "below", checks)


def at(hour: float) -> datetime:
    return BEGIN + hour * HOUR


def test_delays_leads_and_false_alarms_are_counted() -> None:
    """By hand: windows of hours 1 to 60, the baseline until 20, a change at 40 that crosses at 50.

    Alarms at 30 and 45: one false in the 19 windows from 21 to 39, one after 5 hours, in the 6 windows from 40 to 45,
    5 hours before the crossing.
    """
    series = of([0.9] * 60)
    found = score(
        series,
        {"cusum": [at(30), at(45)], "adwin": []},
        [ChangePoint(at(40), at(50))],
        baseline_until=at(20),
    )
    cusum = found["cusum"]
    assert (cusum["n_alarms"], cusum["false_alarms"], cusum["n_windows"]) == (2, 1, 40)
    assert cusum["false_per_1000_windows"] == pytest.approx(1000 / 19)
    (told,) = cusum["changes"]
    assert (told["delay_hours"], told["delay_windows"], told["lead_hours"]) == (5.0, 6, 5.0)
    assert told["in_time"] is True
    assert cusum["n_in_time"] == 1
    assert cusum["median_delay_hours"] == 5.0
    (missed,) = found["adwin"]["changes"]
    assert (missed["detected_at"], missed["delay_hours"], missed["in_time"]) == (None, None, False)


def test_an_alarm_belongs_to_the_last_change_before_it() -> None:
    """Of two changes the first was missed; the alarm after the second is not late for the first."""
    found = score(
        of([0.9] * 60), {"cusum": [at(45)]}, [ChangePoint(at(40), at(44)), ChangePoint(at(20), at(30))]
    )
    first, second = found["cusum"]["changes"]
    assert first["detected_at"] is None
    assert (second["delay_hours"], second["in_time"]) == (5.0, False)
    assert second["lead_hours"] == -1.0


def test_nobody_knows_is_not_nothing_changed() -> None:
    """Without changes given no alarm is called false; with an empty list all are."""
    series = of([0.9] * 60)
    unknown = score(series, {"cusum": [at(30)]}, None)["cusum"]
    assert (unknown["false_alarms"], unknown["false_per_1000_windows"]) == (None, None)
    nothing = score(series, {"cusum": [at(30)]}, [])["cusum"]
    assert (nothing["false_alarms"], nothing["false_per_1000_windows"]) == (1, pytest.approx(1000 / 60))


def test_the_crossing_is_taken_from_the_average_where_it_is_not_told() -> None:
    """By hand: 0.9 falls to 0.7 at hour 31; the average of 4 is 0.8 at 32 and below at 33."""
    found = score(of([0.9] * 30 + [0.7] * 10), {"x": [at(31)]}, [ChangePoint(at(31))], window=4)["x"]
    assert found["crossed"] == at(33).isoformat()
    assert found["lead_hours"] == 2.0
    assert found["changes"][0]["in_time"] is True
    never = score(of([0.9] * 30), {"x": []}, [ChangePoint(at(9))], window=4)["x"]
    assert (never["crossed"], never["changes"][0]["in_time"]) == (None, None)


def drifting(seed: int) -> Series:
    rng = np.random.default_rng(seed)
    return of((0.92 - np.maximum(0, np.arange(120) - 60) * 0.003 + rng.normal(0, 0.01, 120)).tolist())


def test_every_detector_finds_a_fall() -> None:
    """0.92 falls by 0.003 an hour from hour 61 on and crosses 0.80 at hour 101; the early detectors are before it."""
    series = drifting(1)
    alarms = alarms_over_time(series, SETTINGS)
    assert set(alarms) == set(DETECTORS)
    scores = score(series, alarms, [ChangePoint(at(61), at(101))], baseline_until=at(20))
    for name in ("cusum", "pre_alert", "prediction", "early_warning"):
        assert scores[name]["changes"][0]["in_time"], name
    assert scores["threshold"]["changes"][0]["detected_at"] is not None


def test_no_alarm_hangs_on_what_came_later() -> None:
    """The alarms up to a time are those of the series cut off there."""
    series = drifting(2)
    whole = alarms_over_time(series, SETTINGS)
    for hour in (15, 50, 80, 101):
        part = alarms_over_time(series.between(None, at(hour)), SETTINGS)
        assert part == {name: [time for time in times if time <= at(hour)] for name, times in whole.items()}


def test_an_alarm_that_stays_on_counts_once() -> None:
    """Beyond the limit from hour 31 on, but for hour 41: two alarms of the threshold."""
    values = [0.9, 0.92] * 15 + [0.7] * 10 + [0.9] + [0.7] * 10
    alarms = alarms_over_time(of(values), SETTINGS, detectors=["threshold", "cusum"])
    assert alarms["threshold"] == [at(31), at(42)]
    assert len(alarms["cusum"]) == 1


def test_without_a_baseline_nothing_could_have_alerted() -> None:
    """19 checks where 20 are needed."""
    assert not any(alarms_over_time(of([0.5] * 19), SETTINGS).values())
