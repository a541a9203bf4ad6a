"""Metrics 1, 2, 6, 7, 8, 11, 12 and 15 by hand."""

import numpy as np
import pytest

from fairlens_backend.core.drift.cusum import CusumState
from fairlens_backend.core.metrics import METRICS_BY_NAME, GroupRates
from fairlens_backend.core.metrics.calibration_gap import calibration_gap
from fairlens_backend.core.metrics.equalized_odds_difference import METRIC as EQUALIZED_ODDS


def selected(*per_cent: int) -> GroupRates:
    """Groups of 100 rows by selection rate in per cent, without truth."""
    n = np.zeros((len(per_cent), 2, 3), dtype=np.int64)
    n[:, 1, 2], n[:, 0, 2] = per_cent, [100 - rate for rate in per_cent]
    return GroupRates(n, history=CusumState(mean=0.1, sigma=0.1, high=2.0, low=1.0))


@pytest.mark.parametrize("name", ["demographic_parity_difference", "intersectional_bias_score"])
def test_the_widest_gap_needs_no_reference(name: str) -> None:
    """40, 70, 20 and 50 per cent: 70 − 20, whichever group is the reference."""
    for reference in range(4):
        value, signed, worst, other = METRICS_BY_NAME[name].compute(selected(40, 70, 20, 50), reference)
        assert float(value) == pytest.approx(0.5, abs=1e-15)
        assert np.isnan(signed) and (int(worst), int(other)) == (2, 1)


def test_groups_with_one_rate_are_still_two_groups() -> None:
    """No gap, and two different groups are named."""
    value, _, worst, other = METRICS_BY_NAME["demographic_parity_difference"].compute(selected(30, 30, 30), 0)
    assert float(value) == 0.0 and {int(worst), int(other)} == {0, 2}


def test_the_lift_is_the_highest_over_the_lowest() -> None:
    """60 against 24 per cent: 2.5; a group nobody of which is selected leaves no lift."""
    lift = METRICS_BY_NAME["statistical_parity_subgroup_lift"]
    assert float(lift.compute(selected(60, 24, 30), 1).value) == pytest.approx(2.5)
    assert (
        np.isnan(lift.compute(selected(60, 0), 0).value) and int(lift.compute(selected(60, 0), 0).worst) == -1
    )


def test_drift_is_one_step_of_the_sum() -> None:
    """A gap of 0.4 is z = 3: C⁺ 2 + 3 − ½ = 4.5; a gap of 0 is z = −1: C⁻ 1 + 1 − ½ = 1.5 and C⁺ 2 − 1 − ½ = 0.5."""
    drift = METRICS_BY_NAME["temporal_drift_index"]
    up, down = drift.compute(selected(70, 30), 0), drift.compute(selected(50, 50), 0)
    assert (float(up.value), float(up.signed)) == pytest.approx((4.5, 4.5))
    assert (float(down.value), float(down.signed)) == pytest.approx((1.5, -1.5))
    assert np.isnan(drift.compute(GroupRates(selected(70, 30).n), 0).value)


def with_truth(*groups: tuple[int, int]) -> np.ndarray:
    """Groups by false and true positive rate in per cent of 100 rows each."""
    n = np.zeros((len(groups), 2, 3), dtype=np.int64)
    for i, (fpr, tpr) in enumerate(groups):
        n[i, :, 0], n[i, :, 1] = (100 - fpr, fpr), (100 - tpr, tpr)
    return n


def test_equalized_odds_is_the_larger_spread() -> None:
    """TPR 60 to 90, FPR 10 to 50: 0.4, of the groups with the FPRs 10 and 50."""
    n = with_truth((10, 80), (50, 90), (20, 60))
    value, _, worst, other = EQUALIZED_ODDS.compute(GroupRates(n), 0)
    assert float(value) == pytest.approx(0.4) and (int(worst), int(other)) == (0, 1)
    parts = {name: float(part(GroupRates(n))) for name, part in EQUALIZED_ODDS.parts.items()}
    assert parts == pytest.approx({"true_positive_rate_gap": 0.3, "false_positive_rate_gap": 0.4})


def test_a_group_without_positives_has_no_rate_of_0() -> None:
    """fairlearn calls its true positive rate 0 and reports a gap of 0.8; here the others are compared."""
    n = with_truth((20, 80), (20, 80), (20, 0))
    n[2, :, 1] = 0
    assert float(EQUALIZED_ODDS.compute(GroupRates(n), 0).value) == 0.0


def test_error_rate_differences_have_a_sign() -> None:
    """FPR 30 against 10, TPR 60 against 90 and so FNR 40 against 10: +0.2 and +0.3."""
    rates = GroupRates(with_truth((30, 60), (10, 90)))
    for name, expected in (("false_positive_rate_difference", 0.2), ("false_negative_rate_difference", 0.3)):
        value, signed, worst, other = METRICS_BY_NAME[name].compute(rates, 1)
        assert float(value) == float(signed) == pytest.approx(expected)
        assert (int(worst), int(other)) == (0, 1)


def test_predictive_parity_is_among_the_selected() -> None:
    """30 of 60 selected against 80 of 100: −0.3."""
    n = np.zeros((2, 2, 3), dtype=np.int64)
    n[0, 1], n[1, 1] = (30, 30, 500), (20, 80, 0)
    value, signed, *_ = METRICS_BY_NAME["predictive_parity_difference"].compute(GroupRates(n), 1)
    assert (float(value), float(signed)) == pytest.approx((0.3, -0.3))


def test_calibration_weighs_bins_by_the_smaller_group() -> None:
    """Gaps 0.2 in a bin of 10 and 100 rows, −0.1 in one of 30 and 20; 9 rows are too few: (10·0.2 + 20·0.1)/30."""
    scored = np.zeros((2, 2, 10), dtype=np.int64)
    scored[0, :, 2], scored[1, :, 2] = (5, 5), (70, 30)
    scored[0, :, 6], scored[1, :, 6] = (15, 15), (8, 12)
    scored[0, :, 9], scored[1, :, 9] = (9, 0), (0, 100)
    value, signed, worst, other = calibration_gap(GroupRates(np.zeros((2, 2, 3)), scored), 1)
    assert float(value) == pytest.approx((10 * 0.2 + 20 * 0.1) / 30)
    assert float(signed) == pytest.approx((10 * 0.2 - 20 * 0.1) / 30, abs=1e-15)
    assert (int(worst), int(other)) == (0, 1)
