"""Short runs of the simulations in benchmarks/, with counted seeds; what they promise is held to four standard errors."""

import numpy as np
import pytest

from benchmarks import false_alarms, interval_coverage, p_values_under_equality
from benchmarks._populations import draw_table, rates_of


def error(share: float, runs: int) -> float:
    """Four standard errors of a simulated share."""
    return float(4 * (share * (1 - share) / runs) ** 0.5)


def test_the_tables_have_the_rates_that_they_are_drawn_from() -> None:
    """Base rate 0.3, TPR 0.8 and FPR 0.1, counted over a million rows."""
    rng = np.random.Generator(np.random.PCG64(1))
    n = draw_table(rng, (10**6, 1), [rates_of(0.3, 0.8, 0.1)] * 2).decided[1]
    positive, negative = n[:, 1].sum(), n[:, 0].sum()
    found = positive / n.sum(), n[1, 1] / positive, n[1, 0] / negative
    assert found == pytest.approx((0.3, 0.8, 0.1), abs=0.003)


@pytest.mark.parametrize(
    ("seed", "sizes", "rates"),
    [
        (1, (200, 200), ((0.1, 0.1), (0.1, 0.1))),
        (2, (200, 2_000), ((0.9, 0.1), (0.5, 0.5))),
        (3, (20_000, 200), ((0.9, 0.5), (0.5, 0.1))),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    seed: int, sizes: tuple[int, int], rates: tuple[tuple[float, float], tuple[float, float]]
) -> None:
    """95 % of 300 intervals of each of six metrics."""
    runs = 300
    found = interval_coverage.coverage(interval_coverage.Line(seed, sizes, rates, runs))
    for name, share in found.share.items():
        assert abs(share - 0.95) <= error(0.95, runs), name


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.5, 0.3, 0.2)])
def test_p_values_are_small_as_seldom_as_they_say(shares: tuple[float, ...]) -> None:
    """Of 400 tables of 200 rows without a difference at most 5 % have p ≤ 0.05, for each null hypothesis."""
    line = p_values_under_equality.Line(1, 200, shares, (0.5, 0.7, 0.2), 400)
    _, found = p_values_under_equality.small_p_values(line)
    for null, (known, small) in found.items():
        assert known > 0 and small[0] / known <= 0.05 + error(0.05, known), null


def test_audits_without_a_difference_seldom_alarm() -> None:
    """Of 60 audits of 1,000 rows at most 5 % are HIGH or CRITICAL, where every one is past some limit."""
    runs = 60
    found = false_alarms.of_counts((1, "decided by score", runs))
    alarms = sum(severity in ("HIGH", "CRITICAL") for severity in found.severities)
    assert alarms / runs <= 0.05 + error(0.05, runs)
    assert found.naive / runs > 0.9


def test_intervals_of_many_groups_seldom_exclude_no_difference() -> None:
    """Five equal groups, 200 tables: at most 5 % for each of ten metrics."""
    runs = 200
    _, share = false_alarms.excluding(false_alarms.Line(1, (1_000, 400, 200, 100, 60), (0.5, 0.9, 0.1), runs))
    for name, excluded in share.items():
        assert excluded <= 0.05 + error(0.05, runs), name
