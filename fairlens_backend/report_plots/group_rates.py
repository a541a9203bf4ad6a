"""The selection rates of an attribute's groups, a row each, with their intervals."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairlens_backend.report_plots._picture import Label, Line, Mark, Picture, Shape, all_fitted, nice_ticks

WIDTH: Final = 490.0
ROW: Final = 13.0
NAMES: Final = 150.0
NUMBERS: Final = 104.0
TOP: Final = 12.0
BOTTOM: Final = 44.0
MAX_GROUPS: Final = 40


def group_rates_picture(
    attribute: str, slices: Sequence[Mapping[str, Any]], reference: str | None
) -> Picture:
    """A dot for each group at its selection rate, its 95 % interval as a bar, its n beside it.

    Parameters
    ----------
    slices : of the attribute, as `core.slices` gives them; the largest 40 are drawn, the highest rate first
    """
    drawn = sorted(slices, key=lambda one: -one["size"])[:MAX_GROUPS]
    drawn = sorted(drawn, key=_rate, reverse=True)
    ends = [end for one in drawn for end in (_interval(one) or ())]
    ticks = nice_ticks(max(0.0, min(ends, default=0.0)), min(1.0, max(ends, default=1.0)))
    low, high = ticks[0], ticks[-1]
    height = TOP + ROW * len(drawn) + BOTTOM
    right = WIDTH - NUMBERS

    def x(rate: float) -> float:
        return NAMES + (right - NAMES) * (rate - low) / (high - low)

    bottom = height - BOTTOM + 4
    shapes: list[Shape] = []
    for tick in ticks:
        shapes.append(Line(((x(tick), TOP - 4), (x(tick), bottom)), "grid"))
        shapes.append(Label(x(tick), bottom + 9, f"{100 * tick:g} %", "tick", "middle"))
    shapes.append(Line(((NAMES, bottom), (right, bottom)), "axis"))
    named = all_fitted([_name(one) for one in drawn], NAMES - 12)
    for place, one in enumerate(drawn):
        shapes += _row(one, named[place], TOP + ROW * place + 6, x, reference)
    shapes += _legend(drawn, reference, height)
    title = f"Selection rates by {attribute}"
    told = [f"{_name(one)} {100 * _rate(one):.1f} %" for one in drawn if one["size"]]
    description = (
        f"{title}, with 95 % Wilson intervals: {', '.join(told[:12])}{' and more' if len(told) > 12 else ''}."
    )
    return Picture(WIDTH, height, title, description, tuple(shapes))


def _name(one: Mapping[str, Any]) -> str:
    return " × ".join(one["attributes"].values())


def _rate(one: Mapping[str, Any]) -> float:
    value = one["rates"]["selection_rate"]["value"]
    return 0.0 if value is None else float(value)


def _interval(one: Mapping[str, Any]) -> list[float] | None:
    found: list[float] | None = one["rates"]["selection_rate"]["confidence_interval"]
    return found


def _kind(one: Mapping[str, Any], reference: str | None) -> str:
    if one["status"] != "ok" or _name(one) == "unknown":
        return "small"
    return "reference" if _name(one) == reference else "point"


def _row(one: Mapping[str, Any], name: str, y: float, x: Any, reference: str | None) -> list[Shape]:
    kind = _kind(one, reference)
    right = WIDTH - NUMBERS
    shapes: list[Shape] = [
        Label(
            NAMES - 8,
            y + 2.4,
            name,
            "strong" if kind == "reference" else "label",
            "end",
        )
    ]
    interval = _interval(one)
    if interval is None:
        return [*shapes, Label(right + 8, y + 2.4, "no decisions", "soft")]
    shapes.append(
        Line(((x(interval[0]), y), (x(interval[1]), y)), "small-bar" if kind == "small" else "band")
    )
    mark = {"reference": "diamond", "point": "circle", "small": "circle"}[kind]
    shapes.append(Mark(x(_rate(one)), y, mark, kind))  # type: ignore[arg-type]
    shapes.append(Label(right + 8, y + 2.4, f"{100 * _rate(one):.1f} %", "label"))
    shapes.append(Label(WIDTH, y + 2.4, f"n = {one['size']:,}", "soft", "end"))
    return shapes


def _legend(drawn: Sequence[Mapping[str, Any]], reference: str | None, height: float) -> list[Shape]:
    kinds = {_kind(one, reference) for one in drawn}
    texts = {
        "reference": ("diamond", "reference group"),
        "point": ("circle", "group"),
        "small": ("circle", "too small to compare, or unknown"),
    }
    shapes: list[Shape] = []
    at = NAMES
    for kind, (shape, text) in texts.items():
        if kind in kinds:
            shapes.append(Mark(at, height - 11.5, shape, kind))  # type: ignore[arg-type]
            shapes.append(Label(at + 7, height - 9, text, "soft"))
            at += 24 + 4.0 * len(text)
    return shapes
