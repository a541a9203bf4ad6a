"""The section on groups: ratios of crossings with their intervals, names that are marked."""

import numpy as np

from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.inference.intervals import ratio_interval
from fairlens_backend.report_plots._picture import Label
from fairlens_backend.report_sections import groups_and_crossings
from fairlens_backend.report_sections._blocks import Plot, Table


def test_crossings_from_the_lowest_rate_on_with_ratio_and_interval() -> None:
    """20 of 100 over 60 of 100 is 0.33; the highest has no ratio to itself; 5 people are too few and in no row."""
    counts = {("F", "x"): (20, 100), ("F", "y"): (45, 100), ("M", "x"): (60, 100), ("M", "y"): (5, 5)}
    sex = [sex for (sex, _), (_, n) in counts.items() for _ in range(n)]
    race = [race for (_, race), (_, n) in counts.items() for _ in range(n)]
    chosen = np.concatenate([np.arange(n) < x for x, n in counts.values()]).astype(np.int64)
    results = assess(CountTable.from_arrays({"sex": sex, "race": race}, chosen), n_resamples=0)
    blocks = groups_and_crossings.build({"results": results})
    table = next(one for one in blocks if isinstance(one, Table) and one.caption.startswith("Crossings"))
    assert [row[0] for row in table.rows] == ["F × x", "F × y", "M × x"]
    low, high = ratio_interval(20, 100, 60, 100) or (0, 0)
    assert table.rows[0][1:3] == ["100", "20.0 %"]
    assert table.rows[0][4] == f"0.33\n{low:.2f} to {high:.2f}" and table.rows[2][4] == "highest"
    assert any("1 more crossing" in note for note in table.notes)
    assert len([one for one in blocks if isinstance(one, Plot)]) == 3


def test_groups_are_marked() -> None:
    """The reference group and one that is too small say so beside their names."""
    sex = ["F"] * 100 + ["M"] * 100 + ["X"] * 5
    table = CountTable.from_arrays({"sex": sex}, [1, 0] * 102 + [1])
    blocks = groups_and_crossings.build(
        {"results": assess(table, reference_groups={"sex": "M"}, n_resamples=0)}
    )
    (listed,) = [one for one in blocks if isinstance(one, Table)]
    assert [row[0] for row in listed.rows] == ["F", "M (r)", "X (s)"]


def test_many_groups_are_told_apart_and_what_is_not_drawn_is_said() -> None:
    """50 countries whose names differ in the middle alone: each label is another one; the captions say 40 of 50, 24 by 8."""
    names = [f"The country with the number {k:02} on the list of those that apply" for k in range(50)]
    country = [name for name in names for _ in range(80)]
    sex = ["F", "M"] * 2000
    chosen = np.tile([0, 1, 1, 0], 1000).astype(np.int64)
    blocks = groups_and_crossings.build(
        {"results": assess(CountTable.from_arrays({"country": country, "sex": sex}, chosen), n_resamples=0)}
    )
    rates, _, crossings = [one for one in blocks if isinstance(one, Plot)]
    for plot, n in ((rates, 40), (crossings, 24)):
        labels = [
            one.text for one in plot.picture.shapes if isinstance(one, Label) and one.text.endswith("apply")
        ]
        assert len(labels) == len(set(labels)) == n
    assert "Drawn are the 40 largest of 50 groups." in rates.caption
    assert "Drawn are the largest groups, at most 24 by 8, of 50 by 2." in crossings.caption
