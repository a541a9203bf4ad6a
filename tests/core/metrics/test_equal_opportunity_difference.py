"""Metric 3 by hand."""

import numpy as np
import pytest

from fairlens_backend.core.metrics import GroupRates
from fairlens_backend.core.metrics.equal_opportunity_difference import METRIC


def test_only_rows_with_a_favourable_truth_count() -> None:
    """TPR 30/40 against 36/40 is −0.15, whatever happens where the truth is unfavourable or not known."""
    for elsewhere in (0, 500):
        n = np.zeros((2, 2, 3), dtype=np.int64)
        n[:, 1, 1], n[:, 0, 1] = [30, 36], [10, 4]
        n[0, 1, 0] = n[1, 0, 0] = n[0, 1, 2] = n[1, 0, 2] = elsewhere
        value, signed, worst, _ = METRIC.compute(GroupRates(n), 1)
        assert float(value) == pytest.approx(0.15, abs=1e-15)
        assert float(signed) == pytest.approx(-0.15, abs=1e-15) and int(worst) == 0


def test_a_group_without_favourable_truths_has_no_rate() -> None:
    """Two groups of which one has no y = 1: undefined, not a gap of 1."""
    n = np.zeros((2, 2, 3), dtype=np.int64)
    n[0, 0, 0], n[1, 1, 1] = 50, 50
    assert np.isnan(METRIC.compute(GroupRates(n), 1)[0])
