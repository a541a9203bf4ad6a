"""The section on groups: ratios of crossings with their intervals, names that are marked."""

import numpy as np

from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.inference.intervals import ratio_interval
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
