"""Gower's distance against loops over features."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.gower import GowerSpace, as_numbers

ROW = st.tuples(
    st.one_of(st.none(), st.integers(-5, 5)),
    st.one_of(st.none(), st.floats(-1e6, 1e6)),
    st.sampled_from(["a", "b", "c", None]),
    st.sampled_from([True, False]),
)


def by_loop(table: list[Any], i: int, j: int, numeric: tuple[bool, ...]) -> float | None:
    """Gower 1971 as written: sum of scores over sum of the features both rows have."""
    total, shared = 0.0, 0
    for k, is_number in enumerate(numeric):
        a, b = table[i][k], table[j][k]
        if a is None or b is None:
            continue
        shared += 1
        if is_number:
            values = [row[k] for row in table if row[k] is not None]
            width = max(values) - min(values)
            total += abs(a - b) / width if width else 0.0
        else:
            total += a != b
    return total / shared if shared else None


@given(table=st.lists(ROW, min_size=2, max_size=40))
def test_distances_are_those_of_a_loop(table: list[Any]) -> None:
    """Numbers by range, categories by equality, gaps left out pair by pair; pairs and blocks agree."""
    frame = pd.DataFrame(
        {
            "i": pd.array([row[0] for row in table], dtype="Int64"),
            "f": np.array([math.nan if row[1] is None else row[1] for row in table]),
            "c": [row[2] for row in table],
            "b": [row[3] for row in table],
        }
    )
    space = GowerSpace.of(frame)
    matrix = np.empty((len(table), len(table)))
    for block, distance in space.to_all():
        matrix[block] = distance
    pairs = [(i, j) for i in range(len(table)) for j in range(len(table))]
    between = space.between([i for i, _ in pairs], [j for _, j in pairs])
    for (i, j), found in zip(pairs, between, strict=True):
        expected = by_loop(table, i, j, (True, True, False, False))
        assert expected is not None  # the truth value is always there
        assert found == pytest.approx(expected, abs=1e-12)
        assert matrix[i, j] == pytest.approx(expected, abs=1e-12)


def test_rows_without_a_common_feature_have_no_distance() -> None:
    """NaN between, infinitely far for neighbours: never near, never alike."""
    space = GowerSpace.of(pd.DataFrame({"x": [1.0, np.nan], "c": [None, "a"]}))
    assert np.isnan(space.between([0], [1])).all()
    ((_, distance),) = space.to_all()
    assert distance[0, 1] == np.inf
    assert distance[0, 0] == 0


def test_what_is_a_number() -> None:
    """Numbers and times are; truth values, texts and categories are not; infinity is a gap."""
    times = pd.Series(pd.to_datetime(["2020-01-01", None, "2020-01-03"]))
    numbers = as_numbers(times)
    assert numbers is not None
    assert np.isnan(numbers[1])
    assert GowerSpace.of(pd.DataFrame({"t": times})).between([0], [2]).tolist() == [1.0]
    assert as_numbers(pd.Series([True, False])) is None
    assert as_numbers(pd.Series(["1", "2"])) is None
    assert as_numbers(pd.Series([1, 2], dtype="category")) is None
    unlimited = as_numbers(pd.Series([1.0, np.inf]))
    assert unlimited is not None
    assert np.isnan(unlimited[1])


def test_a_feature_that_never_varies_counts_as_alike() -> None:
    """It is at distance 0 and takes part in the mean, as in the original and in R's daisy."""
    space = GowerSpace.of(pd.DataFrame({"x": [0.0, 1.0], "same": [7, 7]}))
    assert space.between([0], [1]).tolist() == [0.5]
