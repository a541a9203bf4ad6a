"""The short notation of an audit's entry: the count table as one row of numbers, figures as columns, names once.

It says what the long one of `audit_evidence` says, but for the sizes of groups beside each figure, which its counts give, in a
third of the bytes: so a verifier reads a million of them. The page docs/evidence-format.md defines both.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairlens_backend.core.canonical_json import MAX_SAFE_INTEGER

__all__ = [
    "FIGURE_UNITS",
    "LIMIT_UNITS",
    "REST_COLUMNS",
    "SHORT_VERSION",
    "cell_places",
    "entry_version",
    "shortened",
    "spelled_out",
]

LONG_VERSION: Final = 1
SHORT_VERSION: Final = 2
FIGURE_UNITS: Final = 10**12
"""value and signed are whole numbers of this part of 1: what two machines' rounding may differ by"""
LIMIT_UNITS: Final = 10**9
"""limits of intervals, which are rounded to 1e-9, and p-values"""
_DECISIONS: Final = 2
_TRUTHS: Final = 3
_SPARSE: Final = 20
"""A row of the long notation takes about as many bytes as so many zeros of the short one."""
_REST: Final = ("lower", "upper", "p_value", "p_adjusted", "status", "method", "severity")
_LIMITS: Final = frozenset({"lower", "upper", "p_value", "p_adjusted"})
REST_COLUMNS: Final = len(_REST) + 2
_MEASURED: Final = ("attribute", "metric", "basis")
_NUMBERS: Final = ("value", "signed")


def entry_version(body: Mapping[str, Any]) -> int:
    """The version of the entry with this body: 2 of an audit in the short notation, else 1."""
    counts = body.get("counts")
    return (
        SHORT_VERSION
        if isinstance(counts, Mapping) and counts.get("version") == SHORT_VERSION
        else LONG_VERSION
    )


def shortened(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The body of `audit_body` in the short notation; None where it does not fit into it, or would be longer.

    It fits unless a number is beyond what JSON keeps exactly in those units (a value above 9,007), which is rare.
    """
    if body["counts"]["version"] != LONG_VERSION:
        return None
    counts = _short_counts(body["counts"])
    figures = _short_figures(body["figures"])
    return None if counts is None or figures is None else {**body, "counts": counts, "figures": figures}


def spelled_out(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body in the long notation.

    Raises
    ------
    ValueError, LookupError, TypeError : its columns do not fit together
    """
    return {
        **body,
        "counts": _long_counts(body["counts"]),
        "figures": _long_figures(body["figures"]),
    }


def cell_places(bins: Sequence[int]) -> list[tuple[int, int, int]]:
    """(decision, truth, score bin) of the numbers of one group, in their order.

    Examples
    --------
    >>> cell_places([10])
    [(0, 0, 10), (0, 1, 10), (0, 2, 10), (1, 0, 10), (1, 1, 10), (1, 2, 10)]
    """
    return [(d, y, b) for d in range(_DECISIONS) for y in range(_TRUTHS) for b in bins]


def _short_counts(counts: Mapping[str, Any]) -> dict[str, Any] | None:
    rows = counts["rows"]
    bins = sorted({row[3] for row in rows})
    groups = list(dict.fromkeys(tuple(row[0]) for row in rows))
    places = {cell: i for i, cell in enumerate(cell_places(bins))}
    length = len(groups) * len(places)
    if length > _SPARSE * len(rows):
        return None
    start = {group: i * len(places) for i, group in enumerate(groups)}
    n, scores = [0] * length, ["0"] * length
    for group, decision, truth, score, number, units in rows:
        at = start[tuple(group)] + places[decision, truth, score]
        n[at], scores[at] = number, units
    return {
        "attributes": list(counts["attributes"]),
        "bins": bins,
        "groups": [list(group) for group in groups],
        "n": " ".join(map(str, n)),
        "scores": " ".join(scores) if any(one != "0" for one in scores) else "",
        "version": SHORT_VERSION,
    }


def _long_counts(counts: Mapping[str, Any]) -> dict[str, Any]:
    cells = [(group, *place) for group in counts["groups"] for place in cell_places(counts["bins"])]
    scores = counts["scores"].split(" ") if counts["scores"] else ["0"] * len(cells)
    rows = [
        [*cell, n, units]
        for cell, n, units in zip(cells, map(int, counts["n"].split()), scores, strict=True)
        if n or units != "0"
    ]
    return {"version": LONG_VERSION, "attributes": counts["attributes"], "rows": rows}


def _short_figures(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    names = list(dict.fromkeys(one[name] for name in _MEASURED for one in figures if one[name] is not None))
    words = sorted(_words(figures))
    name_of: dict[str | None, int | None] = {name: i for i, name in enumerate(names)} | {None: None}
    word_of: dict[str | None, int | None] = {word: i for i, word in enumerate(words)} | {None: None}
    measured = [[name_of[one[name]] for one in figures] for name in _MEASURED]
    measured += [[int(one[name] is not None) for one in figures] for name in _NUMBERS]
    if any(len(one["groups_compared"]) not in (0, 2) for one in figures):
        return None
    rest: list[list[int | None]] = [
        [_whole(one[name], LIMIT_UNITS) if name in _LIMITS else word_of[one[name]] for one in figures]
        for name in _REST
    ]
    for side in range(2):
        rest.append([word_of[(one["groups_compared"] or (None, None))[side]] for one in figures])
    value, signed = (
        [round(one[name] * FIGURE_UNITS) for one in figures if one[name] is not None] for name in _NUMBERS
    )
    numbers = [one for column in (value, signed, *rest[: len(_LIMITS)]) for one in column if one is not None]
    if any(abs(one) > MAX_SAFE_INTEGER for one in numbers):
        return None
    return {
        "measured": measured,
        "names": names,
        "rest": ";".join(" ".join("." if one is None else str(one) for one in column) for column in rest),
        "signed": " ".join(map(str, signed)),
        "value": " ".join(map(str, value)),
        "words": words,
    }


def _long_figures(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    names, words = figures["names"], figures["words"]
    numbers = [map(int, figures[name].split()) for name in _NUMBERS]
    made = []
    for *measured, has_value, has_signed in zip(*figures["measured"], strict=True):
        one: dict[str, Any] = dict(zip(_MEASURED, (_text(names, place) for place in measured), strict=True))
        for name, has, column in zip(_NUMBERS, (has_value, has_signed), numbers, strict=True):
            one[name] = next(column) / FIGURE_UNITS if has else None
        made.append(one)
    *parts, first, second = (
        [None if one == "." else int(one) for one in column.split()] for column in figures["rest"].split(";")
    )
    for name, part in zip(_REST, parts, strict=True):
        for one, said in zip(made, part, strict=True):
            one[name] = _fraction(said, LIMIT_UNITS) if name in _LIMITS else _text(words, said)
    for one, *pair in zip(made, first, second, strict=True):
        one["groups_compared"] = [words[group] for group in pair if group is not None]
    return made


def _words(figures: Sequence[Mapping[str, Any]]) -> set[str]:
    """Every text of the parts that are no numbers."""
    texts = {one[name] for one in figures for name in _REST if name not in _LIMITS}
    return (texts | {group for one in figures for group in one["groups_compared"]}) - {None}


def _whole(value: float | None, units: int) -> int | None:
    return None if value is None else round(value * units)


def _text(names: Sequence[str], place: int | None) -> str | None:
    return None if place is None else names[place]


def _fraction(value: int | None, units: int) -> float | None:
    return None if value is None else value / units
