"""What a search for thresholds answers, where it cannot, and how sure it is."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.threshold_search import ABOVE_ALL, search_thresholds
from fairlens_backend.errors import InvalidInput
from tests.core.binned_scores import CRITERIA, collapsed, sample, search


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
    assert set(found["accuracy_change"].values()) == {None}
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
    found = search(
        rows, "demographic_parity", between_edges=False, tolerance=0.05, n_resamples=2000, n_rechosen=0
    )
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


@pytest.mark.no_cover
def test_the_gap_on_new_rows_is_what_new_rows_show() -> None:
    """Thresholds chosen on 120 samples of 1,000 rows, then applied to 50,000 others: on average the stated gap."""
    others = sample(99, n=50_000)
    a = others.g == "a"
    stated, shown, chosen_on = [], [], []
    for seed in range(120):
        found = search(sample(seed, n=1000), "demographic_parity", n_resamples=30, n_rechosen=30)
        limits = np.where(a, found["thresholds"]["a"], found["thresholds"]["b"])
        selected = (others.score >= limits).to_numpy()
        shown.append(abs(selected[a].mean() - selected[~a].mean()))
        stated.append(found["gap"]["on_new_rows"])
        chosen_on.append(found["gap"]["after"])
    assert np.mean(chosen_on) <= 0.0101
    # the standard error of the mean of 120 gaps is about 0.002
    assert np.mean(stated) == pytest.approx(np.mean(shown), abs=0.006)
    assert np.mean(shown) > 0.015
