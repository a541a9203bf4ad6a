"""The crossings of two attributes as a map: a cell a crossing, its selection rate as lightness and as a number."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairlens_backend.report_plots._picture import (
    HEAT_DARK_FROM,
    HEAT_STEPS,
    Box,
    Label,
    Line,
    Picture,
    Shape,
    all_fitted,
    fitted,
)

WIDTH: Final = 490.0
NAMES: Final = 118.0
TOP: Final = 34.0
ROW: Final = 25.0
MAX_ROWS: Final = 24
MAX_COLUMNS: Final = 8


def heat_map_picture(pair: tuple[str, str], slices: Sequence[Mapping[str, Any]]) -> Picture:
    """The attribute with more groups in rows, the other in columns; of many groups the largest, up to 24 × 8.

    Parameters
    ----------
    slices : of the crossing of the pair, as `core.slices` gives them
    """
    cells = {tuple(one["attributes"][name] for name in pair): one for one in slices}
    rows, columns = _largest(cells, 0), _largest(cells, 1)
    down, across = pair
    if len(columns) > len(rows):
        rows, columns, down, across = columns, rows, across, down
        cells = {(b, a): one for (a, b), one in cells.items()}
    rows, columns = rows[:MAX_ROWS], columns[:MAX_COLUMNS]
    shown = [cells[r, c] for r in rows for c in columns if (r, c) in cells]
    rates = [one["rates"]["selection_rate"]["value"] for one in shown if one["status"] == "ok"]
    low, high = min(rates, default=0.0), max(rates, default=1.0)
    width = min(92.0, (WIDTH - NAMES) / max(1, len(columns)))
    height = TOP + ROW * len(rows) + 30
    shapes: list[Shape] = [
        Label(NAMES - 6, TOP - 6, fitted(down, NAMES - 10), "strong", "end"),
        Label(NAMES, 10, across, "strong"),
    ]
    for place, name in enumerate(all_fitted(columns, width - 4)):
        shapes.append(Label(NAMES + width * (place + 0.5), TOP - 6, name, "label", "middle"))
    named = all_fitted(rows, NAMES - 10)
    for line, row in enumerate(rows):
        y = TOP + ROW * line
        shapes.append(Label(NAMES - 6, y + ROW / 2 + 2, named[line], "label", "end"))
        for place, column in enumerate(columns):
            shapes += _cell(cells.get((row, column)), NAMES + width * place, y, width, low, high)
    shapes += _scale(low, high, height, any(one["status"] != "ok" for one in shown))
    title = f"Selection rates of {pair[0]} × {pair[1]}"
    described = (
        f"{title}: {len(rates)} crossings that are large enough, from {100 * low:.1f} % to {100 * high:.1f} %."
        " Every crossing is in the table beside it."
    )
    return Picture(WIDTH, height, title, described, tuple(shapes))


def _largest(cells: Mapping[tuple[str, ...], Mapping[str, Any]], axis: int) -> list[str]:
    sizes: dict[str, int] = {}
    for key, one in cells.items():
        sizes[key[axis]] = sizes.get(key[axis], 0) + one["size"]
    return sorted(sizes, key=lambda name: (name == "unknown", -sizes[name], name))


def _step(rate: float, low: float, high: float) -> int:
    return min(HEAT_STEPS - 1, int(HEAT_STEPS * (rate - low) / (high - low))) if high > low else 0


def _cell(
    one: Mapping[str, Any] | None, x: float, y: float, width: float, low: float, high: float
) -> list[Shape]:
    middle = x + width / 2
    if one is None or not one["size"]:
        return [
            Box(x, y, width, ROW, "cell-empty"),
            Label(middle, y + ROW / 2 + 2, "none", "soft", "middle"),
        ]
    if one["status"] != "ok":
        return [
            Box(x, y, width, ROW, "cell-empty"),
            Line(((x, y + ROW), (x + width, y)), "hatch"),
            Label(middle, y + ROW / 2 + 2, f"n = {one['size']:,}", "soft", "middle"),
        ]
    rate = one["rates"]["selection_rate"]["value"]
    step = _step(rate, low, high)
    style = "light" if step >= HEAT_DARK_FROM else "dark"
    return [
        Box(x, y, width, ROW, f"heat{step}"),
        Label(middle, y + ROW / 2 - 1, f"{100 * rate:.1f} %", style, "middle"),
        Label(middle, y + ROW / 2 + 8, f"n = {one['size']:,}", style, "middle"),
    ]


def _scale(low: float, high: float, height: float, small: bool) -> list[Shape]:
    y, step = height - 16, 9.0
    shapes: list[Shape] = [Label(NAMES - 6, y + 7, f"{100 * low:.1f} %", "tick", "end")]
    shapes += [Box(NAMES + step * place, y, step, 9, f"heat{place}") for place in range(HEAT_STEPS)]
    end = NAMES + step * HEAT_STEPS
    shapes.append(Label(end + 5, y + 7, f"{100 * high:.1f} %", "tick"))
    if small:
        shapes += [
            Box(end + 48, y, 14, 9, "cell-empty"),
            Line(((end + 48, y + 9), (end + 62, y)), "hatch"),
            Label(end + 67, y + 7, "too small to compare", "soft"),
        ]
    return shapes
