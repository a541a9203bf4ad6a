"""Numbers that stand in texts are read together, and one text that is none of so many numbers is named by its audit."""

import numpy as np
import pytest

from fairlens_backend.core.figure_batches import Layout
from fairlens_backend.verifier.kinds import Kind
from fairlens_backend.verifier.numbers import Row, ShortAudits, Unreadable, size_faults

SHAPE = ((None, "a", "counts"), ("sex", "b", "counts"), ("sex", "c", "history"))
KIND = Kind(Layout(("sex",), (), ("sex",), (), 30), SHAPE, np.array([0, 2]), np.array([1]), (10,), 3, b"")


def audits(*n: bytes, value: bytes = b"1 2", signed: bytes = b"-3") -> ShortAudits:
    """Audits of a kind, from number 5 on."""
    made = ShortAudits(KIND)
    for index, one in enumerate(n):
        made.add(5 + index, Row(b"12", b"7", one, value, signed))
    return made


def test_numbers_of_each_audit() -> None:
    """Tables, sizes, and figures in units of 10⁻¹² at the places of those that have one."""
    made = audits(b"1 2 3", b"0 -5 9007199254740991", value=b"500000000000 -2", signed=b"1000000000000")
    assert made.n().tolist() == [[1, 2, 3], [0, -5, 9007199254740991]]
    assert made.sizes().tolist() == [[12, 7], [12, 7]]
    value, signed = made.figures()
    np.testing.assert_array_equal(value, [[0.5, np.nan, -2e-12]] * 2)
    np.testing.assert_array_equal(signed, [[np.nan, 1.0, np.nan]] * 2)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"1 2",
        b"1 2 3 4",
        b"1  2",
        b" 1 2",
        b"1 2 ",
        b"1 2 x",
        b"1 2 3.5",
        b"1 2 --3",
        b"1 2-3 4",
        b"1 2 -",
        b"1 2 +3",
        b"1,2,3",
        b"1 2 3;",
    ],
)
def test_a_text_that_is_none_of_three_numbers(text: bytes) -> None:
    """The audit is named; that another one has as many more as this one has fewer makes it no better."""
    for others in (
        (b"1 2 3", text, b"1 2 3"),
        (b"1 2 3", text, b"1 2 3 4"),
        (b"1 2 3", text, b"1 2 3 4 5 6"),
    ):
        with pytest.raises(
            Unreadable, match=r"Entry [67]: its n are (no whole numbers|[0-9] numbers, and not 3)"
        ) as caught:
            audits(*others).n()
        assert caught.value.index in (6, 7)


def test_no_numbers_where_there_are_none() -> None:
    """A kind without any values has empty texts, and one that has some all the same is named."""
    none = Kind(KIND.layout, SHAPE, np.zeros(0, dtype=np.int64), np.array([1]), (10,), 3, b"")
    for values, right in (([b"", b""], True), ([b"", b"1"], False), ([b"1", b"1"], False)):
        made = ShortAudits(none)
        for value in values:
            made.add(5, Row(b"12", b"7", b"1 2 3", value, b"4"))
        if right:
            assert np.isnan(made.figures()[0]).all()
        else:
            with pytest.raises(Unreadable):
                made.figures()


@pytest.mark.parametrize("text", [b"9007199254740992", b"-9007199254740992", b"9" * 19, b"-" + b"9" * 30])
@pytest.mark.parametrize("name", ["value", "signed"])
def test_a_figure_that_the_notation_cannot_say(text: bytes, name: str) -> None:
    """Beyond 2⁵³ − 1: what an array cannot hold would be read as its largest number, and pass for a figure of 9,223,372."""
    texts = {"value": b"1 " + text, "signed": b"-3"} if name == "value" else {"value": b"1 2", "signed": text}
    with pytest.raises(Unreadable, match=f"Entry 5: a number of its {name} is beyond ±9007199254740991"):
        audits(b"1 2 3", **texts).figures()


def test_a_table_whose_sum_no_integer_holds() -> None:
    """2⁶⁴ + 500 decisions, of which an integer of 64 bits keeps 500, are no audit of 500."""
    most, cells = 2**53 - 1, np.zeros((2, 1000, 2, 3, 1), dtype=np.int64)
    cells[0, 0, 0, 0] = 500
    flat = cells[1, :, :, :2].reshape(-1)
    flat[:2048], flat[2048] = most, 2048 + 500
    cells[1, :, :, :2] = flat.reshape(1000, 2, 2, 1)
    assert sum(cells[1].reshape(-1).tolist()) == 2**64 + 500
    faults = size_faults([7, 9], np.array([[500, 500]] * 2), cells)
    assert [index for index, _ in faults] == [9]
    assert "Entry 9: its count table has more decisions than a table can have" in str(faults[0][1])
