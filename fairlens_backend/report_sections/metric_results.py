"""Section 3: every metric of every attribute with its interval, size, limit and test."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fairlens_backend.report_sections import _words as w
from fairlens_backend.report_sections._blocks import Block, Column, Heading, Para, Table

TITLE: Final = "Metric results"
_COLUMNS: Final = (
    Column("Metric", 1.9),
    Column("Value", 0.85, "number"),
    Column("95 % interval", 1.8, "number"),
    Column("Limit", 1.2),
    Column("Compared", 2.3),
    Column("p adj.", 0.95, "number"),
    Column("Finding", 1.1),
)


def build(report: Mapping[str, Any]) -> list[Block]:
    """The section's blocks."""
    results = report["results"]
    if results is None:
        return [Para("No audit lies in the range, so no metric has a value. That is unknown, not a pass.")]
    blocks: list[Block] = [
        Para(
            "The tables hold each metric over the whole range, computed from R. Differences are between proportions: 0.10 is ten percentage"
            " points. A signed metric is the group compared minus the reference group. Where there are more than two groups the one"
            " furthest away is named. “p adj.” is the p-value of the test that all groups are equal, not just the two named, after the correction for many tests. "
            + w.SIZES
        )
    ]
    for attribute, metrics in results["attributes"].items():
        blocks += _of_attribute(attribute, metrics, report)
    blocks += _latest(report)
    blocks += _definitions(results)
    return blocks


def _of_attribute(attribute: str, metrics: Mapping[str, Any], report: Mapping[str, Any]) -> Iterator[Block]:
    measured = [metric for metric in metrics.values() if metric["status"] == "ok"]
    if not measured:
        reason = next((metric["reason"] for metric in metrics.values()), "")
        yield Heading(attribute)
        yield Para(f"Nothing could be measured: {reason} That is unknown, not a pass.")
        return
    rows: list[list[str]] = []
    strong: set[int] = set()
    for metric in measured:
        if metric["breached"] and metric["significant"] is not False:
            strong.add(len(rows))
        value, interval = w.value_and_range(metric)
        rows.append(
            [
                w.metric_name(metric["name"]),
                value,
                interval,
                w.limit(metric),
                w.groups(metric),
                w.p_value(metric["p_adjusted"]),
                w.finding(metric),
            ]
        )
    absent = len(metrics) - len(measured)
    notes = [w.source("R", _methods(measured))]
    if absent:
        notes.append(
            f"{w.sentence_case(w.plural(absent, 'metric'))} could not be measured; section 2 says which and why."
        )
    yield Heading(attribute)
    yield Table(
        f"Metrics of {attribute}, {report['document']['start_date']} to {report['document']['end_date']}",
        _COLUMNS,
        rows,
        notes,
        frozenset(strong),
    )


def _methods(measured: list[Mapping[str, Any]]) -> str:
    methods = sorted({m["confidence_interval"]["method"] for m in measured if m["confidence_interval"]})
    return f"Methods of the intervals: {', '.join(methods)}." if methods else "No intervals were computed."


def _latest(report: Mapping[str, Any]) -> Iterator[Block]:
    """What only rows can give, from the latest audit, and the cited audits beside the sum."""
    cited = report["evidence"]["cited"]
    if not cited:
        return
    rows = []
    for one in cited:
        for figure in one["figures"][:1]:
            value, interval = w.value_and_range(figure)
            window = (
                w.short_moment(one["window_end"])
                if one["window_start"] is None
                else f"{w.short_moment(one['window_start'])} to\n{w.short_moment(one['window_end'])}"
            )
            rows.append(
                [
                    one["label"],
                    one["why"],
                    window,
                    w.count(one["decisions"]),
                    one["severity"],
                    value,
                    interval,
                    w.groups(figure),
                ]
            )
    yield Heading("The latest audit and the worst ones")
    yield Para(
        "R is the sum of a whole range; a short time in which the model did worse can drown in it. The table has the latest audit of R and"
        " the audits of the range with the worst verdicts, by severity and then by the lowest disparate impact ratio. They were picked because they are"
        " extreme, and among many audits some are so by chance: their intervals do not allow for having been picked."
    )
    yield Table(
        "Single audits: disparate impact ratio of the worst attribute",
        (
            Column("Audit", 0.6), Column("Why", 0.9), Column("Window (UTC)", 1.6), Column("Decisions", 1.05, "number"), Column("Verdict", 1.0),
            Column("Ratio", 0.7, "number"), Column("95 % interval", 1.4, "number"), Column("Compared", 2.0),
        ),
        rows,
        ("Source: the audit named in each row; A1, A2 … are listed with their records in section 8.",),
    )  # fmt: skip
    told = [
        f"{w.metric_name(figure['name'])} of {figure['attribute']} {w.value_and_range(figure)[0]} (95 % interval {w.value_and_range(figure)[1]}; limit {w.limit(figure)})"
        for one in cited
        for figure in one.get("row_metrics", ())
        if figure["status"] == "ok"
    ]
    if told:
        yield Para(
            f"Metrics that need single rows cannot be added up over the range. The latest audit (A1) has: {'; '.join(told)}."
        )


def _definitions(results: Mapping[str, Any]) -> Iterator[Block]:
    """Each metric that has a value, once."""
    seen: dict[str, str] = {}
    for metrics in results["attributes"].values():
        for metric in metrics.values():
            if metric["status"] == "ok":
                seen.setdefault(metric["name"], metric["definition"])
    if seen:
        yield Table(
            "What the metrics are",
            (Column("Metric", 1.3), Column("Definition", 4)),
            [[w.metric_name(name), text] for name, text in seen.items()],
        )
