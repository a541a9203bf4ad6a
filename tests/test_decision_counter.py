"""What is said about ids, and what that may cost."""

import pandas as pd
import pytest

from fairlens_backend import decision_counter
from fairlens_backend.prediction_intake import Intake, Layout

LAYOUT = Layout(decision="d", protected=("g",), favourable=(1,), id="id")


def said(pieces: list[list[str]]) -> list[str]:
    """The remarks on rows with these ids, piece by piece."""
    intake = Intake(LAYOUT, 10)
    for ids in pieces:
        intake.add(pd.DataFrame({"id": ids, "d": [place % 2 for place in range(len(ids))], "g": "x"}))
    return [remark for remark in intake.remarks() if "repeat" in remark]


def test_ids_that_repeat_are_counted_across_pieces() -> None:
    """a and b come twice, in different pieces: two rows repeat an id."""
    assert said([["a", "b"], ["c", "a"], ["b", "d"]]) == [
        "2 rows repeat an id of 'id'; they were counted too."
    ]
    assert said([["a", "b"], ["c", "d"]]) == []


def test_ids_of_a_file_without_end_are_compared_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound no id is remembered, and the remark says how far was looked."""
    monkeypatch.setattr(decision_counter, "MAX_IDS", 3)
    assert said([["a", "a"], ["b", "c"], ["a", "a"]]) == [
        "1 rows of the first 4 repeat an id of 'id'; they were counted too."
    ]
