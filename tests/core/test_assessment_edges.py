"""The edges of an audit: where there is little, much, or nothing to compare, through the same doors as every audit."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlens_backend.core.assessment import Policy, assess
from fairlens_backend.core.counts import SCORE_UNITS, CountTable
from fairlens_backend.errors import InvalidInput
from fairlens_backend.library import audit

DIR, DPD = "disparate_impact_ratio", "demographic_parity_difference"
EOD, CALIBRATION = "equal_opportunity_difference", "calibration_gap"


def of_cells(**groups: list[list[int]]) -> CountTable:
    """Groups of the attribute "g" from counts [[ŷ=0: y=0, y=1, unknown], [ŷ=1: …]], without scores."""
    n = np.zeros((len(groups), 2, 3, 11), dtype=np.int64)
    n[..., 10] = [cells for cells in groups.values()]
    return CountTable(("g",), tuple((name,) for name in groups), n, np.zeros_like(n))


def whole(result: dict[str, Any]) -> dict[str, Any]:
    """The result, after the checks that hold for every result: JSON without NaN, intervals around their values."""
    json.dumps(result, allow_nan=False)
    for metrics in result["attributes"].values():
        for one in metrics.values():
            assert (one["value"] is None) == (one["status"] != "ok"), one
            assert one["value"] is not None or one["reason"]
            interval = one["confidence_interval"]
            if interval:
                assert interval["lower"] <= one["value"] <= interval["upper"]
                assert interval["lower"] < interval["upper"]
            for p in (one["p_value"], one["p_adjusted"]):
                assert p is None or 0 <= p <= 1
    return result


def test_one_group() -> None:
    """There is nothing to compare, which is said and is never PASS; people can still be compared with each other."""
    frame = pd.DataFrame({"sex": ["F"] * 300, "hired": [0, 1, 1] * 100, "good": [0, 1, 0] * 100})
    result = whole(audit(frame, "hired", "good", protected="sex").to_dict())
    assert result["overall_severity"] == "UNKNOWN"
    one = result["metrics"][DIR]
    assert one["status"] == "insufficient_data" and "only the group F" in one["reason"]
    assert result["metrics"]["theil_index"]["status"] == "ok"


def test_a_reference_group_that_does_not_occur_is_refused() -> None:
    """The message names what was asked for and what there is."""
    frame = pd.DataFrame({"sex": ["F", "M"] * 100, "hired": [0, 1] * 100})
    with pytest.raises(InvalidInput, match=r"X.*F.*M"):
        audit(frame, "hired", protected="sex", reference_groups={"sex": "X"})


def test_a_reference_group_that_is_too_small_is_no_reference() -> None:
    """20 rows: the metrics against it say so, those of extremes compare the others, and the verdict is UNKNOWN."""
    table = of_cells(A=[[0, 0, 50], [0, 0, 50]], B=[[0, 0, 50], [0, 0, 50]], C=[[0, 0, 10], [0, 0, 10]])
    result = whole(assess(table, None, {"g": "C"}))
    assert result["metrics"][DIR]["status"] == "insufficient_data"
    assert "20 rows" in result["metrics"][DIR]["reason"]
    assert result["metrics"][DPD]["value"] == 0.0
    assert result["overall_severity"] == "UNKNOWN"


def test_nobody_selected() -> None:
    """0 and 0 differ by nothing, and 0 to 0 is no ratio."""
    result = whole(assess(of_cells(A=[[100, 100, 0], [0, 0, 0]], B=[[100, 100, 0], [0, 0, 0]])))
    assert result["metrics"][DPD]["value"] == 0.0
    assert result["metrics"][DIR]["status"] == "undefined"
    assert result["metrics"]["predictive_parity_difference"]["value"] is None
    assert result["overall_severity"] == "PASS"


def test_reference_rate_of_0() -> None:
    """Nobody of the reference group and 40 % of the other: no ratio, and a gap of 40 points that does not pass."""
    table = of_cells(A=[[0, 0, 200], [0, 0, 0]], B=[[0, 0, 120], [0, 0, 80]])
    result = whole(assess(table, None, {"g": "A"}))
    assert result["metrics"][DIR]["status"] == "undefined"
    assert result["metrics"]["statistical_parity_difference"]["value"] == pytest.approx(0.4)
    assert result["overall_severity"] == "CRITICAL"


def test_all_scores_1() -> None:
    """They fall in the last, closed bin; calibration is the truth's difference there: 0.6 − 0.5."""
    frame = pd.DataFrame(
        {
            "g": ["A"] * 400 + ["B"] * 400,
            "d": [1] * 800,
            "y": [1] * 240 + [0] * 160 + [1] * 200 + [0] * 200,
            "s": [1.0] * 800,
        }
    )
    result = whole(audit(frame, "d", "y", "s", protected="g").to_dict())
    assert result["metrics"][CALIBRATION]["value"] == pytest.approx(0.1, abs=1e-12)
    assert [piece["rates"]["mean_score"]["value"] for piece in result["demographic_slices"]] == [1.0, 1.0]
    assert result["metrics"][DIR]["value"] == 1.0


def test_a_group_of_one() -> None:
    """It is listed with its counts, and takes part in no headline value."""
    table = of_cells(A=[[0, 0, 60], [0, 0, 60]], B=[[0, 0, 60], [0, 0, 60]], C=[[0, 0, 1], [0, 0, 0]])
    result = whole(assess(table))
    assert result["metrics"][DPD]["value"] == 0.0
    (piece,) = [s for s in result["demographic_slices"] if s["attributes"] == {"g": "C"}]
    assert (piece["size"], piece["status"]) == (1, "insufficient_data")
    assert result["overall_severity"] == "PASS"
    alone = whole(assess(table, policy=Policy(min_group_size=1)))
    assert alone["metrics"][DPD]["value"] == 0.5


def test_300_groups() -> None:
    """Groups of 40 with a rate of ½, and one with 0: it is found, and the answer stays small."""
    groups = {f"g{i:03}": [[0, 0, 20], [0, 0, 20]] for i in range(299)} | {"none": [[0, 0, 40], [0, 0, 0]]}
    result = whole(assess(of_cells(**groups)))
    one = result["metrics"][DPD]
    assert one["value"] == 0.5 and "none" in one["groups_compared"]
    assert one["confidence_interval"]["method"] == "simultaneous"
    assert len(result["demographic_slices"]) == 300
    assert len(json.dumps(result)) < 1_000_000


def test_300_equal_groups_are_no_finding() -> None:
    """Of 300 groups the extremes are far apart by chance: the interval says that there may be no difference."""
    rng = np.random.Generator(np.random.PCG64(1))
    selected = rng.binomial(100, 0.5, 300).tolist()
    groups = {f"g{i:03}": [[0, 0, 100 - k], [0, 0, k]] for i, k in enumerate(selected)}
    result = whole(assess(of_cells(**groups)))
    one = result["metrics"][DPD]
    assert one["breached"] and one["confidence_interval"]["lower"] == 0.0
    assert result["overall_severity"] == "LOW"


def test_counts_of_a_billion() -> None:
    """No overflow: 10⁹ rows a cell give the rates of one row a cell, and intervals of hardly any width."""
    n = np.zeros((2, 2, 3, 11), dtype=np.int64)
    n[0, :, :2, 3] = [[4, 1], [2, 3]]
    n[1, :, :2, 7] = [[4, 1], [1, 4]]
    n *= 10**9
    half = SCORE_UNITS // 4
    table = CountTable(("g",), (("A",), ("B",)), n, n // 10**3 * half)
    result = whole(assess(table, None, {"g": "B"}))
    assert result["sample_size"] == 20 * 10**9
    assert result["metrics"][DIR]["value"] == pytest.approx(1.0)
    assert result["metrics"][EOD]["value"] == pytest.approx(0.05)
    one = result["metrics"]["false_positive_rate_difference"]
    assert one["value"] == pytest.approx(2 / 6 - 1 / 5)
    interval = one["confidence_interval"]
    assert 0 < interval["upper"] - interval["lower"] < 1e-4
    assert one["p_value"] == 0.0


def test_truth_missing_for_one_whole_group() -> None:
    """Selection is compared, error rates are not: they say how many labelled rows the group has."""
    table = of_cells(A=[[50, 50, 0], [50, 50, 0]], B=[[0, 0, 100], [0, 0, 100]])
    result = whole(assess(table, None, {"g": "A"}))
    assert result["metrics"][DPD]["value"] == 0.0
    for name in (EOD, "equalized_odds_difference", "average_odds_difference", "predictive_parity_difference"):
        assert result["metrics"][name]["status"] == "insufficient_data"
    assert result["label_coverage"] == 0.5
    assert result["metrics"]["theil_index"]["sample_sizes"] == {"A": 200}


def test_a_perfect_classifier_with_equal_base_rates_passes() -> None:
    """Every decision is the truth, half of both groups: nothing to find."""
    y = [0, 1] * 500
    frame = pd.DataFrame({"g": ["A"] * 500 + ["B"] * 500, "d": y, "y": y, "s": [float(one) for one in y]})
    result = whole(audit(frame, "d", "y", "s", protected="g").to_dict())
    assert result["overall_severity"] == "PASS"
    assert all(not one["breached"] for one in result["metrics"].values())


def test_equal_selection_with_unequal_true_positive_rates_is_not_low() -> None:
    """40 % of both are selected; of those who deserve it 90 % of A and 50 % of B: CRITICAL, as the excess is 8."""
    table = of_cells(A=[[590, 40, 0], [10, 360, 0]], B=[[430, 200, 0], [170, 200, 0]])
    result = whole(assess(table, None, {"g": "A"}))
    assert result["metrics"][DPD]["value"] == 0.0
    assert result["metrics"][EOD]["signed"] == pytest.approx(-0.4)
    assert result["metrics"][EOD]["severity"] == "CRITICAL"
    assert result["overall_severity"] == "CRITICAL"
