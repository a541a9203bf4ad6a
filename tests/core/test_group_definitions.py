"""Groups as values, sets, bands, ranges and everyone else."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.group_definitions import AGE_BANDS, GroupDefinition, parse_groups
from fairlens_backend.errors import InvalidInput

NUMBERS = st.one_of(st.integers(-50, 120), st.floats(-50, 120))
VALUES = st.lists(
    st.one_of(NUMBERS, st.none(), st.sampled_from(["F", "M", " x ", "18_30", "25", ""])), max_size=60
)


def groups(declared: Any, values: Any) -> list[str]:
    labels: list[str] = GroupDefinition.parse(declared).apply(values).tolist()
    return labels


def test_age_bands_have_the_names_of_the_specification() -> None:
    """A limit belongs to the band that it starts."""
    ages = [0, 17.99, 18, 29, 30, 39.5, 40, 50, 59, 60, 101, None, math.nan]
    assert groups({"bands": list(AGE_BANDS)}, ages) == [
        "UNDER_18", "UNDER_18", "18_30", "18_30", "30_40", "30_40", "40_50", "50_60", "50_60", "60_PLUS", "60_PLUS",
        "unknown", "unknown",
    ]  # fmt: skip


def test_texts_that_are_numbers_are_placed_and_bands_stay_bands() -> None:
    """Ages from a CSV may be texts, some banded already; what is neither is not known."""
    declared = {"bands": [18, 30]}
    assert groups(declared, ["17", " 18 ", "30.0", "18_30", "n/a", "", "2_5"]) == [
        "UNDER_18", "18_30", "30_PLUS", "18_30", "unknown", "unknown", "unknown",
    ]  # fmt: skip


def test_values_and_sets_name_groups_and_others_keep_their_label() -> None:
    """1, "1" and 1.0 are one value."""
    declared = {"values": {"1": "Male", "2": "Female"}, "sets": {"Female": ["f", "w"], "Male": ["m"]}}
    assert groups(declared, [1, 2.0, "2", "w", "m", "x", None]) == [
        "Male", "Female", "Female", "Female", "Male", "x", "unknown",
    ]  # fmt: skip


def test_everyone_else_is_a_group_but_not_the_missing() -> None:
    """A missing value is never counted among "Other"."""
    assert groups({"sets": {"White": ["White"]}, "else": "Other"}, ["White", "Asian", None, "", math.nan]) == [
        "White", "Other", "unknown", "unknown", "unknown",
    ]  # fmt: skip
    assert groups({"else": "Any"}, [1, "b", None]) == ["Any", "Any", "unknown"]


def test_ranges_may_leave_gaps() -> None:
    """A number in no range goes to everyone else, or is unknown; a group may have several ranges."""
    ranges = [
        {"name": "edge", "below": 10},
        {"name": "edge", "from": 90},
        {"name": "mid", "from": 40, "below": 60},
    ]
    values = [5, 10, 39.9, 40, 59.9, 60, 90, 1e9]
    assert groups({"ranges": ranges}, values) == [
        "edge", "unknown", "unknown", "mid", "mid", "unknown", "edge", "edge",
    ]  # fmt: skip
    assert groups({"ranges": ranges, "else": "rest"}, values).count("rest") == 3


def test_a_named_value_goes_before_its_range() -> None:
    """999 for "refused" is no age of 60 and more, as a number and as a text."""
    declared = {"values": {999: "unknown"}, "bands": [60]}
    assert groups(declared, [59, 999, 60]) == ["UNDER_60", "unknown", "60_PLUS"]
    assert groups(declared, ["59", "999", "60"]) == ["UNDER_60", "unknown", "60_PLUS"]


@given(limits=st.lists(st.integers(-60, 130), min_size=1, max_size=6, unique=True), values=VALUES)
def test_bands_partition_the_rows(limits: list[int], values: list[Any]) -> None:
    """Every number is in exactly one band, every missing value unknown, every row in one group; a loop agrees."""
    limits = sorted(limits)
    found = GroupDefinition.parse({"bands": limits}).apply(values)
    assert len(found) == len(values)
    for value, group in zip(values, found, strict=True):
        if isinstance(value, int | float):
            above = [limit for limit in limits if value >= limit]
            below = [limit for limit in limits if value < limit]
            if not above:
                assert group == f"UNDER_{limits[0]}"
            elif not below:
                assert group == f"{limits[-1]}_PLUS"
            else:
                assert group == f"{above[-1]}_{below[0]}"
        elif value in (None, ""):
            assert group == "unknown"


@given(
    values=st.lists(
        st.one_of(st.integers(-50, 120), st.floats(-50, 120, allow_nan=False)), min_size=1, max_size=60
    )
)
def test_a_column_of_numbers_and_one_of_texts_agree(values: list[Any]) -> None:
    """The quick way for numeric columns places them as their labels are placed."""
    definition = GroupDefinition.parse(
        {
            "values": {"7": "seven"},
            "ranges": [{"name": "a", "from": 0, "below": 33.3}, {"name": "b", "from": 50}],
        }
    )
    quick = definition.apply(pd.Series(values, dtype=float))
    assert quick.tolist() == definition.apply([repr(float(value)) for value in values]).tolist()
    assert quick.tolist() == definition.apply(np.array(values, dtype=object)).tolist()


@given(values=VALUES, other=st.sampled_from([None, "Other"]))
def test_definitions_partition_whatever_comes(values: list[Any], other: str | None) -> None:
    """One text for each row; equal values are in one group."""
    declared: dict[str, Any] = {"sets": {"A": ["F", "x"], "B": ["M"]}, "bands": [0, 40]}
    if other:
        declared["else"] = other
    found = groups(declared, values)
    assert all(isinstance(group, str) and group for group in found)
    assert len(found) == len(values)
    by_value: dict[str, set[str]] = {}
    for value, group in zip(values, found, strict=True):
        by_value.setdefault(repr(value), set()).add(group)
    assert all(len(of) == 1 for of in by_value.values())
    allowed = {"A", "B", "UNDER_0", "0_40", "40_PLUS", "unknown", other}
    assert set(found) <= allowed


@pytest.mark.parametrize(
    ("declared", "field"),
    [
        ({}, "groups.age"),
        ([18, 30], "groups.age"),
        ({"band": [18]}, "groups.age"),
        ({"bands": [18], "extra": 1}, "groups.age.extra"),
        ({"bands": []}, "groups.age.bands"),
        ({"bands": [18, "x"]}, "groups.age.bands.1"),
        ({"bands": [18, True]}, "groups.age.bands.1"),
        ({"bands": [18, math.inf]}, "groups.age.bands.1"),
        ({"bands": [30, 18]}, "groups.age.bands.1"),
        ({"bands": [18, 18]}, "groups.age.bands.1"),
        ({"bands": [18], "ranges": [{"name": "a", "below": 3}]}, "groups.age.ranges"),
        ({"ranges": {"name": "a"}}, "groups.age.ranges"),
        ({"ranges": [{"below": 3}]}, "groups.age.ranges.0"),
        ({"ranges": [{"name": "all"}]}, "groups.age.ranges.0"),
        ({"ranges": [{"name": "a", "to": 3}]}, "groups.age.ranges.0"),
        ({"ranges": [{"name": "", "below": 3}]}, "groups.age.ranges.0.name"),
        ({"ranges": [{"name": "a", "from": 3, "below": 3}]}, "groups.age.ranges.0.below"),
        ({"ranges": [{"name": "a", "below": 30}, {"name": "b", "from": 29}]}, "groups.age.ranges.1"),
        ({"ranges": [{"name": "b", "from": 29}, {"name": "a", "below": 30}]}, "groups.age.ranges.0"),
        ({"ranges": [{"name": "a", "from": 5}, {"name": "b", "from": 1, "below": 9}]}, "groups.age.ranges.0"),
        ({"values": {}}, "groups.age.values"),
        ({"values": {"": "a"}}, "groups.age.values."),
        ({"values": {"x": None}}, "groups.age.values.x"),
        ({"sets": {"a": "xy"}}, "groups.age.sets.a"),
        ({"sets": {"a": []}}, "groups.age.sets.a"),
        ({"sets": {"a": [None]}}, "groups.age.sets.a.0"),
        ({"sets": {"a": ["x", 1], "b": ["y", "1.0"]}}, "groups.age.sets.b.1"),
        ({"values": {"x": "a"}, "sets": {"b": ["x"]}}, "groups.age.sets.b.0"),
        ({"bands": [18], "else": ""}, "groups.age.else"),
    ],
)
def test_a_bad_declaration_is_refused_where_it_stands(declared: Any, field: str) -> None:
    """Overlapping ranges, a value in two groups, and what is no declaration."""
    with pytest.raises(InvalidInput) as refused:
        parse_groups({"age": declared})
    assert refused.value.details["field"] == field
    assert field in refused.value.message


def test_the_groups_that_are_declared_are_known() -> None:
    """In their order, each once."""
    definition = GroupDefinition.parse({"sets": {"A": ["x", "y"]}, "bands": [1], "else": "Z"})
    assert definition.groups == ("A", "UNDER_1", "1_PLUS", "Z")
    with pytest.raises(InvalidInput):
        parse_groups(["age"])


def test_types_of_columns() -> None:
    """Whatever holds the values: integers with gaps, truth values, categories, nothing."""
    assert groups({"bands": [18]}, pd.array([17, None, 18], dtype="Int64")) == [
        "UNDER_18",
        "unknown",
        "18_PLUS",
    ]
    assert groups({"values": {"true": "yes"}}, np.array([True, False])) == ["yes", "false"]
    assert groups({"sets": {"a": ["x"]}}, pd.Series(["x", "y"], dtype="category")) == ["a", "y"]
    assert groups({"bands": [18]}, []) == []
    assert groups({"bands": [18]}, [math.inf, -math.inf]) == ["unknown", "unknown"]
