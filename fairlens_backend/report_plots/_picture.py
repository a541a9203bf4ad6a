"""A plot as a list of simple shapes, which the PDF and the HTML each draw in their own way; and how each kind of shape looks.

Lengths are in points, the origin is the upper left corner, y grows downward. A shape has a style by name; colour is never
the only sign of anything: what differs in colour differs also in shape, in dashes or in a label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

Anchor = Literal["start", "middle", "end"]

# Colour-blind-safe: the blue, vermilion and black of Okabe & Ito (2008), on white.
INK: Final = "#1a1a1a"
BLUE: Final = "#0072b2"
RED: Final = "#b34700"
GREY: Final = "#6b6b6b"


@dataclass(frozen=True)
class Style:
    """How a kind of shape is drawn; None is not at all."""

    stroke: str | None = None
    fill: str | None = None
    width: float = 1.0
    dash: tuple[float, ...] = ()
    size: float = 7.0
    """of a text, in points"""
    bold: bool = False


# Sequential blues from ColorBrewer's Blues (Brewer 2003), whose lightness falls evenly: it also reads in grey.
_BLUES: Final = ("#f7fbff", "#e6f0f9", "#d3e4f3", "#bfd8ed", "#a3cce3", "#7fb9da", "#5aa2cf", "#3b8bc2", "#2171b5", "#0d57a1")  # fmt: skip
HEAT_STEPS: Final = len(_BLUES)
HEAT_DARK_FROM: Final = 7
"""the first step on which a text is written in white"""

STYLES: Final[dict[str, Style]] = {
    "axis": Style(stroke=INK, width=0.7),
    "grid": Style(stroke="#dddddd", width=0.5),
    "limit": Style(stroke=RED, width=1.0, dash=(4, 2.5)),
    "parity": Style(stroke=GREY, width=0.7, dash=(1, 2)),
    "break": Style(stroke=INK, width=0.9, dash=(7, 2, 1.5, 2)),
    "band": Style(stroke=BLUE, width=1.0),
    "line": Style(stroke=BLUE, width=1.1),
    "point": Style(stroke=BLUE, fill=BLUE, width=0.7),
    "beyond": Style(stroke=RED, fill=RED, width=0.7),
    "suspected": Style(stroke=RED, fill="#ffffff", width=1.0),
    "reference": Style(stroke=INK, fill=INK, width=0.7),
    "small": Style(stroke=GREY, fill="#ffffff", width=0.9),
    "small-bar": Style(stroke=GREY, width=0.9, dash=(2, 2)),
    "missing": Style(stroke=GREY, width=0.9),
    "alarm": Style(stroke=INK, fill="#ffffff", width=0.9),
    "tick": Style(fill=INK, size=6.5),
    "label": Style(fill=INK, size=7),
    "strong": Style(fill=INK, size=7, bold=True),
    "soft": Style(fill="#4a4a4a", size=6.5),
    "light": Style(fill="#ffffff", size=6.5),
    "dark": Style(fill=INK, size=6.5),
    "cell-empty": Style(stroke="#bbbbbb", fill="#ffffff", width=0.6),
    "hatch": Style(stroke="#bbbbbb", width=0.6),
    **{f"heat{step}": Style(stroke="#ffffff", fill=colour, width=0.8) for step, colour in enumerate(_BLUES)},
}


@dataclass(frozen=True)
class Line:
    """A straight line through two or more points."""

    points: tuple[tuple[float, float], ...]
    style: str


@dataclass(frozen=True)
class Box:
    """A rectangle by its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    style: str


@dataclass(frozen=True)
class Mark:
    """A symbol around a point."""

    x: float
    y: float
    shape: Literal["circle", "square", "diamond", "triangle", "cross"]
    style: str
    radius: float = 2.6


@dataclass(frozen=True)
class Label:
    """A text whose baseline begins, is centred or ends at a point."""

    x: float
    y: float
    text: str
    style: str = "label"
    anchor: Anchor = "start"


Shape = Line | Box | Mark | Label


@dataclass(frozen=True)
class Picture:
    """A plot.

    Parameters
    ----------
    title : what it shows, in a few words
    description : what a reader who does not see it is told
    """

    width: float
    height: float
    title: str
    description: str
    shapes: tuple[Shape, ...]


def outline(mark: Mark) -> tuple[tuple[float, float], ...]:
    """The corners of a symbol that is no circle; of a cross the ends of its two strokes, one stroke after the other."""
    x, y, r = mark.x, mark.y, mark.radius
    corners: dict[str, Any] = {
        "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        "diamond": ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)),
        "triangle": ((0, -1.25), (1.2, 0.95), (-1.2, 0.95)),
        "cross": ((-1, -1), (1, 1), (-1, 1), (1, -1)),
    }
    return tuple((x + r * dx, y + r * dy) for dx, dy in corners[mark.shape])


def fitted(text: str, width: float, size: float = 7.0) -> str:
    """A text that would be wider than `width` points with its middle left out; letters are taken for 0.58 of their size.

    The middle, since long names of groups often differ in their ends.

    >>> fitted("Free city of the northern district number 17", 90)
    'Free city of…umber 17'
    """
    most = max(5, int(width / (0.58 * size)))
    if len(text) <= most:
        return text
    tail = (most - 1) * 2 // 5
    return f"{text[: most - 1 - tail].rstrip()}…{text[-tail:].lstrip()}"


def all_fitted(names: Sequence[str], width: float, size: float = 7.0) -> list[str]:
    """Names as `fitted` shortens them; where several came out alike, what they all begin with is left out instead.

    >>> all_fitted(["Country number 07 of the whole list", "Country number 21 of the whole list"], 90)
    ['…07 of the whole list', '…21 of the whole list']
    """
    made = [fitted(name, width, size) for name in names]
    for text in sorted({text for text in made if made.count(text) > 1}):
        alike = [place for place, one in enumerate(made) if one == text]
        first, last = min(names[place] for place in alike), max(names[place] for place in alike)
        begin = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        for place in alike:
            made[place] = fitted(f"…{names[place][begin:]}", width, size)
    return made


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that cover low to high.

    >>> nice_ticks(0.43, 1.12)
    [0.4, 0.6, 0.8, 1.0, 1.2]
    """
    span = max(high - low, 1e-9)
    raw = span / about
    power = 10.0 ** _floor_log10(raw)
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = int(low / step + 1e-9) if low >= 0 else -int(-low / step + 1 - 1e-9)
    ticks = [round(first * step, 10)]
    while ticks[-1] < high - 1e-9:
        ticks.append(round(ticks[-1] + step, 10))
    return ticks


def _floor_log10(value: float) -> int:
    power = 0
    while 10.0**power > value:
        power -= 1
    while 10.0 ** (power + 1) <= value:
        power += 1
    return power
