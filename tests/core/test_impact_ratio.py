"""The tables of Local Law 144 against the example that its rules print, and by hand."""

import numpy as np
import pytest

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.impact_ratio import impact_ratio_tables


def table(**groups: tuple[int, int]) -> CountTable:
    """Groups of (rows, selected)."""
    labels = [name for name, (rows, _) in groups.items() for _ in range(rows)]
    decisions = [int(i < selected) for rows, selected in groups.values() for i in range(rows)]
    return CountTable.from_arrays({"category": labels}, decisions)


def test_the_example_of_the_rules() -> None:
    """6 RCNY § 5-301(b), sex categories: 1390 of 1390 + … applicants; 48 % and 41 % selected give 1.00 and 0.858."""
    # the published figures: male 1390 applicants, 667 selected (48 %); female 1181, 555 selected (47 %)
    (only,) = impact_ratio_tables(table(Male=(1390, 667), Female=(1181, 555)), ["category"])
    ratios = {one["attributes"]["category"]: one["impact_ratio"] for one in only["categories"]}
    assert ratios["Male"] == 1.0
    assert ratios["Female"] == pytest.approx((555 / 1181) / (667 / 1390), abs=1e-15)
    assert round(ratios["Female"], 2) == 0.98


def test_a_category_under_two_percent_is_listed_marked_and_left_out() -> None:
    """19 of 1,000 rows at 100 % would be the highest rate; 20 of 1,000 are."""
    (small,) = impact_ratio_tables(table(A=(500, 250), B=(481, 120), C=(19, 19)), ["category"])
    assert small["highest_selection_rate"] == 0.5
    marked = [one for one in small["categories"] if one["status"] == "under_2_percent"]
    assert [(one["attributes"]["category"], one["rows"], one["impact_ratio"]) for one in marked] == [
        ("C", 19, None)
    ]
    assert marked[0]["selection_rate"] == 1.0
    (large,) = impact_ratio_tables(table(A=(500, 250), B=(480, 120), C=(20, 20)), ["category"])
    assert large["highest_selection_rate"] == 1.0 and large["categories"][0]["impact_ratio"] == 0.5


def test_unknown_categories_are_counted_and_in_no_category() -> None:
    """Of the crossing a row is unknown when either attribute is."""
    columns = {"sex": ["F", "M", None, "F"] * 25, "race": ["A", None, "B", "B"] * 25}
    sex, race, both = impact_ratio_tables(CountTable.from_arrays(columns, [1, 0, 1, 0] * 25), ["sex", "race"])
    assert [one["unknown"] for one in (sex, race, both)] == [25, 25, 50]
    assert both["attributes"] == ["sex", "race"] and both["rows"] == 100
    assert sum(one["rows"] for one in both["categories"]) == 50


def test_scores_above_the_median_with_the_width_of_its_bin() -> None:
    """Scores in bins 0, 5 and 9: the median lies in bin 5, half-way, so half of that bin's scores count as above it."""
    score = [0.05] * 40 + [0.55] * 20 + [0.95] * 40
    labels = ["A"] * 40 + ["B", "A"] * 10 + ["B"] * 40
    (only,) = impact_ratio_tables(CountTable.from_arrays({"g": labels}, [1] * 100, score=score), ["g"])
    median = only["median"]
    assert (median["lower"], median["upper"], median["width"]) == (0.5, 0.6, 0.1)
    assert median["estimate"] == pytest.approx(0.55)
    by_group = {one["attributes"]["g"]: one for one in only["categories"]}
    # A: 50 scores, 10 in the bin, none above; B: 50 scores, 10 in it, 40 above
    assert by_group["A"]["scoring_rate"] == pytest.approx(5 / 50)
    assert by_group["A"]["scoring_rate_bounds"] == [0.0, 10 / 50]
    assert by_group["B"]["scoring_rate"] == pytest.approx(45 / 50)
    assert by_group["A"]["scoring_impact_ratio"] == pytest.approx(5 / 45)


def test_the_bounds_hold_the_rate_of_the_rows() -> None:
    """The share above the median of the very rows lies between the bounds."""
    rng = np.random.default_rng(3)
    score, labels = rng.beta(2, 3, 999), rng.choice(["A", "B", "C"], 999)
    (only,) = impact_ratio_tables(CountTable.from_arrays({"g": labels}, score > 0.5, score=score), ["g"])
    middle = np.median(score)
    assert only["median"]["lower"] <= middle <= only["median"]["upper"]
    for one in only["categories"]:
        low, high = one["scoring_rate_bounds"]
        assert low <= np.mean(score[labels == one["attributes"]["g"]] > middle) <= high
        assert low <= one["scoring_rate"] <= high


def test_nobody_selected_no_scores_no_rows() -> None:
    """No rate to divide by is no ratio; no score is no median; no row is no category."""
    (only,) = impact_ratio_tables(table(A=(100, 0), B=(100, 0)), ["category"])
    assert [one["impact_ratio"] for one in only["categories"]] == [None, None]
    assert only["median"] is None and only["categories"][0]["scoring_rate"] is None
    (empty,) = impact_ratio_tables(CountTable.empty(["category"]), ["category"])
    assert empty["categories"] == [] and empty["highest_selection_rate"] is None
