"""Columns of numbers are read as what they mean, or refused with the row that is wrong."""

import numpy as np
import pandas as pd
import pytest

from fairlens_backend.core.columns import checked_numbers, require_length
from fairlens_backend.errors import InvalidInput


def test_gaps_of_any_kind_are_nan() -> None:
    """None, pandas' NA and NaN in a column of objects are one kind of missing."""
    column = pd.Series([1, None, pd.NA, float("nan")], dtype=object)
    got = checked_numbers(column, "truth", "anything", lambda v: np.isnan(v) | (v == 1))
    np.testing.assert_array_equal(got, [1.0, np.nan, np.nan, np.nan])
    nullable = pd.Series([1, None], dtype="Int64")
    np.testing.assert_array_equal(
        checked_numbers(nullable, "truth", "any", lambda v: np.isnan(v) | (v == 1)), [1.0, np.nan]
    )


def test_the_first_wrong_row_is_named() -> None:
    """The message holds field, value and row."""
    with pytest.raises(InvalidInput, match=r"score is 1\.5 in row 2"):
        checked_numbers([0.0, 1.0, 1.5, 9.0], "score", "in [0, 1]", lambda v: v <= 1)


def test_text_is_not_read_as_numbers() -> None:
    """ "0" may be a label of anything; the caller says which one is favourable."""
    for column in (["0", "1"], np.array(["0", 1], dtype=object), pd.Series(["0", "1"])):
        with pytest.raises(InvalidInput, match="not numbers"):
            checked_numbers(column, "decision", "0 or 1", lambda v: v >= 0)


def test_both_lengths_are_named() -> None:
    """A refusal holds both numbers."""
    with pytest.raises(InvalidInput, match="truth has 2 rows, decision has 3"):
        require_length("truth", 2, 3)
