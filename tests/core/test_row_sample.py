"""The bounded sample of rows."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.row_sample import RowReservoir, RowSample
from fairlens_backend.errors import InvalidInput


def rows(n: int) -> dict[str, Any]:
    """Rows in which every column tells which row it is."""
    x = np.arange(n)
    return {
        "features": pd.DataFrame({"x": x, "name": [f"row {i}" for i in x], "sex": x % 3}),
        "decision": x % 2,
        "truth": np.where(x % 5 == 0, np.nan, x % 2),
        "score": x / n,
        "protected": {"sex": x % 3},
    }


def test_every_column_of_a_drawn_row_is_that_row_s() -> None:
    """Sampling permutes whole rows."""
    sample = RowSample.draw(**rows(1000), n=50, seed=3)
    x = sample.features["x"].to_numpy()
    assert len(sample) == 50
    assert sample.total == 1000
    assert len(set(x.tolist())) == 50
    assert sample.features["name"].tolist() == [f"row {i}" for i in x]
    assert sample.decision.tolist() == (x % 2).tolist()
    assert sample.truth.tolist() == [-1 if i % 5 == 0 else i % 2 for i in x]
    assert sample.score.tolist() == (x / 1000).tolist()
    assert sample.protected["sex"].tolist() == [str(i % 3) for i in x]
    assert list(sample.plain_features) == ["x", "name"]


def test_fewer_rows_than_asked_for_are_all_taken() -> None:
    """A small file is not sampled, only put in random order."""
    sample = RowSample.draw(**rows(20), n=50, seed=1)
    assert sorted(sample.features["x"].tolist()) == list(range(20))


@given(
    cuts=st.lists(st.integers(0, 300), max_size=8),
    n=st.integers(1, 40),
    seed=st.integers(0, 2**32),
    size=st.just(300),
)
def test_how_a_file_is_cut_changes_nothing(cuts: list[int], n: int, seed: int, size: int) -> None:
    """The pieces of a file give the sample of the whole file, empty pieces included."""
    data = rows(size)
    whole = RowSample.draw(**data, n=n, seed=seed)
    reservoir = RowReservoir(n, seed)
    edges = [0, *sorted(cuts), size]
    for start, stop in itertools.pairwise(edges):
        reservoir.add(
            data["features"].iloc[start:stop],
            data["decision"][start:stop],
            data["truth"][start:stop],
            data["score"][start:stop],
            {"sex": data["protected"]["sex"][start:stop]},
        )
    pieced = reservoir.sample()
    assert pieced.features.equals(whole.features)
    assert np.array_equal(pieced.decision, whole.decision)
    assert np.array_equal(pieced.truth, whole.truth)
    assert np.array_equal(pieced.score, whole.score)
    assert pieced.protected["sex"].tolist() == whole.protected["sex"].tolist()
    assert pieced.total == size


def test_every_row_is_as_likely_to_be_drawn() -> None:
    """In 800 samples of 5 of 20 rows each row comes 200 times, give or take 4 standard errors (12.2), and 40 times
    as the first (6.2)."""
    drawn, first = np.zeros(20), np.zeros(20)
    for seed in range(800):
        x = RowSample.draw({"x": np.arange(20)}, np.zeros(20), n=5, seed=seed).features["x"].to_numpy()
        drawn[x] += 1
        first[x[0]] += 1
    assert np.abs(drawn - 200).max() < 4 * 12.2
    assert np.abs(first - 40).max() < 4 * 6.2


def test_the_first_rows_are_a_sample_too() -> None:
    """The first k rows of a sample are the sample of k rows."""
    data = rows(500)
    assert (
        RowSample.draw(**data, n=100, seed=9)
        .first(10)
        .features.equals(RowSample.draw(**data, n=10, seed=9).features)
    )


def test_kinds_of_columns_survive() -> None:
    """A model's pipeline gets the types it was fitted on."""
    features = pd.DataFrame(
        {
            "c": pd.Categorical(["a", "b"] * 10),
            "i": np.arange(20),
            "t": pd.date_range("2020-01-01", periods=20),
        }
    )
    sample = RowSample.draw(features, decision=[1] * 20, n=5)
    assert sample.features.dtypes.astype(str).tolist() == features.dtypes.astype(str).tolist()


def test_a_missing_group_is_unknown_and_nothing_else_is_needed() -> None:
    """Truth, scores, features and protected attributes may all be absent."""
    sample = RowSample.draw(None, [0, 1, 1], protected={"sex": ["F", None, ""]})
    assert sorted(sample.protected["sex"].tolist()) == ["F", "unknown", "unknown"]
    assert sample.truth.tolist() == [-1] * 3
    assert np.isnan(sample.score).all()
    assert sample.features.shape == (3, 0)
    assert len(RowReservoir().sample()) == 0


@pytest.mark.parametrize(
    ("column", "values", "field"),
    [
        ("truth", [0, 1], "truth"),
        ("protected", {"sex": ["F"]}, "protected.sex"),
        ("features", {"x": [1, 2, 3, 4]}, "features.x"),
        ("decision", [0, 1, 2], "decision"),
        ("score", [0.0, 1.0, 1.5], "score"),
    ],
)
def test_bad_columns_are_named(column: str, values: Any, field: str) -> None:
    """A wrong length or value is refused with the column's name."""
    with pytest.raises(InvalidInput) as refused:
        RowSample.draw(**({"features": None, "decision": [0, 1, 1]} | {column: values}))
    assert refused.value.details["field"] == field


def test_pieces_of_other_attributes_are_refused() -> None:
    """Pieces of one file have the same columns."""
    reservoir = RowReservoir(5)
    reservoir.add(None, [0], protected={"sex": ["F"]})
    with pytest.raises(InvalidInput):
        reservoir.add(None, [0], protected={"race": ["A"]})
    with pytest.raises(InvalidInput):
        RowReservoir(0)
