"""A back-test as text for a terminal."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

_HEADINGS = ("", "alarms", "first", "lead", "false", "per 1,000")


def as_table(found: Mapping[str, Any]) -> str:
    """What was tried, one table a series, and the sentences; beside it the second settings where there are some."""
    history = found["history"]
    lines = [
        f"Back-test of {found['model_id']}, {_when(history['since'])} to {_when(history['until'])} UTC",
        history["sentence"],
    ]
    if found["status"] != "ok":
        return "\n".join([*lines, found["reason"], ""])
    lines.append(found["sentence"])
    for series in found["series"]:
        lines += [
            "",
            f"{series['metric']} by {series['attribute']} (limit {series['threshold']:g}, {series['n_checks']} checks)",
        ]
        if series["reason"]:
            lines.append(f"  {series['reason']}")
            continue
        crossed = next(iter(series["detectors"].values()))["crossed"]
        lines.append(f"  the average is first beyond the limit: {_when(crossed) if crossed else 'never'}")
        lines += _columns([_HEADINGS, *(_row(name, score) for name, score in series["detectors"].items())])
    lines += ["", "lead: hours from the first alarm to the crossing; negative when it came later."]
    if found["comparison"] is not None:
        lines += _compared(found["comparison"])
    return "\n".join([*lines, ""])


def _row(name: str, score: Mapping[str, Any]) -> tuple[str, ...]:
    first = score["first_alarm"]
    return (
        name.replace("_", " "),
        str(score["n_alarms"]),
        _when(first) if first else "–",
        _number(score["lead_hours"], "+.1f"),
        _number(score["false_alarms"], "d"),
        _number(score["false_per_1000_windows"], ".1f"),
    )


def _compared(comparison: Mapping[str, Any]) -> list[str]:
    first, second = comparison["severity"]["n_alerts"]
    lines = [
        "",
        f"Beside the settings of --compare: {first} alerts and {second}. Each figure: these settings / those.",
    ]
    rows = [("series", "detector", "alarms", "lead", "false")]
    for one in comparison["rows"]:
        alarms, lead, false = one["n_alarms"], one["lead_hours"], one["false_alarms"]
        if alarms == [0, 0]:
            continue
        rows.append(
            (
                f"{one['metric']} by {one['attribute']}",
                one["detector"].replace("_", " "),
                f"{alarms[0]} / {alarms[1]}",
                f"{_number(lead[0], '+.1f')} / {_number(lead[1], '+.1f')}",
                f"{_number(false[0], 'd')} / {_number(false[1], 'd')}",
            )
        )
    return [*lines, *_columns(rows)]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _when(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}"
