"""Breakpoints against another library's PELT, brute force, and series whose jumps are known."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlens_backend.core.drift.breakpoints import breakpoints, noise_level


def staircase(seed: int) -> np.ndarray:
    """A noisy series with up to three jumps."""
    rng = np.random.default_rng(seed)
    series = rng.normal(0, 0.1, int(rng.integers(6, 80)))
    for place in rng.integers(0, len(series), int(rng.integers(0, 4))):
        series[place:] += rng.normal(0, 0.5)
    return series


def test_agrees_with_ruptures_on_a_hundred_series():
    """The same places as ruptures' PELT with the same cost, penalty and least segment."""
    ruptures = pytest.importorskip("ruptures", reason="the oracle ruptures is not installed (extra dev)")
    for seed in range(100):
        series = staircase(seed)
        penalty = 3 * noise_level(series) ** 2 * np.log(len(series))
        theirs = ruptures.Pelt(model="l2", min_size=3, jump=1).fit(series).predict(pen=penalty)[:-1]
        assert breakpoints(series.tolist()) == theirs, seed


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=6, max_size=11), st.floats(0.1, 5))
def test_no_other_set_of_places_is_cheaper(series: list[float], penalty: float):
    """Brute force over every admissible set of breakpoints finds no lower cost plus penalties."""
    values = np.array(series)

    def price(places: tuple[int, ...]) -> float:
        edges = (0, *places, len(values))
        pieces = [values[a:b] for a, b in itertools.pairwise(edges)]
        if any(len(piece) < 3 for piece in pieces):
            return float("inf")
        return sum(float(((piece - piece.mean()) ** 2).sum()) for piece in pieces) + penalty * len(places)

    if np.ptp(values) == 0:
        return
    everything = (c for k in range(4) for c in itertools.combinations(range(1, len(values)), k))
    found = price(tuple(breakpoints(series, penalty=penalty)))
    assert found <= min(map(price, everything)) + 1e-9


def test_a_jump_is_found_where_it_is():
    """Twenty checks at 0.95, then twenty at 0.70: the new level starts at the twenty-first."""
    rng = np.random.default_rng(1)
    series = np.concatenate([np.full(20, 0.95), np.full(20, 0.70)]) + rng.normal(0, 0.02, 40)
    assert breakpoints(series.tolist()) == [20]


@pytest.mark.parametrize("series", [[], [1.0], [1.0] * 50, [1.0, 0.0, 1.0, 0.0, 1.0]])
def test_short_or_constant_series_have_none(series: list[float]):
    """Nothing can be said of fewer than two segments or of a series that never varies."""
    assert breakpoints(series) == []


def test_noise_alone_rarely_breaks():
    """At most 15 % of 300 series of 20 values of pure noise have a breakpoint."""
    false = sum(
        bool(breakpoints(np.random.default_rng(seed).normal(0, 1, 20).tolist())) for seed in range(300)
    )
    assert false <= 45
