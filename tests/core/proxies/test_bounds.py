"""The bounds against linear programmes over all couplings, by hand, and against memberships that could be true."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from fairlens_backend.core.proxies import SoftCounts, rate_bounds
from fairlens_backend.errors import InvalidInput

CELLS = list(itertools.product((0, 1), (0, 1)))
COUNTED = {
    "selection_rate": ([(1, 0), (1, 1)], [(0, 0), (0, 1)]),
    "true_positive_rate": ([(1, 1)], [(0, 1)]),
    "false_positive_rate": ([(1, 0)], [(0, 0)]),
    "positive_predictive_value": ([(1, 1)], [(1, 0)]),
}
# per stratum: rows by (ŷ, y), and the shares of groups a, b and of nobody known
STRATA = st.lists(
    st.tuples(
        st.lists(st.integers(0, 12), min_size=4, max_size=4).filter(any),
        st.lists(st.integers(0, 8), min_size=3, max_size=3).filter(any),
    ),
    min_size=1,
    max_size=4,
)
Strata = list[tuple[list[int], list[int]]]


def soft_of(strata: Strata) -> SoftCounts:
    """Soft counts in which all rows of a stratum have its shares as membership."""
    rows = [
        (*cell, str(s), np.array(shares[:2]) / sum(shares))
        for s, (counts, shares) in enumerate(strata)
        for cell, count in zip(CELLS, counts, strict=True)
        for _ in range(count)
    ]
    return SoftCounts.from_arrays(
        "race",
        ["a", "b"],
        np.array([row[3] for row in rows]),
        decision=[row[0] for row in rows],
        truth=[row[1] for row in rows],
        stratum=[row[2] for row in rows],
    )


class Couplings:
    """All w[stratum, group, cell] ≥ 0 with the rows of each cell and the share of each group as their margins."""

    def __init__(self, strata: Strata) -> None:
        self.size = len(strata) * 3 * 4
        self.equal, self.right = [], []
        for s, (counts, shares) in enumerate(strata):
            for c, count in enumerate(counts):
                self.add([(s, g, c) for g in range(3)], count)
            for g, share in enumerate(shares):
                self.add([(s, g, c) for c in range(4)], sum(counts) * share / sum(shares))
        self.strata = len(strata)

    def at(self, s: int, g: int, c: int) -> int:
        """Index of a variable."""
        return (s * 3 + g) * 4 + c

    def add(self, places: list[tuple[int, int, int]], total: float) -> None:
        """A margin."""
        line = np.zeros(self.size)
        line[[self.at(*place) for place in places]] = 1
        self.equal.append(line)
        self.right.append(total)

    def sum_of(self, g: int, cells: list[tuple[int, int]]) -> np.ndarray:
        """The line that adds up a group's rows in some cells."""
        line = np.zeros(self.size)
        line[[self.at(s, g, CELLS.index(cell)) for s in range(self.strata) for cell in cells]] = 1
        return line

    def best_fraction(self, g: int, rate: str, sign: int) -> float | None:
        """The least (1) or greatest (−1) rate, by Charnes and Cooper's programme: x = w·t, denominator·t = 1."""
        counted, further = COUNTED[rate]
        top, whole = self.sum_of(g, counted), self.sum_of(g, counted + further)
        equal = np.column_stack([np.array(self.equal), -np.array(self.right)])
        equal = np.vstack([equal, np.append(whole, 0)])
        right = np.append(np.zeros(len(self.right)), 1)
        found = linprog(sign * np.append(top, 0), A_eq=equal, b_eq=right, bounds=(0, None))
        return sign * float(found.fun) if found.success else None

    def feasible(self, wanted: list[tuple[np.ndarray, float]]) -> bool:
        """Whether some coupling has all the wanted sums at once."""
        equal = np.array(self.equal + [line for line, _ in wanted])
        right = np.array(self.right + [total for _, total in wanted])
        return bool(linprog(np.zeros(self.size), A_eq=equal, b_eq=right, bounds=(0, None)).success)

    def optimum(self, objective: np.ndarray, sign: int) -> float:
        """Least (1) or greatest (−1) value of a linear objective."""
        found = linprog(
            sign * objective, A_eq=np.array(self.equal), b_eq=np.array(self.right), bounds=(0, None)
        )
        return sign * float(found.fun)


@settings(max_examples=25)
@given(STRATA, st.sampled_from(sorted(COUNTED)))
def test_bounds_of_a_group_are_those_of_the_programme(strata: Strata, rate: str) -> None:
    """Least and greatest rate of each group over all couplings, exactly; undefined where no coupling gives it rows."""
    bounds, couplings = rate_bounds(soft_of(strata), rate, min_stratum_size=0), Couplings(strata)
    for g in range(2):
        least, most = couplings.best_fraction(g, rate, 1), couplings.best_fraction(g, rate, -1)
        if least is None or most is None:
            assert np.isnan(bounds.lower[g])
            assert np.isnan(bounds.upper[g])
        else:
            assert bounds.lower[g] == pytest.approx(least, abs=1e-5)
            assert bounds.upper[g] == pytest.approx(most, abs=1e-5)


@settings(max_examples=25)
@given(STRATA)
def test_disparity_of_two_groups_is_sharp(strata: Strata) -> None:
    """The selection rates of two groups share one coupling: the difference's bounds are still the programme's."""
    soft, couplings = soft_of(strata), Couplings(strata)
    sizes = soft.expected().sum(axis=(1, 2))
    bounds = rate_bounds(soft, "selection_rate", min_stratum_size=0)
    if (sizes == 0).any():
        assert np.isnan(bounds.difference(0, 1)[0])
        return
    counted, _ = COUNTED["selection_rate"]
    gap = couplings.sum_of(0, counted) / sizes[0] - couplings.sum_of(1, counted) / sizes[1]
    lower, upper = bounds.difference(0, 1)
    assert float(lower) == pytest.approx(couplings.optimum(gap, 1), abs=1e-6)
    assert float(upper) == pytest.approx(couplings.optimum(gap, -1), abs=1e-6)


@settings(max_examples=25)
@given(STRATA, st.sampled_from(sorted(COUNTED)))
def test_opposite_extremes_of_two_groups_are_attained_together(strata: Strata, rate: str) -> None:
    """One coupling has group a at the most of its counted and least of its other rows, and group b the other way round.

    Both bounds are then attained at once, so those of differences and ratios are sharp for rates with a random
    denominator too.
    """
    couplings, (counted, further) = Couplings(strata), COUNTED[rate]
    wanted = []
    for g, (of_counted, of_further) in enumerate(((-1, 1), (1, -1))):
        for cells, sign in ((counted, of_counted), (further, of_further)):
            line = couplings.sum_of(g, cells)
            wanted.append((line, couplings.optimum(line, sign)))
    assert couplings.feasible(wanted)


@given(STRATA, st.integers(0, 2**32 - 1))
def test_whatever_is_true_lies_within(strata: Strata, seed: int) -> None:
    """Draw the groups of all rows; with each stratum's true shares as the proxy, the true rates lie in their bounds."""
    rng = np.random.Generator(np.random.PCG64(seed))
    rows = [
        (*cell, str(s), int(rng.integers(0, 3)))
        for s, (counts, _) in enumerate(strata)
        for cell, count in zip(CELLS, counts, strict=True)
        for _ in range(count)
    ]
    stratum = np.array([row[2] for row in rows])
    member = np.array([[row[3] == 0, row[3] == 1] for row in rows], dtype=float)
    shares = np.array([member[stratum == s].mean(axis=0) for s in stratum])
    decision, truth = (np.array([row[i] for row in rows]) for i in (0, 1))
    soft = SoftCounts.from_arrays("race", ["a", "b"], shares, decision, truth, stratum)
    for rate, (counted, further) in COUNTED.items():
        for pooled in (0, 10):
            bounds = rate_bounds(soft, rate, min_stratum_size=pooled)
            for g in range(2):
                cells = [(d, y) for d, y, _, group in rows if group == g]
                top = sum(cell in counted for cell in cells)
                whole = top + sum(cell in further for cell in cells)
                if whole:
                    assert bounds.lower[g] - 1e-6 <= top / whole <= bounds.upper[g] + 1e-6


@given(STRATA)
def test_coarser_strata_have_wider_bounds(strata: Strata) -> None:
    """Pooling all strata never narrows a bound."""
    soft = soft_of(strata)
    for rate in COUNTED:
        fine, coarse = (rate_bounds(soft, rate, min_stratum_size=size) for size in (0, 10_000))
        for g in range(2):
            if not np.isnan(fine.lower[g]):
                assert coarse.lower[g] <= fine.lower[g] + 1e-6
                assert coarse.upper[g] >= fine.upper[g] - 1e-6


def test_by_hand() -> None:
    """70 of 100 selected, 40 in the group: at least 10 and at most all 40 of them; of the other 60, 30 to 60."""
    soft = SoftCounts.from_arrays("sex", ["F", "M"], [[0.4, 0.6]] * 100, [1] * 70 + [0] * 30)
    bounds = rate_bounds(soft, "selection_rate")
    assert bounds.lower.tolist() == pytest.approx([0.25, 0.5])
    assert bounds.upper.tolist() == pytest.approx([1.0, 1.0])
    assert [float(limit) for limit in bounds.difference(0, 1)] == pytest.approx([-0.75, 0.5])
    assert [float(limit) for limit in bounds.ratio(0, 1)] == pytest.approx([0.25, 2.0])


def test_a_certain_proxy_leaves_no_width() -> None:
    """When each stratum is one group the bounds are the rate."""
    soft = SoftCounts.from_arrays(
        "sex", ["F", "M"], [[1, 0]] * 40 + [[0, 1]] * 60, [1] * 10 + [0] * 30 + [1] * 45 + [0] * 15
    )
    bounds = rate_bounds(soft, "selection_rate")
    assert bounds.lower.tolist() == bounds.upper.tolist() == [0.25, 0.75]


def test_a_reference_that_may_have_no_selected_gives_no_upper_ratio() -> None:
    """The least selection rate of the reference is 0, so the ratio has no upper bound: undefined, not infinite."""
    soft = SoftCounts.from_arrays("sex", ["F", "M"], [[0.5, 0.5]] * 100, [1] * 40 + [0] * 60)
    lower, upper = rate_bounds(soft, "selection_rate").ratio(0, 1)
    assert float(lower) == 0.0
    assert np.isnan(upper)


def test_what_has_no_bounds_is_refused() -> None:
    """Other rates, and counts that are a change."""
    soft = SoftCounts.from_arrays("sex", ["F"], [[0.5]], [1])
    with pytest.raises(InvalidInput):
        rate_bounds(soft, "accuracy")
    with pytest.raises(InvalidInput):
        rate_bounds(soft - soft - soft, "selection_rate")
