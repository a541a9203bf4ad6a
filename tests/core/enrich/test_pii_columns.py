"""Tables looked through by columns: exactly what looking at each row finds."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlens_backend.core.enrich.pii_columns import ColumnScanner
from fairlens_backend.core.enrich.pii_tokens import PiiTokeniser

KEY = bytes(range(64))
VALUES = st.one_of(
    st.sampled_from(
        [
            None, True, "", " ", "paid", "Ann", "ann lee", "Bo", "Lee", "ask Ann Lee", "ann.lee@example.org", "A.B@x.example.com",
            "ring 212-555-0123", "(212) 555-0123", "123-45-6789", "4111 1111 1111 1111", 4111111111111111, 2125550123,
            41, -7, 0.5, 2e12, 123456789, "2026-03-02", "My name is Ann Lee", "call 5550123", "José", "ask josé", "White",
            "Bo Li", "A. Bc", "met bo li", "a. bc called", "\uff22o Li",
            ["ann@example.org"], {"email": "x@example.org"}, [1, 2],
        ]
    ),
    st.text(max_size=12),
    st.integers(-(10**13), 10**13),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
NAMES = st.sampled_from(
    [
        "note",
        "age",
        "first_name",
        "email",
        "phone",
        "ssn",
        "order_id",
        "nick",
        "Full Name",
        "secret",
        "kept",
        "zip",
        "212-555-0199",
        "A. Bc score",
        "\uff21nn score",
    ]
)
IDS = st.one_of(
    st.uuids().map(str),
    st.sampled_from(
        ["e1", "loan-000123", "app_20260302_000123", "1234567890123", "4111111111111111", "ann@example.org", "call-2125550123",
         "212-555-0123", "ann-lee-7", "0014155550123", "name: Ann Lee", "x" * 60, "8712345678901234567", "my.dear@1"]
    ),
)  # fmt: skip


def tokeniser() -> PiiTokeniser:
    """With a declared field of each sort."""
    return PiiTokeniser(KEY, fields={"nick": "name", "secret": "other", "kept": "keep"})


@settings(max_examples=300, deadline=None)
@given(data=st.data(), names=st.lists(NAMES, unique=True, max_size=5), n=st.integers(1, 4))
def test_columns_find_what_rows_find(data: Any, names: list[str], n: int) -> None:
    """A row that is not to be looked at has, with the columns that are written anew, what `tokenise` makes of it."""
    features = {name: data.draw(st.lists(VALUES, min_size=n, max_size=n)) for name in names}
    tags = {"sex": data.draw(st.lists(st.sampled_from(["F", "Ann", "M", None]), min_size=n, max_size=n))}
    ids = data.draw(st.lists(IDS, min_size=n, max_size=n))
    scanner = ColumnScanner(tokeniser())
    for _ in range(2):  # what is remembered changes nothing
        found = scanner.scan([features, tags], ids)
        for i in set(range(n)) - found.rows:
            document = {
                "event_id": ids[i],
                "features": {name: column[i] for name, column in features.items()},
                "demographic_tags": {"sex": tags["sex"][i]},
            }
            ours = {
                "event_id": ids[i],
                "features": {
                    name: found.written[0].get(name, column)[i] for name, column in features.items()
                },
                "demographic_tags": {"sex": found.written[1].get("sex", tags["sex"])[i]},
            }
            assert ours == tokeniser().tokenise(document).document


def test_a_kept_field_keeps_its_own_value_alone() -> None:
    """A field that is declared to be kept says nothing of the fields inside it: an address in there is looked for."""
    found = ColumnScanner(tokeniser()).scan(
        [{"kept": ["ann@example.org", {"email": "ann@example.org"}]}], ["e1", "e2"]
    )
    assert found.rows == {1}


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("Bo Li", "note", "met bo li"),
        ("A. Bc", "note", "a. bc called"),
        ("Bo Li", "Bo Li", 1),
        ("A. Bc", "for A. Bc", 1),
        ("Ann", "\uff21nn score", 1),
    ],
)
def test_a_name_that_stands_elsewhere_is_found(name: str, field: str, value: Any) -> None:
    """Of words that are short each by itself too, and in the name of a field, in whatever letters."""
    found = ColumnScanner(tokeniser()).scan(
        [{"first_name": [name, "Eve"], field: [value, value]}], ["1", "2"]
    )
    assert found.rows == {0}


@pytest.mark.parametrize("n", [1, 500])
def test_common_events_are_not_looked_at_twice(n: int) -> None:
    """Short features and ids of the usual forms: no row goes the long way."""
    table = {
        "state": ["CA"] * n,
        "income": [52000.5] * n,
        "years": [7] * n,
        "zip": ["90210"] * n,
        "employer": ["Acme"] * n,
    }
    ids = [f"loan-{i:09d}" if i % 2 else f"018bcfe5-687b-7800-8000-{i:012d}" for i in range(n)]
    assert ColumnScanner(tokeniser()).scan([table, {"sex": ["F"] * n}], ids).rows == set()


def test_long_texts_are_not_remembered() -> None:
    """Nor are long names: what a tenant sends decides how many there are, and how long."""
    scanner = ColumnScanner(tokeniser())
    short, long = "paid", "paid " * 100
    for _ in range(2):
        found = scanner.scan([{"note": [short, long], "nick": ["Zoë", "Zo " * 100]}], ["1", "2"])
        assert [one[:9] for one in found.written[0]["nick"]] == ["tok_name_"] * 2
    assert (scanner._clean, set(scanner._whole)) == ({short}, {("nick", "Zoë")})
