"""Metric 5 by hand."""

import numpy as np
import pytest

from fairlens_backend.core.metrics import GroupRates
from fairlens_backend.core.metrics.average_odds_difference import METRIC


def odds(*groups: tuple[int, int]) -> np.ndarray:
    """Groups by false and true positive rate in per cent of 100 rows each."""
    n = np.zeros((len(groups), 2, 3), dtype=np.int64)
    for i, (fpr, tpr) in enumerate(groups):
        n[i, :, 0], n[i, :, 1] = (100 - fpr, fpr), (100 - tpr, tpr)
    return n


def test_opposite_gaps_do_not_cancel_in_the_value_but_do_in_the_sign() -> None:
    """FPR +0.2 and TPR −0.2: value ½(0.2 + 0.2) = 0.2, signed ½(0.2 − 0.2) = 0."""
    value, signed, *_ = METRIC.compute(GroupRates(odds((40, 60), (20, 80))), 1)
    assert float(value) == pytest.approx(0.2, abs=1e-15)
    assert float(signed) == pytest.approx(0.0, abs=1e-15)


def test_both_gaps_are_of_one_group() -> None:
    """A is off by 0.30 in FPR alone, B by 0.30 in TPR alone: 0.15 each, never ½(0.30 + 0.30)."""
    value, *_ = METRIC.compute(GroupRates(odds((50, 80), (20, 50), (20, 80))), 2)
    assert float(value) == pytest.approx(0.15, abs=1e-15)


def test_one_undefined_rate_makes_it_undefined() -> None:
    """Without rows of y = 0 in the reference group there is no FPR and so no average."""
    n = odds((10, 90), (20, 80))
    n[1, :, 0] = 0
    assert np.isnan(METRIC.compute(GroupRates(n), 1)[0])
