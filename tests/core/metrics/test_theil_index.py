"""Metric 14 by hand."""

import math

import numpy as np
import pytest

from fairlens_backend.core.metrics import GroupRates
from fairlens_backend.core.metrics.theil_index import METRIC, between_groups


def test_benefits_two_one_and_nothing() -> None:
    """One row each with b = 2, 1, 0: mean 1, so (2·ln 2 + 1·ln 1 + 0) / 3."""
    n = np.zeros((1, 2, 3), dtype=np.int64)
    n[0, 1, 0] = n[0, 1, 1] = n[0, 0, 1] = 1
    assert float(METRIC.compute(GroupRates(n), 0)[0]) == pytest.approx(2 * math.log(2) / 3, abs=1e-15)


def test_decisions_that_agree_with_the_truth_are_no_inequality() -> None:
    """Every benefit is 1; rows without truth play no part."""
    n = np.zeros((2, 2, 3), dtype=np.int64)
    n[0, 0, 0], n[1, 1, 1], n[0, 1, 2] = 70, 30, 1000
    assert float(METRIC.compute(GroupRates(n), 0)[0]) == 0.0
    assert np.isnan(METRIC.compute(GroupRates(n[:, :, [2, 2, 0]] * 0), 0)[0])


def test_nobody_with_a_benefit_is_undefined() -> None:
    """b = 0 for all: the mean is 0 and the index has no value."""
    n = np.zeros((1, 2, 3), dtype=np.int64)
    n[0, 0, 1] = 10
    assert np.isnan(METRIC.compute(GroupRates(n), 0)[0])


def test_the_part_between_groups_is_that_of_the_group_means() -> None:
    """Means 0.5 and 1.5 with 2 and 2 people: (0.5·ln 0.5 + 1.5·ln 1.5) / 2; groups without labels add nothing."""
    n = np.zeros((3, 2, 3), dtype=np.int64)
    n[0, 0, 1] = n[0, 1, 1] = 1
    n[1, 1, 0] = n[1, 0, 0] = 1
    n[2, 1, 2] = 9
    expected = (0.5 * math.log(0.5) + 1.5 * math.log(1.5)) / 2
    assert float(between_groups(GroupRates(n))) == pytest.approx(expected, abs=1e-15)
    assert float(between_groups(GroupRates(n))) <= float(METRIC.compute(GroupRates(n), 0)[0])
