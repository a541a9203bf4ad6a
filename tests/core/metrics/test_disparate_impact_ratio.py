"""Metric 4 by hand."""

import numpy as np
import pytest

from fairlens_backend.core.metrics import GroupRates
from fairlens_backend.core.metrics.disparate_impact_ratio import METRIC


def selected(*pairs: tuple[int, int]) -> GroupRates:
    """Groups of (selected, rows)."""
    n = np.zeros((len(pairs), 2, 3), dtype=np.int64)
    for i, (yes, rows) in enumerate(pairs):
        n[i, 1, 2], n[i, 0, 2] = yes, rows - yes
    return GroupRates(n)


def test_the_example_of_the_uniform_guidelines() -> None:
    """The EEOC's own example: 48 of 80 white and 12 of 40 black applicants are hired, 60 % and 30 %, a ratio of 0.5."""
    value, signed, worst, _ = METRIC.compute(selected((12, 40), (48, 80)), 1)
    assert float(value) == pytest.approx(0.5, abs=1e-15)
    assert int(worst) == 0 and np.isnan(signed)


def test_the_lowest_ratio_of_several_groups_counts() -> None:
    """30 %, 20 % and 50 % against 40 %: the least is 0.5, though another group is above parity."""
    value, _, worst, _ = METRIC.compute(selected((30, 100), (20, 100), (50, 100), (40, 100)), 3)
    assert float(value) == pytest.approx(0.5, abs=1e-15) and int(worst) == 1


def test_no_favourable_decision_in_the_reference_group_is_undefined() -> None:
    """Not infinite, not 0 and not 1; and 0 where only the other group has none."""
    assert np.isnan(METRIC.compute(selected((3, 10), (0, 10)), 1)[0])
    assert float(METRIC.compute(selected((0, 10), (3, 10)), 1)[0]) == 0.0
