"""Decisions read as a model declares: the cells and groups of the count table, by the same rules as whole data sets."""

import threading
from typing import Any

import numpy as np
import pytest

from fairlens_backend import event_coding
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.group_definitions import parse_groups
from fairlens_backend.decision_layout import Layout
from fairlens_backend.event_coding import Coder, label_digest
from fairlens_backend.prediction_intake import intake_rows

LAYOUT = Layout(
    decision="d",
    protected=("sex", "age"),
    favourable=("yes", 1),
    truth="y",
    truth_favourable=("good",),
    score="s",
    missing_values=("?", -1),
    definitions=parse_groups({"age": {"bands": [30, 50]}}),
)
ROWS: list[dict[str, Any]] = [
    {"d": d, "y": y, "s": s, "sex": sex, "age": age}
    for d, y, s, sex, age in [
        ("yes", "good", 0.3, "F", 29),
        (" yes ", "bad", 0.999, " F", "29.9"),
        (1, None, 1.0, "M", 30),
        (True, "", 0.0, "?", None),
        ("no", "good", None, None, -1),
        (0, "x", 0.1, 1, "n/a"),
        ("1.0", "good", 0.5, 1.0, 50),
        (False, "good", 0.7, "true", 1e6),
    ]
]


def test_events_are_counted_as_the_rows_of_a_data_set() -> None:
    """Value by value the table that `prediction_intake` makes of the same rows."""
    coder = Coder(LAYOUT)
    column = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    score = np.array([np.nan if one is None else one for one in column["s"]])
    cells = coder.cells(column["d"], column["y"], score)
    codes, groups = coder.groups({"sex": column["sex"], "age": column["age"]})
    n = np.zeros((len(groups), 66), dtype=np.int64)
    np.add.at(n, (codes, cells), 1)
    units = np.zeros_like(n)
    np.add.at(units, (codes, cells), [0 if s is None else round(s * 2**32) for s in column["s"]])
    shape = (len(groups), 2, 3, 11)
    table = CountTable(("sex", "age"), tuple(groups), n.reshape(shape), units.reshape(shape))
    assert table == intake_rows(ROWS, LAYOUT, 1000).finish()


@pytest.mark.parametrize(
    ("one", "other", "same"), [(1, "1", True), (True, 1.0, True), ("true", 1, True), (0, False, True), ("a", " a ", True),
                               (1, 0, False), ("a", "A", False), ("yes", True, False)]
)  # fmt: skip
def test_digests_are_equal_where_labels_match(one: Any, other: Any, same: bool) -> None:
    """A truth value is also 1 and 0, as `core.labels.matching` has it."""
    assert (label_digest(one) == label_digest(other)) is same


def test_many_values_and_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory of values is bounded, and replacing it disturbs no other thread."""
    monkeypatch.setattr(event_coding, "MAX_REMEMBERED", 50)
    coder, wrong = Coder(LAYOUT), []

    def work(start: int) -> None:
        for k in range(200):
            values = [f"g{start + k + i}" for i in range(20)]
            if coder.labels("sex", values) != values:
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(1000 * t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(coder._labels["sex"]._known) <= 70
