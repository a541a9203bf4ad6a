"""The CUSUM over a series: its baseline, the noise of its checks, and when alarms began and ended."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from fairlens_backend.core.drift.cusum_run import (
    Baseline,
    alarm_episodes,
    run_cusum,
    take_baseline,
    toward_limit,
)
from fairlens_backend.core.drift.drift_settings import BaselineWindow, DriftSettings
from fairlens_backend.core.drift.series import Check, Series
from fairlens_backend.errors import InvalidInput

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SETTINGS = DriftSettings(baseline=4)


def of(
    values: list[Any], variances: list[Any] | None = None, when: Any = "below", threshold: float = 0.8
) -> Series:
    spread = variances or [None] * len(values)
    checks = [
        Check(BEGIN + place * HOUR, x, v) for place, (x, v) in enumerate(zip(values, spread, strict=True))
    ]
    return Series("loans", "sex", "m", threshold, when, checks)


def baseline(
    series: Series, settings: DriftSettings = SETTINGS, declared: BaselineWindow | None = None
) -> Baseline:
    found = take_baseline(series, settings, declared)
    assert not isinstance(found, str), found
    return found


def test_the_sums_are_those_of_the_textbook() -> None:
    """By hand with μ0 = 0.9 and σ0 = 0.02: z = 0, −2, −3, 1 gives C⁻ = 0, 1.5, 4, 2.5 and C⁺ = 0, 0, 0, 0.5."""
    series = of([0.92, 0.88, 0.92, 0.88, 0.9, 0.86, None, 0.84, 0.92])
    base = Baseline(0.9, 0.02, None, series.checks[:4], False)
    run = run_cusum(series, base, SETTINGS)
    assert run.low[:4] == (None,) * 4
    assert run.low[4:] == pytest.approx((0.0, 1.5, 1.5, 4.0, 2.5))
    assert run.high[4:] == pytest.approx((0.0, 0.0, 0.0, 0.0, 0.5))


def test_the_baseline_is_the_first_checks_or_the_declared_window() -> None:
    """Mean and standard deviation by hand; a check without a value is not one of the first."""
    series = of([0.9, None, 0.92, 0.88, 0.9, 0.5, 0.5, 0.7])
    first = baseline(series)
    assert first.mean == pytest.approx(0.9)
    assert first.sigma == pytest.approx(math.sqrt(0.0008 / 3))
    assert first.to_dict()["until"] == (BEGIN + 4 * HOUR).isoformat()
    declared = baseline(series, declared=BaselineWindow(BEGIN + 4 * HOUR, BEGIN + 7 * HOUR))
    assert declared.mean == pytest.approx((0.5 + 0.5 + 0.7) / 3)
    assert declared.declared
    assert run_cusum(series, declared, SETTINGS).low == (None,) * 8


def test_no_baseline_is_said_why() -> None:
    """Too few checks, an empty window, a constant without a standard error: each a sentence, none a 0."""
    assert "3 checks with a value, 4 needed" in str(take_baseline(of([0.9, 0.9, 0.8]), SETTINGS, None))
    window = BaselineWindow(BEGIN - 9 * HOUR, BEGIN - HOUR)
    assert "declared baseline window" in str(take_baseline(of([0.9, 0.9, 0.8]), SETTINGS, window))
    assert "no unit" in str(take_baseline(of([0.9] * 9), SETTINGS, None))


def test_sigma_is_never_below_the_standard_error_of_the_counts() -> None:
    """A baseline that is calm by chance: σ0 is the 0.05 that its counts imply, and noise of that size does not alarm."""
    series = of([0.9, 0.901, 0.9, 0.899, *[0.87, 0.93] * 20], [0.0025] * 44)
    base = baseline(series)
    assert base.sigma == pytest.approx(0.05)
    assert alarm_episodes(series, run_cusum(series, base, SETTINGS), 5.0) == []
    assert alarm_episodes(
        of(list(series.values)),
        run_cusum(of(list(series.values)), baseline(of(list(series.values))), SETTINGS),
        5.0,
    )


def test_a_quiet_night_is_no_drift() -> None:
    """Checks with a tenth of the rows scatter √10 times as far; counted in their own standard error they do not alarm.

    200 seeded series of 20 baseline checks and 60 at a tenth of the rows: at most 15 % alarm, where the textbook's
    average run length of 465 gives 12 %; in the baseline's unit nearly all do.
    """
    rng = np.random.default_rng(9)
    settings = DriftSettings()
    alarmed = blind = 0
    for _ in range(200):
        sigma = np.where(np.arange(80) < 20, 0.01, 0.01 * math.sqrt(10))
        values = (0.9 + rng.normal(0, sigma)).tolist()
        base = Baseline(0.9, 0.01, 0.01, of(values).checks[:20], True)
        weighed = run_cusum(of(values, (sigma**2).tolist()), base, settings)
        alarmed += bool(alarm_episodes(of(values), weighed, settings.h))
        blind += bool(alarm_episodes(of(values), run_cusum(of(values), base, settings), settings.h))
    assert alarmed <= 30
    assert blind >= 190


def test_an_alarm_says_when_its_shift_began_and_when_it_ended() -> None:
    """By hand, σ0 = 0.01 and k = 0.5: from check 6 on z = −2, so C⁻ = 1.5, 3, 4.5, 6: above 5 at check 9; then z = 4."""
    values = [0.91, 0.89, 0.91, 0.89, 0.9, 0.9, 0.88, 0.88, 0.88, 0.88, 0.94, 0.94]
    series = of(values)
    base = Baseline(0.9, 0.01, None, series.checks[:4], False)
    (first, *others) = alarm_episodes(series, run_cusum(series, base, SETTINGS), 5.0)
    assert first == {
        "time": (BEGIN + 9 * HOUR).isoformat(),
        "since": (BEGIN + 6 * HOUR).isoformat(),
        "until": (BEGIN + 10 * HOUR).isoformat(),
        "direction": "down",
        "worsening": True,
        "cusum": pytest.approx(6.0),
    }
    assert [one["direction"] for one in others] == ["up"]
    assert others[0]["until"] is None


@pytest.mark.parametrize(
    ("when", "mean", "side"),
    [("below", 0.9, "low"), ("above", 0.02, "high"), ("outside", 0.0, "larger")],
)
def test_the_sum_toward_the_limit(when: Any, mean: float, side: str) -> None:
    """A ratio is watched downward, a difference upward, a signed one both ways."""
    series = of([mean + 0.01, mean - 0.01] * 3 + [mean + 0.03, mean + 0.03], None, when, 0.1)
    base = Baseline(mean, 0.01, None, series.checks[:4], False)
    run = run_cusum(series, base, SETTINGS)
    sums = {"low": run.low[-1], "high": run.high[-1], "larger": max(run.low[-1] or 0, run.high[-1] or 0)}
    assert toward_limit(series, run)[-1] == sums[side]


@pytest.mark.parametrize(
    "setting",
    [
        {"baseline": 1},
        {"k": 0},
        {"h": math.inf},
        {"window": True},
        {"grains": ()},
        {"grains": (2, 1)},
        {"horizon": 0},
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any]) -> None:
    """The error names the setting."""
    with pytest.raises(InvalidInput) as refused:
        DriftSettings(**setting)
    assert refused.value.details["field"] == next(iter(setting))
