"""Section 7: verdicts of all audits, runs of alerting ones, alerts and who was told."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fairlens_backend.report_sections import _words as w
from fairlens_backend.report_sections._blocks import Block, Column, Heading, Para, Table

TITLE: Final = "Incidents and alerts"
_SHOWN: Final = 25


def build(report: Mapping[str, Any]) -> list[Block]:
    """The section's blocks."""
    audits, incidents = report["audits"], report["incidents"]
    if not audits["total"]:
        return [Para("No audit lies in the range, so nothing could have alerted. That is no all-clear.")]
    rows = [
        [severity, w.SEVERITY_SENTENCE[severity], w.count(n), w.percent(n / audits["total"])]
        for severity, n in audits["by_severity"].items()
    ]
    return [
        Para(
            "The table counts every audit of the range, also those that share decisions with another. CRITICAL and HIGH alert."
        ),
        Table(
            "Verdicts of the audits of the range",
            (
                Column("Verdict", 1),
                Column("Meaning", 3.6),
                Column("Audits", 0.8, "number"),
                Column("Share", 0.8, "number"),
            ),
            rows,
            ("Source: the records of the audits. A share of audits is a count and has no interval.",),
        ),
        *_runs(incidents),
        *_alerts(incidents),
    ]


def _runs(incidents: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading("Incidents")
    runs = incidents["runs"]
    if not runs:
        yield Para("No audit of the range alerted, so there is no incident.")
        return
    rows = [
        [
            w.short_moment(one["first"]),
            w.short_moment(one["last"]),
            w.short_moment(one["cleared_at"]) if one["cleared_at"] else "not in the range",
            w.count(one["audits"]),
            w.count(one["decisions"]),
            one["worst"],
            w.number(one["lowest_ratio"], 2),
            f"{one['first_seq']} to {one['last_seq']}" if one["audits"] > 1 else str(one["first_seq"]),
        ]
        for one in runs[:_SHOWN]
    ]
    yield Para(
        "An incident is a run of audits that alerted, in the order of their windows, up to the first audit with a verdict that did not. An audit that"
        " is UNKNOWN ends none."
    )
    more = incidents["runs_total"] - len(rows)
    notes = [
        "Times are ends of windows. Decisions are counted once: where windows overlap or were audited anew, those of the windows that share no time. The lowest ratio is the disparate impact ratio as the record has it, picked among several audits and therefore without an interval;"
        " the worst audits stand with intervals in section 3. Source: the records with the numbers in the last column."
    ]
    if more > 0:
        notes.append(f"{w.sentence_case(w.plural(more, 'later incident'))} in the JSON form.")
    columns = (
        Column("First (UTC)", 1.2), Column("Last (UTC)", 1.2), Column("Cleared (UTC)", 1.2), Column("Audits", 0.7, "number"), Column("Decisions", 0.9, "number"),
        Column("Worst", 0.9), Column("Lowest ratio", 0.7, "number"), Column("Records", 0.9, "number"),
    )  # fmt: skip
    yield Table("Incidents", columns, rows, notes)


def _alerts(incidents: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading("Alerts")
    alerts = incidents["alerts"]
    read = incidents["texts_read"]
    tail = f" The encrypted texts of the range's alerting records were read {w.plural(read, 'time') if read else 'by nobody'}{'' if read else ' through FairLens'}."
    if not alerts:
        yield Para("No alert was open in the range." + tail)
        return
    told = sum(one["announced_at"] is not None for one in alerts)
    yield Para(
        f"{w.sentence_case(w.plural(incidents['alerts_total'], 'alert'))} of single metrics {'was' if incidents['alerts_total'] == 1 else 'were'} open at some time"
        f" of the range; {'for none of them a message was put out' if not told else f'for {told} of them a first message was put out'}. The table shows their state when the report was made.{tail}"
    )
    rows = [
        [
            f"{w.metric_name(one['metric'])} of {one['attribute']}",
            one["peak"],
            w.short_moment(one["first_opened_at"]),
            f"{one['state']}\n{w.short_moment(one['resolved_at'])}" if one["resolved_at"] else one["state"],
            w.count(one["breaches"]),
            _told(one),
        ]
        for one in alerts[:_SHOWN]
    ]
    more = incidents["alerts_total"] - len(rows)
    columns = (
        Column("Alert", 2.4), Column("Peak", 0.9), Column("Opened (UTC)", 1.2), Column("State", 1.2), Column("Breaches", 0.8, "number"),
        Column("First message (UTC)", 1.2),
    )  # fmt: skip
    notes = [
        "Breaches are observations beyond the limit. Of metrics that restate one gap one speaks for all: its message told of the others. Source: the table of alerts, which is kept beside the ledger and can change; the records can not."
    ]
    if more > 0:
        notes.append(f"{w.sentence_case(w.plural(more, 'later alert'))} in the JSON form.")
    yield Table("Alerts", columns, rows, notes)


def _told(one: Mapping[str, Any]) -> str:
    """When its first message was put out, or whose message told of it."""
    if one["announced_at"]:
        return w.short_moment(one["announced_at"])
    return f"with {w.metric_name(one['told_with'])}" if one["told_with"] else "nobody was told"
