"""The metrics by loops over rows, written from STATISTICS section 2 alone: the other side of the tests' comparisons.

A row is (group, decision, truth) with truth None where it is not known.
"""

import math
from collections.abc import Callable, Sequence

Row = tuple[str, int, int | None]


def share(rows: Sequence[Row], counted: Callable[[Row], bool], among: Callable[[Row], bool]) -> float | None:
    """The share of the rows `counted` among those of `among`."""
    base = [row for row in rows if among(row)]
    return sum(1 for row in base if counted(row)) / len(base) if base else None


def selected(row: Row) -> bool:
    """ŷ = 1."""
    return row[1] == 1


def selection_rate(rows: Sequence[Row], group: str) -> float | None:
    """P(ŷ=1 | g)."""
    return share(rows, selected, lambda row: row[0] == group)


def true_positive_rate(rows: Sequence[Row], group: str) -> float | None:
    """P(ŷ=1 | y=1, g)."""
    return share(rows, selected, lambda row: row[0] == group and row[2] == 1)


def false_positive_rate(rows: Sequence[Row], group: str) -> float | None:
    """P(ŷ=1 | y=0, g)."""
    return share(rows, selected, lambda row: row[0] == group and row[2] == 0)


def gaps(
    rows: Sequence[Row], reference: str, rate: Callable[[Sequence[Row], str], float | None]
) -> dict[str, float]:
    """rate(g) − rate(r) for the groups where both exist."""
    at_reference = rate(rows, reference)
    found = {}
    for group in {row[0] for row in rows} - {reference}:
        here = rate(rows, group)
        if here is not None and at_reference is not None:
            found[group] = here - at_reference
    return found


def disparate_impact_ratio(rows: Sequence[Row], reference: str) -> float | None:
    """min over g ≠ r of SR_g / SR_r."""
    base = selection_rate(rows, reference)
    others = [selection_rate(rows, group) for group in {row[0] for row in rows} - {reference}]
    known = [rate for rate in others if rate is not None]
    return min(known) / base if base and known else None


def statistical_parity_difference(rows: Sequence[Row], reference: str) -> float | None:
    """The size of d(SR)."""
    return max((abs(gap) for gap in gaps(rows, reference, selection_rate).values()), default=None)


def equal_opportunity_difference(rows: Sequence[Row], reference: str) -> float | None:
    """abs d(TPR)."""
    return max((abs(gap) for gap in gaps(rows, reference, true_positive_rate).values()), default=None)


def average_odds_difference(rows: Sequence[Row], reference: str) -> float | None:
    """½(abs d(FPR) + abs d(TPR)) for the one group where it is greatest."""
    tpr = gaps(rows, reference, true_positive_rate)
    fpr = gaps(rows, reference, false_positive_rate)
    return max(((abs(tpr[g]) + abs(fpr[g])) / 2 for g in tpr.keys() & fpr.keys()), default=None)


def theil_index(rows: Sequence[Row], reference: str) -> float | None:
    """The mean of (b/μ)·ln(b/μ) over the labelled rows, b = ŷ − y + 1."""
    benefits = [decision - truth + 1 for _, decision, truth in rows if truth is not None]
    if not benefits or not any(benefits):
        return None
    mean = sum(benefits) / len(benefits)
    return sum(b / mean * math.log(b / mean) for b in benefits if b) / len(benefits)
