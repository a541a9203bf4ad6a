"""The points of a trend, by hand."""

import numpy as np
import pytest

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.inference.intervals import difference_interval, ratio_interval
from fairlens_backend.report_trend import GAP, RATIO, period_point


def table(selected: dict[str, tuple[int, int]], truth: int | None = None) -> CountTable:
    """(selected, all) by group."""
    group = [name for name, (_, n) in selected.items() for _ in range(n)]
    chosen = np.concatenate([np.arange(n) < x for x, n in selected.values()]).astype(np.int64)
    known = None if truth is None else np.full(len(group), truth)
    return CountTable.from_arrays({"race": group}, chosen, known)


def test_the_ratio_is_of_the_group_that_is_worst_off() -> None:
    """30/100 over 60/100 is 0.5, 45/100 over 60/100 is 0.75."""
    point = period_point(table({"a": (60, 100), "b": (45, 100), "c": (30, 100)}), RATIO, "a", 30)
    assert (point["value"], point["group"], point["n"], point["status"]) == (0.5, "c", 200, "ok")
    assert point["lower"] < 0.5 < point["upper"]


def test_the_interval_is_wider_for_more_groups() -> None:
    """Two comparisons at 97.5 % each: z is 2.2414, against 1.96 of one."""
    two = period_point(table({"a": (60, 100), "c": (30, 100)}), RATIO, "a", 30)
    three = period_point(table({"a": (60, 100), "b": (45, 100), "c": (30, 100)}), RATIO, "a", 30)
    assert (two["lower"], two["upper"]) == pytest.approx(ratio_interval(30, 100, 60, 100))
    assert (three["lower"], three["upper"]) == pytest.approx(ratio_interval(30, 100, 60, 100, 2.241403))


def test_the_gap_is_of_those_whose_outcome_is_favourable() -> None:
    """Newcombe's published example: 56/70 against 48/80, 0.2 (0.0524 to 0.3339), here with the reference selected more."""
    point = period_point(table({"r": (56, 70), "g": (48, 80)}, truth=1), GAP, "r", 30)
    assert point["value"] == pytest.approx(0.2)
    assert (point["lower"], point["upper"]) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_an_interval_of_a_size_begins_at_0_where_the_sign_is_not_known() -> None:
    """50/100 against 52/100."""
    point = period_point(table({"r": (52, 100), "g": (50, 100)}, truth=1), GAP, "r", 30)
    low, high = difference_interval(50, 100, 52, 100) or (0, 0)
    assert point["lower"] == 0.0 and point["upper"] == pytest.approx(max(-low, high))


@pytest.mark.parametrize(
    ("selected", "metric", "status", "said"),
    [
        ({"a": (5, 20), "b": (5, 100)}, RATIO, "insufficient_data", "reference group a has 20 decisions, 30 needed"),
        ({"a": (50, 100), "b": (5, 20)}, RATIO, "insufficient_data", "No other group has 30 decisions"),
        ({"a": (0, 100), "b": (5, 100)}, RATIO, "undefined", "Nobody of the reference group a was selected"),
        ({"a": (50, 100), "b": (5, 100)}, GAP, "insufficient_data", "0 decisions with a favourable true outcome"),
        ({"b": (50, 100)}, RATIO, "insufficient_data", "reference group a has 0 decisions"),
    ],
)  # fmt: skip
def test_no_value_without_enough(
    selected: dict[str, tuple[int, int]], metric: str, status: str, said: str
) -> None:
    """None with its reason, never 0 or 1."""
    point = period_point(table(selected), metric, "a", 30)
    assert (point["value"], point["lower"], point["status"]) == (None, None, status)
    assert said in point["reason"]


def test_the_unknown_group_is_not_compared() -> None:
    """Rows whose group is missing are no group."""
    mixed = CountTable.from_arrays({"race": ["a"] * 50 + [None] * 50}, [1] * 100)
    assert period_point(mixed, RATIO, "a", 30)["status"] == "insufficient_data"


def test_ratio_intervals_agree_with_another_method_on_large_groups() -> None:
    """Katz's log interval as scipy computes it."""
    from scipy.stats.contingency import relative_risk

    for counts in ((300, 1000, 290, 1000), (2000, 5000, 2600, 5000)):
        katz = relative_risk(*counts).confidence_interval()
        assert ratio_interval(*counts) == pytest.approx((katz.low, katz.high), abs=2e-3)
