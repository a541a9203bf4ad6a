"""The impact ratio tables of NYC Local Law 144 for a person: in plain text and in HTML."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

__all__ = ["impact_ratios_as_html", "impact_ratios_as_text"]

CATEGORIES_SHOWN: Final = 30
TITLE: Final = "Impact ratios (New York City Local Law 144)"
_NAMED: Final = 1
_SELECTION: Final = ("category", "rows", "share", "selected", "selection rate", "impact ratio")
_SCORING: Final = ("scoring rate", "scoring impact ratio")


def impact_ratios_as_text(result: Mapping[str, Any]) -> list[str]:
    """The lines of all tables, the largest categories of each; none where the result has no such table."""
    lines: list[str] = []
    for table in result.get("impact_ratio_tables") or ():
        header, rows = _cells(table, CATEGORIES_SHOWN)
        if not rows:
            continue
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines += [*([] if lines else [TITLE, ""]), _caption(table)]
        for row in (header, *rows):
            cells = (
                cell.ljust(width) if i < _NAMED else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  ".join(cells).rstrip())
        lines += [f"  {note}" for note in _notes(table, CATEGORIES_SHOWN)]
        lines.append("")
    return lines


def impact_ratios_as_html(result: Mapping[str, Any]) -> str:
    """All tables with every category listed, every text escaped; empty where the result has no such table."""
    parts = []
    for table in result.get("impact_ratio_tables") or ():
        listed = len(table["categories"])
        header, rows = _cells(table, listed)
        if not rows:
            continue
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
        body = "".join(
            f'<tr><th scope="row">{escape(row[0])}</th>'
            + "".join(f'<td class="n">{escape(cell)}</td>' for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in _notes(table, listed))
        parts.append(
            f"<table><caption>{escape(_caption(table))}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>{notes}"
        )
    return f"<h2>{escape(TITLE)}</h2>{''.join(parts)}" if parts else ""


def _cells(table: Mapping[str, Any], most: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The header and the rows as texts, the columns of scores only where there are scores."""
    scored = table["median"] is not None
    header = _SELECTION + _SCORING if scored else _SELECTION
    return header, [tuple(_row(one, scored)) for one in table["categories"][:most]]


def _row(one: Mapping[str, Any], scored: bool) -> Iterator[str]:
    left_out = one["status"] != "ok"
    yield " × ".join(str(group) for group in one["attributes"].values())
    yield f"{one['rows']:,}"
    yield f"{100 * one['share']:.1f} %"
    yield f"{one['selected']:,}"
    yield _figure(one["selection_rate"])
    yield "under 2 %" if left_out else _figure(one["impact_ratio"])
    if scored:
        yield _figure(one["scoring_rate"])
        yield "under 2 %" if left_out else _figure(one["scoring_impact_ratio"])


def _caption(table: Mapping[str, Any]) -> str:
    return f"{' × '.join(table['attributes'])}: {table['rows']:,} rows, category unknown for {table['unknown']:,}"


def _notes(table: Mapping[str, Any], shown: int) -> Sequence[str]:
    notes = []
    more = len(table["categories"]) - shown + table["categories_left_out"]
    if more > 0:
        notes.append(f"{more} smaller categories are not listed.")
    if any(one["status"] != "ok" for one in table["categories"][:shown]):
        notes.append("Categories with less than 2 % of the rows are listed and left out of the ratios.")
    median = table["median"]
    if median is not None:
        notes.append(
            f"Scoring rate: share of scores above the median, which lies between {median['lower']:g} and"
            f" {median['upper']:g}; within that bin it is taken by proportion."
        )
    return notes


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
