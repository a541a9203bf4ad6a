"""Thresholds from score bins are those that looking at every row, linear programmes and fairlearn find."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from sklearn.base import BaseEstimator

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.threshold_search import ABOVE_ALL
from tests.core.binned_scores import CRITERIA, sample, search

EDGES = [*(j / 10 for j in range(11)), 2.0]  # 2.0: above every score


def rate(rows: pd.DataFrame, chosen: Any, name: str) -> float:
    among = {
        "selection_rate": rows.truth > -2,
        "true_positive_rate": rows.truth == 1,
        "false_positive_rate": rows.truth == 0,
    }
    return float(chosen[among[name]].mean())


def gap_by_rows(rows: pd.DataFrame, chosen: Any, criterion: str) -> float:
    names = {
        "demographic_parity": ["selection_rate"],
        "equal_opportunity": ["true_positive_rate"],
        "equalized_odds": ["true_positive_rate", "false_positive_rate"],
    }[criterion]
    a, b = rows.g == "a", rows.g == "b"
    return max(abs(rate(rows[a], chosen[a], name) - rate(rows[b], chosen[b], name)) for name in names)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize(("seed", "tolerance"), [(1, 0.01), (2, 0.05), (3, 0.10), (4, 0.0)])
def test_at_edges_every_pair_of_thresholds_on_the_rows_themselves_agrees(
    criterion: str, seed: int, tolerance: float
) -> None:
    """All 144 pairs tried on raw rows; 1 and "above 1" are the same here, since no score is 1."""
    rows = sample(seed)
    found = search(rows, criterion, tolerance=tolerance, between_edges=False)
    best = -1.0
    tried = {}
    for t_a, t_b in itertools.product(EDGES, EDGES):
        chosen = (rows.score >= np.where(rows.g == "a", t_a, t_b)).astype(int)
        accuracy = float((chosen == rows.truth).mean())
        distance = gap_by_rows(rows, chosen, criterion)
        tried[t_a, t_b] = accuracy, distance
        if distance <= tolerance + 1e-9:
            best = max(best, accuracy)
    thresholds = tuple(2.0 if t == ABOVE_ALL else t for t in found["thresholds"].values())
    accuracy, distance = tried[thresholds]
    assert accuracy == pytest.approx(best, abs=1e-12)
    assert found["accuracy"]["after"] == pytest.approx(accuracy, abs=1e-12)
    assert found["gap"]["after"] == pytest.approx(distance, abs=1e-12)
    assert found["accuracy"]["best"] == pytest.approx(max(a for a, _ in tried.values()), abs=1e-12)
    assert found["in_part"] == {"a": None, "b": None}
    before = (rows.decision == rows.truth).mean()
    assert found["accuracy"]["before"] == pytest.approx(before, abs=1e-12)
    assert found["accuracy_change"]["value"] == pytest.approx(best - before, abs=1e-12)
    assert found["gap"]["before"] == pytest.approx(gap_by_rows(rows, rows.decision, criterion), abs=1e-12)


def best_by_linear_programmes(rows: pd.DataFrame, criterion: str, tolerance: float) -> float:
    """The most accurate mixture of neighbouring thresholds: one linear programme for each pair of bins."""
    names = (
        ["true_positive_rate", "false_positive_rate"]
        if criterion == "equalized_odds"
        else [{"demographic_parity": "selection_rate", "equal_opportunity": "true_positive_rate"}[criterion]]
    )
    edges = [*(j / 10 for j in range(10)), 2.0]
    at: dict[str, dict[str, list[float]]] = {}
    for group in "ab":
        part = rows[rows.g == group]
        at[group] = {name: [rate(part, (part.score >= t).astype(int), name) for t in edges] for name in names}
        at[group]["right"] = [float(((part.score >= t) == part.truth).sum()) / len(rows) for t in edges]
    best = -1.0
    for i, j in itertools.product(range(10), range(10)):
        # x and y are the shares of the two bins that are selected
        slope = {
            name: (at["a"][name][i] - at["a"][name][i + 1], at["b"][name][j] - at["b"][name][j + 1])
            for name in [*names, "right"]
        }
        start = {name: (at["a"][name][i + 1], at["b"][name][j + 1]) for name in [*names, "right"]}
        upper = [[sign * slope[name][0], -sign * slope[name][1]] for name in names for sign in (1, -1)]
        limit = [tolerance - sign * (start[name][0] - start[name][1]) for name in names for sign in (1, -1)]
        solved = linprog([-s for s in slope["right"]], A_ub=upper, b_ub=limit, bounds=[(0, 1), (0, 1)])
        if solved.status == 0:
            best = max(best, -solved.fun + sum(start["right"]))
    return best


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize(("seed", "tolerance"), [(5, 0.01), (6, 0.04), (7, 0.0)])
def test_between_edges_the_best_is_that_of_linear_programmes(
    criterion: str, seed: int, tolerance: float
) -> None:
    """100 programmes, one a pair of bins, find nothing better; what is found keeps the tolerance."""
    rows = sample(seed, n=300)
    found = search(rows, criterion, tolerance=tolerance)
    assert found["accuracy"]["after"] == pytest.approx(
        best_by_linear_programmes(rows, criterion, tolerance), abs=1e-7
    )
    assert found["gap"]["after"] <= tolerance + 1e-9


def test_a_share_of_a_bin_is_what_drawing_it_at_random_gives() -> None:
    """Everybody above the bin and the stated share inside it, drawn many times: the stated rates, to the noise."""
    rows = sample(8, n=600)
    found = search(rows, "demographic_parity", tolerance=0.0)
    rng = np.random.default_rng(0)
    for group, part in rows.groupby("g"):
        cut = found["in_part"][group]
        if cut is None:
            chosen = (part.score >= found["thresholds"][group]).mean()
        else:
            low, high = cut["bin"]
            inside = (part.score >= low) & (part.score < high)
            drawn = (rng.random((4000, len(part))) < cut["share"]) & inside.to_numpy()
            chosen = ((part.score >= high).to_numpy() | drawn).mean()
            # the threshold inside the bin leaves the same share of the bin above it
            assert found["thresholds"][group] == pytest.approx(high - 0.1 * cut["share"], abs=1e-12)
        assert found["rates"][group]["after"]["selection_rate"] == pytest.approx(chosen, abs=2e-3)
    assert any(found["in_part"].values())


def by_fairlearn(g: Any, score: Any, truth: Any, constraints: str) -> tuple[float, Any]:
    """The accuracy of fairlearn's ThresholdOptimizer, and for each row its chance to be selected."""
    postprocessing = pytest.importorskip("fairlearn.postprocessing")

    class Score(BaseEstimator):  # type: ignore[misc]
        def fit(self, *_: Any) -> "Score":
            self.fitted_ = True
            return self

        def predict(self, X: Any) -> Any:
            return np.asarray(X)[:, 0]

    optimiser = postprocessing.ThresholdOptimizer(
        estimator=Score().fit(),
        constraints=constraints,
        objective="accuracy_score",
        prefit=True,
        predict_method="predict",
        grid_size=10_000,
    )
    X = np.asarray(score)[:, None]
    optimiser.fit(X, truth, sensitive_features=g)
    chance = optimiser._pmf_predict(X, sensitive_features=g)[:, 1]
    return float(np.where(truth == 1, chance, 1 - chance).mean()), chance


@pytest.mark.parametrize(
    ("criterion", "constraints"),
    [("demographic_parity", "demographic_parity"), ("equal_opportunity", "true_positive_rate_parity")],
)
def test_fairlearn_finds_the_same_thresholds(criterion: str, constraints: str) -> None:
    """Scores on bin centres that rank well: mixing any two thresholds, as fairlearn does, is no better than neighbours.

    fairlearn looks at a grid of 10,000 rates, hence the tolerances.
    """
    rng = np.random.default_rng(11)
    g = rng.choice(["a", "b"], 20_000, p=[0.3, 0.7])
    bins = np.where(g == "a", rng.binomial(9, 0.4, len(g)), rng.binomial(9, 0.55, len(g)))
    score = bins / 10 + 0.05
    truth = (rng.random(len(g)) < np.where(g == "a", score, score**1.5)).astype(int)
    rows = pd.DataFrame({"g": g, "score": score, "truth": truth, "decision": (score > 0.5).astype(int)})
    theirs, chance = by_fairlearn(g, score, truth, constraints)
    ours = search(rows, criterion, tolerance=0.0)
    assert ours["accuracy"]["after"] == pytest.approx(theirs, abs=2e-4)
    for group in "ab":
        part = (g == group) & ((truth == 1) if criterion == "equal_opportunity" else True)
        name = "true_positive_rate" if criterion == "equal_opportunity" else "selection_rate"
        assert ours["rates"][group]["after"][name] == pytest.approx(chance[part].mean(), abs=1e-3)


def test_fairlearn_on_compas(test_data_dir: Path) -> None:
    """The same accuracy to 1e-4; for equalized odds fairlearn also mixes distant thresholds, and may be better."""
    rows = pd.read_csv(test_data_dir / "compas_two_years.csv")
    rows = rows[rows.race.isin(["African-American", "Caucasian"])]
    score = (1.05 - rows.decile_score / 10).to_numpy()
    truth = (rows.two_year_recid == 0).astype(int).to_numpy()
    g = np.where(rows.race == "Caucasian", "b", "a")
    found = {
        constraints: (
            search(
                CountTable.from_arrays({"g": g}, rows.score_text == "Low", truth, score),
                criterion,
                tolerance=0.0,
            )["accuracy"]["after"],
            by_fairlearn(g, score, truth, constraints)[0],
        )
        for criterion, constraints in (
            ("demographic_parity", "demographic_parity"),
            ("equal_opportunity", "true_positive_rate_parity"),
            ("equalized_odds", "equalized_odds"),
        )
    }
    for constraints in ("demographic_parity", "true_positive_rate_parity"):
        ours, theirs = found[constraints]
        assert ours == pytest.approx(theirs, abs=1e-4)
    ours, theirs = found["equalized_odds"]
    assert ours <= theirs + 1e-4


cells = st.lists(st.integers(0, 40), min_size=60, max_size=60)


@settings(max_examples=60)
@given(
    first=cells,
    second=cells,
    criterion=st.sampled_from(CRITERIA),
    edges=st.booleans(),
    tolerance=st.sampled_from([0, 0.01, 0.2]),
)
def test_what_holds_for_any_table(
    first: Any, second: Any, criterion: Any, edges: bool, tolerance: float
) -> None:
    """The criterion is met; more freedom is never less accurate; groups may be exchanged; 10⁷ times the rows change nothing."""
    n = np.zeros((2, 2, 3, 11), dtype=np.int64)
    n[:, :, :, :10] = np.array([first, second]).reshape(2, 2, 3, 10)
    table = CountTable(("g",), (("a",), ("b",)), n, np.zeros_like(n))
    if len(table.groups) < 2:
        return
    found = search(table, criterion, between_edges=edges, tolerance=tolerance)
    if found["thresholds"] is None:
        assert found["status"] != "ok" and found["reason"]
        return
    assert found["gap"]["after"] <= tolerance + 1e-9
    mirrored = search(table, criterion, between_edges=edges, tolerance=tolerance, reference="a")
    large = search(
        CountTable(("g",), (("a",), ("b",)), n * 10**7, np.zeros_like(n)),
        criterion,
        between_edges=edges,
        tolerance=tolerance,
    )
    if found["status"] == "ok":
        accuracy = found["accuracy"]["after"]
        assert accuracy <= found["accuracy"]["best"] + 1e-9
        assert mirrored["accuracy"]["after"] == pytest.approx(accuracy, abs=2e-9)
        assert large["accuracy"]["after"] == pytest.approx(accuracy, abs=2e-9)
        freer = search(table, criterion, tolerance=min(1.0, tolerance + 0.05))
        assert freer["accuracy"]["after"] >= accuracy - 2e-9
