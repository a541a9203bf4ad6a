"""Thresholds from score bins are those that looking at every row, a linear programme and fairlearn find."""

import itertools
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from sklearn.base import BaseEstimator

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.threshold_search import ABOVE_ALL, search_thresholds
from fairlens_backend.errors import InvalidInput

CRITERIA = ("demographic_parity", "equal_opportunity", "equalized_odds")
EDGES = [*(j / 10 for j in range(11)), 2.0]  # 2.0: above every score


def collapsed(rows: pd.DataFrame) -> CountTable:
    return CountTable.from_arrays({"g": rows.g}, rows.decision, rows.truth, rows.score)


def sample(seed: int, n: int = 400, lean: float = 0.15) -> pd.DataFrame:
    """Two groups, scores that tell something of the truth and are lower in one group."""
    rng = np.random.default_rng(seed)
    g = rng.choice(["a", "b"], n, p=[0.4, 0.6])
    score = np.clip(rng.beta(2, 2, n) - lean * (g == "a"), 0, 1)
    truth = (rng.random(n) < score).astype(int)
    return pd.DataFrame({"g": g, "score": score, "truth": truth, "decision": (score >= 0.5).astype(int)})


def search(rows: pd.DataFrame | CountTable, criterion: Any, **more: Any) -> dict[str, Any]:
    table = rows if isinstance(rows, CountTable) else collapsed(rows)
    asked = {"attribute": "g", "reference": "b", "n_resamples": 0, "min_group_size": 1}
    (pair,) = search_thresholds(table, criterion=criterion, **{**asked, **more})["pairs"]
    return dict(pair)


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


@pytest.mark.parametrize(
    ("criterion", "constraint"),
    [("demographic_parity", "demographic_parity"), ("equal_opportunity", "true_positive_rate_parity")],
)
def test_fairlearn_finds_the_same_accuracy(criterion: str, constraint: str) -> None:
    """Scores on bin centres that rank well (concave curves): fairlearn's mixture of any two thresholds is no better.

    fairlearn looks at a grid of 1,000 rates, hence the tolerance of 2e-3.
    """
    postprocessing = pytest.importorskip("fairlearn.postprocessing")
    rng = np.random.default_rng(11)
    g = rng.choice(["a", "b"], 20_000, p=[0.3, 0.7])
    bins = np.where(g == "a", rng.binomial(9, 0.4, len(g)), rng.binomial(9, 0.55, len(g)))
    score = bins / 10 + 0.05
    truth = (rng.random(len(g)) < np.where(g == "a", score, score**1.5)).astype(int)
    rows = pd.DataFrame({"g": g, "score": score, "truth": truth, "decision": (score > 0.5).astype(int)})

    class Score(BaseEstimator):  # type: ignore[misc]
        def fit(self, *_: Any) -> "Score":
            self.fitted_ = True
            return self

        def predict(self, X: Any) -> Any:
            return np.asarray(X)[:, 0]

    optimiser = postprocessing.ThresholdOptimizer(
        estimator=Score().fit(),
        constraints=constraint,
        objective="accuracy_score",
        prefit=True,
        predict_method="predict",
    )
    X = rows[["score"]].to_numpy()
    optimiser.fit(X, truth, sensitive_features=g)
    chance = optimiser._pmf_predict(X, sensitive_features=g)[:, 1]
    theirs = float(np.where(truth == 1, chance, 1 - chance).mean())
    ours = search(rows, criterion, tolerance=0.0)
    assert ours["accuracy"]["after"] == pytest.approx(theirs, abs=2e-3)
    for group in "ab":
        part = (g == group) & ((truth == 1) if criterion == "equal_opportunity" else True)
        name = "true_positive_rate" if criterion == "equal_opportunity" else "selection_rate"
        assert ours["rates"][group]["after"][name] == pytest.approx(chance[part].mean(), abs=5e-3)


def test_equal_accuracy_goes_to_the_smaller_gap_then_to_what_is_nearest_to_today() -> None:
    """Empty bins between the scores make many thresholds alike: of 0.3, 0.4, 0.5 and 0.6 the lowest is named."""
    rows = pd.DataFrame(
        {
            "g": ["a"] * 4 + ["b"] * 4,
            "score": [0.25, 0.25, 0.65, 0.65] * 2,
            "truth": [0, 0, 1, 1] * 2,
            "decision": [0, 0, 1, 1] * 2,
        }
    )
    found = search(rows, "demographic_parity", between_edges=False)
    assert found["thresholds"] == {"a": 0.3, "b": 0.3} and found["met_already"] is True
    assert found["accuracy_change"]["value"] == 0
    # coins as truth: every threshold is right in half of the cases; today's rates decide, not the lowest number
    rows["truth"] = [0, 1, 0, 1] * 2
    assert search(rows, "demographic_parity", between_edges=False)["thresholds"] == {"a": 0.3, "b": 0.3}


def test_where_only_everybody_or_nobody_meets_it_the_result_says_so() -> None:
    """One group's scores are sure, the other's noise: equalized odds at edges is met by nobody and everybody alone."""
    rows = pd.DataFrame(
        {
            "g": ["a"] * 40 + ["b"] * 40,
            "score": [0.95] * 20 + [0.05] * 20 + [0.55] * 40,
            "truth": [1] * 20 + [0] * 20 + [1] * 25 + [0] * 15,
            "decision": [1] * 20 + [0] * 20 + [1] * 40,
        }
    )
    found = search(rows, "equalized_odds", between_edges=False)
    assert found["trivial"] is True and found["thresholds"] == {"a": 0.0, "b": 0.0}
    assert found["sentence"] == (
        "Of all thresholds that bring the true and false positive rates of g=a and g=b within 1.0 percentage points,"
        " those that select everybody are the best; accuracy would fall from 81.2 % to 56.2 %."
    )
    rows["truth"] = 1 - rows["truth"]
    flipped = search(rows, "equalized_odds", between_edges=False)
    assert flipped["trivial"] is True and "select nobody" in flipped["sentence"]
    # nobody of b has more than 0.55
    assert flipped["thresholds"] == {"a": ABOVE_ALL, "b": 0.6}
    assert json.loads(json.dumps(flipped["thresholds"]))["a"] > 1.0 == ABOVE_ALL - np.spacing(1.0)


def test_without_truth_demographic_parity_keeps_the_number_selected() -> None:
    """60 of 200 are selected today: by hand both groups at 30 %; its cost is not known and not called 0."""
    rows = pd.DataFrame(
        {
            "g": ["a"] * 100 + ["b"] * 100,
            "score": [0.25] * 60 + [0.75] * 40 + [0.35] * 80 + [0.85] * 20,
            "truth": -1,
            "decision": [0] * 60 + [1] * 40 + [0] * 80 + [1] * 20,
        }
    )
    found = search(rows, "demographic_parity", min_group_size=30)
    assert found["status"] == "no_ground_truth" and "accuracy is known" in found["reason"]
    after = [found["rates"][group]["after"]["selection_rate"] for group in "ab"]
    assert after == pytest.approx([0.3, 0.3], abs=1e-12)
    assert found["accuracy"] == {"before": None, "after": None, "best": None}
    assert found["accuracy_change"] == {"value": None, "confidence_interval": None}
    assert found["sentence"].endswith("what that does to accuracy is not known.")
    # a handful of labels tells no accuracy either
    rows.loc[:5, "truth"] = 1
    assert search(rows, "demographic_parity", min_group_size=30)["accuracy"]["after"] is None
    for criterion in ("equal_opportunity", "equalized_odds"):
        found = search(rows, criterion)
        assert (found["status"], found["thresholds"], found["sentence"]) == ("no_ground_truth", None, None)


def test_what_stands_against_a_search_has_a_status_and_a_reason() -> None:
    """No scores, too few rows, no rows of a rate."""
    rows = sample(9)
    no_scores = rows.assign(score=np.where(rows.g == "a", np.nan, rows.score))
    found = search(no_scores, "demographic_parity")
    assert (found["status"], found["reason"]) == ("no_scores", "No row of g=a has a score.")
    few = search(rows, "equal_opportunity", min_group_size=200)
    assert few["status"] == "insufficient_data" and "200 needed" in few["reason"]
    half_labelled = rows.assign(truth=np.where(np.arange(len(rows)) < 60, rows.truth, -1))
    few = search(half_labelled, "equal_opportunity", min_group_size=50)
    assert few["status"] == "insufficient_data" and "with a known truth, 50 needed" in few["reason"]
    none = search(rows.assign(truth=np.where(rows.g == "a", 0, rows.truth)), "equal_opportunity")
    assert (none["status"], none["thresholds"]) == ("undefined", None)
    one = search_thresholds(collapsed(rows[rows.g == "a"]), attribute="g", criterion="demographic_parity")
    assert (one["status"], one["pairs"]) == ("insufficient_data", [])
    assert (
        search_thresholds(CountTable.empty(["g"]), attribute="g", criterion="demographic_parity")["pairs"]
        == []
    )


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"criterion": "parity"}, "criterion"),
        ({"tolerance": -0.1}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"n_resamples": 10**9}, "n_resamples"),
        ({"attribute": "age"}, "attributes"),
        ({"reference": "c"}, "reference_groups.g"),
    ],
)
def test_what_is_asked_must_be_possible(more: dict[str, Any], field: str) -> None:
    """A refusal names the field."""
    asked = {"attribute": "g", "criterion": "demographic_parity", **more}
    with pytest.raises(InvalidInput) as refused:
        search_thresholds(collapsed(sample(1)), **asked)
    assert refused.value.details["field"] == field
    table = collapsed(sample(1))
    with pytest.raises(InvalidInput, match="negative"):
        search_thresholds(table - table - table, attribute="g", criterion="demographic_parity")


def test_all_pairs_are_each_looked_at_by_itself() -> None:
    """Three groups and one unknown: two pairs with the reference, three in all, none with the unknown."""
    rows = pd.concat([sample(seed).assign(g=lambda r, s=seed: r.g + str(s)) for seed in (1, 2)])
    rows = rows[rows.g != "b2"]
    rows = rows.assign(g=rows.g.where(np.arange(len(rows)) % 20 != 0, None))
    table = collapsed(rows)
    asked: dict[str, Any] = {"attribute": "g", "criterion": "equal_opportunity", "n_resamples": 50}
    few = search_thresholds(table, **asked)
    every = search_thresholds(table, all_pairs=True, **asked)
    assert few["reference_group"]["chosen"] == "highest selection rate"
    assert len(few["pairs"]) == 2 and every["pairs"][:2] == few["pairs"] and len(every["pairs"]) == 3
    assert "unknown" not in {group for pair in every["pairs"] for group in pair["groups_compared"]}
    assert few == search_thresholds(table, **asked)
    json.dumps(every, allow_nan=False)


def test_intervals_agree_with_resampling_the_rows() -> None:
    """1,000 resamples of the raw rows at the same thresholds: limits within the noise of a bootstrap's quantile."""
    rows = sample(12, n=1500)
    found = search(rows, "demographic_parity", between_edges=False, tolerance=0.05, n_resamples=2000)
    limits = np.where(rows.g == "a", found["thresholds"]["a"], found["thresholds"]["b"])
    after = (rows.score >= limits).to_numpy().astype(int)
    change = (after == rows.truth).to_numpy().astype(int) - (rows.decision == rows.truth).to_numpy().astype(
        int
    )
    rng = np.random.default_rng(3)
    is_a = (rows.g == "a").to_numpy()
    changes, gaps = [], []
    for _ in range(1000):
        i = rng.integers(0, len(rows), len(rows))
        changes.append(change[i].mean())
        gaps.append(after[i][is_a[i]].mean() - after[i][~is_a[i]].mean())
    low, high = np.quantile(changes, [0.025, 0.975])
    interval = found["accuracy_change"]["confidence_interval"]
    assert (interval["lower"], interval["upper"]) == pytest.approx((low, high), abs=0.1 * (high - low))
    low, high = np.quantile(gaps, [0.025, 0.975])
    expected = (0.0 if low <= 0 <= high else min(abs(low), abs(high)), max(abs(low), abs(high)))
    interval = found["gap"]["confidence_interval"]
    assert (interval["lower"], interval["upper"]) == pytest.approx(expected, abs=0.1 * (high - low))


def test_a_gap_that_may_be_none_has_an_interval_from_0() -> None:
    """Two groups that are alike: the interval of the remaining gap does not pretend that there is one."""
    rows = sample(13, n=2000, lean=0.0)
    for criterion in CRITERIA:
        interval = search(rows, criterion, n_resamples=500, tolerance=0.05)["gap"]["confidence_interval"]
        assert interval["lower"] == 0.0 < interval["upper"]


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
