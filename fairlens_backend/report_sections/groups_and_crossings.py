"""Section 4: every group with its rates and sizes, every crossing of two attributes."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

from fairlens_backend.core.inference.intervals import ratio_interval
from fairlens_backend.report_plots import group_rates_picture, heat_map_picture
from fairlens_backend.report_plots.heat_map import MAX_COLUMNS, MAX_ROWS
from fairlens_backend.report_sections import _words as w
from fairlens_backend.report_sections._blocks import Block, Column, Heading, Para, Plot, Table

TITLE: Final = "Groups and crossings"
MAX_GROUPS: Final = 40
MAX_CROSSINGS: Final = 30
_RATES: Final = (
    ("selection_rate", "Selection rate"),
    ("true_positive_rate", "True positive rate"),
    ("false_positive_rate", "False positive rate"),
    ("precision", "Precision"),
)

Slice = Mapping[str, Any]


def build(report: Mapping[str, Any]) -> list[Block]:
    """The section's blocks."""
    results = report["results"]
    if results is None:
        return [Para("No audit lies in the range, so nothing is known of any group.")]
    blocks: list[Block] = [
        Para(
            "Each rate stands with its 95 % Wilson interval and its n: the decisions that the rate is a share of. The selection rate is the share of"
            " favourable decisions; the true positive rate is that share among those whose true outcome is favourable, the false positive"
            " rate among those whose true outcome is not; precision is the share of favourable outcomes among favourable decisions."
        )
    ]
    for attribute in results["protected_attributes"]:
        blocks += _attribute(attribute, results)
    for pair in combinations(results["protected_attributes"], 2):
        blocks += _crossing(pair, results)
    return blocks


def of(results: Mapping[str, Any], names: Sequence[str]) -> list[Slice]:
    """The slices of an attribute, or of a crossing."""
    return [one for one in results["demographic_slices"] if list(one["attributes"]) == list(names)]


def _attribute(attribute: str, results: Mapping[str, Any]) -> Iterator[Block]:
    slices = of(results, [attribute])
    reference = results["reference_groups"].get(attribute, {}).get("group")
    yield Heading(attribute)
    if not slices:
        yield Para("No group occurs.")
        return
    yield Plot(
        group_rates_picture(attribute, slices, reference),
        f"Selection rates by {attribute} with 95 % Wilson intervals.{_of_all(len(slices))} Source: R.",
    )
    ordered = sorted(slices, key=lambda one: (one["attributes"][attribute] == "unknown", -one["size"]))
    labelled = any(one["labelled_size"] for one in ordered)
    shown = _RATES if labelled else _RATES[:1]
    rows = [
        [
            _marked(one["attributes"][attribute], one, reference),
            f"{one['size']:,}\n{w.percent(one['share'])}",
            *(_rate(one["rates"][name]) for name, _ in shown),
        ]
        for one in ordered[:MAX_GROUPS]
    ]
    notes = [w.source("R", "Under each rate: its interval in percent, and its n.")]
    if reference:
        notes.append(f"(r): the reference group, {reference}.")
    if any(one["status"] != "ok" for one in ordered[:MAX_GROUPS]):
        notes.append("(s): too small to be compared.")
    if not labelled:
        notes.append("The audits hold no outcomes, so there are no error rates.")
    if len(ordered) > MAX_GROUPS:
        notes.append(f"{len(ordered) - MAX_GROUPS} smaller groups are in the JSON form.")
    columns = [Column("Group", 1.6), Column("Decisions", 0.9, "number")]
    columns += [Column(title, 1.2, "number") for _, title in shown]
    yield Table(f"Groups of {attribute}", columns, rows, notes)


def _of_all(n: int) -> str:
    return f" Drawn are the {MAX_GROUPS} largest of {n:,} groups." if n > MAX_GROUPS else ""


def _of_both(pair: tuple[str, str], slices: Sequence[Slice]) -> str:
    sizes = [len({one["attributes"][name] for one in slices}) for name in pair]
    if max(sizes) <= MAX_ROWS and min(sizes) <= MAX_COLUMNS:
        return ""
    return f" Drawn are the largest groups, at most {MAX_ROWS} by {MAX_COLUMNS}, of {sizes[0]:,} by {sizes[1]:,}."


def _marked(name: str, one: Slice, reference: str | None) -> str:
    if name == reference:
        return f"{name} (r)"
    return f"{name} (s)" if one["status"] != "ok" else name


def _rate(rate: Mapping[str, Any]) -> str:
    if rate["value"] is None:
        return w.NOTHING
    return f"{w.percent(rate['value'])}\n{w.percent_range(rate['confidence_interval'])}\nn = {rate['n']:,}"


def _crossing(pair: tuple[str, str], results: Mapping[str, Any]) -> Iterator[Block]:
    slices = of(results, pair)
    if not slices:
        return
    name = " × ".join(pair)
    score = results["attributes"].get(name, {}).get("intersectional_bias_score")
    yield Heading(name)
    if score is not None and score["status"] == "ok":
        value, interval = w.value_and_range(score)
        yield Para(
            f"The intersectional bias score, the highest selection rate of a crossing minus the lowest, is {value} (95 % interval {interval};"
            f" limit {w.limit(score)}; {w.groups(score)}): {w.finding(score)}. Source: R."
        )
    elif score is not None:
        yield Para(f"The intersectional bias score was not measured: {score['reason']}")
    yield Plot(
        heat_map_picture(pair, slices),
        f"Selection rates of the crossings of {pair[0]} and {pair[1]}: the darker, the higher.{_of_both(pair, slices)} Source: R.",
    )
    large = [one for one in slices if one["status"] == "ok"]
    ordered = sorted(large, key=lambda one: one["rates"]["selection_rate"]["value"])
    rows = [
        [
            " × ".join(one["attributes"].values()),
            w.count(one["size"]),
            w.percent(one["rates"]["selection_rate"]["value"]),
            w.percent_range(one["rates"]["selection_rate"]["confidence_interval"]),
            _ratio(one, ordered[-1]),
        ]
        for one in ordered[:MAX_CROSSINGS]
    ]
    if not rows:
        return
    columns = (
        Column("Crossing", 2.6), Column("Decisions", 0.9, "number"), Column("Selection rate", 1, "number"),
        Column("95 % interval, %", 1.2, "number"), Column("Ratio to highest", 1, "number"),
    )  # fmt: skip
    notes = [
        w.source(
            "R",
            "The lowest selection rates first; Wilson intervals of rates, Donner and Zou of ratios, which take the highest rate as given.",
        )
    ]
    more = len(slices) - len(rows)
    if more > 0:
        notes.append(
            f"{w.sentence_case(w.plural(more, 'more crossing'))}, among them those too small to compare, in the JSON form."
        )
    yield Table(f"Crossings of {pair[0]} and {pair[1]}", columns, rows, notes)


def _ratio(one: Slice, best: Slice) -> str:
    """The ratio of two selection rates, under it its interval."""
    rate, highest = one["rates"]["selection_rate"], best["rates"]["selection_rate"]
    if one is best or not highest["value"]:
        return "highest" if one is best else w.NOTHING
    # A rate is a quotient of whole numbers, so this gives them back.
    counts = (
        round(rate["value"] * rate["n"]),
        rate["n"],
        round(highest["value"] * highest["n"]),
        highest["n"],
    )
    interval = ratio_interval(*counts)
    shown = w.number(rate["value"] / highest["value"], 2)
    return f"{shown}\n{w.range_of(*interval, 2)}" if interval else shown
