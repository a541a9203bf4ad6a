"""AIF360 and we say the same to 1e-12 where we define the same, and differ as we say where we do not."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from fairlens_backend.core.gower import GowerSpace
from fairlens_backend.core.metrics.consistency import agreement_of_neighbours
from tests.oracles.rows import PUBLISHED, Published, audited, close, expand, tables

logging.disable(logging.WARNING)  # it warns of every optional package that it does not find
try:
    aif_datasets = pytest.importorskip(
        "aif360.datasets", reason="AIF360 is not installed (pip install 'fairlens[oracle]')"
    )
    aif_metrics = pytest.importorskip("aif360.metrics")
finally:
    logging.disable(logging.NOTSET)  # also where the package is absent and the file skips


def asked(rows: pd.DataFrame, attribute: str, group: str, reference: str) -> Any:
    """AIF360's metrics of one group against the reference group; all rows stay in the data set."""
    codes, names = pd.factorize(rows[attribute].astype(str))
    frame = pd.DataFrame({"a": codes.astype(float), "y": rows["truth"].to_numpy(dtype=float)})
    true = aif_datasets.BinaryLabelDataset(
        df=frame,
        label_names=["y"],
        protected_attribute_names=["a"],
        favorable_label=1,
        unfavorable_label=0,
    )
    decided = true.copy()
    decided.labels = rows["decision"].to_numpy(dtype=float).reshape(-1, 1)
    code = {str(name): float(i) for i, name in enumerate(names)}
    return aif_metrics.ClassificationMetric(
        true, decided, unprivileged_groups=[{"a": code[group]}], privileged_groups=[{"a": code[reference]}]
    )


def agree(rows: pd.DataFrame, reference: str, attribute: str = "group") -> None:
    """Metrics 2, 3, 4, 5, 7, 13, 14 and 15, and the signs; of many groups each is asked in turn."""
    result = audited(rows, reference, attribute)["attributes"][attribute]
    others = [group for group in sorted(set(rows[attribute].astype(str))) if group != reference]
    theirs = [asked(rows, attribute, group, reference) for group in others]

    def furthest(gaps: list[float]) -> float:
        return max(gaps, key=abs)

    tpr = furthest([one.equal_opportunity_difference() for one in theirs])
    assert close(result["equal_opportunity_difference"]["value"], abs(tpr))
    selection = [one.statistical_parity_difference() for one in theirs]
    assert close(abs(result["statistical_parity_difference"]["value"]), abs(furthest(selection)))
    assert close(result["disparate_impact_ratio"]["value"], min(one.disparate_impact() for one in theirs))
    odds = [one.average_abs_odds_difference() for one in theirs]
    assert close(result["average_odds_difference"]["value"], max(odds))
    for name in ("false_positive_rate_difference", "false_negative_rate_difference"):
        gap = furthest([getattr(one, name)() for one in theirs])
        assert close(abs(result[name]["value"]), abs(gap))
    precision = [
        one.positive_predictive_value(privileged=False) - one.positive_predictive_value(privileged=True)
        for one in theirs
    ]
    assert close(result["predictive_parity_difference"]["value"], abs(furthest(precision)))
    assert close(result["theil_index"]["value"], theirs[0].theil_index())
    assert close(result["theil_index"]["parts"]["between_groups"], theirs[0].between_all_groups_theil_index())
    for name, signed in (
        ("equal_opportunity_difference", [one.equal_opportunity_difference() for one in theirs]),
        ("average_odds_difference", [one.average_odds_difference() for one in theirs]),
        ("statistical_parity_difference", selection),
    ):
        worst = others.index(result[name]["groups_compared"][0])
        assert close(result[name]["signed"], signed[worst])
    if len(others) == 1:
        assert close(result["equalized_odds_difference"]["value"], abs(theirs[0].equalized_odds_difference()))
        assert close(result["demographic_parity_difference"]["value"], abs(selection[0]))


@settings(max_examples=40, deadline=None)
@given(rows=tables(least=1))
def test_on_random_tables(rows: pd.DataFrame) -> None:
    """Every cell has a row, so that every rate is defined."""
    agree(rows, "A")


@pytest.mark.parametrize("read", PUBLISHED, ids=lambda read: read.__name__)
def test_on_published_data(read: Published, test_data_dir: Path) -> None:
    """COMPAS by race, sex and age, Adult by sex and race, a random forest's decisions on it."""
    rows, attributes = read(test_data_dir)
    for attribute in attributes:
        agree(rows, str(rows[attribute].mode()[0]), attribute)


def test_opposite_gaps_do_not_cancel() -> None:
    """TPR 0.2 higher and FPR 0.2 lower: AIF360's average odds difference, which is our signed one, is 0; our value is 0.2."""
    rows = expand([[[5, 5], [5, 5]], [[7, 3], [3, 7]]])
    theirs = asked(rows, "group", "B", "A")
    assert close(0.0, theirs.average_odds_difference())
    one = audited(rows, "A")["metrics"]["average_odds_difference"]
    assert close(one["signed"], 0.0) and close(one["value"], 0.2)


@pytest.mark.parametrize("selected", [0, 5])
def test_where_nobody_of_the_reference_is_selected_there_is_no_ratio(selected: int) -> None:
    """AIF360 says NaN or infinity; ours is absent with a reason."""
    rows = expand([[[10, 10], [0, 0]], [[10, 10], [selected, selected]]])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        theirs = asked(rows, "group", "B", "A").disparate_impact()
    assert not np.isfinite(theirs)
    one = audited(rows, "A")["metrics"]["disparate_impact_ratio"]
    assert one["value"] is None and one["status"] == "undefined" and "A" in one["reason"]


def test_consistency_counts_neighbours_without_the_person() -> None:
    """Among k neighbours AIF360 counts the person: its figure is 1 − (1 − 1/k)·(1 − c) for our c with k − 1 neighbours."""
    rng = np.random.Generator(np.random.PCG64(1))
    x, decision = rng.random(200), rng.integers(0, 2, 200).astype(float)
    frame = pd.DataFrame({"x": x, "a": np.arange(200) % 2.0, "y": decision})
    data = aif_datasets.BinaryLabelDataset(
        df=frame, label_names=["y"], protected_attribute_names=["a"], favorable_label=1, unfavorable_label=0
    )
    # on one feature, Gower's distance and Euclid's order neighbours alike; the attribute is left out of theirs too
    data.features = x.reshape(-1, 1)
    theirs = float(aif_metrics.BinaryLabelDatasetMetric(data).consistency(n_neighbors=5)[0])
    ours = agreement_of_neighbours(GowerSpace.of(pd.DataFrame({"x": x})), decision, k=4).value
    assert close(1 - 0.8 * (1 - ours), theirs)
