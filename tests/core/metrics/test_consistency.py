"""Metric 17 against loops, scikit-learn's neighbours and AIF360's definition."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.gower import GowerSpace
from fairlens_backend.core.metrics._row_metric import RowSettings
from fairlens_backend.core.metrics.consistency import METRIC, agreement_of_neighbours
from fairlens_backend.core.row_sample import RowMeasured, RowSample

LIMIT = RowSettings(0.85)


def measured(**columns: Any) -> RowMeasured:
    (one,) = METRIC.compute(RowSample.draw(**columns), LIMIT)
    return one


def by_loop(x: list[float], decision: list[int], k: int) -> float:
    """Every row against the k nearest others; those tied for the last places share them equally."""
    apart = []
    for i, own in enumerate(x):
        others = sorted((abs(own - x[j]), j) for j in range(len(x)) if j != i)
        last = others[k - 1][0]
        sure = [decision[j] for distance, j in others if distance < last]
        tied = [decision[j] for distance, j in others if distance == last]
        mean = (sum(sure) + (k - len(sure)) * sum(tied) / len(tied)) / k
        apart.append(abs(decision[i] - mean))
    return 1 - sum(apart) / len(apart)


@given(rows=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 1)), min_size=6, max_size=50))
def test_it_is_the_loop_over_neighbours(rows: list[tuple[int, int]]) -> None:
    """With many ties, in any order of the rows."""
    x, decision = [float(a) for a, _ in rows], [b for _, b in rows]
    expected = by_loop(x, decision, 5)
    for order in (list(range(len(x))), sorted(range(len(x)), key=lambda i: -i)):
        space = GowerSpace.of(pd.DataFrame({"x": [x[i] for i in order]}))
        found = agreement_of_neighbours(space, np.array([decision[i] for i in order], dtype=float))
        assert found.value == pytest.approx(expected, abs=1e-12)
        assert found.influence.mean() == pytest.approx(0, abs=1e-12)


def test_neighbours_are_scikit_learn_s() -> None:
    """Numbers scaled to [0, 1]: Gower's neighbours are the Manhattan neighbours, the row itself left out."""
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(0)
    X = rng.random((800, 4))
    X[0], X[1] = 0, 1
    decision = (rng.random(800) < X[:, 0]).astype(float)
    found = (
        NearestNeighbors(n_neighbors=6, metric="manhattan").fit(X).kneighbors(X, return_distance=False)[:, 1:]
    )
    expected = 1 - np.abs(decision - decision[found].mean(axis=1)).mean()
    one = measured(features=pd.DataFrame(X, columns=list("abcd")), decision=decision)
    assert one.value == pytest.approx(expected, abs=1e-12)


def test_it_differs_from_aif360_by_the_row_itself() -> None:
    """`BinaryLabelDatasetMetric.consistency` of AIF360: the 5 nearest of all rows, which are the row and 4 others."""
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(1)
    x = rng.random((500, 1))
    decision = (rng.random(500) < 0.4).astype(float)
    nearest = (
        NearestNeighbors(n_neighbors=5, algorithm="ball_tree").fit(x).kneighbors(x, return_distance=False)
    )
    theirs = 1 - np.abs(decision - decision[nearest].mean(axis=1)).mean()
    ours = agreement_of_neighbours(GowerSpace.of(pd.DataFrame(x)), decision, k=4)
    assert theirs == pytest.approx(1 - 0.8 * (1 - ours.value), abs=1e-12)


def test_everyone_decided_on_alike_is_full_agreement_but_not_certainty() -> None:
    """1, with an interval that reaches down as Wilson's for 0 of n does."""
    one = measured(features={"x": np.arange(200.0)}, decision=np.ones(200))
    assert one.value == 1
    assert one.interval == (pytest.approx(200 / 203.8415, abs=1e-4), 1.0, "wilson")
    assert one.p_value == 1


def test_decisions_by_chance_agree_by_chance() -> None:
    """ŷ independent of x with rate p: the expectation is 1 − 2p(1−p), and 95 % of intervals hold it."""
    held, values = 0, []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        one = measured(features={"x": rng.random(300)}, decision=(rng.random(300) < 0.3).astype(int))
        assert one.interval is not None
        held += one.interval[0] <= 0.58 <= one.interval[1]
        values.append(one.value)
    assert np.mean(values) == pytest.approx(0.58, abs=4 * np.std(values) / 10)
    assert held >= 88  # of 100 at 95 %, fewer come in 0.2 % of runs


def test_the_influence_is_that_of_giving_a_row_more_weight() -> None:
    """The derivative of the weighted figure, neighbours weighted too, by finite differences."""
    rng = np.random.default_rng(3)
    n, k = 40, 5
    x, decision = rng.random(n), rng.integers(0, 2, n).astype(float)
    nearest = np.argsort(np.abs(x[:, None] - x) + 9 * np.eye(n), axis=1)[:, :k]

    def weighted(weight: np.ndarray) -> float:
        mean = (weight[nearest] * decision[nearest]).sum(axis=1) / weight[nearest].sum(axis=1)
        return float(1 - weight @ np.abs(decision - mean) / weight.sum())

    found = agreement_of_neighbours(GowerSpace.of(pd.DataFrame({"x": x})), decision)
    for j in range(n):
        step = np.zeros(n)
        step[j] = 1e-5
        slope = (weighted(1 + step) - weighted(1 - step)) / 2e-5
        assert found.influence[j] / n == pytest.approx(slope, abs=1e-8)


def test_rows_with_nothing_in_common_have_no_neighbours() -> None:
    """They are left out and not counted; of too few rows nothing is said."""
    one = measured(features={"x": [*np.arange(60.0), *[None] * 40]}, decision=[1] * 100)
    assert one.sizes == {"all": 60}
    assert measured(features={"x": [None] * 50}, decision=[1] * 50).status == "insufficient_data"
    assert measured(features={"x": [1.0] * 5}, decision=[1] * 5).status == "insufficient_data"
    nothing = measured(features=None, decision=[1] * 50)
    assert (nothing.status, nothing.value) == ("insufficient_data", None)


def test_at_most_5000_rows_are_used() -> None:
    """Its cost is bounded."""
    one = measured(features={"x": np.arange(7000.0) % 3}, decision=np.zeros(7000))
    assert one.sizes == {"all": 5000}
