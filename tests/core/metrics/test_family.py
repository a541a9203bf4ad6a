"""What every metric of the family keeps to."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fairlens_backend.core import metrics
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.metrics import METRICS, Metric
from fairlens_backend.core.severity import is_breached
from tests.core import brute_force

EVERY = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
GROUPS = ["A", "B", "C"]
ROWS = st.lists(
    st.tuples(st.sampled_from(GROUPS), st.integers(0, 1), st.sampled_from([0, 1, None])),
    min_size=1,
    max_size=40,
)


def counts(rows: list[Any], groups: list[str] = GROUPS) -> Any:
    """Counts of the rows, shape (n_groups, 2, 3), by a loop; a group may be empty."""
    n = np.zeros((len(groups), 2, 3), dtype=np.int64)
    for group, decision, truth in rows:
        n[groups.index(group), decision, 2 if truth is None else truth] += 1
    return n


def close(a: float, b: float | None) -> bool:
    return bool(np.isnan(a)) if b is None else abs(a - b) <= 1e-12 * max(1.0, abs(b))


def test_every_file_of_the_folder_is_listed() -> None:
    """A metric that is not in METRICS would never run: each file ends in a METRIC of its own name that is listed."""
    files = {path.stem for path in Path(metrics.__file__).parent.glob("[!_]*.py")}
    assert {metric.name for metric in METRICS} == files
    for name in files:
        assert import_module(f"fairlens_backend.core.metrics.{name}").METRIC in METRICS
    assert len({metric.short_name for metric in METRICS}) == len(METRICS)


def test_numbers_thresholds_and_directions_are_those_of_the_statistics() -> None:
    """STATISTICS section 2: 3 (0.05, >), 4 (0.80, <), 5 (0.07, >), 13 (0.10, outside), 14 (0.20, >); 1–12 decide."""
    table = {m.short_name: (m.number, m.threshold, m.breached_when, m.decides) for m in METRICS}
    assert table == {
        "eod": (3, 0.05, "above", True),
        "dir": (4, 0.80, "below", True),
        "aod": (5, 0.07, "above", True),
        "spd": (13, 0.10, "outside", False),
        "theil": (14, 0.20, "above", False),
    }
    assert {m.short_name for m in METRICS if "truth" in m.needs} == {"eod", "aod", "theil"}


@EVERY
@given(rows=ROWS)
def test_the_value_is_that_of_a_loop_over_the_rows(metric: Metric, rows: list[Any]) -> None:
    """Computing on counts equals computing on rows, undefined cases included."""
    value, signed, worst = metric.compute(counts(rows), 0)
    expected = getattr(brute_force, metric.name)(rows, "A")
    assert close(abs(float(value)), expected)
    assert (worst >= 0) == (expected is not None and metric.name != "theil_index")
    if worst >= 0:
        assert worst != 0
    if not np.isnan(signed):
        assert abs(float(signed)) <= abs(float(value)) + 1e-15


@EVERY
@given(rows=ROWS)
def test_a_batch_of_tables_gives_what_each_gives_alone(metric: Metric, rows: list[Any]) -> None:
    """Leading dimensions are only repetition, as a bootstrap needs; float counts are the same as whole ones."""
    tables = np.stack([counts(rows), counts(rows[: len(rows) // 2]), counts(rows[::2])])
    batch = np.stack([tables, tables[::-1]]).astype(float)
    together = metric.compute(batch, 1)
    for i in range(2):
        for j in range(3):
            alone = metric.compute(batch[i, j], 1)
            for whole, single in zip(together, alone, strict=True):
                assert whole.shape == (2, 3)
                np.testing.assert_array_equal(whole[i, j], single)


@EVERY
@given(rows=ROWS, order=st.permutations(GROUPS))
def test_what_groups_are_called_changes_nothing(metric: Metric, rows: list[Any], order: list[str]) -> None:
    """Renaming or reordering groups changes neither value nor sign."""
    value, signed, _ = metric.compute(counts(rows), GROUPS.index("B"))
    renamed = metric.compute(counts(rows, order), order.index("B"))
    np.testing.assert_allclose([value, signed], [renamed[0], renamed[1]], rtol=0, atol=1e-12)


@EVERY
@given(rows=ROWS)
def test_swapping_two_groups_flips_the_sign_or_inverts_the_ratio(metric: Metric, rows: list[Any]) -> None:
    """With two groups, either may be the reference: differences change sign, the ratio becomes its inverse."""
    two = [row for row in rows if row[0] != "C"]
    n = counts(two, ["A", "B"])
    value, signed, _ = metric.compute(n, 0)
    swapped, swapped_signed, _ = metric.compute(n, 1)
    if metric.breached_when == "below":
        assume(value > 0)
        assert close(float(swapped), 1 / float(value))
    else:
        np.testing.assert_array_equal(np.abs(value), np.abs(swapped))
        np.testing.assert_array_equal(signed, -swapped_signed)


@EVERY
@given(
    cells=st.lists(st.integers(1, 50), min_size=6, max_size=6),
    factors=st.lists(st.integers(1, 20), min_size=2, max_size=4),
)
def test_perfect_parity_never_breaches(metric: Metric, cells: list[int], factors: list[int]) -> None:
    """Groups of different size with the same rates have no gap: nothing between groups may breach."""
    n = np.array([np.reshape(cells, (2, 3)) * factor for factor in factors])
    value, signed, _ = metric.compute(n, 0)
    if metric.name == "theil_index":
        assert float(metric.parts["between_groups"](n)) < 1e-12
        return
    assert not is_breached(float(value), metric.threshold, metric.breached_when)
    assert np.isnan(signed) or abs(float(signed)) < 1e-12


@EVERY
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
    for n, reference in ((np.ones((2, 2, 3)), -1), (np.ones((1, 2, 3)), 0), (np.zeros((0, 2, 3)), -1)):
        value, signed, worst = metric.compute(n, reference)
        assert int(worst) == -1 and np.isnan(signed)
        assert np.isnan(value) or metric.name == "theil_index"


@EVERY
def test_a_definition_is_a_sentence(metric: Metric) -> None:
    """The definition goes to a reader of the result; it is one sentence and claims nothing."""
    assert metric.definition.endswith(".") and metric.undefined_because.endswith(".")
    assert not any(word in metric.definition.lower() for word in ("debias", "unbiased", "fair model"))


@settings(max_examples=25)  # fairlearn takes 50 ms an example
@given(rows=ROWS)
def test_agrees_with_fairlearn_where_it_defines_the_same(rows: list[Any]) -> None:
    """fairlearn's demographic parity ratio and difference are ours with the highest rate as the reference."""
    fairlearn = pytest.importorskip("fairlearn.metrics")
    groups, decisions, _ = zip(*rows, strict=True)
    table = CountTable.from_arrays({"g": groups}, decisions)
    assume(len(table.groups) >= 2 and any(decisions))
    n = table.decided
    top = int(np.argmax(n[:, 1].sum(axis=1) / n.sum(axis=(1, 2))))
    arguments = {"y_true": decisions, "y_pred": decisions, "sensitive_features": groups}
    ratio = metrics.METRICS_BY_NAME["disparate_impact_ratio"].compute(n, top)[0]
    gap = metrics.METRICS_BY_NAME["statistical_parity_difference"].compute(n, top)[0]
    assert close(float(ratio), fairlearn.demographic_parity_ratio(**arguments))
    assert close(-float(gap), fairlearn.demographic_parity_difference(**arguments))


@settings(max_examples=25)
@given(st.lists(st.integers(0, 30), min_size=8, max_size=8), st.tuples(st.integers(0, 1), st.integers(0, 1)))
def test_equal_opportunity_agrees_with_fairlearn_for_two_groups(
    cells: list[int], one: tuple[int, int]
) -> None:
    """The size of the gap in true positive rate is fairlearn's equal opportunity difference."""
    fairlearn = pytest.importorskip("fairlearn.metrics")
    kinds = [(group, decision, truth) for group in "AB" for decision in (0, 1) for truth in (0, 1)]
    rows = [kind for kind, k in zip(kinds, cells, strict=True) for _ in range(k)]
    # each group has a row whose truth is favourable, or its rate would not exist
    rows += [("A", one[0], 1), ("B", one[1], 1)]
    groups, decisions, truths = zip(*rows, strict=True)
    expected = fairlearn.equal_opportunity_difference(truths, decisions, sensitive_features=groups)
    value, _, _ = metrics.METRICS_BY_NAME["equal_opportunity_difference"].compute(counts(rows, ["A", "B"]), 0)
    assert close(float(value), expected)
