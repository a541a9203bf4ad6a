"""Every group and every crossing of two attributes with its rates, their intervals and their n."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

from fairlens_backend.core.counts import SCORE_UNITS, CountTable, Group, IntArray
from fairlens_backend.core.inference.intervals import wilson_interval

LISTED_CROSSINGS: Final = 300
"""Up to this many crossings, all are listed; of more, only those that reach `min_group_size`."""

MAX_SLICES: Final = 1_000
"""Most groups of one attribute, and most crossings, that are listed at all: the largest. Keeps an answer bounded."""

Slice = dict[str, Any]


def demographic_slices(
    table: CountTable, protected: Sequence[str], min_group_size: int
) -> tuple[list[Slice], int]:
    """The slices of a table, each attribute's groups first, then the crossings of two attributes.

    Parameters
    ----------
    table : counts of at least the protected attributes
    min_group_size : a smaller slice is listed with its counts and the status `insufficient_data`

    Returns
    -------
    slices : list of {attributes, size, labelled_size, share, status, rates, rates_unfavourable_positive}.
        Each rate is {value, confidence_interval, n}: a proportion of n rows with its 95 % Wilson interval, value and
        interval None when n is 0. `mean_score` has no interval. `rates_unfavourable_positive` names the error rates
        as the literature on risk scores does, with the *unfavourable* decision as the positive one: its false
        positive rate is P(ŷ=0 | y=1), our false negative rate.
    left_out : number of slices that were not listed (see `LISTED_CROSSINGS`, `MAX_SLICES`)

    Examples
    --------
    >>> table = CountTable.from_arrays({"sex": ["F", "F", "M"]}, decision=[0, 1, 1])
    >>> slices, left_out = demographic_slices(table, ["sex"], min_group_size=1)
    >>> slices[0]["attributes"], slices[0]["size"], slices[0]["rates"]["selection_rate"]["value"]
    ({'sex': 'F'}, 2, 0.5)
    """
    slices: list[Slice] = []
    left_out = 0
    for attribute in protected:
        marginal = table.marginal([attribute])
        listed = _largest(marginal, range(len(marginal.groups)))
        slices += [_slice(marginal, i, table.total, min_group_size) for i in listed]
        left_out += len(marginal.groups) - len(listed)
    crossings = [table.marginal(pair) for pair in combinations(protected, 2)]
    n_crossings = sum(len(crossing.groups) for crossing in crossings)
    least = min_group_size if n_crossings > LISTED_CROSSINGS else 0
    room = MAX_SLICES
    for crossing in crossings:
        sizes = crossing.n.sum(axis=(1, 2, 3))
        listed = _largest(crossing, [i for i in range(len(sizes)) if sizes[i] >= least], room)
        slices += [_slice(crossing, i, table.total, min_group_size) for i in listed]
        room -= len(listed)
        left_out += len(crossing.groups) - len(listed)
    return slices, left_out


def _largest(table: CountTable, candidates: Sequence[int], room: int = MAX_SLICES) -> list[int]:
    """At most `room` of the candidates, the largest, in the order of the table."""
    sizes = table.n.sum(axis=(1, 2, 3))
    return sorted(sorted(candidates, key=lambda i: -int(sizes[i]))[:room])


def _slice(table: CountTable, i: int, total: int, min_group_size: int) -> Slice:
    n = table.n[i]
    size = int(n.sum())
    rates, unfavourable = _rates(n, int(table.score_units[i].sum()))
    group: Group = table.groups[i]
    return {
        "attributes": dict(zip(table.attributes, group, strict=True)),
        "size": size,
        "labelled_size": int(n[:, :2].sum()),
        "share": size / total if total else None,
        "status": "ok" if size >= max(min_group_size, 1) else "insufficient_data",
        "rates": rates,
        "rates_unfavourable_positive": unfavourable,
    }


def _rates(n: IntArray, score_units: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rates of one slice from its cells, shape (2, 3, 11)."""
    cells = n.sum(axis=2)
    (tn, fn, rejected), (fp, tp, selected) = [[int(count) for count in row] for row in cells]
    positive, negative = tp + fn, tn + fp
    scored = int(n[:, :, :10].sum())
    rates = {
        "selection_rate": _rate(fp + tp + selected, tn + fn + rejected + fp + tp + selected),
        "true_positive_rate": _rate(tp, positive),
        "false_positive_rate": _rate(fp, negative),
        "false_negative_rate": _rate(fn, positive),
        "precision": _rate(tp, tp + fp),
        "accuracy": _rate(tp + tn, positive + negative),
        "base_rate": _rate(positive, positive + negative),
        "mean_score": {
            "value": score_units / scored / SCORE_UNITS if scored else None,
            "confidence_interval": None,
            "n": scored,
        },
    }
    return rates, {"false_positive_rate": _rate(fn, positive), "false_negative_rate": _rate(fp, negative)}


def _rate(part: int, whole: int) -> dict[str, Any]:
    interval = wilson_interval(part, whole)
    return {
        "value": part / whole if whole else None,
        "confidence_interval": list(interval) if interval else None,
        "n": whole,
    }
