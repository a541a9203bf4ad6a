"""Metric 13 by hand."""

import numpy as np
import pytest

from fairlens_backend.core.metrics import GroupRates
from fairlens_backend.core.metrics.statistical_parity_difference import METRIC


def test_the_sign_is_that_of_the_furthest_group() -> None:
    """Selection rates 0.5, 0.9 and reference 0.6: −0.1 and +0.3, so the value is +0.3."""
    n = np.zeros((3, 2, 3), dtype=np.int64)
    n[:, 1, 2], n[:, 0, 2] = [50, 90, 60], [50, 10, 40]
    value, signed, worst, _ = METRIC.compute(GroupRates(n), 2)
    assert float(value) == pytest.approx(0.3, abs=1e-15)
    assert float(signed) == float(value) and int(worst) == 1


def test_of_groups_equally_far_the_one_worse_off_speaks() -> None:
    """0.4 and 0.6 against 0.5 are equally far, whatever rounding says: −0.1 is reported, in either order."""
    for rates in ([40, 60, 50], [60, 40, 50]):
        n = np.zeros((3, 2, 3), dtype=np.int64)
        n[:, 1, 2], n[:, 0, 2] = rates, [100 - rate for rate in rates]
        assert float(METRIC.compute(GroupRates(n), 2)[0]) == pytest.approx(-0.1, abs=1e-15)
