"""Figures computed for many audits at once are those that the engine gives for each of them alone."""

import math

import numpy as np
import pytest

from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.figure_batches import Layout, cells_of, figures
from fairlens_backend.core.policy import Policy


def made_table(chance: np.random.Generator, n: int) -> CountTable:
    """Rows with unknown groups, truths and scores among them, and groups that may be too small."""
    return CountTable.from_arrays(
        {
            "sex": chance.choice(["F", "M", ""], n, p=[0.45, 0.5, 0.05]),
            "race": chance.choice(["A", "B", "C", "D"], n, p=[0.5, 0.3, 0.17, 0.03]),
        },
        decision=chance.integers(0, 2, n) * chance.integers(0, 2),
        truth=chance.integers(-1, 2, n),
        score=np.where(chance.random(n) < 0.2, np.nan, chance.random(n)),
    )


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("declared", [{}, {"sex": "M"}, {"race": "D", "sex": "F"}])
def test_a_batch_has_the_engines_figures(seed: int, declared: dict[str, str]) -> None:
    """Value and sign of every count-based metric of every attribute and crossing, to the last bit but one."""
    chance = np.random.default_rng(seed)
    tables = [made_table(chance, int(chance.integers(5, 900))) for _ in range(8)]
    for table in tables:
        if any(group not in {one[i] for one in table.groups} for i, group in _places(declared)):
            continue
        stated = assess(table, reference_groups=declared, n_resamples=0)
        rows = [(tuple(g), d, y, b, n, u) for g, d, y, b, n, u in table.to_dict()["rows"]]
        layout = Layout(
            table.attributes, table.groups, table.attributes, tuple(declared.items()), Policy().min_group_size
        )
        seen = set()
        for one in figures(layout, cells_of(layout, [rows, rows])):
            expected = stated["attributes"][one.attribute][one.metric]
            seen.add((one.attribute, one.metric))
            for name, given in (("value", one.value), ("signed", one.signed)):
                assert given[0] == given[1] or math.isnan(given[0])
                if expected[name] is None:
                    assert math.isnan(given[0]), (one, expected)
                else:
                    assert given[0] == pytest.approx(expected[name], abs=1e-14), (one, expected)
        every = {(name, metric) for name, metrics in stated["attributes"].items() for metric in metrics}
        assert seen == {pair for pair in every if pair[1] != "temporal_drift_index"}


def test_audits_of_nothing_have_no_figures() -> None:
    """A window without decisions has no groups at all; every figure of it is unknown, as the engine says."""
    layout = Layout(("sex", "race"), (), ("sex", "race"), (), Policy().min_group_size)
    found = list(figures(layout, cells_of(layout, [[], []])))
    assert found and all(np.isnan(one.value).all() and len(one.value) == 2 for one in found)


def _places(declared: dict[str, str]) -> list[tuple[int, str]]:
    return [(("sex", "race").index(name), group) for name, group in declared.items()]
