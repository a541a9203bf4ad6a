"""The findings of an assessment in plain sentences, each with its numbers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.core.metrics._metric import false_positive_rates, selection_rates, true_positive_rates
from fairlens_backend.core.severity import SEVERITIES

SMALL_GROUPS_NAMED: Final = 5
_RATIO: Final = "disparate_impact_ratio"
_DIFFERENCE: Final = "statistical_parity_difference"
# "1" or "F" alone would not tell a reader what it is a group of.
_SHORT_LABEL: Final = 2


def write_sentences(
    tables: Mapping[str, CountTable],
    attributes: Mapping[str, Mapping[str, Mapping[str, Any]]],
    reference_groups: Mapping[str, Mapping[str, Any]],
    sample_size: int,
    settings: Mapping[str, Any],
) -> list[str]:
    """Every finding as a sentence for a person: what limits the verdict, the comparisons from the worst, the rest.

    Parameters
    ----------
    tables : for each attribute the counts of its groups
    attributes : for each attribute its metrics by name, as `assess` returns them
    reference_groups : for each attribute its reference group and how it was chosen
    sample_size : rows
    settings : `Policy.to_dict()`
    """
    named_twice = _labels_of_several_attributes(tables)
    first: list[str] = []
    if sample_size < settings["min_sample_size"]:
        first.append(
            f"Too few rows for a verdict: {_rows(sample_size)}, {settings['min_sample_size']} needed."
        )
    compared: list[tuple[int, int, str]] = []
    absent: dict[str, None] = {}
    for attribute, metrics in attributes.items():
        for metric in metrics.values():
            if metric["name"] == _DIFFERENCE and metrics[_RATIO]["status"] == "ok":
                continue  # the same two rates as the ratio's sentence
            sentence = _comparison(metric, tables[attribute], named_twice)
            if sentence:
                order = (SEVERITIES.index(metric["severity"]), metric["name"] != _RATIO)
                compared.append((*order, sentence))
            elif metric["status"] != "ok":
                absent[metric["reason"]] = None
    compared.sort(key=lambda item: item[:2])
    last: list[str] = []
    for attribute, table in tables.items():
        last += _not_compared(attribute, table, settings["min_group_size"])
        reference = reference_groups[attribute]
        if reference["chosen"] == "highest selection rate":
            last.append(
                f"No reference group of {attribute} was declared; {reference['group']} was taken,"
                " the one with the highest selection rate."
            )
    # once each: a sentence on all people, such as the Theil index's, comes with every attribute
    return list(dict.fromkeys([*first, *(sentence for *_, sentence in compared), *absent, *last]))


def _labels_of_several_attributes(tables: Mapping[str, CountTable]) -> set[str]:
    seen: set[str] = set()
    twice: set[str] = set()
    for table in tables.values():
        labels = {group for (group,) in table.groups}
        twice |= seen & labels
        seen |= labels
    return twice


def _comparison(metric: Mapping[str, Any], table: CountTable, named_twice: set[str]) -> str | None:
    """The sentence of one metric; None where it adds nothing to the others'."""
    if metric["status"] != "ok":
        return None
    name, value, limit = metric["name"], metric["value"], metric["threshold"]
    if name == "theil_index":
        if not metric["breached"]:
            return None
        return (
            "The benefit of the decisions is spread unevenly over people:"
            f" the Theil index is {_apart(value, limit)}; the limit is {limit:.2f}."
        )
    worst, reference = (
        f"{metric['attribute']}={group}"
        if len(group) <= _SHORT_LABEL or group.isdecimal() or group in named_twice
        else group
        for group in metric["groups_compared"]
    )
    i, r = (table.groups.index((group,)) for group in metric["groups_compared"])
    n = table.decided

    def against(rates: Any) -> tuple[str, str]:
        return _percent(rates(n)[i]), _percent(rates(n)[r])

    if name == _RATIO:
        a, b = against(selection_rates)
        text = (
            f"{worst} is selected {_apart(value, limit)} times as often as {reference} ({a} against {b});"
            f" the limit is {limit:.2f}."
        )
    elif not metric["breached"]:
        return None
    elif name == _DIFFERENCE:
        a, b = against(selection_rates)
        text = f"{worst} is selected in {a} of cases and {reference} in {b}, {_gap(value, limit)}"
    elif name == "equal_opportunity_difference":
        a, b = against(true_positive_rates)
        text = (
            f"Among rows whose true outcome is favourable, {worst} is selected in {a} of cases"
            f" and {reference} in {b}, {_gap(value, limit)}"
        )
    else:
        (a, b), (c, d) = against(true_positive_rates), against(false_positive_rates)
        text = (
            f"{worst} is selected in {a} of cases where the true outcome is favourable and {reference} in {b},"
            f" and in {c} against {d} where it is not; on average {_gap(value, limit)}"
        )
    return text if not metric["breached"] or metric["significant"] else text + _maybe_chance(metric)


def _maybe_chance(metric: Mapping[str, Any]) -> str:
    return f" This may be chance (adjusted p-value {metric['p_adjusted']:.2g})."


def _gap(value: float, limit: float) -> str:
    points = _apart(abs(value) * 100, limit * 100, digits=1)
    return f"{points} percentage points apart; the limit is {limit * 100:.1f}."


def _apart(value: float, limit: float, digits: int = 2) -> str:
    """A number with as many digits as tell it from its limit: 0.7996 is not written 0.80 beside 0.80."""
    for more in range(digits, digits + 4):
        if f"{value:.{more}f}" != f"{limit:.{more}f}":
            return f"{value:.{more}f}"
    return f"{value:.{digits}f}"


def _percent(share: float) -> str:
    return f"{100 * float(share):.1f} %"


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n} rows"


def _not_compared(attribute: str, table: CountTable, min_group_size: int) -> Sequence[str]:
    """What was left out of the headline values, and why."""
    sizes = {
        group: int(size) for (group,), size in zip(table.groups, table.n.sum(axis=(1, 2, 3)), strict=True)
    }
    unknown = sizes.pop(UNKNOWN, 0)
    small = sorted((size, group) for group, size in sizes.items() if size < min_group_size)
    sentences = []
    if small:
        named = ", ".join(f"{group} ({_rows(size)})" for size, group in small[-SMALL_GROUPS_NAMED:][::-1])
        more = len(small) - SMALL_GROUPS_NAMED
        sentences.append(
            f"Too small to compare in {attribute}, {min_group_size} rows needed: {named}"
            + (f" and {more} more." if more > 0 else ".")
        )
    if unknown:
        sentences.append(f"{attribute} is not known for {_rows(unknown)}; they are counted but not compared.")
    return sentences
