"""The calibration check against scipy's binomial test, the exact Poisson-binomial by hand, and the normal limit."""

import itertools

import numpy as np
import pytest
from scipy import stats

from fairlens_backend.core.calibration_check import CalibrationCheck, check_calibration
from fairlens_backend.core.counts import CountTable


def check(score: list[float], truth: list[int], decision: int = 1) -> CalibrationCheck:
    """The check of one group whose rows all had one decision."""
    table = CountTable.from_arrays(
        {"sex": ["F"] * len(score)}, decision=[decision] * len(score), truth=truth, score=score
    )
    return check_calibration(table.n[0], table.score_units[0])


@pytest.mark.parametrize("observed", [0, 3, 10, 14, 20])
def test_equal_scores_are_a_binomial(observed: int) -> None:
    """20 rows of score 0.45: twice the smaller tail of Binomial(20, 0.45)."""
    binomial = stats.binom(20, 0.45)
    expected = min(1.0, 2 * min(binomial.cdf(observed), binomial.sf(observed - 1)))
    found = check([0.45] * 20, [1] * observed + [0] * (20 - observed))
    assert found.p_values == (None, pytest.approx(expected, rel=1e-6))
    assert found.p_value == found.p_values[1]


def test_unequal_scores_are_a_poisson_binomial() -> None:
    """Five rows in five bins: the tail added up over all 32 outcomes."""
    score = [0.05, 0.25, 0.45, 0.65, 0.95]
    chance = np.zeros(6)
    for outcome in itertools.product((0, 1), repeat=5):
        chance[sum(outcome)] += np.prod([s if y else 1 - s for s, y in zip(score, outcome, strict=True)])
    found = check(score, [1, 1, 1, 1, 0], decision=0)
    assert found.p_values[0] == pytest.approx(2 * chance[4:].sum(), rel=1e-6)


def test_many_rows_take_the_normal_limit() -> None:
    """3,000 rows of score 0.3 with 960 positives: within 5 % of scipy's exact binomial tail, doubled."""
    found = check([0.3] * 3_000, [1] * 960 + [0] * 2_040)
    assert found.p_value == pytest.approx(2 * stats.binom(3_000, 0.3).sf(959), rel=0.05)


def test_certain_scores_are_refuted_by_one_row() -> None:
    """Scores of 1 leave no room: one row without the outcome has probability 0."""
    assert check([1.0] * 5, [1] * 5).p_value == 1.0
    assert check([1.0] * 5, [1, 1, 1, 1, 0]).p_value == 0.0


def test_both_decisions_are_looked_at() -> None:
    """Two looks: the smaller p-value is doubled. Errors that cancel between the decisions are found."""
    table = CountTable.from_arrays(
        {"sex": ["F"] * 200},
        decision=[1] * 100 + [0] * 100,
        truth=[1] * 40 + [0] * 60 + [1] * 60 + [0] * 40,
        score=[0.5] * 200,
    )
    found = check_calibration(table.n[0], table.score_units[0])
    assert sum(found.expected) == pytest.approx(sum(found.observed))
    alone = 2 * stats.binom(100, 0.5).cdf(40)
    assert found.p_value == pytest.approx(2 * alone, rel=1e-6)


def test_no_labels_no_verdict() -> None:
    """Without a labelled row there is nothing to compare."""
    assert check([0.5, 0.5], [-1, -1]).p_value is None
