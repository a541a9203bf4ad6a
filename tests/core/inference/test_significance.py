"""The tests of equality against hand values and scipy, the adjustments against published ones."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from fairlens_backend.core.inference.significance import (
    adjust,
    calibration_test,
    equality_of_rates,
    equality_test,
    false_positive_rate_test,
    not_beyond_test,
    odds_test,
    precision_test,
    rates_test,
    selection_rate_test,
    true_positive_rate_test,
)
from fairlens_backend.core.metrics import METRICS

LARGE = st.lists(st.tuples(st.integers(20, 500), st.integers(20, 500)), min_size=2, max_size=6)
SMALL = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=2, max_size=2)


def test_chi_square_by_hand() -> None:
    """30 of 100 against 60 of 100: every expected count is 55 or 45, so χ² = 225/55·2 + 225/45·2 = 18.18, one df."""
    expected = stats.norm.sf(np.sqrt(2 * 225 / 55 + 2 * 225 / 45)) * 2  # a χ² of one df is a squared normal
    assert equality_of_rates([[70, 30], [40, 60]]) == pytest.approx(expected, rel=1e-10)


def test_fishers_tea_tasting() -> None:
    """Fisher 1935: 3 of 4 cups told right; the tables as extreme have probability 34/70 = 0.4857."""
    assert equality_of_rates([[3, 1], [1, 3]]) == pytest.approx(34 / 70, abs=1e-12)


@given(LARGE)
def test_chi_square_is_scipys_without_correction(table: list[tuple[int, int]]) -> None:
    """With expected counts of 5 and more, Pearson's χ² of g × ŷ."""
    assume(len(table) > 2 or stats.contingency.expected_freq(np.array(table)).min() >= 5)
    expected = stats.chi2_contingency(np.array(table), correction=False).pvalue
    assert equality_of_rates(table) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(SMALL)
def test_small_tables_are_fishers(table: list[tuple[int, int]]) -> None:
    """A 2×2 table with an expected count under 5 takes the exact test; one without rows or variety has no news."""
    counts = np.array(table)
    got = equality_of_rates(table)
    if (counts.sum(axis=1) == 0).any():
        assert got is None
    elif (counts.sum(axis=0) == 0).any():
        assert got == 1.0
    elif stats.contingency.expected_freq(counts).min() < 5:
        assert got == pytest.approx(stats.fisher_exact(counts).pvalue, rel=1e-9)
    else:
        assert got == pytest.approx(stats.chi2_contingency(counts, correction=False).pvalue, rel=1e-9)


def test_fisher_holds_with_large_margins() -> None:
    """A rare group of a large table: 3 of 40 against 10 of 100,000."""
    table = [[37, 3], [99_990, 10]]
    assert equality_of_rates(table) == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-6)


def test_groups_without_rows_are_left_out() -> None:
    """An empty group adds no degree of freedom."""
    assert equality_of_rates([[70, 30], [0, 0], [40, 60]]) == equality_of_rates([[70, 30], [40, 60]])
    assert equality_of_rates([[70, 30]]) is None


def test_each_rate_is_tested_among_its_own_rows() -> None:
    """SR over all rows, TPR where y = 1, FPR where y = 0, PPV where ŷ = 1; odds: the smaller of two doubled, at most 1."""
    n = np.array([[[40, 30, 5], [10, 20, 45]], [[30, 20, 25], [20, 30, 25]]])
    assert selection_rate_test(n) == rates_test([[75, 75], [75, 75]]) == (1.0, "chi_square")
    assert true_positive_rate_test(n) == rates_test([[30, 20], [20, 30]])
    assert false_positive_rate_test(n) == rates_test([[40, 10], [30, 20]])
    assert precision_test(n) == rates_test([[10, 20], [20, 30]])
    smaller = stats.chi2_contingency([[40, 10], [30, 20]], correction=False).pvalue
    p, name = odds_test(n) or (None, "")
    assert p == pytest.approx(2 * smaller) and name == "chi_square, smaller of two doubled"
    same = np.array([[[10, 10, 0], [10, 10, 0]]] * 2)
    assert (odds_test(same) or (None,))[0] == 1.0
    assert odds_test(np.zeros((2, 2, 3), dtype=np.int64)) is None


def test_every_metric_of_rates_has_its_test() -> None:
    """A metric's null names a test that exists; calibration is tested on score bins, 12 and 14 compare no rates."""
    n = np.array([[[40, 30, 5], [10, 20, 45]], [[30, 20, 25], [20, 30, 25]]])
    without = {metric.name for metric in METRICS if metric.null in (None, "calibration")}
    assert without == {"calibration_gap", "temporal_drift_index", "theil_index"}
    for metric in METRICS:
        if metric.name not in without:
            tested = equality_test(n, str(metric.null))
            assert tested is not None and 0 <= tested[0] <= 1


def test_the_name_of_the_test_is_said() -> None:
    """Fisher's where an expected count is under 5."""
    assert (rates_test([[8, 2], [1, 5]]) or (0, ""))[1] == "fisher_exact"
    assert (rates_test([[70, 30], [40, 60]]) or (0, ""))[1] == "chi_square"


def test_calibration_is_tested_bin_by_bin() -> None:
    """Two bins of 100 and 200 rows: Pearson's statistics times 99/100 and 199/200, summed, with two degrees of freedom."""
    scored = np.zeros((2, 2, 10), dtype=np.int64)
    first, second = [[30, 20], [20, 30]], [[60, 40], [30, 70]]
    scored[:, :, 3], scored[:, :, 8] = first, second
    scored[:, :, 5] = [[4, 5], [50, 0]]  # nine rows of one group: the bin is not compared
    statistic = sum(
        stats.chi2_contingency(table, correction=False).statistic * (total - 1) / total
        for table, total in ((first, 100), (second, 200))
    )
    p, name = calibration_test(scored, 10) or (None, "")
    assert p == pytest.approx(stats.chi2.sf(statistic, 2), rel=1e-10) and name == "chi_square over score bins"
    assert calibration_test(np.zeros((2, 2, 10)), 10) == (1.0, "chi_square over score bins")


def test_calibration_p_values_are_at_most_nominal_with_few_rows_in_a_bin() -> None:
    """3,000 draws without a difference, bins of 10 to 40 rows, rates of 0.05 to 0.95: at most 5 % under 0.05 (4 standard errors)."""
    rng = np.random.default_rng(20)
    rates = np.linspace(0.05, 0.95, 10)
    rows = np.array([[10, 15, 20, 40, 12, 11, 30, 25, 10, 14], [30, 10, 40, 12, 10, 22, 11, 16, 20, 35]])
    rejected = 0
    for _ in range(3000):
        positive = rng.binomial(rows, rates)
        p, _name = calibration_test(np.stack([rows - positive, positive], axis=1), 10) or (1.0, "")
        rejected += p <= 0.05
    assert rejected / 3000 <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 3000)


def test_a_figure_beyond_its_threshold_in_all_draws_is_no_chance() -> None:
    """One is added above and below, so that the p-value is never 0 (Davison and Hinkley 1997, section 4.2)."""
    assert not_beyond_test(np.array([0.1, 0.3, 0.3, np.nan]), 0.2) == (2 / 4, "bootstrap")
    assert not_beyond_test(np.full(9, 0.3), 0.2) == (1 / 10, "bootstrap")


def test_the_published_example_of_benjamini_and_hochberg() -> None:
    """Benjamini and Hochberg 1995, section 3.2: of these 15 p-values four are rejected at 0.05, by Holm three."""
    published = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344,
        0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000,
    ]  # fmt: skip
    shuffled = published[::-1]
    for method, rejected in (("bh", 4), ("holm", 3), ("none", 9)):
        assert sum(p is not None and p <= 0.05 for p in adjust(shuffled, method)) == rejected  # type: ignore[arg-type]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=20))
def test_adjusting_is_scipys_and_skips_what_has_no_test(p_values: list[float | None]) -> None:
    """None stays None and does not count; Holm is never below Benjamini–Hochberg, which is never below the raw one."""
    known = [p for p in p_values if p is not None]
    bh, holm = adjust(p_values, "bh"), adjust(p_values, "holm")
    assert [p is None for p in bh] == [p is None for p in p_values] == [p is None for p in holm]
    if known:
        np.testing.assert_allclose(
            [p for p in bh if p is not None], stats.false_discovery_control(known), atol=1e-15
        )
    for raw, less, more in zip(p_values, bh, holm, strict=True):
        if raw is not None and less is not None and more is not None:
            assert raw <= less + 1e-15 and less <= more + 1e-15 and more <= 1
