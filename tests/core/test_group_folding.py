"""Of too many values the rare ones are not told apart: no row is lost, and the others' counts are what they were."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.group_folding import Folded, fold_rare_values


def table(teams: list[str], sexes: list[str]) -> CountTable:
    chance = np.random.default_rng(1)
    n = len(teams)
    return CountTable.from_arrays(
        {"team": teams, "sex": sexes}, chance.integers(0, 2, n), chance.integers(-1, 2, n), chance.random(n)
    )


def test_what_fits_is_left_alone() -> None:
    """The very same table, and nothing to tell."""
    whole = table(["a", "b", "unknown"] * 4, ["F", "M"] * 6)
    assert fold_rare_values(whole, 2) == (whole, [])


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("FMX")), min_size=1, max_size=60),
    st.integers(1, 5),
)
def test_nothing_is_lost(rows: list[tuple[str, str]], most: int) -> None:
    """All rows, truths and scores are there; what stays is by brute force the most frequent; other attributes keep theirs."""
    teams, sexes = [list(column) for column in zip(*rows, strict=True)]
    whole = table(teams, sexes)
    made, folded = fold_rare_values(whole, most, max_groups=1000)
    assert (made.total, made.labelled) == (whole.total, whole.labelled)
    assert made.score_units.sum() == whole.score_units.sum()
    stay = sorted(set(teams), key=lambda one: (-teams.count(one), one))[:most]
    expected = made if most >= 3 else None
    if expected is not None:
        assert made.marginal(["sex"]) == whole.marginal(["sex"])
    for value in stay:
        mine, before = made.marginal(["team"]), whole.marginal(["team"])
        assert (mine.n[mine.groups.index((value,))] == before.n[before.groups.index((value,))]).all()
    lost = len(teams) - sum(teams.count(value) for value in stay)
    told = [one for one in folded if one.attribute == "team"]
    assert told == ([Folded("team", len(set(teams)), most, lost)] if lost else [])


def test_the_reference_group_stays() -> None:
    """However rare: without it nothing could be compared."""
    made, _ = fold_rare_values(table(["a"] * 5 + ["b"] * 4 + ["c"], ["F", "M"] * 5), 2, {"team": "c"})
    assert [group for (group,) in made.marginal(["team"]).groups] == ["a", "c", "unknown"]


@pytest.mark.parametrize("max_groups", [4, 12, 50])
def test_combinations_have_a_limit_too(max_groups: int) -> None:
    """Hundreds of values times two: the attribute with the most values loses halves of them until all fit."""
    n = 400
    made, folded = fold_rare_values(
        table([f"t{i:03}" for i in range(n)], ["F", "M"] * (n // 2)), 500, max_groups=max_groups
    )
    assert len(made.groups) <= max_groups and made.total == n
    assert [one.attribute for one in folded] == ["team"] and folded[0].values == n
    assert {group[1] for group in made.groups} == {"F", "M"}
