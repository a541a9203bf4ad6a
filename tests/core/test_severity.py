"""Each boundary of STATISTICS section 4 from both sides."""

import math

import pytest

from fairlens_backend.core.severity import Finding, excess, is_breached, metric_severity, overall_severity

EOD, AOD, DIR = "equal_opportunity_difference", "average_odds_difference", "disparate_impact_ratio"


def above(name: str, times: float, significant: bool | None = True) -> Finding:
    """A metric at so many times its limit of 0.05."""
    return Finding(name, 0.05 * times, 0.05, "above", significant)


def ratio(value: float, significant: bool | None = True, threshold: float = 0.80) -> Finding:
    return Finding(DIR, value, threshold, "below", significant)


def overall(*findings: Finding, rows: int = 1000, comparable: bool = True) -> str:
    return overall_severity(findings, rows, 100, comparable)


@pytest.mark.parametrize(
    ("value", "threshold", "when", "expected"),
    [
        (0.55 - 0.48, 0.07, "above", False),
        (0.07 + 2e-9, 0.07, "above", True),
        (0.80, 0.80, "below", False),
        (0.80 - 5e-10, 0.80, "below", False),
        (0.80 - 2e-9, 0.80, "below", True),
        (0.10, 0.10, "outside", False),
        (-0.10, 0.10, "outside", False),
        (-0.10 - 2e-9, 0.10, "outside", True),
        (0.10 + 2e-9, 0.10, "outside", True),
        (-0.5, 0.10, "above", False),
    ],
)
def test_a_breach_is_beyond_the_limit_by_more_than_the_tolerance(
    value: float, threshold: float, when: str, expected: bool
) -> None:
    """Comparisons have a tolerance of 1e-9."""
    assert is_breached(value, threshold, when) is expected


def test_excess_is_measured_as_the_section_says() -> None:
    """value/threshold above, threshold/value for ratios (0: infinite), from 1 for metrics 9 and 17."""
    assert excess(EOD, 0.15, 0.05, "above") == pytest.approx(3)
    assert excess("statistical_parity_difference", -0.3, 0.1, "outside") == pytest.approx(3)
    assert excess(DIR, 0.4, 0.8, "below") == pytest.approx(2)
    assert excess(DIR, 0.0, 0.8, "below") == math.inf
    assert excess("consistency", 0.70, 0.85, "below") == pytest.approx(2)


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([ratio(0.80)], "PASS"),
        ([ratio(0.7999)], "HIGH"),
        ([ratio(0.65)], "HIGH"),
        ([ratio(0.6499)], "CRITICAL"),
        ([ratio(0.0)], "CRITICAL"),
        ([above(EOD, 1.0)], "PASS"),
        ([above(EOD, 1.01)], "MEDIUM"),
        ([above(EOD, 2.0)], "MEDIUM"),
        ([above(EOD, 2.01)], "HIGH"),
        ([above(EOD, 3.0)], "HIGH"),
        ([above(EOD, 3.01)], "CRITICAL"),
        ([above(EOD, 1.5), above(AOD, 1.5)], "HIGH"),
        ([above(EOD, 1.5), above(AOD, 1.5), above("predictive_parity_difference", 1.5)], "CRITICAL"),
        ([above(EOD, 1.5), above(EOD, 1.2)], "MEDIUM"),
        ([ratio(0.85, threshold=0.9)], "MEDIUM"),
        ([ratio(0.75, threshold=0.7)], "PASS"),
    ],
)
def test_the_first_rule_that_holds(findings: list[Finding], expected: str) -> None:
    """CRITICAL, HIGH, MEDIUM, PASS at their boundaries; a metric of two attributes counts once; an owner's limit holds."""
    assert overall(*findings) == expected
    if len(findings) == 1:
        assert metric_severity(findings[0]) == expected


def test_selection_rates_count_once() -> None:
    """Metrics 1, 4 and 6 restate one pair of rates: a ratio of 0.78 with both others is HIGH, not CRITICAL."""
    one = Finding("demographic_parity_difference", 0.15, 0.10, "above", True)
    six = Finding("statistical_parity_subgroup_lift", 1.28, 1.25, "above", True)
    assert overall(ratio(0.78), one, six) == "HIGH"
    assert overall(one, six) == "MEDIUM"
    assert overall(ratio(0.78), above(EOD, 1.5), above(AOD, 1.5)) == "CRITICAL"


def test_only_significant_breaches_count() -> None:
    """A breach without significance, or without a test, is LOW and adds nothing to one that counts."""
    assert overall(ratio(0.3, significant=False)) == "LOW"
    assert overall(ratio(0.3, significant=None)) == "LOW"
    assert overall(above(EOD, 1.5), ratio(0.3, significant=False)) == "MEDIUM"
    assert metric_severity(above(EOD, 9, significant=False)) == "LOW"


def test_metrics_that_do_not_decide_are_left_out() -> None:
    """13 to 17 restate the same differences: reported with a severity of their own, not counted."""
    theil = Finding("theil_index", 0.9, 0.2, "above", True, decides=False)
    assert overall(theil) == "PASS"
    assert metric_severity(theil) == "CRITICAL"


def test_too_little_to_judge_is_unknown_never_pass() -> None:
    """Fewer than min_sample_size rows, no two groups, or no metric with a value."""
    assert overall(ratio(1.0), rows=99) == "UNKNOWN"
    assert overall(ratio(1.0), rows=100) == "PASS"
    assert overall(ratio(0.1), rows=99) == "UNKNOWN"
    assert overall(ratio(1.0), comparable=False) == "UNKNOWN"
    assert overall() == "UNKNOWN"
