"""Confidence sequences against the formula by hand, the published width, and simulated streams with counted seeds."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.inference.sequential import (
    SequentialWatch,
    confidence_sequence,
    mixture_precision,
)
from fairlens_backend.errors import InvalidInput

LOOKS = 2_880
RUNS = 60
Counts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def stream(p_g: float, p_r: float, share: float, seed: int, runs: int = RUNS, looks: int = LOOKS) -> Counts:
    """Cumulative (n_g, k_g, n_r, k_r) of batches of 50 to 500 rows."""
    rng = np.random.Generator(np.random.PCG64(seed))
    batch = rng.integers(50, 501, size=(runs, looks))
    n_g = rng.binomial(batch, share)
    n_r = batch - n_g
    parts = (n_g, rng.binomial(n_g, p_g), n_r, rng.binomial(n_r, p_r))
    return tuple(part.cumsum(axis=1) for part in parts)  # type: ignore[return-value]


def significant(n_g: np.ndarray, k_g: np.ndarray, n_r: np.ndarray, k_r: np.ndarray) -> np.ndarray:
    """Whether the two-proportion z-test is beyond 1.96, both groups having 30 rows."""
    common = (k_g + k_r) / (n_g + n_r)
    variance = common * (1 - common) * (1 / np.maximum(n_g, 1) + 1 / np.maximum(n_r, 1))
    gap = np.abs(k_g / np.maximum(n_g, 1) - k_r / np.maximum(n_r, 1))
    return (gap > 1.959964 * np.sqrt(variance)) & (variance > 0) & (n_g >= 30) & (n_r >= 30)


def test_the_formula_by_hand() -> None:
    """200 of 400 and 200 of 400: V = ¼·2/400 up to the added rows, I·ρ² = 800·7.93615/10,000, half = the boundary / I."""
    variance = 0.25 / 400 * 2  # 201/402 is exactly ½, and so is the common 401/802
    rho2 = (2 * math.log(20) + math.log(1 + 2 * math.log(20))) / 10_000
    mixed = rho2 / variance + 1
    half = variance * math.sqrt(mixed / rho2 * math.log(mixed / 0.05**2))
    sequence = confidence_sequence([400], [200], [400], [200])
    assert sequence.upper[0] == pytest.approx(half, rel=1e-12)
    assert sequence.lower[0] == pytest.approx(-half, rel=1e-12)


def test_it_is_the_papers_sequence_for_equal_shares() -> None:
    """With t pairs of unit-variance differences the paper's margin is sqrt(2(tρ²+1)/(t²ρ²)·ln(sqrt(tρ²+1)/α)).

    A difference of two rates of ½ in groups of n has variance ½/n: n pairs of variance σ² = ½, and ρ² scales by it.
    """
    n = np.array([1_000, 5_000, 100_000])
    rho2 = mixture_precision(0.05, 5_000)
    scaled = rho2 / 0.5
    papers = math.sqrt(0.5) * np.sqrt(
        2 * (n * scaled + 1) / (n**2 * scaled) * np.log(np.sqrt(n * scaled + 1) / 0.05)
    )
    ours = confidence_sequence(n, n / 2, n, n / 2).upper
    assert ours == pytest.approx(papers, rel=1e-9)


def test_rho_is_nearly_the_best_for_the_intended_size() -> None:
    """No other ρ² gives a boundary at the intended size that is lower by more than 0.5 %."""
    information = 2 * 5_000
    candidates = mixture_precision(0.05, 5_000) * np.geomspace(0.05, 20, 2_001)
    mixed = information * candidates + 1
    widths = np.sqrt(mixed / candidates * np.log(mixed / 0.05**2)) / information
    assert widths[1_000] <= widths.min() * 1.005


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_a_stream_without_a_difference_hardly_ever_alarms(p: float, share: float) -> None:
    """60 runs of 2,880 looks: at alpha 0.05 more than 8 alarms have probability 0.4 %.

    The raw p-value of the same cumulative counts is under 0.05 at some look in more than a third of 60 runs
    (in 55 to 65 % of many), and the p-values of the batches one by one are in every run.
    """
    n_g, k_g, n_r, k_r = stream(p, p, share, seed=1)
    assert (confidence_sequence(n_g, k_g, n_r, k_r).first_alarm >= 0).sum() <= 8
    cumulative = (n_g, k_g, n_r, k_r)
    assert significant(*cumulative).any(axis=1).mean() > 1 / 3
    assert significant(*(np.diff(part, axis=1) for part in cumulative)).any(axis=1).all()


@pytest.mark.parametrize("gap", [0.13, -0.13])
def test_a_gap_beyond_the_band_is_found(gap: float) -> None:
    """A difference of 0.13 with a band of 0.1 leaves it in every run of 2,880 looks, and one of 0.1 hardly ever."""
    beyond = confidence_sequence(*stream(0.4 + gap, 0.4, 0.1, seed=2, runs=20), band=0.1)
    assert (beyond.first_alarm >= 0).all()
    at_edge = confidence_sequence(*stream(0.4 + gap / 1.3, 0.4, 0.1, seed=3, runs=20), band=0.1)
    assert (at_edge.first_alarm >= 0).sum() <= 4


def test_it_covers_at_every_look() -> None:
    """The true difference lies in all 2,880 intervals in at least 52 of 60 runs (P(more than 8 misses) = 0.4 %)."""
    sequence = confidence_sequence(*stream(0.2, 0.5, 0.1, seed=4))
    missed = (sequence.lower > -0.3) | (sequence.upper < -0.3)
    assert missed.any(axis=1).sum() <= 8


def test_nothing_is_said_before_the_burn_in() -> None:
    """99 rows of one group give no interval and no alarm, however far the rates are apart; 100 do."""
    sequence = confidence_sequence([99, 100], [0, 0], [5_000, 5_000], [5_000, 5_000])
    assert np.isnan(sequence.lower).tolist() == [True, False]
    assert sequence.alarm.tolist() == [False, True]
    assert int(sequence.first_alarm) == 1


def test_an_alarm_stays() -> None:
    """A gap that closes again was there: the alarm is of the stream, not of the last look."""
    sequence = confidence_sequence([5_000, 500_000], [1_000, 250_000], [5_000, 500_000], [3_000, 250_000])
    assert sequence.lower[1] < 0 < sequence.upper[1]
    assert sequence.alarm.tolist() == [True, True]


def test_the_running_intersection_only_narrows() -> None:
    """Limits move inwards only, and where they cross the difference was not constant."""
    counts = stream(0.5, 0.4, 0.5, seed=5, runs=3, looks=300)
    plain, narrowed = confidence_sequence(*counts), confidence_sequence(*counts, running_intersection=True)
    begun = ~np.isnan(plain.lower)
    assert (narrowed.lower[begun] >= plain.lower[begun]).all()
    assert (narrowed.upper[begun] <= plain.upper[begun]).all()
    for run in range(3):
        limits = narrowed.lower[run][begun[run]]
        assert (np.diff(limits) >= 0).all()
        assert limits[-1] == plain.lower[run][begun[run]].max()
    moved = confidence_sequence(
        [5_000, 500_000], [1_000, 250_000], [5_000, 500_000], [3_000, 250_000], running_intersection=True
    )
    assert moved.lower[1] > moved.upper[1]


@given(st.integers(100, 10**9), st.integers(100, 10**9), st.floats(0, 1), st.floats(0, 1))
def test_swapping_groups_flips_the_interval(n_g: int, n_r: int, p_g: float, p_r: float) -> None:
    """[l, u] becomes [−u, −l], the estimate lies inside, and counts of 10⁹ overflow nothing."""
    k_g, k_r = int(p_g * n_g), int(p_r * n_r)
    one = confidence_sequence([n_g], [k_g], [n_r], [k_r])
    other = confidence_sequence([n_r], [k_r], [n_g], [k_g])
    assert one.lower[0] == pytest.approx(-other.upper[0], abs=1e-12)
    assert one.lower[0] < k_g / n_g - k_r / n_r < one.upper[0]


def test_a_watch_is_its_stream() -> None:
    """Look by look, through JSON each time, the watch says what the whole sequence says."""
    counts = stream(0.45, 0.3, 0.3, seed=6, runs=1, looks=60)
    whole = confidence_sequence(*(part[0] for part in counts), band=0.05)
    new = [np.diff(part[0], prepend=0) for part in counts]
    watch = SequentialWatch(band=0.05)
    for look in range(60):
        n_g, k_g, n_r, k_r = (int(part[look]) for part in new)
        watch = watch.add(n_g=n_g, k_g=k_g, n_r=n_r, k_r=k_r)
        watch = SequentialWatch.from_dict(json.loads(json.dumps(watch.to_dict())))
        assert watch.alarm == bool(whole.alarm[look])
        if not math.isnan(whole.lower[look]):
            assert watch.interval == (float(whole.lower[look]), float(whole.upper[look]))
    assert watch.first_alarm == int(whole.first_alarm) >= 0
    assert watch.summary()["status"] == "ok"


def test_a_watch_that_has_seen_little_says_so() -> None:
    """Before the burn-in there is no value, but a status and the two numbers of the reason."""
    summary = SequentialWatch().add(n_g=40, k_g=1, n_r=900, k_r=800).summary()
    assert (summary["status"], summary["value"], summary["alarm"]) == ("insufficient_data", None, False)
    assert "40" in summary["reason"]
    assert "100" in summary["reason"]


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (([10], [11], [10], [5]), {}),
        (([10], [-1], [10], [5]), {}),
        (([10], [1], [10], [5]), {"alpha": 0.0}),
        (([10], [1], [10], [5]), {"band": 1.5}),
        (([10], [1], [10], [5]), {"intended_size": 0}),
    ],
)
def test_what_cannot_be_is_refused(arguments: tuple[list[int], ...], settings: dict[str, float]) -> None:
    """More with the property than rows, fewer than none, and settings outside their range."""
    with pytest.raises(InvalidInput):
        confidence_sequence(*arguments, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("broken", [{}, {"version": 2}, {"version": 1, "rows": 3}, {"version": 1, "n_g": -5}])
def test_a_state_that_is_none_is_refused(broken: dict[str, int]) -> None:
    """Missing or later versions, unknown fields and impossible counts."""
    with pytest.raises(InvalidInput):
        SequentialWatch.from_dict(broken)
