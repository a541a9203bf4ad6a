"""Every figure stands on the count table, so its algebra is exact and its refusals name the field."""

import json
import tracemalloc
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.counts import SCORE_UNITS, CountTable
from fairlens_backend.errors import InvalidInput

LABELS = st.sampled_from(["F", "M", "X", None, ""])
ROW = st.tuples(
    LABELS,
    LABELS,
    st.integers(0, 1),
    st.integers(-1, 1),
    st.one_of(st.just(float("nan")), st.floats(0, 1)),
)
ROWS = st.lists(ROW, max_size=30)


def collapse(rows: list[Any]) -> CountTable:
    sex, race, decision, truth, score = zip(*rows, strict=True) if rows else ((),) * 5
    return CountTable.from_arrays({"sex": list(sex), "race": list(race)}, decision, truth, score)


def test_each_row_is_counted_in_the_cell_of_its_decision_truth_and_score() -> None:
    """Cell = (group, ŷ, y, score bin); what is not known has a place of its own."""
    table = CountTable.from_arrays(
        {"sex": ["M", "F", "F"]}, decision=[1, 0, 1], truth=[1, -1, 0], score=[0.95, float("nan"), 0.31]
    )
    assert table.attributes == ("sex",)
    assert table.groups == (("F",), ("M",))
    assert table.n.shape == (2, 2, 3, 11)
    assert table.n[1, 1, 1, 9] == table.n[0, 0, 2, 10] == table.n[0, 1, 0, 3] == 1
    assert (table.total, table.labelled) == (3, 2)


@pytest.mark.parametrize(
    ("score", "expected"),
    [(0.0, 0), (0.0999, 0), (0.1, 1), (0.3, 3), (0.6, 6), (0.7, 7), (0.8999, 8), (0.9, 9), (1.0, 9)],
)
def test_score_bins_are_closed_below_and_the_last_one_above(score: float, expected: int) -> None:
    """Ten equal-width bins on [0, 1]; an edge belongs to the bin that it starts, 1 to the last."""
    table = CountTable.from_arrays({}, [1], score=[score])
    assert table.n[0, 1, 2].argmax() == expected


def test_a_missing_label_is_the_group_unknown_and_numbers_are_one_with_their_text() -> None:
    """None, NaN and "" are one group, and so are 1, "1" and 1.0: no row is lost."""
    table = CountTable.from_arrays({"a": [1, "1", 1.0, None, float("nan"), "", "unknown"]}, [0] * 7)
    assert table.groups == (("1",), ("unknown",))
    assert table.n.sum(axis=(1, 2, 3)).tolist() == [3, 4]


def test_series_categories_and_arrays_give_the_table_of_a_list() -> None:
    """What holds the labels makes no difference."""
    labels = ["b", "a", "b", "c"]
    expected = CountTable.from_arrays({"x": labels}, [0, 1, 1, 0])
    for column in (
        pd.Series(labels, index=[9, 8, 7, 6]),
        pd.Series(labels, dtype="category"),
        np.array(labels),
    ):
        decision = pd.Series([False, True, True, False])
        assert CountTable.from_arrays({"x": column}, decision) == expected


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(rows: list[Any], random: Any) -> None:
    """Sums of scores are fixed point, so not even their last bit depends on the order."""
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert collapse(shuffled) == collapse(rows)


@given(ROWS, ROWS)
def test_tables_add_as_their_rows_do(one: list[Any], other: list[Any]) -> None:
    """The table of two windows is the sum of theirs, in either order."""
    whole = collapse(one + other)
    assert collapse(one) + collapse(other) == whole
    assert collapse(other) + collapse(one) == whole
    assert (
        CountTable.sum([collapse([row]) for row in one + other] or [CountTable.empty(["sex", "race"])])
        == whole
    )


@given(ROWS, ROWS)
def test_adding_then_retracting_rows_is_the_identity(one: list[Any], other: list[Any]) -> None:
    """Whatever was added leaves no trace, not an empty group and not a bit of a score."""
    table = collapse(one)
    assert table + collapse(other) - collapse(other) == table
    assert table - table == CountTable.empty(["sex", "race"])
    assert (table - collapse(other)) + collapse(other) == table


def test_a_late_label_is_a_delta_that_goes_below_zero() -> None:
    """−1 in (ŷ, ∅) and +1 in (ŷ, y): the delta is kept though its total is 0, and says that it is negative."""
    before = CountTable.from_arrays({"sex": ["F"]}, [1])
    after = CountTable.from_arrays({"sex": ["F"]}, [1], [0])
    delta = after - before
    assert delta.negative and delta.total == 0 and delta.groups == (("F",),)
    assert before + delta == after


@given(ROWS)
def test_a_marginal_is_the_table_of_fewer_columns(rows: list[Any]) -> None:
    """Summing an attribute away equals never having counted it, in any order of the others."""
    table = collapse(rows)
    sex, race, decision, truth, score = zip(*rows, strict=True) if rows else ((),) * 5
    only = CountTable.from_arrays({"race": list(race)}, decision, truth, score)
    turned = CountTable.from_arrays({"race": list(race), "sex": list(sex)}, decision, truth, score)
    assert table.marginal(["race"]) == only
    assert table.marginal(["race", "sex"]) == turned
    assert table.marginal([]).total == len(rows)


@given(ROWS)
def test_the_json_form_is_canonical_and_comes_back(rows: list[Any]) -> None:
    """The same table gives the same text, whatever it was made of, and the text gives the table."""
    table = collapse(rows)
    text = json.dumps(table.to_dict(), allow_nan=False)
    assert json.dumps(collapse(rows[::-1]).to_dict()) == text
    assert CountTable.from_dict(json.loads(text)) == table


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_the_sum_of_scores_is_within_its_resolution(scores: list[float]) -> None:
    """Each score is kept to half a unit of 2**-32."""
    table = CountTable.from_arrays({}, [1] * len(scores), score=scores)
    exact = sum(Fraction(score) for score in scores)
    assert abs(Fraction(int(table.score_units.sum()), SCORE_UNITS) - exact) <= Fraction(
        len(scores), 2 * SCORE_UNITS
    )


def test_score_sums_stay_exact_where_floats_would_round() -> None:
    """Three million scores of one unit less than 1 pass 2**53 units; the sum is exact to the unit."""
    rows = 3_000_000
    table = CountTable.from_arrays({}, np.ones(rows), score=np.full(rows, 1 - 2.0**-32))
    assert int(table.score_units.sum()) == rows * (SCORE_UNITS - 1)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"protected": {"sex": ["F"]}, "decision": [0, 1]}, "protected.sex"),
        ({"protected": {"sex": ["F", "M"]}, "decision": [0, 2]}, "decision"),
        ({"protected": {"sex": ["F", "M"]}, "decision": [0, float("nan")]}, "decision"),
        ({"protected": {"sex": ["F", "M"]}, "decision": ["yes", "no"]}, "decision"),
        ({"protected": {"sex": ["F", "M"]}, "decision": [[0, 1]]}, "decision"),
        ({"protected": {"sex": ["F", "M"]}, "decision": [0, 1], "truth": [1]}, "truth"),
        ({"protected": {"sex": ["F", "M"]}, "decision": [0, 1], "truth": [1, 3]}, "truth"),
        ({"protected": {"sex": ["F", "M"]}, "decision": [0, 1], "score": [0.5, 1.01]}, "score"),
        ({"protected": {"sex": ["F", "M"]}, "decision": [0, 1], "score": [0.5, float("inf")]}, "score"),
        ({"protected": {"sex": ["F", "M"]}, "decision": [0, 1], "score": [0.5, -0.01]}, "score"),
        ({"protected": {"sex": ["F", ["M"]]}, "decision": [0, 1]}, "protected.sex"),
        ({"protected": {"sex": np.zeros((2, 2))}, "decision": [0, 1]}, "protected.sex"),
        ({"protected": {"sex": ["F", "M"]}, "decision": [0, 1], "max_groups": 1}, "protected.sex"),
    ],
)
def test_a_bad_column_is_refused_by_name(arguments: dict[str, Any], field: str) -> None:
    """The refusal names the field, and says what came and what was expected in values that JSON can hold."""
    with pytest.raises(InvalidInput) as refused:
        CountTable.from_arrays(**arguments)
    assert refused.value.details["field"] == field
    assert refused.value.details["expected"]
    json.dumps(refused.value.details, allow_nan=False)


def test_pieces_together_hold_no_more_groups_than_one_table() -> None:
    """An upload read in pieces is as bounded as one read at once: an identifier is refused as an attribute."""
    pieces = [CountTable.from_arrays({"id": [f"{i}-{j}" for j in range(5)]}, [1] * 5) for i in range(3)]
    assert CountTable.sum(pieces, max_groups=15).total == 15
    with pytest.raises(InvalidInput, match="id makes 15 groups; at most 14"):
        CountTable.sum(pieces, max_groups=14)


def test_tables_of_other_attributes_are_not_combined() -> None:
    """The order of attributes is part of a table: (sex, race) does not add to (race, sex)."""
    for other in (["race", "sex"], ["sex"]):
        with pytest.raises(InvalidInput):
            CountTable.empty(["sex", "race"]) + CountTable.empty(other)
    with pytest.raises(InvalidInput):
        CountTable.sum([])
    with pytest.raises(InvalidInput):
        CountTable.empty(["sex"]).marginal(["age"])
    with pytest.raises(InvalidInput):
        CountTable.empty(["sex"]).marginal(["sex", "sex"])


@pytest.mark.parametrize(
    "data",
    [
        {},
        [],
        {"version": 2, "attributes": [], "rows": []},
        {"version": 1, "attributes": ["a"], "rows": [[["x"], 2, 0, 0, 1, "0"]]},
        {"version": 1, "attributes": ["a"], "rows": [[["x"], 0, 0, -1, 1, "0"]]},
        {"version": 1, "attributes": ["a"], "rows": [[["x", "y"], 0, 0, 0, 1, "0"]]},
        {"version": 1, "attributes": ["a"], "rows": [[["x"], 0, 0, 0, 1.5, "0"]]},
        {"version": 1, "attributes": ["a"], "rows": [[["x"], 0, 0, 0, 2**70, "0"]]},
        {"version": 1, "attributes": ["a", "a"], "rows": []},
    ],
)
def test_what_is_not_a_table_is_refused(data: Any) -> None:
    """A stored table that was altered into something else is an error of input, never a crash or a silent cut."""
    with pytest.raises(InvalidInput):
        CountTable.from_dict(data)


def test_arrays_of_the_wrong_shape_or_repeated_groups_are_no_table() -> None:
    """The layout of cells is fixed and each group stands once."""
    cells = np.ones((2, 2, 3, 11), dtype=np.int64)
    with pytest.raises(InvalidInput):
        CountTable(("a",), (("x",),), cells, cells)
    with pytest.raises(InvalidInput):
        CountTable(("a",), (("x",), ("x",)), cells, cells)
    with pytest.raises(InvalidInput):
        CountTable(("a",), (("x",), ("y",)), cells / 2, cells)  # type: ignore[arg-type]
    assert CountTable(("a",), (("x",), ("y",)), cells, cells) != "a table"


def test_a_table_cannot_be_changed_in_place() -> None:
    """Tables are shared between an audit and its evidence, so their arrays are read-only."""
    table = CountTable.from_arrays({"sex": ["F"]}, [1])
    with pytest.raises(ValueError):
        table.n[0, 0, 0, 0] = 5


def test_memory_follows_the_groups_that_occur_not_their_product() -> None:
    """Three attributes of 300 values make 27 million combinations; 2,000 rows hold at most 2,000 of them."""
    numbers = np.arange(2_000)
    columns = {name: (numbers * step) % 300 for name, step in (("a", 1), ("b", 7), ("c", 11))}
    tracemalloc.start()
    table = CountTable.from_arrays(columns, numbers % 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert table.total == 2_000
    assert peak < 20_000_000
