"""Distances, tests and bootstraps of numbers against scipy and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fairlens_backend.core.numeric_comparison import (
    deviations,
    distances,
    ks_p,
    moments,
    wasserstein_p,
    welch_p,
)

SAMPLE = arrays(np.float64, st.integers(1, 60), elements=st.one_of(st.integers(-5, 5), st.floats(-1e3, 1e3)))


@given(a=SAMPLE, b=SAMPLE)
def test_distances_are_scipy_s(a: np.ndarray, b: np.ndarray) -> None:
    """ks_2samp and wasserstein_distance, with ties, to 1e-12; the other way round they are the same."""
    from scipy.stats import ks_2samp, wasserstein_distance

    a, b = np.sort(a), np.sort(b)
    ks, moved = distances(a, b)
    assert ks == pytest.approx(ks_2samp(a, b, method="asymp").statistic, abs=1e-12)
    assert moved == pytest.approx(wasserstein_distance(a, b), rel=1e-12, abs=1e-12)
    assert (ks, moved) == pytest.approx(distances(b, a), rel=1e-12, abs=1e-12)
    assert distances(a, a) == (0.0, 0.0)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 3), (40, 40), (100, 300), (2000, 700)])
@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5])
def test_the_ks_test_is_scipy_s_exact_one(n: int, m: int, shift: float) -> None:
    """p-values from 1 to 1e-27."""
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(n)
    a, b = np.sort(rng.normal(size=n)), np.sort(rng.normal(shift, size=m))
    assert ks_p(distances(a, b)[0], n, m) == pytest.approx(ks_2samp(a, b, method="exact").pvalue, rel=1e-9)


def test_the_ks_test_of_many_rows_is_near_the_exact_one() -> None:
    """Beyond the bound Stephens' correction is within 0.01 of scipy's exact p-value."""
    from scipy.stats import ks_2samp

    for seed, shift in ((0, 0.0), (1, 0.01), (2, 0.04)):
        rng = np.random.default_rng(seed)
        a, b = np.sort(rng.normal(size=4000)), np.sort(rng.normal(shift, size=3500))
        assert ks_p(distances(a, b)[0], 4000, 3500) == pytest.approx(
            ks_2samp(a, b, method="exact").pvalue, abs=0.01
        )


def test_intervals_of_a_gap_in_means_cover_it() -> None:
    """Skewed scores with means 1 and 1.5, groups resampled whole or in part: of 100 intervals at least 88 hold −0.5."""
    for n, m in ((60, 60), (40, 400), (2500, 3000)):
        held = 0
        for seed in range(100):
            rng = np.random.default_rng(seed)
            a, b = (
                moments(score, np.full(len(score), math.nan), 200, rng).replicates[:, 0]
                for score in (rng.gamma(2, 0.5, n), rng.gamma(2, 0.75, m))
            )
            low, high = np.quantile(a - b, [0.025, 0.975])
            held += low <= -0.5 <= high
        assert held >= 88, (n, m)


@given(
    a=arrays(np.float64, 12, elements=st.floats(-10, 10)),
    b=arrays(np.float64, 20, elements=st.floats(-10, 10)),
)
def test_welch_for_two_groups_is_scipy_s(a: np.ndarray, b: np.ndarray) -> None:
    """Welch's t-test, wherever both groups vary."""
    from scipy.stats import ttest_ind

    if min(a.std(), b.std()) > 1e-3:
        assert welch_p([a, b]) == pytest.approx(ttest_ind(a, b, equal_var=False).pvalue, abs=1e-9)


def test_welch_for_three_groups_is_the_published_formula() -> None:
    """Welch 1951 for k = 3, written out with its own weights and tables of F from scipy.stats."""
    from scipy.stats import f

    rng = np.random.default_rng(2)
    samples = [rng.normal(m, s, n) for m, s, n in ((0, 1, 20), (0.5, 2, 35), (0.2, 0.5, 50))]
    w = [len(x) / np.var(x, ddof=1) for x in samples]
    grand = sum(wi * x.mean() for wi, x in zip(w, samples, strict=True)) / sum(w)
    top = sum(wi * (x.mean() - grand) ** 2 for wi, x in zip(w, samples, strict=True)) / 2
    lost = sum((1 - wi / sum(w)) ** 2 / (len(x) - 1) for wi, x in zip(w, samples, strict=True))
    statistic = top / (1 + 2 * 1 / 8 * lost)
    assert welch_p(samples) == pytest.approx(f.sf(statistic, 2, 8 / (3 * lost)), abs=1e-12)


def test_welch_where_nothing_varies() -> None:
    """Equal constants are equal; different ones are not."""
    assert welch_p([np.full(5, 3.0), np.full(9, 3.0)]) == 1.0
    assert welch_p([np.full(5, 3.0), np.full(9, 4.0)]) < 1e-6
    assert welch_p([np.zeros(5), np.zeros(9)]) == 1.0


def test_permutations_find_what_differs_only() -> None:
    """Under equality p-values are nominal: of 200 data sets at most 18 are below 0.05 (more come in 1 % of runs);
    a shift of half a standard deviation is found."""
    low = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        a, b = np.sort(rng.exponential(size=60)), np.sort(rng.exponential(size=40))
        low += wasserstein_p(a, b, 199, rng) <= 0.05
    assert low <= 18
    rng = np.random.default_rng(0)
    a, b = np.sort(rng.normal(size=1500)), np.sort(rng.normal(0.5, size=1500))
    assert wasserstein_p(a, b, 199, rng) == 1 / 200


@pytest.mark.parametrize(("n", "m", "shift"), [(100, 60, 0.0), (400, 400, 0.0), (200, 300, 0.4)])
def test_intervals_of_distances_hold_the_truth(n: int, m: int, shift: float) -> None:
    """At no difference and at one: of 100 data sets at least 90 intervals hold the true distances."""
    from scipy.special import ndtr

    true = 2 * float(ndtr(shift / 2)) - 1, shift
    held = np.zeros(2)
    for seed in range(100):
        rng = np.random.default_rng(seed)
        a, b = np.sort(rng.normal(size=n)), np.sort(rng.normal(shift, size=m))
        found, strayed = distances(a, b), deviations(a, b, 300, rng)
        for k in range(2):
            held[k] += abs(found[k] - true[k]) <= np.quantile(strayed[k], 0.95)
    assert (held >= 90).all()


def test_moments_are_scikit_learn_s() -> None:
    """MAE, RMSE and R² of the rows with a truth, the mean of all, to 1e-12; also far from 0."""
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    rng = np.random.default_rng(0)
    for offset in (0.0, 1e6):
        truth = rng.normal(size=500) + offset
        score = truth + rng.normal(0, 0.5, 500)
        truth[::5] = np.nan
        known = ~np.isnan(truth)
        found = moments(score, truth, 10, rng).values
        t, s = truth[known], score[known]
        expected = [score.mean(), mean_absolute_error(t, s), root_mean_squared_error(t, s), r2_score(t, s)]
        assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_replicates_are_those_of_a_plain_bootstrap() -> None:
    """Their spread is that of resampling rows in a loop, in groups small and large; with gaps in the truth too."""
    for n in (80, 9000):
        rng = np.random.default_rng(n)
        truth = rng.gamma(2.0, size=n)
        score = 0.8 * truth + rng.normal(0, 0.4, n)
        truth[rng.random(n) < 0.2] = np.nan
        found = moments(score, truth, 2000, rng)
        loop = []
        for _ in range(400):
            rows = rng.integers(0, n, n)
            loop.append(moments(score[rows], truth[rows], 1, rng).values)
        assert found.replicates.std(axis=0) == pytest.approx(np.std(loop, axis=0), rel=0.15)
        assert found.replicates.mean(axis=0) == pytest.approx(np.mean(loop, axis=0), abs=0.02)


def test_without_truth_there_are_no_errors_and_of_one_truth_no_r_squared() -> None:
    """NaN, never 0 or 1: scikit-learn gives R² 1.0 or 0.0 where all truths are the same."""
    rng = np.random.default_rng(0)
    found = moments(np.arange(5.0), np.full(5, math.nan), 10, rng).values
    assert found[0] == 2.0
    assert np.isnan(found[1:]).all()
    found = moments(np.arange(5.0), np.full(5, 0.1), 10, rng).values
    assert np.isnan(found[3])
    assert not np.isnan(found[:3]).any()
