"""A layout names columns, each for one thing."""

import pytest

from fairlens_backend.decision_layout import Layout
from fairlens_backend.errors import InvalidInput


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({"truth": "d"}, "columns.truth"),
        ({"score": "d"}, "columns.score"),
        ({"protected": ("sex", "d")}, "columns.protected"),
        ({"truth": "t", "protected": ("t",)}, "columns.protected"),
    ],
)
def test_one_column_cannot_be_two_parts(parts: dict, field: str) -> None:
    """A decision that is its own truth would look perfect for everybody."""
    with pytest.raises(InvalidInput, match="each needs a column of its own") as refused:
        Layout(**{"decision": "d", "protected": ("sex",), "favourable": (1,), **parts})
    assert refused.value.details["field"] == field


def test_columns_are_read_once_each() -> None:
    """A protected attribute may also be an id or a feature; it is read once."""
    layout = Layout("d", ("sex", "race"), (1,), truth="t", id="sex", features=("race", "age"))
    assert layout.columns == ["d", "t", "sex", "race", "age"]
