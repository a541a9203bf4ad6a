"""Estimates from scores alone against loops over rows, published intervals and simulated labels with counted seeds."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.label_free import RATES, estimate_rates, estimate_without_labels
from fairlens_backend.errors import InvalidInput

# (group, decision, score or None, truth or None)
ROWS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.integers(0, 1),
        st.one_of(st.none(), st.floats(0, 1)),
        st.sampled_from([None, 0, 1]),
    ),
    min_size=1,
    max_size=60,
)
Row = tuple[str, int, float | None, int | None]


def table_of(rows: list[Row]) -> CountTable:
    """The count table of rows."""
    return CountTable.from_arrays(
        {"sex": [row[0] for row in rows]},
        decision=[row[1] for row in rows],
        truth=[-1 if row[3] is None else row[3] for row in rows],
        score=[math.nan if row[2] is None else row[2] for row in rows],
    )


def by_loops(rows: list[Row], group: str, rate: str) -> tuple[float, float]:
    """Expected rows that have the property, and expected rows, added up row by row."""
    top = bottom = 0.0
    for where, decision, score, _ in rows:
        if where != group or score is None:
            continue
        chance, has = {
            "true_positive_rate": (score, score * decision),
            "false_positive_rate": (1 - score, (1 - score) * decision),
            "positive_predictive_value": (decision, score * decision),
            "false_omission_rate": (1 - decision, score * (1 - decision)),
            "accuracy": (1, score * decision + (1 - score) * (1 - decision)),
            "base_rate": (1, score),
        }[rate]
        top, bottom = top + has, bottom + chance
    return top, bottom


@given(ROWS)
def test_estimates_are_the_sums_over_rows(rows: list[Row]) -> None:
    """Each rate equals its definition added up over the scored rows; a denominator of 0 is undefined, not 0."""
    found = estimate_rates(table_of(rows), "sex", min_group_size=1)
    for group, rates in found.items():
        for rate in RATES:
            top, bottom = by_loops(rows, group, rate)
            figure = rates[rate]
            assert figure["is_estimate"] is True
            if not any(row[0] == group and row[2] is not None for row in rows):
                assert (figure["status"], figure["value"]) == ("no_scores", None)
            elif bottom > 1e-6:
                assert figure["value"] == pytest.approx(top / bottom, abs=1e-3 if bottom < 1e-3 else 1e-6)
                assert figure["n"] == pytest.approx(bottom, abs=1e-6)
                assert figure["interval"]["lower"] <= figure["value"] <= figure["interval"]["upper"]
            elif bottom == 0:
                assert (figure["status"], figure["value"]) == ("undefined", None)


def test_by_hand() -> None:
    """40 selected at 0.9 and 60 not at 0.2: TP 36, FP 4, FN 12, TN 48."""
    table = CountTable.from_arrays(
        {"sex": ["F"] * 100}, decision=[1] * 40 + [0] * 60, score=[0.9] * 40 + [0.2] * 60
    )
    values = {rate: figure["value"] for rate, figure in estimate_rates(table, "sex")["F"].items()}
    assert values == pytest.approx(
        {
            "true_positive_rate": 36 / 48,
            "false_positive_rate": 4 / 52,
            "positive_predictive_value": 0.9,
            "false_omission_rate": 0.2,
            "accuracy": 0.84,
            "base_rate": 0.48,
        },
        abs=1e-9,
    )


def test_gap_has_newcombes_interval() -> None:
    """Newcombe 1998, table II (a): 56/70 − 48/80 = 0.2 with 0.0524 to 0.3339; as PPV of rows all scored alike."""
    table = CountTable.from_arrays(
        {"sex": ["a"] * 70 + ["b"] * 80}, decision=[1] * 150, score=[0.8] * 70 + [0.6] * 80
    )
    gap = estimate_without_labels(table, "sex", reference="b")["gaps"]["positive_predictive_value"]["a"]
    assert gap["value"] == pytest.approx(0.2, abs=1e-9)
    assert gap["interval"]["lower"] == pytest.approx(0.0524, abs=5e-5)
    assert gap["interval"]["upper"] == pytest.approx(0.3339, abs=5e-5)


def population(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of a skewed population, noisy decisions on them, and labels drawn from the scores."""
    score = rng.beta(1.5, 2.5, size=n)
    decision = (score + rng.normal(0, 0.1, size=n) > 0.45).astype(int)
    return score, decision, (rng.random(n) < score).astype(int)


def true_rates(score: np.ndarray, decision: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The rates with labels."""
    return {
        "true_positive_rate": decision[truth == 1].mean(),
        "false_positive_rate": decision[truth == 0].mean(),
        "positive_predictive_value": truth[decision == 1].mean(),
        "false_omission_rate": truth[decision == 0].mean(),
        "accuracy": (truth == decision).mean(),
        "base_rate": truth.mean(),
    }


def test_intervals_cover_the_population_and_the_labels_to_come() -> None:
    """400 windows of 500 rows, seed 1: either truth is covered at least 95 % of the time for every rate."""
    rng = np.random.Generator(np.random.PCG64(1))
    population_rates = true_rates(*population(rng, 2_000_000))
    of_population, of_labels, runs = dict.fromkeys(RATES, 0), dict.fromkeys(RATES, 0), 400
    for _ in range(runs):
        score, decision, truth = population(rng, 500)
        table = CountTable.from_arrays({"sex": np.full(500, "F")}, decision=decision, score=score)
        realised = true_rates(score, decision, truth)
        for rate, figure in estimate_rates(table, "sex")["F"].items():
            lower, upper = figure["interval"]["lower"], figure["interval"]["upper"]
            of_population[rate] += lower <= population_rates[rate] <= upper
            of_labels[rate] += lower <= realised[rate] <= upper
    assert min(of_population.values()) >= 0.95 * runs
    assert min(of_labels.values()) >= 0.95 * runs


def labelled_table(rng: np.random.Generator, distort: float = 0.0, n: int = 1_500) -> CountTable:
    """One group, a third of it labelled; the scores say `distort` more than is true."""
    score, decision, truth = population(rng, n)
    seen = np.where(rng.random(n) < 1 / 3, truth, -1)
    shown = np.clip(score + distort, 0, 1)
    return CountTable.from_arrays({"sex": np.full(n, "F")}, decision=decision, truth=seen, score=shown)


def test_calibrated_scores_are_seldom_contradicted() -> None:
    """400 windows with seed 2: at alpha 0.05 at most 5 %, up to chance (P(more than 31 of 400) = 1 %)."""
    rng = np.random.Generator(np.random.PCG64(2))
    verdicts = [
        estimate_without_labels(labelled_table(rng), "sex")["groups"]["F"]["calibration"]["verdict"]
        for _ in range(400)
    ]
    assert verdicts.count("contradicted") <= 31
    assert "not_checked" not in verdicts


def test_contradicted_scores_are_called_unreliable() -> None:
    """Scores 0.15 too high: every estimate is kept, marked, and says how many positives were expected and seen."""
    rng = np.random.Generator(np.random.PCG64(3))
    found = estimate_without_labels(labelled_table(rng, distort=0.15), "sex")["groups"]["F"]
    assert found["calibration"]["verdict"] == "contradicted"
    for figure in found["rates"].values():
        assert figure["reliable"] is False
        assert figure["value"] is not None
        assert "labels contradict the scores" in figure["reason"]
        assert figure["labelled"]["value"] is not None
    assert 0.3 < found["label_coverage"] < 0.37


def test_labels_of_the_selected_alone_check_only_them() -> None:
    """Where only the selected ever get a label, the check is of them, whatever the selection did to the shares."""
    rng = np.random.Generator(np.random.PCG64(4))
    score, decision, truth = population(rng, 3_000)
    table = CountTable.from_arrays(
        {"sex": np.full(3_000, "F")}, decision, np.where(decision == 1, truth, -1), score
    )
    calibration = estimate_without_labels(table, "sex")["groups"]["F"]["calibration"]
    assert calibration["verdict"] == "consistent"
    assert calibration["by_decision"][0]["p_value"] is None
    assert calibration["by_decision"][1]["observed_positives"] == int(truth[decision == 1].sum())


def test_what_is_missing_is_said() -> None:
    """No scores, too few scores, and no labels to check with, each under its own name; the result is JSON."""
    table = CountTable.from_arrays(
        {"sex": ["a"] * 50 + ["b"] * 50 + ["c"] * 50},
        decision=[0, 1] * 75,
        score=[math.nan] * 50 + [0.5] * 10 + [math.nan] * 40 + [0.5] * 50,
    )
    found = estimate_without_labels(table, "sex", reference="c")
    rates = {group: figures["rates"]["accuracy"] for group, figures in found["groups"].items()}
    assert [rates[group]["status"] for group in "abc"] == ["no_scores", "insufficient_data", "ok"]
    assert "10 rows" in rates["b"]["reason"]
    assert "30" in rates["b"]["reason"]
    assert rates["c"]["reliable"] is None
    assert found["groups"]["c"]["calibration"]["verdict"] == "not_checked"
    assert found["gaps"]["accuracy"]["b"] == {
        "value": None,
        "interval": None,
        "is_estimate": True,
        "reliable": None,
        "status": "insufficient_data",
        "reason": "b: 10 rows with a score, 30 needed",
        "labelled": None,
    }
    assert found["label_coverage"] == 0.0
    json.dumps(found, allow_nan=False)


def test_windows_and_permutations_do_not_matter() -> None:
    """The estimate of two windows added is that of their rows together."""
    rng = np.random.Generator(np.random.PCG64(5))
    score, decision, _ = population(rng, 800)
    sex = rng.choice(["F", "M"], size=800)
    halves = [
        CountTable.from_arrays({"sex": sex[i::2]}, decision=decision[i::2], score=score[i::2]) for i in (0, 1)
    ]
    whole = CountTable.from_arrays({"sex": sex}, decision=decision, score=score)
    assert estimate_without_labels(halves[0] + halves[1], "sex") == estimate_without_labels(whole, "sex")


def test_a_change_is_no_window() -> None:
    """A table with negative counts is refused."""
    table = CountTable.from_arrays({"sex": ["F"]}, decision=[1], score=[0.5])
    with pytest.raises(InvalidInput):
        estimate_rates(CountTable.empty(["sex"]) - table, "sex")
