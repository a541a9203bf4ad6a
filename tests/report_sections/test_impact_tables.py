"""The tables of US rules: ratios from counts by hand, what is left out, what is said where a table cannot be made."""

from typing import Any

import numpy as np
import pytest

from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.report_sections import _impact_tables as impact
from fairlens_backend.report_sections._blocks import Bullets, Para, Table


def results(selected: dict[tuple[str | None, str], tuple[int, int]], score: Any = None) -> dict[str, Any]:
    """An assessment of (sex, race): (selected, all)."""
    sex = [sex for (sex, _), (_, n) in selected.items() for _ in range(n)]
    race = [race for (_, race), (_, n) in selected.items() for _ in range(n)]
    chosen = np.concatenate([np.arange(n) < x for x, n in selected.values()]).astype(np.int64)
    return assess(CountTable.from_arrays({"sex": sex, "race": race}, chosen, None, score), n_resamples=0)


# Men: 60 of 100 White, 40 of 100 Black. Women: 45 of 100 White, 20 of 100 Black. And 5 of 6 others, 1.5 % of 406.
COUNTS: dict[tuple[str | None, str], tuple[int, int]] = {
    ("Male", "White"): (60, 100), ("Male", "Black"): (40, 100), ("Female", "White"): (45, 100), ("Female", "Black"): (20, 100),
    ("Male", "Other"): (5, 6),
}  # fmt: skip


def rows_of(blocks: list[Any], caption: str) -> dict[str, list[str]]:
    """The rows of the table whose caption begins so, by their first cells."""
    (table,) = [one for one in blocks if isinstance(one, Table) and one.caption.startswith(caption)]
    named = 2 if table.columns[1].title == "Sex" else 1
    return {" / ".join(row[:named]): list(row[named:]) for row in table.rows}


@pytest.fixture(scope="module")
def blocks() -> list[Any]:
    """The tables of Local Law 144."""
    return list(impact.local_law_tables(impact.found_tables(results(COUNTS))))


def test_sex_categories_by_hand(blocks: list[Any]) -> None:
    """Men 105 of 206, 51.0 %; women 65 of 200, 32.5 %: 0.325 / 0.5097 is 0.64."""
    rows = rows_of(blocks, "Sex categories")
    assert [cell.split("\n")[0] for cell in rows["Female"]] == ["200", "65", "32.5 %", "0.64"]
    assert [cell.split("\n")[0] for cell in rows["Male"]] == ["206", "105", "51.0 %", "1.00"]


def test_a_rate_and_a_ratio_stand_with_their_intervals(blocks: list[Any]) -> None:
    """Wilson's of 65 of 200 is 26.4 to 39.3 %; the highest rate has no ratio to itself."""
    rows = rows_of(blocks, "Sex categories")
    assert rows["Female"][2].split("\n")[1] == "26.4 to 39.3"
    assert " to " in rows["Female"][3] and rows["Male"][3].endswith("highest")


def test_a_category_under_2_percent_is_listed_and_left_out(blocks: list[Any]) -> None:
    """6 of 406 are 1.5 %: their rate of 83.3 % is the highest and does not count; Black 60 of 200 over White 105 of 200 is 0.57."""
    rows = rows_of(blocks, "Race/ethnicity categories")
    assert [cell.split("\n")[0] for cell in rows["Other"]] == ["6", "5", "83.3 %", "under 2 %"]
    assert rows["Black"][3].startswith("0.57") and rows["White"][3].startswith("1.00")
    (notes,) = [one for one in blocks if isinstance(one, Bullets)]
    assert any("§ 5-301(d)" in item and "auditor's" in item for item in notes.items)


def test_intersectional_categories_by_hand(blocks: list[Any]) -> None:
    """Race before sex; 20 % over the 60 % of White men is 0.33."""
    rows = rows_of(blocks, "Intersectional categories")
    assert list(rows)[:2] == ["Black / Female", "Black / Male"]
    assert [cell.split("\n")[0] for cell in rows["Black / Female"]] == ["100", "20", "20.0 %", "0.33"]
    assert rows["White / Female"][3].startswith("0.75") and rows["White / Male"][3].startswith("1.00")


def test_unknown_categories_are_counted() -> None:
    """7 people of unknown sex are in no table of sex, and in none of the crossing."""
    counts = {**COUNTS, (None, "White"): (3, 7)}
    made = list(impact.local_law_tables(impact.found_tables(results(counts))))
    (notes,) = [one for one in made if isinstance(one, Bullets)]
    assert "sex: 7; race: 0; sex × race: 7" in notes.items[0]
    assert rows_of(made, "Sex categories")["Male"][0] == "206"


def test_scoring_rates_with_the_width_of_the_median_bin() -> None:
    """Scores of 0.15 for women and 0.95 for men: the median lies in one bin, and the bounds say how wide that leaves the rates."""
    score = [0.95] * 200 + [0.15] * 200 + [0.95] * 6
    made = list(impact.local_law_tables(impact.found_tables(results(COUNTS, score))))
    rows = rows_of(made, "Sex categories: scoring")
    # 200 of 406 lie in the bin from 0.1 on, 206 in the one from 0.9 on, in which the 203rd lies: 3 of its 206 below.
    share = 100 * 203 / 206
    assert rows["Male"][1].startswith(f"{share:.1f} %") and rows["Male"][1].endswith("0.0 to 100.0")
    assert rows["Female"][1].startswith("0.0 %") and rows["Female"][2] == "0.00"


def test_four_fifths_in_words_and_in_a_table() -> None:
    """Women at 0.64 and Black at 0.57 are under four-fifths, and the group under 2 % is in no sentence."""
    found = impact.found_tables(results(COUNTS))
    text = impact.four_fifths_text(found)
    assert "By sex, under four-fifths of the rate of Male: Female, ratio 0.64 (95 % interval" in text
    assert "all of it under 0.80" in text and "Black, ratio 0.57" in text and "Other" not in text
    (table,) = impact.four_fifths_table(found)
    assert isinstance(table, Table)
    assert {row[0]: row[-1] for row in table.rows} == {
        "sex: Male": "highest rate", "sex: Female": "under four-fifths", "race: White": "highest rate",
        "race: Black": "under four-fifths", "race: Other": "under 2 %, left out",
    }  # fmt: skip


def test_a_ratio_just_under_four_fifths_is_not_written_as_080() -> None:
    """799 of 1,000 against all of 1,000."""
    found = impact.found_tables(results({("Male", "x"): (1000, 1000), ("Female", "x"): (799, 1000)}))
    assert "Female, ratio 0.799 (95 % interval" in impact.four_fifths_text(found)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("Sex", "sex"), ("GENDER", "sex"), ("race_ethnicity", "race"), ("Race/Ethnicity", "race"), ("age", None), ("sexual orientation", None)],
)  # fmt: skip
def test_what_an_attribute_is_by_its_name(name: str, kind: str | None) -> None:
    """Nothing that only resembles one of the two."""
    assert impact.kind_of(name) == kind


def test_without_sex_or_race_that_is_said() -> None:
    """An attribute of another name makes no table, and a sentence says so."""
    table = CountTable.from_arrays({"age": ["a"] * 50 + ["b"] * 50}, [1] * 100)
    made = list(impact.local_law_tables(impact.found_tables(assess(table, n_resamples=0))))
    assert len(made) == 1 and isinstance(made[0], Para)
    assert "sex (or gender) and race or ethnicity" in made[0].text
    assert "sex (or gender) and race or ethnicity" in impact.four_fifths_text({})
