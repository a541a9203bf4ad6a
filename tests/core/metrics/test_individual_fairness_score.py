"""Metric 9 against loops over pairs."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.metrics._row_metric import RowSettings
from fairlens_backend.core.metrics.individual_fairness_score import METRIC, matched_pairs, unlikeness
from fairlens_backend.core.row_sample import RowMeasured, RowSample

LIMIT = RowSettings(0.85)


def measured(settings: RowSettings = LIMIT, **columns: Any) -> RowMeasured:
    (one,) = METRIC.compute(RowSample.draw(**columns), settings)
    return one


@given(kind=st.lists(st.integers(0, 3), max_size=60), n=st.integers(1, 80), seed=st.integers(0, 1000))
def test_pairs_are_of_different_rows_of_one_kind(kind: list[int], n: int, seed: int) -> None:
    """500 pairs come from any data with two rows of a kind; before a row comes twice, all others that can have come."""
    i, j = matched_pairs(np.array(kind, dtype=np.int64), n, np.random.default_rng(seed))
    possible = sum(kind.count(k) // 2 for k in set(kind))
    assert len(i) == (n if possible else 0)
    for a, b in zip(i, j, strict=True):
        assert a != b
        assert kind[a] == kind[b]
    round_one = np.concatenate([i[:possible], j[:possible]]).tolist()
    assert len(set(round_one)) == len(round_one)


def test_a_pair_counts_by_score_over_distance() -> None:
    """min(1, 0.1/0.4), min(1, 0.5/0.1), and at distance 0: unequal 1, equal 0."""
    found = unlikeness(np.array([0.1, 0.5, 1e-6, 0.0]), np.array([0.4, 0.1, 0.0, 0.0]))
    assert found.tolist() == pytest.approx([0.25, 1.0, 1.0, 0.0])


def test_the_value_is_near_that_of_all_pairs() -> None:
    """500 sampled pairs against a loop over all 79,800 pairs with the same truth: within 4 standard errors."""
    rng = np.random.default_rng(4)
    n = 400
    x, c, y = rng.random(n), rng.choice(["a", "b"], n), rng.integers(0, 2, n)
    x[:2] = 0.0, 1.0
    score = np.clip(x * 0.6 + 0.2 * (c == "a") + rng.normal(0, 0.05, n), 0, 1)
    every = []
    for i in range(n):
        for j in range(i):
            if y[i] == y[j]:
                distance = (abs(x[i] - x[j]) + (c[i] != c[j])) / 2
                every.append(min(1.0, abs(score[i] - score[j]) / distance))
    one = measured(features=pd.DataFrame({"x": x, "c": c}), decision=np.zeros(n), truth=y, score=score)
    assert one.value == pytest.approx(1 - np.mean(every), abs=4 * np.std(every) / 500**0.5)
    assert one.interval is not None
    assert one.interval[0] < one.value < one.interval[1]
    assert one.interval[1] - one.interval[0] == pytest.approx(2 * 1.96 * np.std(every) / 500**0.5, rel=0.35)
    assert one.parts["pairs"] == 500
    assert f"{one.value:.3f}" in (one.sentence or "")


def test_twins_with_unequal_scores_are_the_worst_case() -> None:
    """All rows alike, no two scores the same: 0; the same score for all: 1, and the interval still has a width."""
    same = {"x": [1.0] * 200}
    worst = measured(features=same, decision=[1] * 200, score=np.linspace(0, 1, 200))
    assert worst.value == 0
    assert worst.interval == (0.0, pytest.approx(3.8415 / 503.8415, abs=1e-4), "wilson")
    assert worst.p_value is not None
    assert worst.p_value < 1e-100
    best = measured(features=same, decision=[1] * 200, score=[0.5] * 200)
    assert best.value == 1
    assert best.p_value == 1
    assert best.interval == (pytest.approx(500 / 503.8415, abs=1e-4), 1.0, "wilson")


def test_people_with_another_outcome_are_not_compared() -> None:
    """Scores differ only between outcomes: with y known nobody is treated unlike; by ŷ, which is mixed, they are."""
    y = np.repeat([0, 1], 100)
    columns: dict[str, Any] = {
        "features": {"x": np.zeros(200)},
        "decision": np.tile([0, 1], 100),
        "score": 0.2 + 0.6 * y,
    }
    assert measured(truth=y, **columns).value == 1
    by_decision = measured(**columns)
    assert by_decision.value is not None
    assert 0.4 < by_decision.value < 0.6


def test_protected_attributes_are_no_likeness() -> None:
    """People who differ in the protected attribute alone are alike."""
    sex = np.tile(["F", "M"], 100)
    one = measured(
        features={"x": np.zeros(200), "sex": sex},
        decision=[1] * 200,
        score=(sex == "M") * 0.5,
        protected={"sex": sex},
    )
    assert one.value is not None
    assert 0.4 < one.value < 0.6


@pytest.mark.parametrize(
    ("columns", "status"),
    [
        ({"features": {"x": [1.0] * 100}}, "no_scores"),
        ({"features": None, "score": [0.5] * 100}, "insufficient_data"),
        ({"features": {"x": [None] * 100}, "score": [0.5] * 100}, "insufficient_data"),
        ({"features": {"x": [1.0] * 100}, "score": [0.5] + [np.nan] * 99}, "insufficient_data"),
    ],
    ids=["scores", "features", "values", "rows"],
)
def test_what_is_missing_is_said(columns: dict[str, Any], status: str) -> None:
    """No value is made up."""
    one = measured(decision=[1] * 100, **columns)
    assert (one.status, one.value, one.interval, one.p_value, one.sentence) == (
        status,
        None,
        None,
        None,
        None,
    )
    assert one.reason


def test_the_same_seed_gives_the_same_result() -> None:
    """And another seed other pairs."""
    rng = np.random.default_rng(1)
    columns = {"features": {"x": rng.random(2000)}, "decision": np.zeros(2000), "score": rng.random(2000)}
    assert measured(**columns) == measured(**columns)
    assert measured(**columns).value != measured(RowSettings(0.85, seed=1), **columns).value


def test_pairs_that_share_rows_widen_the_interval() -> None:
    """Of 40 rows 500 pairs are drawn: they say less than 500 pairs of 1,000 rows; simulated, sd 0.05 against 0.02."""
    rng = np.random.default_rng(7)
    values, widths = [], []
    for seed in range(60):
        x, s = rng.random(40), rng.random(40)
        one = measured(RowSettings(0.85, seed=seed), features={"x": x}, decision=np.zeros(40), score=s * 0.5)
        assert one.interval is not None
        values.append(one.value)
        widths.append((one.interval[1] - one.interval[0]) / 3.92)
    assert np.mean(widths) == pytest.approx(np.std(values), rel=0.35)
