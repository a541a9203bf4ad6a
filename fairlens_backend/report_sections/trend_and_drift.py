"""Section 5: how the figures moved within the range, where their level changed, what the detectors say."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fairlens_backend.report_plots import trend_picture
from fairlens_backend.report_sections import _words as w
from fairlens_backend.report_sections._blocks import Block, Bullets, Column, Heading, Para, Plot, Table

TITLE: Final = "Trend and drift"
_PERIODS_SHOWN: Final = 12
_DIRECTIONS: Final[Mapping[str, str]] = {
    "worsening": "worsening",
    "improving": "improving",
    "steady": "no direction that can be told from chance",
}


def build(report: Mapping[str, Any]) -> list[Block]:
    """The section's blocks."""
    series = report["trend"]
    if not series:
        return [Para("No audit lies in the range, so whether the model drifts is unknown.")]
    hours = series[0]["grain_hours"]
    blocks: list[Block] = [
        Para(
            f"The range is cut into periods of {_length(hours)}. Each point is computed from the sum of the count tables of the audits in R that end"
            " in the period; its interval is made of Wilson limits (of the ratio: Donner and Zou; of the difference: Newcombe) at a level of"
            " 1 − 0.05/k for the k groups compared with the reference group. The group shown is the one furthest from it in that period and may change."
            " Section 3 makes its intervals by another method: of the same counts they can be a little narrower or wider, and what is confirmed there"
            " may be suspected here."
        )
    ]
    for one in series:
        blocks += _one(one, report["document"])
    blocks.append(
        Para(
            "Breakpoints are where PELT (Killick et al. 2012) finds a new level; they are found afterwards and carry no p-value. The CUSUM (Page 1954;"
            " k = 0.5, h = 5) takes the first 20 periods with a value as its baseline: a drift that was complete before them cannot be seen in this"
            " report. Its average run length without any shift is 465 periods, so an alarm by chance is rare and not impossible."
        )
    )
    return blocks


def _length(hours: int) -> str:
    if hours % 24 == 0:
        return w.plural(hours // 24, "day")
    return w.plural(hours, "hour")


def _one(series: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[Block]:
    name = w.sentence_case(w.metric_name(series["metric"]))
    yield Heading(f"{name} of {series['attribute']}")
    known = [point for point in series["points"] if point["value"] is not None]
    if not known:
        reason = series["points"][-1]["reason"] if series["points"] else "No audit lies in the range."
        yield Para(f"No period has a value: {reason} Whether it drifts is unknown.")
        return
    yield Plot(
        trend_picture(series, document["since"], document["until"], name),
        f"{name} of {series['attribute']}, {w.plural(len(known), 'period')} with a value; bars are intervals. Source: R, by period.",
    )
    yield Bullets(_said(series, len(known)))
    yield _table(series, known)


def _said(series: Mapping[str, Any], known: int) -> list[str]:
    beyond = [point for point in series["points"] if point["breached"]]
    confirmed = sum(bool(point["confirmed"]) for point in beyond)
    items = [
        f"{len(beyond)} of {w.plural(known, 'period')} with a value {'is' if len(beyond) == 1 else 'are'} beyond the limit"
        f" ({w.limit_of(series['metric'], series['threshold'])}), {confirmed} of them with the whole interval."
    ]
    for number, one in enumerate(series["breakpoints"], 1):
        way = "for the worse" if one["worsening"] else "for the better"
        items.append(
            f"Breakpoint B{number} at {w.moment(one['time'])}: the mean of the periods before it is {w.number(one['mean_before'], 2)}, of those after it"
            f" {w.number(one['mean_after'], 2)}, a change {way}."
        )
    if not series["breakpoints"]:
        items.append("No breakpoint was found.")
    cusum = series["cusum"]
    if cusum["status"] != "ok":
        items.append(f"CUSUM: not computed. {cusum['reason']}")
    else:
        worse = [one for one in cusum["alarms"] if one["worsening"]]
        for one in worse:
            ends = f"until {w.moment(one['until'])}" if one["until"] else "to the end of the range"
            items.append(
                f"CUSUM alarm at {w.moment(one['time'])}, the shift beginning about {w.moment(one['since'])}, lasting {ends}."
            )
        if not worse:
            better = len(cusum["alarms"])
            items.append(
                "CUSUM: no alarm for the worse."
                + (f" {w.sentence_case(w.plural(better, 'alarm'))} for the better." if better else "")
            )
    trend = series["trend"]
    if trend["status"] == "ok":
        interval = trend["confidence_interval"]
        digits = min(6, w.digits_for(interval["lower"], interval["upper"]) + 1)
        items.append(
            f"A straight line through the periods changes by {w.number(trend['slope_per_day'], digits)} a day (95 % interval"
            f" {w.range_of(interval['lower'], interval['upper'], digits)}): {_DIRECTIONS[trend['direction']]}."
        )
    else:
        items.append(f"Trend: {trend['reason']}")
    if series["n_undefined"]:
        items.append(
            f"{w.sentence_case(w.plural(series['n_undefined'], 'period'))} had audits but no value, mostly for want of decisions; a gap stays a gap."
        )
    return items


def _table(series: Mapping[str, Any], known: list[Mapping[str, Any]]) -> Table:
    """The plot in figures: all periods where they are few, else about a dozen that tell its course."""
    chosen = _telling(series, known)
    rows = []
    for point in chosen:
        digits = w.digits_for(point["lower"], point["upper"])
        verdict = (
            "within limit"
            if not point["breached"]
            else "beyond"
            if point["confirmed"]
            else "beyond, suspected"
        )
        rows.append(
            [
                f"{w.short_moment(point['start'])} to {w.short_moment(point['time'])[5:]}",
                f"{point['group']} against {series['reference']}",
                w.apart(point["value"], series["threshold"], digits),
                w.range_of(point["lower"], point["upper"], digits),
                w.count(point["n"]),
                verdict,
            ]
        )
    columns = (
        Column("Period (UTC)", 2.1), Column("Compared", 2.0), Column("Value", 0.8, "number"), Column("Interval", 1.2, "number"),
        Column("n of both", 0.9, "number"), Column("Finding", 1.2),
    )  # fmt: skip
    left = len(known) - len(chosen)
    notes = [w.source("R, by period.")]
    if left > 0:
        notes.append(
            f"Shown are the first and the last, those around breakpoints and the most extreme; {left} more are in the JSON form."
        )
    return Table(
        f"{w.sentence_case(w.metric_name(series['metric']))} of {series['attribute']} by period",
        columns,
        rows,
        notes,
    )


def _telling(series: Mapping[str, Any], known: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if len(known) <= _PERIODS_SHOWN:
        return known
    worst = sorted(known, key=lambda p: p["value"], reverse=series["breached_when"] != "below")
    places = {0, len(known) - 1, known.index(worst[-1])}
    for one in series["breakpoints"]:
        at = next((i for i, p in enumerate(known) if p["start"] >= one["time"]), None)
        if at is not None and len(places) < _PERIODS_SHOWN - 1:
            places |= {max(0, at - 1), at}
    for point in worst:
        if len(places) >= _PERIODS_SHOWN:
            break
        places.add(known.index(point))
    return [known[place] for place in sorted(places)]
