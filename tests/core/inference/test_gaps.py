"""Intervals of gaps: against published limits, against their own definition, and by how often they hold the truth."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fairlens_backend.core.inference.drawn_rates import ENOUGH
from fairlens_backend.core.inference.gaps import Gaps
from fairlens_backend.core.inference.intervals import (
    Z_95,
    bca_limits,
    ratio_limits,
    weighted_sum_limits,
    wilson_interval,
    wilson_limits,
)
from fairlens_backend.core.metrics import METRICS, METRICS_BY_NAME, GroupRates, Metric

OF_RATES = [metric for metric in METRICS if metric.rates]


def resampled(n: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Multinomial draws of the cells, by numpy."""
    cells = n.reshape(-1)
    drawn = np.random.default_rng(seed).multinomial(cells.sum(), cells / cells.sum(), size=resamples)
    return drawn.reshape(resamples, *n.shape).astype(float)


def found(
    metric: Metric, n: np.ndarray, reference: int, seed: int = 0
) -> tuple[float, tuple[float, float, str]] | None:
    """The value of a metric and its interval; None where it has no value."""
    computed = metric.compute(GroupRates(n), reference)
    if np.isnan(computed.value):
        return None
    gaps = Gaps(n, resampled(n, 400, seed), reference)
    return float(computed.value), gaps.interval(metric, float(computed.value), int(computed.worst))


def selected(*groups: tuple[int, int]) -> np.ndarray:
    """Groups of (selected, rows), without truth."""
    n = np.zeros((len(groups), 2, 3), dtype=np.int64)
    for i, (yes, rows) in enumerate(groups):
        n[i, 1, 2], n[i, 0, 2] = yes, rows - yes
    return n


@pytest.mark.parametrize(
    ("x1", "n1", "x2", "n2", "low", "high"),
    [
        (56, 70, 48, 80, 0.0524, 0.3339),
        (9, 10, 3, 10, 0.1705, 0.8090),
        (6, 7, 2, 7, 0.0582, 0.8062),
        (5, 56, 0, 29, -0.0381, 0.1926),
        (0, 10, 0, 20, -0.1611, 0.2775),
        (0, 10, 0, 10, -0.2775, 0.2775),
        (10, 10, 0, 20, 0.6791, 1.0),
        (10, 10, 0, 10, 0.6075, 1.0),
    ],
)
def test_newcombes_published_limits(x1: int, n1: int, x2: int, n2: int, low: float, high: float) -> None:
    """Newcombe, Interval estimation for the difference (Statistics in Medicine 1998), table II, method 10."""
    limits = wilson_limits([x1, x2], [n1, n2], Z_95)
    got = weighted_sum_limits(np.array([1.0, -1.0]), np.array([x1 / n1, x2 / n2]), *limits)
    assert [round(float(limit), 4) for limit in got] == [low, high]


@given(st.integers(1, 10**9), st.data())
def test_limits_of_arrays_are_those_of_one_rate(n: int, data: st.DataObject) -> None:
    """`wilson_limits` is `wilson_interval`, element by element."""
    x = data.draw(st.integers(0, n))
    low, high = wilson_limits([x], [n], Z_95)
    assert (float(low[0]), float(high[0])) == pytest.approx(wilson_interval(x, n), abs=1e-12)


def test_ratio_limits_are_near_the_delta_methods_for_large_counts() -> None:
    """With thousands of rows the limits are those of log(ratio) ± 1.96·se (Katz 1978) to the second digit after the point."""
    x, n = np.array([3000, 4000]), np.array([10_000, 10_000])
    low, high = wilson_limits(x, n, Z_95)
    p = x / n
    got = ratio_limits(p[:1], p[1:], (low[:1], high[:1]), (low[1:], high[1:]))
    half = Z_95 * np.sqrt(1 / 3000 - 1 / 10_000 + 1 / 4000 - 1 / 10_000)
    expected = (0.75 * np.exp(-half), 0.75 * np.exp(half))
    assert (float(got[0][0]), float(got[1][0])) == pytest.approx(expected, abs=1e-3)


def test_a_ratio_of_zero_has_an_upper_limit_only() -> None:
    """Nobody of 40 against 20 of 40: from 0 to more than 0 and less than 1."""
    low, high = wilson_limits([0, 20], [40, 40], Z_95)
    got = ratio_limits(np.array([0.0]), np.array([0.5]), (low[:1], high[:1]), (low[1:], high[1:]))
    assert float(got[0][0]) == 0.0 and 0.05 < float(got[1][0]) < 0.5


def test_bca_is_scipys() -> None:
    """A difference of rates of 200 and 300 rows: the limits of scipy.stats.bootstrap, within the noise of 20,000 draws."""
    rng = np.random.default_rng(1)
    first, second = np.repeat([1, 0], [50, 150]), np.repeat([1, 0], [180, 120])
    theirs = stats.bootstrap(
        (first, second),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        n_resamples=20_000,
        method="BCa",
        random_state=2,
    ).confidence_interval
    draws = rng.binomial(200, 0.25, 20_000) / 200 - rng.binomial(300, 0.6, 20_000) / 300
    third = [p * (1 - p) * (1 - 2 * p) / n**2 for p, n in ((0.25, 200), (0.6, 300))]
    second_moment = 0.25 * 0.75 / 200 + 0.6 * 0.4 / 300
    ours = bca_limits(draws, -0.35, (third[0] - third[1]) / (6 * second_moment**1.5))
    assert ours == pytest.approx(tuple(theirs), abs=0.004)


def test_few_rows_take_the_closed_form_and_many_the_bootstrap() -> None:
    """Under 20 rows with or without the property the method is said to be Newcombe's, or Donner and Zou's for a ratio."""
    few, many = selected((ENOUGH - 1, 200), (100, 200)), selected((ENOUGH, 200), (100, 200))
    for name, closed in (
        ("statistical_parity_difference", "newcombe"),
        ("disparate_impact_ratio", "donner_zou"),
    ):
        for n, method in ((few, closed), (many, "bca")):
            one = found(METRICS_BY_NAME[name], n, 1)
            assert one is not None and one[1][2] == method


def test_two_groups_with_the_same_rate_can_say_no_difference() -> None:
    """The size of a gap starts at 0 and the lift at 1 where the gap itself may be 0; the ratio holds 1."""
    n = selected((98, 200), (104, 200))
    for name, nothing in (("demographic_parity_difference", 0), ("statistical_parity_subgroup_lift", 1)):
        one = found(METRICS_BY_NAME[name], n, 1)
        assert one is not None and one[1][0] == nothing
    one = found(METRICS_BY_NAME["disparate_impact_ratio"], n, 1)
    assert one is not None and one[1][0] < 1 < one[1][1]


def test_the_largest_of_many_gaps_is_not_taken_for_a_difference() -> None:
    """Eight groups with one rate, 300 data sets: the interval starts above 0 in at most 5 % of them (4 standard errors)."""
    rng = np.random.default_rng(4)
    metric = METRICS_BY_NAME["demographic_parity_difference"]
    excluded = 0
    for seed in range(300):
        one = found(metric, selected(*[(int(rng.binomial(150, 0.4)), 150) for _ in range(8)]), 0, seed)
        assert one is not None and one[1][2] == "simultaneous"
        excluded += one[1][0] > 0
    assert excluded / 300 <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 300)


def test_the_bound_for_very_many_groups_is_not_below_the_pairs_themselves() -> None:
    """40 groups make 780 pairs, beyond what is drawn pair by pair: the limits are a little wider, never narrower."""
    rng = np.random.default_rng(6)
    n = selected(*[(int(rng.binomial(100, 0.5)), 100) for _ in range(40)])
    drawn = resampled(n, 500, 3)
    rates, at = drawn[:, :, 1, 2] / drawn.sum(axis=(2, 3)), n[:, 1, 2] / 100
    moved, variance = rates - at, at * (1 - at) / 100
    i, j = np.triu_indices(40, 1)
    largest = (np.abs(moved[:, i] - moved[:, j]) / np.sqrt(variance[i] + variance[j])).max(axis=1)
    z = float(np.quantile(largest, 0.95))
    low, high = wilson_limits(n[:, 1, 2], n.sum(axis=(1, 2)), z)
    top, bottom = int(at.argmax()), int(at.argmin())
    value = float(at[top] - at[bottom])
    exact = value + float(np.hypot(high[top] - at[top], at[bottom] - low[bottom]))
    metric = METRICS_BY_NAME["demographic_parity_difference"]
    got = Gaps(n, drawn, 0).interval(metric, value, bottom)
    assert exact - 1e-9 <= got[1] <= exact + 0.15


CELLS = st.lists(st.integers(0, 60), min_size=6, max_size=6)


@pytest.mark.parametrize("metric", OF_RATES, ids=lambda metric: metric.name)
@settings(max_examples=40)
@given(cells=st.lists(CELLS, min_size=2, max_size=4), large=st.booleans())
def test_an_interval_holds_its_value_and_is_never_a_point(
    metric: Metric, cells: list[Any], large: bool
) -> None:
    """Also where rates are 0 or 1, groups are tiny, or counts reach 10⁹; sizes start at 0 or above, lifts at 1."""
    n = np.array(cells, dtype=np.int64).reshape(len(cells), 2, 3) * (10**7 if large else 1)
    if n.sum() == 0:
        return
    one = found(metric, n, 0)
    if one is None:
        return
    value, (low, high, method) = one
    assert np.isfinite([low, high]).all() and low <= value <= high and low < high
    assert method in ("bca", "newcombe", "donner_zou", "simultaneous")
    if metric.scale == "difference":
        assert low >= -1 and high <= 1 + 1e-9
    if metric.breached_when == "above":
        assert low >= (1 if metric.scale == "ratio" else 0)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("sizes", [(200, 200), (200, 20_000)])
def test_coverage(rate: float, sizes: tuple[int, int]) -> None:
    """400 data sets with equal rates: the truth is inside in 93 to 97 %, give or take 3 standard errors of 0.011."""
    rng = np.random.default_rng(int(1000 * rate) + sizes[1])
    names = ("demographic_parity_difference", "disparate_impact_ratio", "statistical_parity_difference")
    held = dict.fromkeys(names, 0)
    for seed in range(400):
        n = selected(*[(int(rng.binomial(size, rate)), size) for size in sizes])
        for name in names:
            one = found(METRICS_BY_NAME[name], n, 1, seed)
            assert one is not None
            held[name] += one[1][0] <= (1 if name == "disparate_impact_ratio" else 0) <= one[1][1]
    assert all(0.95 - 0.033 <= times / 400 <= 0.95 + 0.033 for times in held.values()), held
