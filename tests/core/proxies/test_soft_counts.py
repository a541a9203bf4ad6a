"""Soft counts against loops over rows; their algebra; what they refuse."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.proxies import SoftCounts
from fairlens_backend.errors import InvalidInput

# (P(a), P(b) as a share of the rest, decision, truth, stratum)
ROWS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.floats(0, 1),
        st.integers(0, 1),
        st.sampled_from([-1, 0, 1]),
        st.sampled_from("xyz"),
    ),
    max_size=40,
)
Row = tuple[float, float, int, int, str]


def membership(rows: list[Row]) -> np.ndarray:
    """P(a), P(b), which sum to at most 1."""
    return np.array([[p, (1 - p) * q] for p, q, *_ in rows]).reshape(-1, 2)


def soft_of(rows: list[Row], declared: bool = True) -> SoftCounts:
    """The soft counts of rows."""
    return SoftCounts.from_arrays(
        "race",
        ["a", "b"],
        membership(rows),
        decision=[row[2] for row in rows],
        truth=[row[3] for row in rows],
        stratum=[row[4] for row in rows] if declared else None,
    )


@given(ROWS, st.booleans())
def test_expected_counts_are_sums_of_probabilities(rows: list[Row], declared: bool) -> None:
    """Each expected count is the sum of P(g | row) over the rows of the cell; n counts them whole."""
    soft = soft_of(rows, declared)
    assert soft.total == len(rows)
    for g in range(2):
        for decision in (0, 1):
            for truth in (0, 1, 2):
                of_cell = [
                    p[g]
                    for p, row in zip(membership(rows), rows, strict=True)
                    if row[2] == decision and (2 if row[3] < 0 else row[3]) == truth
                ]
                assert soft.expected()[g, decision, truth] == pytest.approx(sum(of_cell), abs=1e-8)
    if declared:
        assert {stratum for stratum, _ in soft.strata} == {row[4] for row in rows}


@given(ROWS, st.integers(0, 40), st.randoms(use_true_random=False))
def test_shards_and_windows_add_exactly(rows: list[Row], cut: int, random: object) -> None:
    """Two shards, in any order of rows, sum to the whole, to the last bit; retracting one leaves the other; JSON keeps it."""
    whole = soft_of(rows)
    first, second = soft_of(rows[:cut]), soft_of(rows[cut:])
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert first + second == second + first == SoftCounts.sum([first, second]) == whole == soft_of(shuffled)
    assert whole - second == first
    assert SoftCounts.from_dict(json.loads(json.dumps(whole.to_dict()))) == whole


def test_certain_membership_is_the_count_table() -> None:
    """Probabilities of 0 and 1 give the counts of the recorded attribute."""
    rng = np.random.Generator(np.random.PCG64(1))
    sex, decision, truth = rng.integers(0, 2, 500), rng.integers(0, 2, 500), rng.integers(-1, 2, 500)
    soft = SoftCounts.from_arrays("sex", ["F", "M"], np.eye(2)[sex], decision, truth)
    recorded = CountTable.from_arrays({"sex": np.array(["F", "M"])[sex]}, decision, truth)
    assert np.array_equal(soft.expected(), recorded.decided)
    assert soft.proxy_quality == 1.0


def test_proxy_quality_by_hand() -> None:
    """H(0.9, 0.1) = 0.3251 of H(0.5, 0.5) = 0.6931 is left, so 0.5310 is taken away; equal rows tell nothing."""
    told = SoftCounts.from_arrays("sex", ["F", "M"], [[0.9, 0.1], [0.1, 0.9]], [0, 1])
    left = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1)) / math.log(2)
    assert told.proxy_quality == pytest.approx(1 - left, abs=1e-8)
    untold = SoftCounts.from_arrays("sex", ["F", "M"], [[0.3, 0.5]] * 4, [0, 1, 0, 1])
    assert untold.proxy_quality == pytest.approx(0, abs=1e-8)
    assert SoftCounts.from_arrays("sex", ["F", "M"], [[1.0, 0.0]] * 4, [0, 1, 0, 1]).proxy_quality is None


def test_strata_of_the_membership_itself() -> None:
    """Rows within a cell of 0.1 share a stratum: 0.31 and 0.33 do, 0.36 does not."""
    soft = SoftCounts.from_arrays("sex", ["F", "M"], [[0.31, 0.69], [0.33, 0.67], [0.36, 0.64]], [0, 1, 1])
    assert soft.n.sum(axis=(1, 2)).tolist() == [2, 1]
    assert soft.strata == (("0.3 0.7", "0.3 0.7"), ("0.4 0.6", "0.4 0.6"))


def test_many_rows_keep_every_bit() -> None:
    """100,000 rows of 1/3: each is kept to 2**-32, and the sum is the sum of those, exactly."""
    soft = SoftCounts.from_arrays("sex", ["F"], np.full((100_000, 1), 1 / 3), np.zeros(100_000))
    assert int(soft.membership_units.sum()) == 100_000 * round(2**32 / 3)


@pytest.mark.parametrize(
    "rows",
    [
        [[0.6, 0.6]],
        [[-0.1, 0.5]],
        [[math.nan, 0.5]],
        [[1.2, 0.0]],
        [[0.5]],
        [["x", 0.5]],
        [[0.5, 0.5], [0.5, 0.5]],
    ],
)
def test_what_is_no_probability_is_refused(rows: list[list[float]]) -> None:
    """Outside [0, 1], summing to more than 1, missing, or not a row a decision and a column a group."""
    with pytest.raises(InvalidInput):
        SoftCounts.from_arrays("sex", ["F", "M"], rows, [1])


def test_sums_above_one_by_rounding_are_taken() -> None:
    """Three thirds written with seven decimals sum to 1.0000002 or so; that is 1."""
    soft = SoftCounts.from_arrays("race", ["a", "b", "c"], [[0.3333334] * 3], [1])
    assert soft.expected().sum() == pytest.approx(1, abs=1e-9)


def test_other_attributes_and_groups_do_not_mix() -> None:
    """Proxies of different attributes or groups are not added, and neither are recorded counts."""
    one = SoftCounts.from_arrays("sex", ["F", "M"], [[0.5, 0.5]], [1])
    for other in (
        SoftCounts.from_arrays("race", ["F", "M"], [[0.5, 0.5]], [1]),
        SoftCounts.from_arrays("sex", ["M", "F"], [[0.5, 0.5]], [1]),
    ):
        with pytest.raises(InvalidInput):
            _ = one + other
    with pytest.raises(InvalidInput):
        SoftCounts.sum([])
    with pytest.raises((AttributeError, TypeError)):
        one + CountTable.from_arrays({"sex": ["F"]}, [1])  # type: ignore[operator]


@pytest.mark.parametrize("groups", [["F", "unknown"], ["F", None], ["F", "F"], []])
def test_group_labels_are_distinct_and_known(groups: list[str]) -> None:
    """The unknown group is what is missing to 1 and has no column."""
    with pytest.raises(InvalidInput):
        SoftCounts.from_arrays("sex", groups, np.zeros((1, len(groups))), [1])


@pytest.mark.parametrize(
    "broken", [{}, {"version": 9}, {"version": 1, "attribute": "a", "groups": ["x"], "strata": [["s"]]}]
)
def test_json_that_is_none_is_refused(broken: dict[str, object]) -> None:
    """Missing parts and other versions."""
    with pytest.raises(InvalidInput):
        SoftCounts.from_dict(broken)
