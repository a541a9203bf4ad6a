"""Rows that are shown to us and to another library, and our answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from fairlens_backend.core.assessment import Policy, assess
from fairlens_backend.core.counts import CountTable

TOLERANCE = 1e-12
# Other libraries compare every group, however small.
EVERY_GROUP = Policy(min_group_size=1, min_sample_size=1)
GROUPS = ["A", "B", "C", "D"]
Published = Callable[[Path], tuple[pd.DataFrame, list[str]]]


def close(ours: float | None, theirs: float) -> bool:
    """Whether two figures are the same to 1e-12, beyond 1 relative to their size."""
    return ours is not None and abs(ours - float(theirs)) <= TOLERANCE * max(1.0, abs(float(theirs)))


def expand(cells: Any) -> pd.DataFrame:
    """Rows of `group`, `decision` and `truth` from counts of shape (n_groups, 2, 2)."""
    n = np.asarray(cells)
    kinds = [(GROUPS[g], d, y) for g in range(len(n)) for d in (0, 1) for y in (0, 1)]
    repeated = np.repeat(np.arange(len(kinds)), n.ravel())
    return pd.DataFrame(
        [kinds[i] for i in repeated],
        columns=["group", "decision", "truth"],
    )


def tables(least: int, groups: tuple[int, int] = (2, 4)) -> st.SearchStrategy[pd.DataFrame]:
    """Tables of two to four groups with at least so many rows in every cell."""
    return (
        st.integers(*groups)
        .flatmap(lambda k: st.lists(st.integers(least, 40), min_size=4 * k, max_size=4 * k))
        .map(lambda n: expand(np.reshape(n, (-1, 2, 2))))
    )


def audited(rows: pd.DataFrame, reference: str | None = None, attribute: str = "group") -> dict[str, Any]:
    """The assessment of rows, without resampling: values do not depend on it."""
    table = CountTable.from_arrays(
        {attribute: rows[attribute].astype(str)}, rows["decision"], rows.get("truth")
    )
    declared = {attribute: reference} if reference else None
    return assess(table, None, declared, EVERY_GROUP, n_resamples=0)


def rates(result: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """The rates of every group of the one attribute of a result."""
    found = {}
    for piece in result["demographic_slices"]:
        (group,) = piece["attributes"].values()
        found[group] = {name: rate["value"] for name, rate in piece["rates"].items()}
    return found


def compas(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """ProPublica's COMPAS: a low score is favourable, and so is no new charge within two years."""
    rows = pd.read_csv(folder / "compas_two_years.csv")
    rows = rows.assign(
        decision=(rows.score_text == "Low").astype(int), truth=(rows.two_year_recid == 0).astype(int)
    )
    return rows[["race", "sex", "age_cat", "decision", "truth"]], ["race", "sex", "age_cat"]


def adult(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """UCI Adult, decided by schooling alone (a bachelor's degree), with income over 50K as the truth."""
    rows = pd.read_csv(folder / "adult.csv")
    rows = rows.assign(
        decision=(rows["education-num"] >= 13).astype(int), truth=(rows.income == ">50K").astype(int)
    )
    return rows[["sex", "race", "decision", "truth"]], ["sex", "race"]


def adult_random_forest(folder: Path) -> tuple[pd.DataFrame, list[str]]:
    """Ready-made decisions of a random forest on Adult."""
    rows = pd.read_csv(folder / "adult_random_forest_predictions.csv")
    rows = rows.assign(decision=rows.score.astype(int), truth=rows.label_value)
    return rows[["race", "gender", "decision", "truth"]], ["race", "gender"]


PUBLISHED: tuple[Published, ...] = (compas, adult, adult_random_forest)
