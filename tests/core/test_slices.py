"""Every group and crossing is listed with its rates, each with an interval and the n it rests on."""

import json
from typing import Any

import numpy as np
import pytest

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.slices import LISTED_CROSSINGS, MAX_SLICES, demographic_slices


def one(slices: list[dict[str, Any]], **attributes: str) -> dict[str, Any]:
    (found,) = [piece for piece in slices if piece["attributes"] == attributes]
    return found


def test_the_rates_of_a_slice_by_hand() -> None:
    """40 rows: tp 10, fn 5, fp 4, tn 11, selected without truth 6, rejected without truth 4."""
    cells = [(1, 1, 10), (0, 1, 5), (1, 0, 4), (0, 0, 11), (1, -1, 6), (0, -1, 4)]
    decision = [d for d, _, k in cells for _ in range(k)]
    truth = [y for _, y, k in cells for _ in range(k)]
    score = [0.25] * 10 + [float("nan")] * 20 + [0.75] * 10
    table = CountTable.from_arrays({"sex": ["F"] * 40}, decision, truth, score)
    (piece,), left_out = demographic_slices(table, ["sex"], 30)
    assert (piece["size"], piece["labelled_size"], piece["share"], piece["status"]) == (40, 30, 1.0, "ok")
    got = {name: (rate["value"], rate["n"]) for name, rate in piece["rates"].items()}
    assert got == {
        "selection_rate": (20 / 40, 40),
        "true_positive_rate": (10 / 15, 15),
        "false_positive_rate": (4 / 15, 15),
        "false_negative_rate": (5 / 15, 15),
        "precision": (10 / 14, 14),
        "accuracy": (21 / 30, 30),
        "base_rate": (15 / 30, 30),
        "mean_score": (0.5, 20),
    }
    other = piece["rates_unfavourable_positive"]
    assert other["false_positive_rate"] == piece["rates"]["false_negative_rate"]
    assert other["false_negative_rate"] == piece["rates"]["false_positive_rate"]
    assert piece["rates"]["mean_score"]["confidence_interval"] is None
    # Wilson by hand for 20 of 40: 0.5 ∓ 1.96·sqrt(0.25/40 + 3.8415/6400) / (1 + 3.8415/40), centre unmoved
    assert piece["rates"]["selection_rate"]["confidence_interval"] == pytest.approx(
        [0.35200, 0.64800], abs=5e-5
    )
    assert left_out == 0


def test_an_undefined_rate_is_absent_with_no_rows() -> None:
    """Without truth there is no error rate: None with n 0, never 0."""
    table = CountTable.from_arrays({"sex": ["F", "M"]}, [0, 1])
    slices, _ = demographic_slices(table, ["sex"], 30)
    rates = one(slices, sex="F")["rates"]
    assert rates["true_positive_rate"] == {"value": None, "confidence_interval": None, "n": 0}
    assert rates["mean_score"] == {"value": None, "confidence_interval": None, "n": 0}
    assert one(slices, sex="F")["status"] == "insufficient_data"
    json.dumps(slices, allow_nan=False)


def test_every_crossing_of_two_attributes_follows_the_groups() -> None:
    """Three attributes have three crossings; the sizes of each add up to the rows, "unknown" included."""
    columns = {"sex": list("FMFM"), "race": ["A", "A", "B", None], "age": ["x", "y", "x", "y"]}
    slices, left_out = demographic_slices(CountTable.from_arrays(columns, [0, 1, 1, 0]), list(columns), 1)
    by_attributes: dict[tuple[str, ...], int] = {}
    for piece in slices:
        key = tuple(piece["attributes"])
        by_attributes[key] = by_attributes.get(key, 0) + piece["size"]
    assert by_attributes == {
        key: 4 for key in [("sex",), ("race",), ("age",), ("sex", "race"), ("sex", "age"), ("race", "age")]
    }
    assert one(slices, sex="M", race="unknown")["share"] == 0.25
    assert left_out == 0


def test_of_more_than_300_crossings_only_those_large_enough_are_listed() -> None:
    """A bounded answer that says how much it does not show."""
    rows = LISTED_CROSSINGS + 1
    a = [str(i) for i in range(rows)] + ["big"] * 30
    table = CountTable.from_arrays({"a": a, "b": ["x"] * len(a)}, np.zeros(len(a)))
    slices, left_out = demographic_slices(table, ["a", "b"], 30)
    crossings = [piece["attributes"] for piece in slices if len(piece["attributes"]) == 2]
    assert crossings == [{"a": "big", "b": "x"}]
    assert left_out == rows
    fewer = CountTable.from_arrays({"a": a[1:], "b": ["x"] * (len(a) - 1)}, np.zeros(len(a) - 1))
    assert demographic_slices(fewer.marginal(["a", "b"]), ["b"], 30)[1] == 0


def test_exactly_300_crossings_are_all_listed() -> None:
    """The limit itself is still listed in full."""
    a = [f"g{i}" for i in range(LISTED_CROSSINGS)]
    slices, left_out = demographic_slices(
        CountTable.from_arrays({"a": a, "b": ["x"] * len(a)}, np.ones(len(a))), ["a", "b"], 30
    )
    assert len(slices) == LISTED_CROSSINGS + 1 + LISTED_CROSSINGS and left_out == 0


def test_an_attribute_of_thousands_of_groups_stays_bounded() -> None:
    """The largest are kept, in order, and the rest counted."""
    labels = [f"{i:05}x" for i in range(MAX_SLICES + 50)]
    table = CountTable.from_arrays({"name": [*labels, labels[-1]]}, np.ones(len(labels) + 1))
    slices, left_out = demographic_slices(table, ["name"], 30)
    assert (len(slices), left_out) == (MAX_SLICES, 50)
    assert slices[-1]["attributes"] == {"name": labels[-1]}
