"""The plot of a metric over time."""

from typing import Any

from fairlens_backend.report_plots import trend_picture
from fairlens_backend.report_plots._picture import Line


def point(day: int, value: float | None = 0.9) -> dict[str, Any]:
    """The point of a day of March; without a value one of too few decisions."""
    known = value is not None
    return {
        "start": f"2026-03-{day:02}T00:00:00.000000Z", "time": f"2026-03-{day + 1:02}T00:00:00.000000Z", "value": value,
        "lower": 0.85 if known else None, "upper": 0.95 if known else None, "breached": False if known else None, "confirmed": None,
    }  # fmt: skip


def lines(*points: dict[str, Any]) -> int:
    """How many neighbours are joined."""
    series = {
        "attribute": "sex", "threshold": 0.8, "breached_when": "below", "grain_hours": 24, "breakpoints": [],
        "cusum": {"alarms": []}, "points": points,
    }  # fmt: skip
    picture = trend_picture(series, "2026-03-01T00:00:00.000000Z", "2026-03-11T00:00:00.000000Z", "Ratio")
    return sum(isinstance(one, Line) and one.style == "line" for one in picture.shapes)


def test_no_line_goes_across_a_gap() -> None:
    """Neither across a period without a value nor across days without any audit."""
    assert lines(point(1), point(2), point(3)) == 2
    assert lines(point(1), point(2), point(3, None), point(4)) == 1
    assert lines(point(1), point(2), point(5), point(6)) == 2
