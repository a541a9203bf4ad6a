"""The findings of an assessment in plain sentences, each with its numbers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.core.measured import Measured
from fairlens_backend.core.metrics import GroupRates
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.severity import SEVERITIES

SMALL_GROUPS_NAMED: Final = 5
_RATIO: Final = "disparate_impact_ratio"
_DIFFERENCE: Final = "statistical_parity_difference"
_SPREAD: Final = "demographic_parity_difference"
# "1" or "F" alone would not tell a reader what it is a group of.
_SHORT_LABEL: Final = 2
_CROSS: Final = " × "
# What a metric adds nothing to once one of these is said of the same attribute.
_SAID_BY: Final[Mapping[str, frozenset[str]]] = {
    _SPREAD: frozenset({_RATIO}),
    _DIFFERENCE: frozenset({_RATIO, _SPREAD}),
    "statistical_parity_subgroup_lift": frozenset({_RATIO, _SPREAD}),
    "equalized_odds_difference": frozenset({"equal_opportunity_difference", "average_odds_difference"}),
    "false_positive_rate_difference": frozenset({"equalized_odds_difference", "average_odds_difference"}),
    "false_negative_rate_difference": frozenset({"equal_opportunity_difference"}),
}
_POSITIVE: Final = "Among rows whose true outcome is favourable, "
_NEGATIVE: Final = "Among rows whose true outcome is unfavourable, "
_LEAD: Final[Mapping[str, tuple[str, str, str]]] = {
    # metric: (lead, what happens, the rate)
    _DIFFERENCE: ("", "is selected", "selection"),
    _SPREAD: ("", "is selected", "selection"),
    "intersectional_bias_score": ("", "is selected", "selection"),
    "equal_opportunity_difference": (_POSITIVE, "is selected", "true_positive"),
    "false_positive_rate_difference": (_NEGATIVE, "is selected", "false_positive"),
    "false_negative_rate_difference": (_POSITIVE, "is rejected", "false_negative"),
    "predictive_parity_difference": (
        "Among rows with a favourable decision, ",
        "has a favourable true outcome",
        "precision",
    ),
}


class Namer:
    """Calls a group by its label, and by its attribute too where the label alone would not tell.

    Parameters
    ----------
    tables : for each attribute the counts of its groups
    """

    def __init__(self, tables: Mapping[str, CountTable]) -> None:
        seen: set[str] = set()
        self._twice: set[str] = set()
        for table in tables.values():
            labels = {group for (group,) in table.groups}
            self._twice |= seen & labels
            seen |= labels

    def __call__(self, attributes: Sequence[str], label: str) -> str:
        """The name of a group of one attribute, or of a crossing of several."""
        labels = label.split(_CROSS) if len(attributes) > 1 else [label]
        if len(labels) != len(attributes):  # a label that holds the sign itself
            return label
        return _CROSS.join(map(self._one, attributes, labels))

    def _one(self, attribute: str, label: str) -> str:
        unclear = len(label) <= _SHORT_LABEL or label.isdecimal() or label in self._twice
        return f"{attribute}={label}" if unclear else label


def sentence(one: Measured, names: Sequence[str], rates: GroupRates, worst: int, other: int) -> str:
    """What one metric has found, about this very value.

    Parameters
    ----------
    one : with its value, and its interval where there is one
    names : of the worst group and of the one it is compared with
    rates : of the groups, shape (n_groups,)
    worst, other : indices of the two groups
    """
    metric, value, limit = one.metric.name, one.value or 0.0, one.threshold
    if metric == "theil_index":
        interval = _interval(one, 1)
        text = f"the Theil index is {_apart(value, limit)}{interval}; the limit is {limit:.2f}."
        return (
            f"The benefit of the decisions is spread unevenly over people: {text}"
            if value > limit
            else _upper(text)
        )
    if metric == "temporal_drift_index":
        way = "up" if (one.signed or 0.0) >= 0 else "down"
        return (
            f"The gap in selection rates between groups of {one.attribute} has drifted {way} by {_apart(value, limit)}"
            f" standard deviations of its baseline{_interval(one, 1)}; the limit is {limit:.2f}."
        )
    g, r = names

    def rate(name: str) -> tuple[str, str]:
        of_groups = getattr(rates, name)
        return _percent(of_groups[worst]), _percent(of_groups[other])

    if metric in (_RATIO, "statistical_parity_subgroup_lift"):
        a, b = rate("selection")
        if metric != _RATIO:
            g, r, a, b = r, g, b, a
        against = f"({a} against {b}{_interval(one, 1, '; ', '')})"
        return f"{g} is selected {_apart(value, limit)} times as often as {r} {against}; the limit is {limit:.2f}."
    gap = f"{_gap(value, limit)}{_interval(one, 100)}; the limit is {limit * 100:.1f}."
    if metric == "average_odds_difference":
        (a, b), (c, d) = rate("true_positive"), rate("false_positive")
        return (
            f"{g} is selected in {a} of cases where the true outcome is favourable and {r} in {b},"
            f" and in {c} against {d} where it is not; on average {gap}"
        )
    if metric == "equalized_odds_difference":
        of_truth = (one.parts or {})["true_positive_rate_gap"] == one.value
        lead, a_rate = (_POSITIVE, "true_positive") if of_truth else (_NEGATIVE, "false_positive")
        a, b = rate(a_rate)
        return f"{lead}{g} is selected in {a} of cases and {r} in {b}, the widest such gap: {gap}"
    if metric == "calibration_gap":
        balance = one.signed or 0.0
        way = "less often" if balance < 0 else "more often" if balance > 0 else "as often"
        return (
            f"Between rows with nearly the same score, how often the true outcome is favourable is for {g} and {r}"
            f" on average {gap} On balance it is favourable {way} for {g}."
        )
    lead, happens, a_rate = _LEAD[metric]
    a, b = rate(a_rate)
    return f"{lead}{g} {happens} in {a} of cases and {r} in {b}, {gap}"


def write_sentences(
    tables: Mapping[str, CountTable],
    judged: Sequence[Measured],
    reference_groups: Mapping[str, Mapping[str, Any]],
    sample_size: int,
    policy: Policy,
) -> list[str]:
    """Every finding as a sentence for a person: what limits the verdict, the comparisons from the worst, the rest.

    Parameters
    ----------
    tables : for each attribute the counts of its groups
    judged : the metrics, with their sentences and severity
    reference_groups : for each attribute its reference group and how it was chosen
    sample_size : rows
    policy : what it is held against
    """
    first: list[str] = []
    if sample_size < policy.min_sample_size:
        first.append(f"Too few rows for a verdict: {_rows(sample_size)}, {policy.min_sample_size} needed.")
    told = {
        (one.attribute, one.metric.name): SEVERITIES.index(one.severity) for one in judged if _has_news(one)
    }
    compared: list[tuple[int, bool, str]] = []
    absent: dict[str, None] = {}
    for one in judged:
        name = one.metric.name
        seriousness = SEVERITIES.index(one.severity)
        # What decides the verdict is always told: a milder sentence on the same rates does not stand for it.
        said = any(
            told.get((one.attribute, other), len(SEVERITIES)) <= seriousness
            for other in _SAID_BY.get(name, ())
        )
        if one.status == "no_baseline":
            continue  # nobody asked for it
        if one.status != "ok":
            absent[one.reason or ""] = None
        elif one.sentence and not said and (_has_news(one) or name == _RATIO):
            compared.append((seriousness, name != _RATIO, one.sentence + _standing(one, policy)))
    compared.sort(key=lambda item: item[:2])
    last: list[str] = []
    for attribute, table in tables.items():
        last += _not_compared(attribute, table, policy.min_group_size)
        reference = reference_groups[attribute]
        if reference["chosen"] == "highest selection rate":
            last.append(
                f"No reference group of {attribute} was declared; {reference['group']} was taken,"
                " the one with the highest selection rate."
            )
    # once each: a sentence on all people, such as the Theil index's, comes with every attribute
    return list(dict.fromkeys([*first, *(text for *_, text in compared), *absent, *last]))


def _breached(one: Measured) -> bool:
    finding = one.finding(decides=True)
    return finding is not None and finding.breached


def _has_news(one: Measured) -> bool:
    return one.status == "ok" and _breached(one)


def _standing(one: Measured, policy: Policy) -> str:
    """How far a breach is beyond doubt and whether it counts; nothing where there is none, or nothing to add."""
    if not _breached(one):
        return ""
    text = ""
    if not one.significant:
        text = (
            "" if one.p_adjusted is None else f" This may be chance (adjusted p-value {one.p_adjusted:.2g})."
        )
    elif one.confirmed is False:
        text = " The breach is suspected, not confirmed: its interval reaches the limit."
    if not policy.decides(one.metric.name) and one.metric.name != _DIFFERENCE:
        text += " This is reported and does not decide the verdict."
    return text


def _interval(one: Measured, scale: int, opening: str = " (", closing: str = ")") -> str:
    """The interval in the unit and the direction of the sentence; a signed gap is told as its size."""
    if one.interval is None:
        return ""
    low, high, _ = one.interval
    if one.metric.breached_when == "outside" and (one.value or 0.0) < 0:
        low, high = -high, -low
    digits = 1 if scale > 1 else 2
    low, high = low * scale + 0.0, high * scale + 0.0
    if f"{low:.{digits}f}" == f"{high:.{digits}f}":
        digits += 2
    return f"{opening}95 % interval {low:.{digits}f} to {high:.{digits}f}{closing}".replace("-", "−")


def _gap(value: float, limit: float) -> str:
    return f"{_apart(abs(value) * 100, limit * 100, digits=1)} percentage points apart"


def _apart(value: float, limit: float, digits: int = 2) -> str:
    """A number with as many digits as tell it from its limit: 0.7996 is not written 0.80 beside 0.80."""
    for more in range(digits, digits + 4):
        if f"{value:.{more}f}" != f"{limit:.{more}f}":
            return f"{value:.{more}f}"
    return f"{value:.{digits}f}"


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


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
