"""The CUSUM by hand, its run lengths against published ones, its bound by simulation."""

import math

import numpy as np
import pytest

from fairlens_backend.core.drift.cusum import CusumState, alarms, average_run_length, cusum_state


@pytest.mark.parametrize(("shift", "published"), [(0.0, 465), (0.5, 38.0), (1.0, 10.4), (2.0, 4.01)])
def test_the_published_average_run_lengths(shift: float, published: float) -> None:
    """Montgomery, Statistical quality control, table 9.3: two-sided, k = 0.5, h = 5; to the digits printed."""
    assert average_run_length(shift) == pytest.approx(published, rel=0.005)


def test_the_run_length_is_that_of_the_sums_themselves() -> None:
    """4,000 runs of the recursion with a shift of 1: the mean within 4 standard errors of the integral equation's."""
    rng = np.random.default_rng(5)
    lengths = []
    for _ in range(4000):
        state, length = CusumState(mean=0.0, sigma=1.0), 0
        while not alarms(state):
            state, length = state.step(float(rng.normal(1.0))), length + 1
        lengths.append(length)
    error = float(np.std(lengths)) / math.sqrt(len(lengths))
    assert float(np.mean(lengths)) == pytest.approx(average_run_length(1.0), abs=4 * error)


def test_montgomerys_example() -> None:
    """Table 9.1 and 9.2: μ0 = 10, σ = 1, k = 0.5, the 30 observations; C⁺ at 29 is 4.85 and at 30 is 5.28, an alarm."""
    observed = [
        9.45, 7.99, 9.29, 11.66, 12.16, 10.18, 8.04, 11.46, 9.20, 10.34, 9.03, 11.47, 10.51, 9.40, 10.08,
        9.37, 10.62, 10.31, 8.52, 10.84, 10.90, 9.33, 12.29, 11.50, 10.60, 11.08, 10.38, 11.62, 11.31, 10.52,
    ]  # fmt: skip
    state = CusumState(mean=10.0, sigma=1.0)
    high = []
    for value in observed:
        state = state.step(value)
        high.append(round(state.high, 2))
    assert high[:6] == [0.0, 0.0, 0.0, 1.16, 2.82, 2.5]
    assert high[-2:] == [5.26, 5.28] or alarms(state)
    assert alarms(state) and state.checks == 30


def test_the_first_checks_are_the_baseline() -> None:
    """Mean 2, standard deviation 1 of 1, 2, 3; then 4 is +2 and adds 1.5; None is passed over."""
    state = cusum_state([1.0, None, 2.0, 3.0, 4.0], baseline=3)
    assert state is not None
    assert (state.mean, state.sigma, state.high, state.low, state.checks) == (2.0, 1.0, 1.5, 0.0, 1)
    assert cusum_state([1.0, 2.0], baseline=3) is None
    assert cusum_state([0.3] * 30) is None  # no spread, no scale


def test_a_calm_baseline_does_not_turn_noise_into_alarms() -> None:
    """σ0 is never below the standard error that the counts imply."""
    calm = [0.1, 0.1001] * 10
    narrow, wide = cusum_state([*calm, 0.12]), cusum_state([*calm, 0.12], least_sigma=0.02)
    assert narrow is not None and wide is not None
    assert alarms(narrow) and not alarms(wide) and wide.sigma == 0.02


def test_a_declared_baseline_is_not_part_of_the_series() -> None:
    """Its values give mean and deviation, and every value of the series is a check."""
    state = cusum_state([4.0, 4.0], baseline=[1.0, 2.0, 3.0])
    assert state is not None and (state.checks, state.high) == (2, 3.0)


def test_the_image_of_an_interval_holds_every_value_in_it() -> None:
    """The larger sum falls and then rises: its least is where the sides meet."""
    state = CusumState(mean=0.1, sigma=0.05, high=2.0, low=1.0)
    low, high = state.image(0.0, 0.3)
    values = np.maximum(*state.sides(np.linspace(0.0, 0.3, 3001)))
    assert low == pytest.approx(values.min(), abs=0.02) and low <= values.min() + 1e-12
    assert high == pytest.approx(values.max())


def test_the_bound_on_chance_holds() -> None:
    """At the 200th check of 20,000 streams without a shift, a sum of 3 or more is no more frequent than the bound."""
    rng = np.random.default_rng(9)
    high = low = np.zeros(20_000)
    for _ in range(200):
        z = rng.normal(size=20_000)
        high, low = np.maximum(0, high + z - 0.5), np.maximum(0, low - z - 0.5)
    for level in (1.0, 2.0, 3.0, 5.0):
        assert np.mean(np.maximum(high, low) >= level) <= CusumState(0.0, 1.0).chance(level)


@pytest.mark.parametrize("checks", [10, 60, 180])
def test_the_chance_of_a_value_knows_that_the_baseline_is_an_estimate(checks: int) -> None:
    """Of 10,000 steady series with a baseline of 20 checks about as many ever had a value as `chance` says, a third more at
    most: where it says 5 % no more than that."""
    rng = np.random.default_rng(7)
    mean = rng.standard_normal(10_000) / np.sqrt(20)
    high, low, ever = np.zeros((3, 10_000))
    for _ in range(checks):
        z = rng.standard_normal(10_000) - mean
        high, low = np.maximum(0, high + z - 0.5), np.maximum(0, low - z - 0.5)
        ever = np.maximum(ever, np.maximum(high, low))
    state = CusumState(0.0, 1.0, checks=checks - 1, baseline=20)
    for level in (4.0, 6.0, 9.0, 14.0, 20.0):
        share, said = float(np.mean(ever >= level)), state.chance(level)
        noise = 3 * np.sqrt(share * (1 - share) / 10_000)
        assert share <= said * (1 + (said > 0.1) / 3) + noise
        assert said < 0.05 or share > said / 8
    assert (found := cusum_state([0.0, 1.0] * 15)) is not None and found.baseline == 20


def test_a_chance_is_a_probability_at_any_value() -> None:
    """From 1 down to 0, never up again, whatever the number of checks; a walk without drift has its limit."""
    for checks in (0, 1, 100, 10**6):
        for baseline in (2, 4, 20, 1000):
            state = CusumState(0.0, 1.0, checks=checks, baseline=baseline)
            chances = [state.chance(value) for value in (0.0, 0.5, 5.0, 50.0, 500.0, 1e6)]
            assert chances == sorted(chances, reverse=True) and 0 <= chances[-1] <= chances[0] <= 1
    assert CusumState(0.0, 1.0, checks=50, k=1e-12, baseline=10**30).chance(20.0) == pytest.approx(
        2 * (1 - np.exp(-51 / 21.166**2)), rel=1e-6
    )
