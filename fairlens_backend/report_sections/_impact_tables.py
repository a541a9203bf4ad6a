"""The tables of selection rates and impact ratios that US rules ask for, with intervals under the figures."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from fairlens_backend.core.impact_ratio import MIN_SHARE
from fairlens_backend.core.inference.intervals import ratio_interval, wilson_interval
from fairlens_backend.report_sections import _words as w
from fairlens_backend.report_sections._blocks import Block, Bullets, Column, Para, Table

SEX: Final = frozenset({"sex", "gender"})
RACE: Final = frozenset({"race", "ethnicity", "race_ethnicity", "ethnic_group", "race_and_ethnicity"})
FOUR_FIFTHS: Final = 0.8
MAX_CATEGORIES: Final = 60
_TITLES: Final = {
    "sex": "Sex categories",
    "race": "Race/ethnicity categories",
    "both": "Intersectional categories",
}


def kind_of(attribute: str) -> str | None:
    """ "sex" or "race" by the attribute's name; None for any other.

    >>> kind_of("Gender"), kind_of("race/ethnicity"), kind_of("age")
    ('sex', 'race', None)
    """
    name = re.sub(r"[^a-z]+", "_", attribute.lower()).strip("_")
    return "sex" if name in SEX else "race" if name in RACE else None


def found_tables(results: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """The tables of the sex categories, the race/ethnicity categories and their crossing, as far as they are there."""
    found: dict[str, Mapping[str, Any]] = {}
    for table in results["impact_ratio_tables"] if results else ():
        kinds = [kind_of(name) for name in table["attributes"]]
        if len(kinds) == 1 and kinds[0]:
            found.setdefault(kinds[0], table)
        elif set(kinds) == {"sex", "race"}:
            found.setdefault("both", table)
    return found


def missing(found: Mapping[str, Any]) -> str:
    """Which of the three tables cannot be made, and why; empty where all can."""
    absent = [
        {"sex": "sex (or gender)", "race": "race or ethnicity"}[kind]
        for kind in ("sex", "race")
        if kind not in found
    ]
    if not absent:
        return (
            ""
            if "both" in found
            else "Sex and race/ethnicity were not counted together, so there is no intersectional table."
        )
    return f"No attribute called {w.listed(absent)} is in R, so the tables that need it cannot be made."


def ratio(one: Mapping[str, Any], table: Mapping[str, Any]) -> tuple[float, float] | None:
    """The interval of a category's impact ratio, against the category with the highest rate; None for that one itself."""
    best = highest(table)
    if best is None or one is best or one["impact_ratio"] is None:
        return None
    return ratio_interval(one["selected"], one["rows"], best["selected"], best["rows"])


def highest(table: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The largest category with the highest selection rate among those that take part."""
    part = [one for one in table["categories"] if one["status"] == "ok" and one["selected"]]
    return max(part, key=lambda one: (one["selection_rate"], one["rows"]), default=None)


def four_fifths_text(found: Mapping[str, Mapping[str, Any]]) -> str:
    """What the rule of § 1607.4(D) comes to for R, in sentences."""
    said = []
    for kind in ("sex", "race"):
        if kind not in found:
            continue
        table, best = found[kind], highest(found[kind])
        attribute = table["attributes"][0]
        if best is None:
            said.append(f"By {attribute} nobody was selected, so there is no rate to compare with.")
            continue
        under = [
            one
            for one in table["categories"]
            if one["impact_ratio"] is not None and one["impact_ratio"] < FOUR_FIFTHS - 1e-9
        ]
        name = best["attributes"][attribute]
        if not under:
            said.append(
                f"By {attribute} no group with at least 2 % of the decisions is under four-fifths of the rate of {name}, the highest."
            )
        else:
            named = [_under(one, table, attribute) for one in under]
            said.append(f"By {attribute}, under four-fifths of the rate of {name}: {'; '.join(named)}.")
    absent = missing(found) if len(found) < 2 else ""
    return " ".join(
        [*said, *([absent] if absent else []), "The table below has every group. Source: R."]
        if said
        else [absent]
    )


def _under(one: Mapping[str, Any], table: Mapping[str, Any], attribute: str) -> str:
    interval = ratio(one, table)
    text = f"{one['attributes'][attribute]}, ratio {w.apart(one['impact_ratio'], FOUR_FIFTHS, 2)}"
    if interval is None:
        return text
    reach = "all of it under 0.80" if interval[1] < FOUR_FIFTHS else "which reaches 0.80"
    return f"{text} (95 % interval {w.range_of(*interval, 2)}, {reach}; n = {one['rows']:,})"


def four_fifths_table(found: Mapping[str, Mapping[str, Any]]) -> Iterator[Block]:
    """One table over sex and race: rate, ratio to the highest, which side of four-fifths."""
    rows: list[list[str]] = []
    strong: set[int] = set()
    for kind in ("sex", "race"):
        if kind not in found:
            continue
        table = found[kind]
        best = highest(table)
        for one in table["categories"][:MAX_CATEGORIES]:
            value = one["impact_ratio"]
            if value is None:
                verdict = "under 2 %, left out" if one["status"] != "ok" else w.NOTHING
            elif one is best:
                verdict = "highest rate"
            else:
                verdict = "under four-fifths" if value < FOUR_FIFTHS - 1e-9 else "four-fifths or more"
            if verdict == "under four-fifths":
                strong.add(len(rows))
            rows.append(
                [
                    f"{table['attributes'][0]}: {next(iter(one['attributes'].values()))}",
                    w.count(one["rows"]),
                    *_selection(one, table)[1:],
                    verdict,
                ]
            )
    if rows:
        columns = (
            Column("Group", 2.2), Column("Applicants", 0.9, "number"), Column("Selection rate", 1.2, "number"),
            Column("Ratio to highest", 1.2, "number"), Column("Side of four-fifths", 1.4),
        )  # fmt: skip
        yield Table(
            "Selection rates against the highest rate",
            columns,
            rows,
            (w.source("R", _INTERVALS, _TWO_PERCENT),),
            frozenset(strong),
        )


_TWO_PERCENT: Final = (
    "Groups with less than 2 % of the decisions are listed and left out of the ratios; 29 CFR § 1607.15(A)(2) asks for no determination of groups under 2 % of"
    " the labour force or of the applicable workforce, of which these decisions may not be a picture."
)
_INTERVALS: Final = (
    "Under each figure its 95 % interval: Wilson for rates, Donner and Zou for ratios. The ratio's takes the group with the highest rate as given, although it was picked"
    " because its rate is the highest; the engine's own ratio in section 3 allows for the choice."
)


def local_law_tables(found: Mapping[str, Mapping[str, Any]]) -> Iterator[Block]:
    """The tables of 6 RCNY § 5-301, with selection rates and, where there are scores, with scoring rates."""
    absent = missing(found)
    if absent:
        yield Para(absent)
    for kind in ("sex", "race", "both"):
        if kind not in found:
            continue
        table = found[kind]
        yield _selection_table(kind, table)
        if table["median"] is not None:
            yield _scoring_table(kind, table)
    if found:
        unknown = [f"{' × '.join(table['attributes'])}: {table['unknown']:,}" for table in found.values()]
        yield Bullets(
            [
                "Individuals assessed who are in no table because their category is unknown: "
                + "; ".join(unknown)
                + ".",
                f"A category with less than {100 * MIN_SHARE:g} % of the individuals of a table is listed with its number and rate, marked, and left out of the ratios, as § 5-301(d) allows an"
                " independent auditor to do; the justification is the auditor's to give.",
                "Categories are named as they were recorded.",
            ]
        )


def _selection(one: Mapping[str, Any], table: Mapping[str, Any]) -> list[str]:
    """Selected, selection rate and impact ratio, the latter two with their intervals."""
    rate = f"{w.percent(one['selection_rate'])}\n{w.percent_range(wilson_interval(one['selected'], one['rows']))}"
    if one["status"] != "ok":
        return [w.count(one["selected"]), rate, "under 2 %"]
    if one["impact_ratio"] is None:
        return [w.count(one["selected"]), rate, w.NOTHING]
    interval = ratio(one, table)
    shown = w.apart(one["impact_ratio"], FOUR_FIFTHS, 2)
    return [
        w.count(one["selected"]),
        rate,
        f"{shown}\n{w.range_of(*interval, 2)}" if interval else f"{shown}\nhighest",
    ]


def _names(kind: str, table: Mapping[str, Any]) -> tuple[list[Column], list[str]]:
    """The columns that name a category: race/ethnicity before sex, as the rule's own example has them."""
    names = list(table["attributes"])
    if kind == "both":
        names.sort(key=lambda name: kind_of(name) != "race")
        return [Column("Race/ethnicity", 1.8), Column("Sex", 1.0)], names
    return [Column("Sex" if kind == "sex" else "Race/ethnicity", 2.2)], names


def _ordered(kind: str, table: Mapping[str, Any], names: Sequence[str]) -> list[Mapping[str, Any]]:
    shown = table["categories"][:MAX_CATEGORIES]
    return (
        sorted(shown, key=lambda one: [one["attributes"][name] for name in names])
        if kind == "both"
        else shown
    )


def _left_out(table: Mapping[str, Any]) -> list[str]:
    more = len(table["categories"]) - MAX_CATEGORIES
    return [f"{more} smaller categories are in the JSON form."] if more > 0 else []


def _selection_table(kind: str, table: Mapping[str, Any]) -> Table:
    columns, names = _names(kind, table)
    rows = [
        [*(one["attributes"][name] for name in names), w.count(one["rows"]), *_selection(one, table)]
        for one in _ordered(kind, table, names)
    ]
    columns += [
        Column("# of applicants", 1.0, "number"), Column("# selected", 0.9, "number"), Column("Selection rate", 1.2, "number"),
        Column("Impact ratio", 1.2, "number"),
    ]  # fmt: skip
    return Table(
        f"{_TITLES[kind]}: selection (6 RCNY § 5-301(b))",
        columns,
        rows,
        [w.source("R", _INTERVALS), *_left_out(table)],
    )


def _scoring_table(kind: str, table: Mapping[str, Any]) -> Table:
    columns, names = _names(kind, table)
    rows = []
    for one in _ordered(kind, table, names):
        bounds = one["scoring_rate_bounds"]
        rate = f"{w.percent(one['scoring_rate'])}\n{w.percent_range(bounds)}" if one["scored"] else w.NOTHING
        value = "under 2 %" if one["status"] != "ok" else w.number(one["scoring_impact_ratio"], 2)
        rows.append([*(one["attributes"][name] for name in names), w.count(one["scored"]), rate, value])
    columns += [
        Column("# of applicants", 1.0, "number"),
        Column("Scoring rate", 1.3, "number"),
        Column("Impact ratio", 1.0, "number"),
    ]
    median = table["median"]
    note = (
        f"The scoring rate is the share of a category's scores above the median of all. Scores are kept in ten bins, and the median is taken to be {median['estimate']:.3f}, between"
        f" {median['lower']:g} and {median['upper']:g}; the scores of that bin are divided in proportion. Under each rate its bounds: without that bin, and with all of it. These are no"
        " confidence intervals, and the ratio follows from the rates as they stand. For exact rates the scores themselves are needed."
    )
    return Table(
        f"{_TITLES[kind]}: scoring (6 RCNY § 5-301(c))",
        columns,
        rows,
        [w.source("R", note), *_left_out(table)],
    )
