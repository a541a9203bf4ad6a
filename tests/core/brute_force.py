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
    benefits = [row[1] - row[2] + 1 for row in rows if row[2] is not None]
    if not benefits or not any(benefits):
        return None
    mean = sum(benefits) / len(benefits)
    return sum(b / mean * math.log(b / mean) for b in benefits if b) / len(benefits)


def rates(rows: Sequence[Row], rate: Callable[[Sequence[Row], str], float | None]) -> list[float]:
    """The rates of all groups that have one."""
    found = [rate(rows, group) for group in sorted({row[0] for row in rows})]
    return [value for value in found if value is not None]


def spread(known: Sequence[float]) -> float | None:
    """Highest − lowest of at least two rates."""
    return max(known) - min(known) if len(known) >= 2 else None


def demographic_parity_difference(rows: Sequence[Row], reference: str) -> float | None:
    """max SR − min SR."""
    return spread(rates(rows, selection_rate))


def intersectional_bias_score(rows: Sequence[Row], reference: str) -> float | None:
    """The same over crossings, which here are the groups."""
    return demographic_parity_difference(rows, reference)


def equalized_odds_difference(rows: Sequence[Row], reference: str) -> float | None:
    """max(max TPR − min TPR, max FPR − min FPR)."""
    both = [spread(rates(rows, true_positive_rate)), spread(rates(rows, false_positive_rate))]
    known = [gap for gap in both if gap is not None]
    return max(known) if len(known) == 2 else None


def statistical_parity_subgroup_lift(rows: Sequence[Row], reference: str) -> float | None:
    """max SR / min SR."""
    known = rates(rows, selection_rate)
    return max(known) / min(known) if len(known) >= 2 and min(known) > 0 else None


def precision(rows: Sequence[Row], group: str) -> float | None:
    """P(y=1 | ŷ=1, g) among the labelled rows."""
    return share(
        rows,
        lambda row: row[2] == 1,
        lambda row: row[0] == group and row[1] == 1 and row[2] is not None,
    )


def predictive_parity_difference(rows: Sequence[Row], reference: str) -> float | None:
    """abs d(PPV)."""
    return max((abs(gap) for gap in gaps(rows, reference, precision).values()), default=None)


def false_positive_rate_difference(rows: Sequence[Row], reference: str) -> float | None:
    """The size of d(FPR)."""
    return max((abs(gap) for gap in gaps(rows, reference, false_positive_rate).values()), default=None)


def false_negative_rate_difference(rows: Sequence[Row], reference: str) -> float | None:
    """The size of d(FNR), which is that of d(TPR)."""
    return equal_opportunity_difference(rows, reference)


def calibration_gap(rows: Sequence[tuple[str, int, int | None, int]], reference: str) -> float | None:
    """The weighted mean over bins with 10 labelled rows in both groups; a row's fourth entry is its bin."""
    found = []
    for group in {row[0] for row in rows} - {reference}:
        total, weights = 0.0, 0
        for score_bin in range(10):
            truths = [
                [row[2] for row in rows if row[0] == g and row[3] == score_bin and row[2] is not None]
                for g in (group, reference)
            ]
            smaller = min(map(len, truths))
            if smaller >= 10:
                total += smaller * abs(sum(truths[0]) / len(truths[0]) - sum(truths[1]) / len(truths[1]))
                weights += smaller
        if weights:
            found.append(total / weights)
    return max(found, default=None)


def temporal_drift_index(rows: Sequence[Row], reference: str) -> float | None:
    """One step of a CUSUM with mean 0.1, σ0 0.05, C⁺ 1, C⁻ 0.5 before, and k = 0.5."""
    gap = demographic_parity_difference(rows, reference)
    if gap is None:
        return None
    z = (gap - 0.1) / 0.05
    return max(0.0, 1 + z - 0.5, 0.5 - z - 0.5)
