"""A metric over time: a point a period with its interval, the limit, the breakpoints."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from fairlens_backend.report_plots._picture import Label, Line, Mark, Picture, Shape, nice_ticks

WIDTH: Final = 490.0
HEIGHT: Final = 168.0
LEFT, RIGHT, TOP, BOTTOM = 34.0, 12.0, 10.0, 40.0
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def trend_picture(series: Mapping[str, Any], since: str, until: str, name: str) -> Picture:
    """One series of a report.

    Parameters
    ----------
    series : as `report_trend.trend` gives it
    since, until : the report's range, as times
    name : the metric in words
    """
    start, end = _time(since), _time(until)
    known = [point for point in series["points"] if point["value"] is not None]
    ratio = series["breached_when"] == "below"
    ticks = _ticks(known, series["threshold"], ratio)
    low, high = ticks[0], ticks[-1]

    def x(time: datetime) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((time - start) / (end - start))

    def y(value: float) -> float:
        inside = min(max(value, low), high)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (inside - low) / (high - low)

    shapes: list[Shape] = []
    for tick in ticks:
        shapes.append(Line(((LEFT, y(tick)), (WIDTH - RIGHT, y(tick))), "grid"))
        shapes.append(Label(LEFT - 4, y(tick) + 2.3, f"{tick:g}", "tick", "end"))
    for day, text in _dates(start, end):
        shapes.append(Line(((x(day), HEIGHT - BOTTOM), (x(day), HEIGHT - BOTTOM + 3)), "axis"))
        shapes.append(Label(x(day), HEIGHT - BOTTOM + 11, text, "tick", "middle"))
    shapes.append(Line(((LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM)), "axis"))
    if ratio and low <= 1 <= high:
        shapes.append(Line(((LEFT, y(1)), (WIDTH - RIGHT, y(1))), "parity"))
    limit = y(series["threshold"])
    shapes.append(Line(((LEFT, limit), (WIDTH - RIGHT, limit)), "limit"))
    shapes.append(Label(WIDTH - RIGHT, limit - 3, f"limit {series['threshold']:g}", "soft", "end"))
    shapes += _breaks(series["breakpoints"], x)
    middles = [(x(_middle(point)), point) for point in series["points"]]
    shapes += _band(middles, y)
    shapes += _points(middles, y)
    shapes += _alarms(series["cusum"]["alarms"], x)
    shapes += _legend(series)
    title = f"{name} of {series['attribute']} over time"
    return Picture(WIDTH, HEIGHT, title, _described(series, known, title), tuple(shapes))


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _middle(point: Mapping[str, Any]) -> datetime:
    start, end = _time(point["start"]), _time(point["time"])
    return start + (end - start) / 2


def _ticks(known: Sequence[Mapping[str, Any]], threshold: float, ratio: bool) -> list[float]:
    """The axis covers every value, and the intervals as far as they do not flatten the rest."""
    values = [point["value"] for point in known]
    ends = [end for point in known for end in (point["lower"], point["upper"])]
    floor, top = (1.0, 1.0) if ratio else (0.0, threshold)
    low = min([threshold, floor, *values, *_inner(ends, values)])
    high = max([threshold, top, *values, *_inner(ends, values)])
    return nice_ticks(max(0.0, low), high)


def _inner(ends: Sequence[float], values: Sequence[float]) -> list[float]:
    if not values:
        return []
    span = max(max(values) - min(values), 0.25)
    return [end for end in ends if min(values) - span <= end <= max(values) + span]


def _dates(start: datetime, end: datetime) -> Iterator[tuple[datetime, str]]:
    days = (end - start).days
    step = next((n for n in (1, 2, 5, 7, 14, 30, 60) if days / n <= 9), 60)
    for place in range(0, days + 1, step):
        day = start + timedelta(days=place)
        yield day, f"{day.day} {_MONTHS[day.month - 1]}"


def _breaks(breakpoints: Sequence[Mapping[str, Any]], x: Any) -> list[Shape]:
    shapes: list[Shape] = []
    for number, one in enumerate(breakpoints, 1):
        at = x(_time(one["time"]))
        shapes.append(Line(((at, TOP), (at, HEIGHT - BOTTOM)), "break"))
        shapes.append(Label(at + 2, TOP + 5, f"B{number}", "strong"))
    return shapes


def _band(middles: Sequence[tuple[float, Mapping[str, Any]]], y: Any) -> list[Shape]:
    """The intervals as bars, and the line through neighbours: across a period without value or without audits there is none."""
    shapes: list[Shape] = []
    before: tuple[float, float] | None = None
    until = None
    for at, point in middles:
        if point["value"] is None:
            before = None
            continue
        here = at, y(point["value"])
        shapes.append(Line(((at, y(point["lower"])), (at, y(point["upper"]))), "band"))
        if before is not None and point["start"] == until:
            shapes.append(Line((before, here), "line"))
        before, until = here, point["time"]
    return shapes


def _points(middles: Sequence[tuple[float, Mapping[str, Any]]], y: Any) -> list[Shape]:
    shapes: list[Shape] = []
    radius = 2.6 if len(middles) <= 60 else 2.0
    for at, point in middles:
        if point["value"] is None:
            shapes.append(Mark(at, HEIGHT - BOTTOM - 5, "cross", "missing", radius * 0.8))
        elif not point["breached"]:
            shapes.append(Mark(at, y(point["value"]), "circle", "point", radius))
        else:
            style = "beyond" if point["confirmed"] else "suspected"
            shapes.append(Mark(at, y(point["value"]), "square", style, radius))
    return shapes


def _alarms(alarms: Sequence[Mapping[str, Any]], x: Any) -> list[Shape]:
    return [
        Mark(x(_time(one["time"])), HEIGHT - BOTTOM + 19, "triangle", "alarm", 3.2)
        for one in alarms
        if one["worsening"]
    ]


def _legend(series: Mapping[str, Any]) -> list[Shape]:
    """Only what occurs."""
    points = series["points"]
    wanted: list[tuple[Mark | None, str]] = [
        (Mark(0, 0, "circle", "point"), "within the limit") if any(p["breached"] is False for p in points) else (None, ""),
        (Mark(0, 0, "square", "suspected"), "beyond, interval reaches it")
        if any(p["breached"] and not p["confirmed"] for p in points) else (None, ""),
        (Mark(0, 0, "square", "beyond"), "beyond, whole interval") if any(p["breached"] and p["confirmed"] for p in points) else (None, ""),
        (Mark(0, 0, "cross", "missing"), "no value") if any(p["value"] is None for p in points) else (None, ""),
        (Mark(0, 0, "triangle", "alarm"), "CUSUM alarm") if any(a["worsening"] for a in series["cusum"]["alarms"]) else (None, ""),
    ]  # fmt: skip
    shapes: list[Shape] = []
    at = LEFT
    for mark, text in wanted:
        if mark is not None:
            shapes.append(Mark(at + 3, HEIGHT - 7.5, mark.shape, mark.style))
            shapes.append(Label(at + 9, HEIGHT - 5, text, "soft"))
            at += 22 + 4.0 * len(text)
    return shapes


def _described(series: Mapping[str, Any], known: Sequence[Mapping[str, Any]], title: str) -> str:
    if not known:
        return f"{title}: no period has a value."
    values = [point["value"] for point in known]
    beyond = sum(bool(point["breached"]) for point in known)
    return (
        f"{title}: {len(known)} periods of {series['grain_hours']} hours with a value, from {min(values):.3f} to {max(values):.3f};"
        f" {beyond} beyond the limit of {series['threshold']:g}; {len(series['breakpoints'])} breakpoints."
        " The values are in the table beside it and in the report's JSON form."
    )
