"""Canonical JSON: another library's bytes, for every value."""

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.canonical_json import canonical_json
from fairlens_backend.errors import InvalidInput

NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(VALUES)
def test_every_value_is_spelled_as_the_library_spells_it(value: object) -> None:
    """Key order by UTF-16 units, escapes, fractions, exponents: byte for byte."""
    assert canonical_json(value) == rfc8785.dumps(value)


@given(st.floats(1e-7, 1e-3) | st.floats(1e14, 1e22))
def test_fractions_where_the_spelling_changes(value: float) -> None:
    """Around the magnitudes where Python and ECMAScript begin to write exponents."""
    assert canonical_json([value, -value]) == rfc8785.dumps([value, -value])


def test_the_example_of_the_standard() -> None:
    """RFC 8785 section 3.2.2 and 3.2.3: the sample objects and their published spelling."""
    assert (
        canonical_json({"numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001]})
        == b'{"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}'
    )
    names = {
        "€": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One", "\U0001f600": "Emoji: Grinning Face", "\x80": "Control", "ö": "Latin Small Letter O With Diaeresis",
    }  # fmt: skip
    spelled = canonical_json(names).decode()
    order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"]
    assert [spelled.index(name) for name in order] == sorted(spelled.index(name) for name in order)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        [float("inf")],
        2**53,
        {"a": -(2**53)},
        {1: 2},
        {"a": {2}},
        "\ud800",
        {"\udfff": 1},
        {"é\ud800": 1.5},
        b"x",
    ],
)
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    """NaN, infinity, integers that a double does not hold, keys that are no text, half a surrogate pair, other types."""
    with pytest.raises(InvalidInput, match="canonical JSON"):
        canonical_json(value)
