"""Who the others are compared with: as declared, else the group most often selected among those of some size."""

import pytest

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.reference_group import known_group, reference_group
from fairlens_backend.errors import InvalidInput


def table(**groups: tuple[int, int]) -> CountTable:
    """Groups of (selected, rows)."""
    labels = [name for name, (_, rows) in groups.items() for _ in range(rows)]
    decisions = [int(i < selected) for selected, rows in groups.values() for i in range(rows)]
    return CountTable.from_arrays({"g": labels}, decisions)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({"A": (50, 100), "B": (60, 100)}, "B"),
        # 19 of 1,000 rows are under 2 %, 20 are not, but under 30 rows
        ({"A": (500, 981), "B": (19, 19)}, "A"),
        ({"A": (500, 980), "B": (20, 20)}, "A"),
        ({"A": (500, 970), "B": (30, 30)}, "B"),
        # no group reaches 30 rows: the 2 % alone count
        ({"A": (5, 10), "B": (9, 10)}, "B"),
        # what is not known is nobody's reference
        ({"A": (50, 100), "unknown": (100, 100)}, "A"),
        # of equal rates the larger, then the first by name
        ({"A": (50, 100), "B": (100, 200)}, "B"),
        ({"B": (50, 100), "A": (50, 100)}, "A"),
    ],
)
def test_the_group_most_often_selected_of_at_least_two_per_cent(
    groups: dict[str, tuple[int, int]], expected: str
) -> None:
    """STATISTICS section 1, r."""
    found = reference_group(table(**groups))
    assert found is not None
    assert (found.group, found.chosen) == (expected, "highest selection rate")


def test_a_hundred_groups_of_one_per_cent_have_a_reference_too() -> None:
    """Where no group has 2 % the largest share there is must do."""
    groups = {f"g{i}": (10 + (i == 7), 40) for i in range(100)}
    found = reference_group(table(**groups))
    assert found is not None and found.group == "g7"


def test_a_declared_group_is_taken_whatever_its_rate() -> None:
    """The owner of the model knows; the result says that it was declared."""
    found = reference_group(table(A=(1, 100), B=(99, 100)), "A")
    assert found is not None and (found.group, found.chosen) == ("A", "declared")


@pytest.mark.parametrize("declared", ["C", "unknown", "", "a"])
def test_a_group_that_is_not_there_is_refused_with_those_that_are(declared: str) -> None:
    """The message names what was typed and what could have been."""
    with pytest.raises(InvalidInput, match="A, B") as refused:
        reference_group(table(A=(1, 10), B=(2, 10), unknown=(1, 10)), declared)
    assert refused.value.details["field"] == "reference_groups.g"
    assert repr(declared) in str(refused.value)


def test_of_hundreds_of_groups_the_message_names_some() -> None:
    """A refusal stays readable."""
    with pytest.raises(InvalidInput, match="and 280 more"):
        known_group(table(**{f"g{i}": (1, 1) for i in range(300)}), "x", "privileged")


def test_without_a_known_group_there_is_no_reference() -> None:
    """Nothing to choose from is None."""
    assert reference_group(CountTable.empty(["g"])) is None
    assert reference_group(table(unknown=(5, 10))) is None
