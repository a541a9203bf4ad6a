"""What every metric of the family keeps to."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fairlens_backend.core import metrics
from fairlens_backend.core.drift.cusum import CusumState
from fairlens_backend.core.metrics import METRICS, METRICS_BY_NAME, ROW_METRICS, GroupRates, Metric
from fairlens_backend.core.severity import is_breached
from tests.core import brute_force

EVERY = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
GROUPS = ["A", "B", "C"]
# few bins, so that some reach the ten rows that metric 8 needs
ROWS = st.lists(
    st.tuples(
        st.sampled_from(GROUPS), st.integers(0, 1), st.sampled_from([0, 1, None]), st.sampled_from([2, 7])
    ),
    min_size=1,
    max_size=40,
).flatmap(lambda rows: st.integers(1, 6).map(lambda times: rows * times))
HISTORY = CusumState(mean=0.1, sigma=0.05, high=1.0, low=0.5)
NO_GROUPS = {"theil_index"}


def counts(rows: list[Any], groups: list[str] = GROUPS) -> GroupRates:
    """Counts of the rows by a loop; a group may be empty."""
    n = np.zeros((len(groups), 2, 3), dtype=np.int64)
    scored = np.zeros((len(groups), 2, 10), dtype=np.int64)
    for group, decision, truth, score_bin in rows:
        n[groups.index(group), decision, 2 if truth is None else truth] += 1
        if truth is not None:
            scored[groups.index(group), truth, score_bin] += 1
    return GroupRates(n, scored, HISTORY)


def close(a: float, b: float | None) -> bool:
    return bool(np.isnan(a)) if b is None else abs(a - b) <= 1e-12 * max(1.0, abs(b))


def test_every_file_of_the_folder_is_listed() -> None:
    """A metric that is not listed would never run: each file ends in a METRIC of its own name that is listed."""
    files = {path.stem for path in Path(metrics.__file__).parent.glob("[!_]*.py")}
    assert {metric.name for metric in (*METRICS, *ROW_METRICS)} == files == set(METRICS_BY_NAME)
    for name in files:
        assert import_module(f"fairlens_backend.core.metrics.{name}").METRIC is METRICS_BY_NAME[name]
    short = [metric.short_name for metric in METRICS if metric.short_name]
    assert sorted(short) == ["aod", "dir", "eod", "spd", "theil"]


def test_numbers_thresholds_and_directions_are_those_of_the_statistics() -> None:
    """The table of STATISTICS section 2; 1–12 decide."""
    table = [(m.number, m.name, m.threshold, m.breached_when) for m in METRICS_BY_NAME.values()]
    assert table == [
        (1, "demographic_parity_difference", 0.10, "above"),
        (2, "equalized_odds_difference", 0.08, "above"),
        (3, "equal_opportunity_difference", 0.05, "above"),
        (4, "disparate_impact_ratio", 0.80, "below"),
        (5, "average_odds_difference", 0.07, "above"),
        (6, "statistical_parity_subgroup_lift", 1.25, "above"),
        (7, "predictive_parity_difference", 0.08, "above"),
        (8, "calibration_gap", 0.05, "above"),
        (9, "individual_fairness_score", 0.85, "below"),
        (10, "counterfactual_fairness", 0.06, "above"),
        (11, "intersectional_bias_score", 0.12, "above"),
        (12, "temporal_drift_index", 5.0, "above"),
        (13, "statistical_parity_difference", 0.10, "outside"),
        (14, "theil_index", 0.20, "above"),
        (15, "false_positive_rate_difference", 0.08, "outside"),
        (15, "false_negative_rate_difference", 0.08, "outside"),
        (17, "consistency", 0.85, "below"),
    ]
    # 9 would rate accurate models of fair populations CRITICAL: it decides only at its owner's limit
    assert all(m.decides == (m.number <= 12 and m.number != 9) for m in METRICS_BY_NAME.values())
    without_truth = {m.number for m in METRICS if "truth" not in m.needs}
    assert without_truth == {1, 4, 6, 11, 12, 13}


@EVERY
@settings(max_examples=60)
@given(rows=ROWS)
def test_the_value_is_that_of_a_loop_over_the_rows(metric: Metric, rows: list[Any]) -> None:
    """Computing on counts equals computing on rows, undefined cases included."""
    value, signed, worst, other = metric.compute(counts(rows), 0)
    expected = getattr(brute_force, metric.name)(rows, "A")
    assert close(abs(float(value)), expected)
    assert (worst >= 0) == (other >= 0) == (expected is not None and metric.name not in NO_GROUPS)
    if worst >= 0:
        assert worst != other and (metric.compared == "extremes" or other == 0)
    if not np.isnan(signed):
        assert abs(float(signed)) <= abs(float(value)) + 1e-15


@EVERY
@settings(max_examples=30)
@given(rows=ROWS)
def test_a_batch_of_tables_gives_what_each_gives_alone(metric: Metric, rows: list[Any]) -> None:
    """Leading dimensions are only repetition, as a bootstrap needs; float counts are the same as whole ones."""
    tables = [counts(rows), counts(rows[: len(rows) // 2]), counts(rows[::2])]
    n = np.stack([[one.n for one in tables], [one.n for one in tables[::-1]]]).astype(float)
    scored = np.stack([[one.scored for one in tables], [one.scored for one in tables[::-1]]]).astype(float)
    together = metric.compute(GroupRates(n, scored, HISTORY), 1)
    for i in range(2):
        for j in range(3):
            alone = metric.compute(tables[j if i == 0 else 2 - j], 1)
            for whole, single in zip(together, alone, strict=True):
                assert whole.shape == (2, 3)
                np.testing.assert_array_equal(whole[i, j], single)


@EVERY
@settings(max_examples=40)
@given(rows=ROWS, order=st.permutations(GROUPS))
def test_what_groups_are_called_changes_nothing(metric: Metric, rows: list[Any], order: list[str]) -> None:
    """Renaming or reordering groups changes neither value nor sign."""
    value, signed, *_ = metric.compute(counts(rows), GROUPS.index("B"))
    renamed = metric.compute(counts(rows, order), order.index("B"))
    np.testing.assert_allclose([value, signed], [renamed.value, renamed.signed], rtol=0, atol=1e-12)


@EVERY
@settings(max_examples=40)
@given(rows=ROWS, times=st.integers(2, 1_000_000))
def test_duplicating_rows_leaves_the_value(metric: Metric, rows: list[Any], times: int) -> None:
    """Shares do not know how many rows they are shares of; every bin has the ten that metric 8 needs."""
    one = counts(rows * 10)
    assert one.scored is not None
    more = GroupRates(one.n * times, one.scored * times, HISTORY)
    np.testing.assert_allclose(metric.compute(one, 0).value, metric.compute(more, 0).value, atol=1e-12)


@EVERY
@settings(max_examples=40)
@given(rows=ROWS)
def test_swapping_two_groups_flips_the_sign_or_inverts_the_ratio(metric: Metric, rows: list[Any]) -> None:
    """With two groups, either may be the reference: differences change sign, the ratio becomes its inverse."""
    two = [row for row in rows if row[0] != "C"]
    n = counts(two, ["A", "B"])
    value, signed, *_ = metric.compute(n, 0)
    swapped, swapped_signed, *_ = metric.compute(n, 1)
    if metric.breached_when == "below":
        assume(value > 0)
        assert close(float(swapped), 1 / float(value))
    else:
        np.testing.assert_array_equal(np.abs(value), np.abs(swapped))
        if metric.compared == "reference":
            np.testing.assert_array_equal(signed, -swapped_signed)


@EVERY
@given(
    cells=st.lists(st.integers(1, 50), min_size=6, max_size=6),
    factors=st.lists(st.integers(1, 20), min_size=2, max_size=4),
)
def test_perfect_parity_never_breaches(metric: Metric, cells: list[int], factors: list[int]) -> None:
    """Groups of different size with the same rates have no gap: nothing between groups may breach."""
    n = np.array([np.reshape(cells, (2, 3)) * factor for factor in factors])
    scored = np.zeros((len(factors), 2, 10), dtype=np.int64)
    scored[:, :, 3:6] = n[:, :, :3]
    rates = GroupRates(n, scored, CusumState(mean=0.0, sigma=0.05))
    value, signed, *_ = metric.compute(rates, 0)
    if metric.name == "theil_index":
        assert float(metric.parts["between_groups"](rates)) < 1e-12
        return
    assert np.isnan(value) or not is_breached(float(value), metric.threshold, metric.breached_when)
    assert np.isnan(signed) or abs(float(signed)) < 1e-12


@EVERY
@settings(max_examples=30)
@given(rows=ROWS)
def test_an_empty_group_is_absent_not_zero(metric: Metric, rows: list[Any]) -> None:
    """A group without rows has no rates, so a table with it gives what the table without it gives."""
    two = [row for row in rows if row[0] != "C"]
    with_empty = metric.compute(counts(two), 0)
    without = metric.compute(counts(two, ["A", "B"]), 0)
    for a, b in zip(with_empty, without, strict=True):
        np.testing.assert_array_equal(a, b)


@EVERY
def test_without_a_reference_or_without_groups_nothing_is_compared(metric: Metric) -> None:
    """−1 is no reference: comparisons are undefined, and no table is too small to ask."""
    for groups, reference in ((2, -1), (1, 0), (0, -1)):
        if groups == 2 and metric.compared == "extremes":
            continue  # they need none
        rates = GroupRates(np.ones((groups, 2, 3)), np.ones((groups, 2, 10)), HISTORY)
        value, signed, worst, other = metric.compute(rates, reference)
        assert int(worst) == int(other) == -1
        assert np.isnan(signed) or metric.name == "temporal_drift_index"
        assert np.isnan(value) or metric.name in NO_GROUPS


@pytest.mark.parametrize("metric", METRICS_BY_NAME.values(), ids=lambda metric: metric.name)
def test_a_definition_is_a_sentence(metric: Any) -> None:
    """The definition goes to a reader of the result; it is one sentence and claims nothing."""
    assert metric.definition.endswith(".") and metric.undefined_because.endswith(".")
    assert not any(word in metric.definition.lower() for word in ("debias", "unbiased", "fair model"))


# each group has a row of every kind, or fairlearn would call its rates 0
KINDS = [(group, decision, truth, 0) for group in GROUPS for decision in (0, 1) for truth in (0, 1)]
FULL = st.lists(st.integers(1, 30), min_size=12, max_size=12).map(
    lambda times: [kind for kind, k in zip(KINDS, times, strict=True) for _ in range(k)]
)


@settings(max_examples=15)  # fairlearn takes 50 ms an example
@given(rows=FULL)
def test_agrees_with_fairlearn_where_it_defines_the_same(rows: list[Any]) -> None:
    """Metrics 1, 2, 4, 6 and 13 with the highest rate as the reference; 3 and 7 from its rates by group."""
    fairlearn = pytest.importorskip("fairlearn.metrics")
    groups, decisions, truths, _ = zip(*rows, strict=True)
    rates = counts(rows)
    top = int(np.argmax(rates.selection))
    arguments = {"y_true": truths, "y_pred": decisions, "sensitive_features": groups}
    of = {name: float(METRICS_BY_NAME[name].compute(rates, top).value) for name in (m.name for m in METRICS)}
    assert close(of["demographic_parity_difference"], fairlearn.demographic_parity_difference(**arguments))
    assert close(of["equalized_odds_difference"], fairlearn.equalized_odds_difference(**arguments))
    ratio = fairlearn.demographic_parity_ratio(**arguments)
    assert close(of["disparate_impact_ratio"], ratio)
    assert close(of["statistical_parity_subgroup_lift"], 1 / ratio)
    assert close(-of["statistical_parity_difference"], fairlearn.demographic_parity_difference(**arguments))
    from sklearn.metrics import precision_score

    frame = fairlearn.MetricFrame(
        metrics={"tpr": fairlearn.true_positive_rate, "ppv": precision_score}, **arguments
    )
    apart = (frame.by_group - frame.by_group.loc[GROUPS[top]]).abs().max()
    assert close(of["equal_opportunity_difference"], apart["tpr"])
    assert close(of["predictive_parity_difference"], apart["ppv"])
