"""Trend, velocity, rolling average and pre-alert against other libraries, hand calculation and the desk's rule."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fairlens_backend.core.drift.series import Check, Series
from fairlens_backend.core.drift.trend import current_trend, pre_alert, rolling_average, velocity

DAY = timedelta(days=1)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def of(
    values: list[float | None],
    variances: list[float | None] | None = None,
    *,
    when: Any = "below",
    threshold: float = 0.8,
    step: timedelta = DAY,
) -> Series:
    spread = variances or [None] * len(values)
    checks = [
        Check(BEGIN + place * step, x, v) for place, (x, v) in enumerate(zip(values, spread, strict=True))
    ]
    return Series("loans", "sex", "m", threshold, when, checks)


def test_without_variances_the_trend_is_scipy_s_line() -> None:
    """Slope and 95 % interval are those of scipy.stats.linregress, over days, gaps left out."""
    rng = np.random.default_rng(3)
    values: list[float | None] = [float(0.9 - 0.004 * i + rng.normal(0, 0.01)) for i in range(30)]
    values[7] = None
    x = np.array([i / 4 for i in range(30) if i != 7])
    theirs = stats.linregress(x, [v for v in values if v is not None])
    arm = stats.t.ppf(0.975, 27) * theirs.stderr
    ours = current_trend(of(values, step=DAY / 4))
    assert ours["slope_per_day"] == pytest.approx(theirs.slope, rel=1e-9)
    assert ours["confidence_interval"]["lower"] == pytest.approx(theirs.slope - arm, rel=1e-9)
    assert ours["direction"] == "worsening"
    assert ours["n_checks"] == 29


def test_with_variances_the_line_is_numpy_s_weighted_fit() -> None:
    """The slope is that of numpy.polyfit with weights 1/σ; a check that is ten times noisier hardly counts."""
    values = [0.90, 0.88, 0.70, 0.84, 0.82]
    sigma = np.array([0.01, 0.01, 0.1, 0.01, 0.01])
    theirs = np.polyfit(np.arange(5), values, 1, w=1 / sigma)[0]
    ours = current_trend(of(list(values), [float(s**2) for s in sigma]))
    assert ours["slope_per_day"] == pytest.approx(theirs, rel=1e-9)


def test_the_interval_is_never_narrower_than_the_counts_allow() -> None:
    """Values that lie on a line by chance, each with a standard error of 0.05: by hand the slope's is 0.05/√Σ(x−x̄)²."""
    ours = current_trend(of([0.9, 0.89, 0.88, 0.87, 0.86], [0.0025] * 5))
    interval = ours["confidence_interval"]
    arm = stats.t.ppf(0.975, 3) * 0.05 / math.sqrt(10)
    assert interval["upper"] - interval["lower"] == pytest.approx(2 * arm, rel=1e-9)
    assert ours["direction"] == "steady"


def test_the_trend_s_interval_covers_the_true_slope() -> None:
    """In at least 94 % of 1,000 seeded series with known, unequal variances; more than 95 since σ is never below what is known."""
    rng = np.random.default_rng(17)
    sigma = rng.uniform(0.01, 0.04, 20)
    covered = 0
    for _ in range(1_000):
        noisy = (0.9 - 0.002 * np.arange(20) + rng.normal(0, sigma)).tolist()
        interval = current_trend(of(noisy, (sigma**2).tolist()))["confidence_interval"]
        covered += interval["lower"] <= -0.002 <= interval["upper"]
    assert 940 <= covered <= 985


@pytest.mark.parametrize(
    ("when", "threshold", "values", "direction"),
    [
        ("below", 0.8, [0.9, 0.92, 0.941, 0.96], "improving"),
        ("above", 0.1, [0.01, 0.02, 0.031, 0.04], "worsening"),
        ("outside", 0.1, [-0.01, -0.02, -0.031, -0.04], "worsening"),
        ("outside", 0.1, [-0.08, -0.07, -0.061, -0.05], "improving"),
        ("below", 0.8, [0.9, 0.9, 0.9, 0.9], "steady"),
    ],
)
def test_a_direction_is_worse_toward_the_limit(
    when: Any, threshold: float, values: list[Any], direction: str
) -> None:
    """A ratio worsens downward, a difference upward, a signed one away from 0."""
    assert current_trend(of(values, when=when, threshold=threshold))["direction"] == direction


def test_too_few_checks_have_no_trend() -> None:
    """Two points make a line with no noise to judge it by: unknown, with a reason."""
    found = current_trend(of([0.9, None, 0.8]))
    assert found["status"] == "insufficient_data"
    assert found["slope_per_day"] is None
    assert "3 needed" in found["reason"]
    assert current_trend(of([]))["since"] is None


def test_velocity_is_the_gap_of_the_halves_over_the_way_between_them() -> None:
    """Over random series of every length, by numpy: means of both halves and of their places; by hand where two are enough."""
    rng = np.random.default_rng(5)
    for n in range(2, 30):
        values, place, half = rng.uniform(0.5, 1, n), np.arange(n), n // 2
        way = place[-half:].mean() - place[:half].mean()
        expected = (values[-half:].mean() - values[:half].mean()) / way
        assert velocity(values.tolist()) == pytest.approx(expected, abs=1e-11)
    assert velocity([0.9, 0.7]) == -0.2
    assert velocity([0.9]) is None
    assert velocity([]) is None


def test_the_rolling_average_skips_gaps() -> None:
    """By hand; a gap takes a place of the window and adds nothing."""
    assert rolling_average(of([None, 0.9, 0.7, None, None, 0.5]), 3) == [None, 0.9, 0.8, 0.8, 0.7, 0.5]


def test_a_pre_alert_says_why() -> None:
    """By hand: 0.86, 0.86, 0.84, 0.84 average 0.85 and lose 0.01 a check; 0.80 is reached in more than 4, not in 6."""
    series = of([0.86, 0.86, 0.84, 0.84])
    soon = pre_alert(series, 4, 6)
    assert soon["pre_alert"]
    assert not soon["beyond"]
    assert soon["projected"] == pytest.approx(0.79)
    assert "within 6 checks" in soon["reasons"][0]
    assert not pre_alert(series, 4, 4)["pre_alert"]
    under = pre_alert(of([0.7, 0.72]), 2, 1)
    assert under["pre_alert"]
    assert under["beyond"]
    unknown = pre_alert(of([0.7, None]), 2, 1)
    assert unknown["pre_alert"] is None
    assert unknown["reasons"]


@pytest.mark.parametrize(
    ("when", "threshold", "expected"), [("below", 0.8, 0.0), ("above", 0.1, 0.0), ("outside", 0.1, -0.5)]
)
def test_what_is_projected_is_a_value_of_the_metric(when: Any, threshold: float, expected: float) -> None:
    """By hand: 0.7, 0.7, 0.3, 0.3 average 0.5 and lose 0.2 a check: −0.5 in five, which only a signed difference can be."""
    found = pre_alert(of([0.7, 0.7, 0.3, 0.3], when=when, threshold=threshold), 4, 5)
    assert found["projected"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("when", "threshold", "values", "expected"),
    [
        ("above", 0.1, [0.06, 0.06, 0.08, 0.08], True),
        ("above", 0.1, [0.08, 0.08, 0.06, 0.06], False),
        ("outside", 0.1, [-0.06, -0.06, -0.08, -0.08], True),
        ("outside", 0.1, [0.06, 0.06, 0.08, 0.08], True),
        ("outside", 0.1, [-0.08, -0.08, -0.06, -0.06], False),
        ("below", 0.8, [0.7, 0.9, 0.9, 0.96], False),
    ],
)
def test_a_pre_alert_looks_toward_the_limit(
    when: Any, threshold: float, values: list[Any], expected: bool
) -> None:
    """Moving away from the limit never alerts, whatever the horizon."""
    assert pre_alert(of(values, when=when, threshold=threshold), 4, 5)["pre_alert"] is expected
