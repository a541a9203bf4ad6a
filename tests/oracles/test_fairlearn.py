"""fairlearn and we say the same to 1e-12 where we define the same, and differ as we say where we do not."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from tests.oracles.rows import PUBLISHED, Published, audited, close, expand, rates, tables

fairlearn = pytest.importorskip("fairlearn.metrics", reason="fairlearn is not installed")
from sklearn.metrics import accuracy_score, precision_score  # noqa: E402

RATES = {
    "selection_rate": fairlearn.selection_rate,
    "true_positive_rate": fairlearn.true_positive_rate,
    "false_positive_rate": fairlearn.false_positive_rate,
    "false_negative_rate": fairlearn.false_negative_rate,
    "accuracy": accuracy_score,
    "precision": lambda y_true, y_pred: precision_score(y_true, y_pred, zero_division=np.nan),
    "base_rate": lambda y_true, y_pred: np.mean(y_true),
}


def asked(rows: pd.DataFrame, attribute: str = "group") -> dict[str, Any]:
    """The arguments of a fairlearn metric."""
    return {
        "y_true": rows["truth"],
        "y_pred": rows["decision"],
        "sensitive_features": rows[attribute].astype(str),
    }


def agree(rows: pd.DataFrame, attribute: str = "group") -> None:
    """Rates by group, and metrics 1, 2, 4, 6 and 13; 3, 5, 7 and 15 from fairlearn's rates by group."""
    frame = fairlearn.MetricFrame(metrics=RATES, **asked(rows, attribute))
    top = str(frame.by_group["selection_rate"].idxmax())
    result = audited(rows, top, attribute)
    ours = rates(result)
    for name in RATES:
        for group, theirs in frame.by_group[name].items():
            assert close(ours[str(group)][name], theirs), (name, group)
    of = {name: one["value"] for name, one in result["attributes"][attribute].items()}
    both = asked(rows, attribute)
    assert close(of["demographic_parity_difference"], fairlearn.demographic_parity_difference(**both))
    assert close(of["equalized_odds_difference"], fairlearn.equalized_odds_difference(**both))
    ratio = fairlearn.demographic_parity_ratio(**both)
    assert close(of["disparate_impact_ratio"], ratio)
    assert close(of["statistical_parity_subgroup_lift"], 1 / ratio)
    assert close(-of["statistical_parity_difference"], fairlearn.demographic_parity_difference(**both))
    apart = frame.by_group - frame.by_group.loc[top]
    assert close(of["equal_opportunity_difference"], apart["true_positive_rate"].abs().max())
    assert close(of["predictive_parity_difference"], apart["precision"].abs().max())
    for name in ("false_positive_rate", "false_negative_rate"):
        assert close(abs(of[f"{name}_difference"]), apart[name].abs().max())
    mean = (apart["true_positive_rate"].abs() + apart["false_positive_rate"].abs()) / 2
    assert close(of["average_odds_difference"], mean.max())
    if len(frame.by_group) == 2:
        # of two groups the furthest from the reference and the widest gap are one and the same
        assert close(of["equal_opportunity_difference"], fairlearn.equal_opportunity_difference(**both))
        assert close(of["average_odds_difference"], fairlearn.equalized_odds_difference(**both, agg="mean"))


@settings(max_examples=12, deadline=None)
@given(rows=tables(least=1))
@pytest.mark.no_cover
def test_on_random_tables(rows: pd.DataFrame) -> None:
    """Every cell has a row, so that every rate is defined."""
    agree(rows)


@pytest.mark.parametrize("read", PUBLISHED, ids=lambda read: read.__name__)
@pytest.mark.no_cover
def test_on_published_data(read: Published, test_data_dir: Path) -> None:
    """COMPAS by race, sex and age, Adult by sex and race, a random forest's decisions on it."""
    rows, attributes = read(test_data_dir)
    for attribute in attributes:
        agree(rows, attribute)


def test_a_group_without_positives_has_no_true_positive_rate() -> None:
    """fairlearn calls it 0, which looks like the widest gap there is; we say that there is none to compare."""
    rows = expand([[[10, 0], [10, 0]], [[5, 5], [5, 15]]])
    assert fairlearn.equal_opportunity_difference(**asked(rows)) == 0.75
    result = audited(rows, "B")
    one = result["metrics"]["equal_opportunity_difference"]
    assert (one["value"], one["status"], one["breached"]) == (None, "undefined", None)
    assert rates(result)["A"]["true_positive_rate"] is None


@settings(max_examples=12, deadline=None)
@given(rows=tables(least=0))
def test_whatever_is_defined_is_the_same_and_the_rest_is_0_there_and_absent_here(rows: pd.DataFrame) -> None:
    """fairlearn's rate of a group without such rows is 0; ours is None, and never another number."""
    if len(rows) == 0:
        return
    names = ["selection_rate", "true_positive_rate", "false_positive_rate", "false_negative_rate"]
    if rows["truth"].nunique() < 2:
        names = names[:1]  # fairlearn refuses error rates where it sees one class
    frame = fairlearn.MetricFrame(metrics={name: RATES[name] for name in names}, **asked(rows))
    ours = rates(audited(rows))
    for group, row in frame.by_group.iterrows():
        for name in names:
            found = ours[str(group)][name]
            assert close(found, row[name]) if found is not None else row[name] == 0


def test_of_three_groups_equal_opportunity_is_held_against_the_reference() -> None:
    """fairlearn takes the widest gap of any two groups; ours is from the reference group, as metric 3 is defined."""
    rows = expand([[[5, 5], [5, 5]], [[5, 2], [5, 8]], [[5, 8], [5, 2]]])
    assert close(0.6, fairlearn.equal_opportunity_difference(**asked(rows)))
    one = audited(rows, "A")["metrics"]["equal_opportunity_difference"]
    assert close(one["value"], 0.3) and one["groups_compared"][1] == "A"


def test_where_nobody_is_selected_there_is_no_ratio() -> None:
    """fairlearn's ratio of 0 to 0 is NaN, which every comparison with a limit calls fair; ours is absent with a reason."""
    rows = expand([[[10, 10], [0, 0]], [[10, 10], [0, 0]]])
    with np.errstate(all="ignore"):
        assert np.isnan(fairlearn.demographic_parity_ratio(**asked(rows)))
    one = audited(rows)["metrics"]["disparate_impact_ratio"]
    assert one["value"] is None and one["status"] == "undefined" and one["reason"]
