"""Section 1: the verdict of the range, what it rests on, what stands out, what is not known."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fairlens_backend.core.alerting import worse_than
from fairlens_backend.core.severity import ALERTING, SEVERITIES, Severity
from fairlens_backend.report_sections import _words as w
from fairlens_backend.report_sections._blocks import (
    Block,
    Bullets,
    Callout,
    Column,
    Heading,
    Para,
    Table,
    Tone,
)

TITLE: Final = "Executive summary"
_TONES: Final[Mapping[str, Tone]] = {
    "CRITICAL": "bad", "HIGH": "bad", "MEDIUM": "bad", "LOW": "plain", "PASS": "good", "UNKNOWN": "unknown"
}  # fmt: skip
_FINDINGS: Final = 6
_KEY: Final = ("disparate_impact_ratio", "equal_opportunity_difference", "average_odds_difference")


def build(report: Mapping[str, Any]) -> list[Block]:
    """The section's blocks."""
    results, document = report["results"], report["document"]
    days = f"{document['start_date']} to {document['end_date']}"
    if results is None:
        return [*_nothing(report, days), *_limits(report)]
    scope = report["scope"]
    severity = results["overall_severity"]
    blocks: list[Block] = [
        Para(
            f"This report is about the decisions of the model {document['model_id']} from {days} (days in UTC, both included)."
            f" It rests on {_audits(scope)} {w.plural(scope['decisions'], 'decision')}, {_labelled(scope)}. {_sum(scope['audits_used'])}"
        ),
        _verdict(severity, report),
    ]
    findings = _findings(results)
    if findings:
        blocks += [Heading("What stands out"), Bullets(findings)]
    blocks += [Heading("Key figures"), _key_figures(results), *_over_time(report), *_limits(report)]
    return blocks


def _audits(scope: Mapping[str, Any]) -> str:
    n = scope["audits_used"]
    if n == 1:
        return "1 audit of FairLens, which holds"
    # Whether two submissions share decisions nobody can tell any more.
    which = "which" if scope["submissions_used"] > 1 else "that share no decisions and"
    return f"{n:,} audits of FairLens{',' if which == 'which' else ''} {which} together hold"


def _sum(n: int) -> str:
    if n == 1:
        return "Its count table was assessed again; it is called R."
    return "Their count tables were added up and assessed as one; this sum is called R."


def _verdict(severity: Severity, report: Mapping[str, Any]) -> Callout:
    """The verdict of the sum, and that single audits were worse: a bad week must not drown in a quarter."""
    text, tone = f"Over the whole range {w.SEVERITY_SENTENCE[severity]}.", _TONES[severity]
    counted = report["audits"]["by_severity"]
    worse = [one for one in SEVERITIES if one in ALERTING and counted[one] and worse_than(one, severity)]
    if worse:
        told = w.listed(
            [f"{counted[one]:,} {'to' if place else 'came to'} {one}" for place, one in enumerate(worse)]
        )
        runs, total = report["incidents"]["runs"], report["audits"]["total"]
        told_all = runs and len(runs) == report["incidents"]["runs_total"]
        goes_on = told_all and runs[-1]["cleared_at"] is None
        text += f" Parts of it are worse: of its {w.plural(total, 'audit')}, {told} by themselves" + (
            ", and the last incident had not cleared when the range ended." if goes_on else "."
        )
        tone = "bad" if goes_on else "plain" if tone == "good" else tone
    return Callout(f"{severity}.", text, tone)


def _labelled(scope: Mapping[str, Any]) -> str:
    known, total = scope["labelled"], scope["decisions"]
    if known == 0:
        return "none of them with its true outcome"
    return (
        "all of them with their true outcome"
        if known == total
        else f"{known:,} of them with their true outcome"
    )


def _findings(results: Mapping[str, Any]) -> list[str]:
    """The engine's own sentences on what is beyond a limit; where nothing is, that is said."""
    told = [
        metric["sentence"]
        for name, metrics in results["attributes"].items()
        for metric in metrics.values()
        if metric["breached"] and metric["sentence"] and metric["significant"] is not False
    ]
    chosen = [text for text in results["sentences"] if any(text.startswith(one) for one in told)]
    if not chosen:
        severity = results["overall_severity"]
        if severity == "UNKNOWN":
            return results["sentences"][:_FINDINGS]
        return [
            "Over the whole range no difference between groups is beyond a limit by more than chance explains.",
            *results["sentences"][:2],
        ]
    more = len(chosen) - _FINDINGS
    return chosen[:_FINDINGS] + ([f"Section 3 has {more} more."] if more > 0 else [])


def _key_figures(results: Mapping[str, Any]) -> Table:
    rows: list[list[str]] = []
    strong: set[int] = set()
    for attribute in results["protected_attributes"]:
        for name in _KEY:
            metric = results["attributes"][attribute].get(name)
            if metric is None:
                continue
            value, interval = w.value_and_range(metric)
            if metric["breached"] and metric["significant"]:
                strong.add(len(rows))
            rows.append(
                [
                    attribute,
                    w.metric_name(name),
                    value,
                    interval,
                    w.limit(metric),
                    w.groups(metric),
                    w.finding(metric),
                ]
            )
    columns = (
        Column("Attribute", 1.1), Column("Metric", 1.6), Column("Value", 0.85, "number"), Column("95 % interval", 1.7, "number"),
        Column("Limit", 1.1), Column("Compared", 2.3), Column("Finding", 1.3),
    )  # fmt: skip
    return Table("Key figures of the range", columns, rows, (w.source("R", w.SIZES),), frozenset(strong))


def _over_time(report: Mapping[str, Any]) -> Iterator[Block]:
    audits, incidents = report["audits"], report["incidents"]
    counted = [f"{w.plural(n, 'audit')} {severity}" for severity, n in audits["by_severity"].items() if n]
    text = (
        f"The only audit of the range came to {counted[0].removeprefix('1 audit ')}."
        if audits["total"] == 1
        else f"By themselves the {w.plural(audits['total'], 'audit')} of the range came to: {w.listed(counted)}."
    )
    runs = incidents["runs_total"]
    text += (
        f" Alerting audits form {w.plural(runs, 'incident')} (section 7)."
        if runs
        else " No audit of the range alerted."
    )
    breaks = [
        (series, one) for series in report["trend"] for one in series["breakpoints"] if one["worsening"]
    ]
    if breaks:
        series, one = max(breaks, key=lambda pair: abs(pair[1]["mean_after"] - pair[1]["mean_before"]))
        text += (
            f" The clearest change for the worse is in the {w.metric_name(series['metric'])} of {series['attribute']}: about"
            f" {w.moment(one['time'])} its level went from {w.number(one['mean_before'], 2)} to {w.number(one['mean_after'], 2)}"
            " (a breakpoint, found afterwards and without a test; section 5 has the interval of each period)."
        )
    yield Heading("Over time")
    yield Para(text)


def _nothing(report: Mapping[str, Any], days: str) -> Sequence[Block]:
    document, counted = report["document"], report["scope"]["decisions_counted_by_event"]
    there = (
        f"FairLens counted {w.plural(counted, 'decision')} of the model in these days, but none of them was audited."
        if counted
        else "No decision of the model was counted in these days either."
    )
    return [
        Para(
            f"This report is about the decisions of the model {document['model_id']} from {days} (days in UTC, both included)."
        ),
        Callout(
            "UNKNOWN.",
            f"No audit of this model lies in the range, so nothing can be said of its fairness. {there}"
            " The absence of findings is not a finding of fairness.",
            "unknown",
        ),
    ]


def _limits(report: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading("What this report does not say")
    items = [
        "It states what the records of FairLens hold. It is no legal advice and no certificate of compliance, and a limit that is"
        " kept is no proof that nobody was wronged.",
        "It compares groups that were recorded. What was not recorded, who never applied, and whether the recorded outcomes are"
        " themselves just, it cannot see.",
    ]
    if report["results"] is not None and not report["scope"]["labelled"]:
        later = report["scope"]["outcomes_counted_by_event"]
        now = f" By now the outcome of {w.plural(later, 'decision')} is known (section 2)." if later else ""
        items.append(
            f"No outcomes were known when the decisions were audited, so error rates of groups were not compared.{now}"
        )
    if report["scope"]["submissions_alike"]:
        items.append(w.submissions_alike(report["scope"]))
    if report["scope"]["audits_simulated"]:
        items.append(
            f"{w.sentence_case(w.plural(report['scope']['audits_simulated'], 'audit'))} of those used are of simulated data."
        )
    yield Bullets(
        [*items, "Section 2 lists what was not measured, section 8 what each rule asks for beyond it."]
    )
