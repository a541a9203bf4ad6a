"""Outcomes that are numbers, from rows to result."""

import json
from typing import Any

import numpy as np
import pytest

from fairlens_backend.core.numeric_metrics import NUMERIC_METRICS
from fairlens_backend.core.numeric_outcome import assess_numeric
from fairlens_backend.errors import InvalidInput

SEX = {"sex": ["F"] * 100 + ["M"] * 100}


def salaries(seed: int = 0, n: int = 1500) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    sex, region = rng.choice(["F", "M"], n), rng.choice(["N", "S", "W"], n)
    truth = rng.normal(50, 10, n) + 3 * (sex == "M")
    return {"score": truth + rng.normal(0, 4, n), "protected": {"sex": sex, "region": region}, "truth": truth}


def test_gaps_are_the_differences_of_groups() -> None:
    """Hand: means 1.5 and 2.5; errors 0.5 and 1; R² from SST 0.25 a row."""
    score = [1.0, 2.0] * 50 + [2.0, 3.0] * 50
    truth = [1.5, 2.5] * 50 + [1.0, 2.0] * 50
    found = assess_numeric(score, SEX, truth, {"sex": "M"})["attributes"]["sex"]
    assert {name: one["signed"] for name, one in found.items() if one["signed"] is not None} == {
        "mean_score_gap": -1.0,
        "mean_absolute_error_gap": -0.5,
        "root_mean_squared_error_gap": -0.5,
        "r_squared_gap": pytest.approx((1 - 0.25 / 0.25) - (1 - 1 / 0.25)),
    }
    assert found["kolmogorov_smirnov_distance"]["value"] == 0.5
    assert found["wasserstein_distance"]["value"] == 1.0
    for one in found.values():
        assert one["groups_compared"] == ["F", "M"]
        assert one["sample_sizes"] == {"F": 100, "M": 100}
        assert one["status"] == "ok"
    assert "1 lower than that of sex=M (1.5 against 2.5" in found["mean_score_gap"]["sentence"]


def test_every_figure_is_scipy_s_and_scikit_learn_s() -> None:
    """To 1e-12, the furthest of three regions found by trying each."""
    from scipy.stats import ks_2samp, wasserstein_distance
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    data = salaries()
    score, truth, region = data["score"], data["truth"], data["protected"]["region"]
    found = assess_numeric(**data, reference_groups={"region": "W"})["attributes"]["region"]

    def furthest(figure: Any) -> float:
        gaps = [figure(region == g) - figure(region == "W") for g in ("N", "S")]
        return float(max(gaps, key=abs))

    def apart(distance: Any) -> float:
        return float(max(distance(score[region == g], score[region == "W"]) for g in ("N", "S")))

    expected = {
        "mean_score_gap": furthest(lambda g: score[g].mean()),
        "mean_absolute_error_gap": furthest(lambda g: mean_absolute_error(truth[g], score[g])),
        "root_mean_squared_error_gap": furthest(lambda g: root_mean_squared_error(truth[g], score[g])),
        "r_squared_gap": furthest(lambda g: r2_score(truth[g], score[g])),
        "kolmogorov_smirnov_distance": apart(lambda a, b: ks_2samp(a, b).statistic),
        "wasserstein_distance": apart(wasserstein_distance),
    }
    assert {name: one["value"] for name, one in found.items()} == {
        name: pytest.approx(value, abs=1e-12) for name, value in expected.items()
    }


def test_every_interval_holds_its_value_and_the_result_is_plain() -> None:
    """JSON takes it, without NaN or infinity."""
    result = assess_numeric(**salaries())
    json.dumps(result, allow_nan=False)
    for of in result["attributes"].values():
        assert list(of) == list(NUMERIC_METRICS)
        for one in of.values():
            interval = one["confidence_interval"]
            assert interval["lower"] <= one["value"] <= interval["upper"]
            assert 0 <= one["p_value"] <= one["p_adjusted"] <= 1
            assert one["test"]
            assert one["sentence"] in result["sentences"]
    for group in result["demographic_slices"]:
        for rate in group["rates"].values():
            assert (
                rate["confidence_interval"]["lower"] <= rate["value"] <= rate["confidence_interval"]["upper"]
            )
    assert sum(g["size"] for g in result["demographic_slices"] if "sex" in g["attributes"]) == 1500


def test_under_equality_few_of_many_groups_differ_significantly() -> None:
    """Six equal groups: of 40 audits at most 5 find any significant difference at 0.05 (BH keeps the share at 0.05; more come in 1.4 %)."""
    alarms = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        result = assess_numeric(
            rng.normal(size=600),
            {"g": rng.choice(list("ABCDEF"), 600)},
            rng.normal(size=600),
            seed=seed,
            n_resamples=199,
        )
        alarms += any(one["significant"] for one in result["attributes"]["g"].values())
    assert alarms <= 5


def test_limits_decide_and_without_them_nothing_passes() -> None:
    """No limit: UNKNOWN, no breach. A limit on the gap: breached on either side, confirmed by the whole interval."""
    data = salaries()
    assert assess_numeric(**data)["overall_severity"] == "UNKNOWN"
    assert assess_numeric(**data)["attributes"]["sex"]["mean_score_gap"]["breached"] is None
    result = assess_numeric(**data, thresholds={"mean_score_gap": 1.2})
    gap = result["attributes"]["sex"]["mean_score_gap"]
    assert (gap["breached"], gap["confirmed"], gap["significant"]) == (True, True, True)
    assert gap["value"] < 0
    assert result["overall_severity"] in ("HIGH", "CRITICAL")  # e = 3 / 1.2 = 2.5
    assert result["alert"]
    assert result["metrics"]["mean_score_gap"]["attribute"] == "sex"
    wide = assess_numeric(**data, thresholds={"mean_score_gap": 10.0})
    assert (wide["overall_severity"], wide["alert"]) == ("PASS", False)
    near = assess_numeric(**data, thresholds={"mean_score_gap": abs(gap["value"]) - 1e-6})
    assert near["attributes"]["sex"]["mean_score_gap"]["breached"]
    assert not near["attributes"]["sex"]["mean_score_gap"]["confirmed"]


def test_without_truth_the_errors_are_absent_with_a_reason() -> None:
    """Gaps in errors need the truth; the rest does not."""
    data = salaries()
    result = assess_numeric(data["score"], data["protected"])
    found = result["attributes"]["sex"]
    assert {name for name, one in found.items() if one["status"] == "no_ground_truth"} == {
        "mean_absolute_error_gap", "root_mean_squared_error_gap", "r_squared_gap",
    }  # fmt: skip
    assert found["r_squared_gap"]["reason"] in result["sentences"]
    one_sided = np.where(data["protected"]["sex"] == "F", np.nan, data["truth"])
    found = assess_numeric(data["score"], data["protected"], one_sided)["attributes"]["sex"]
    assert found["mean_absolute_error_gap"]["status"] == "insufficient_data"
    constant = assess_numeric(data["score"], data["protected"], np.ones(1500))["attributes"]["sex"]
    assert (constant["r_squared_gap"]["status"], constant["r_squared_gap"]["value"]) == ("undefined", None)


def test_small_and_unknown_groups_are_listed_not_compared() -> None:
    """And rows without a score are counted as such."""
    score = [1.0] * 50 + [2.0] * 50 + [9.0] * 5 + [7.0] * 40 + [np.nan] * 3
    labels = ["A"] * 50 + ["B"] * 50 + ["C"] * 5 + [None] * 40 + ["A"] * 3
    result = assess_numeric(score, {"g": labels})
    assert result["attributes"]["g"]["mean_score_gap"]["signed"] == -1.0
    assert result["reference_groups"]["g"] == {"group": "B", "chosen": "highest mean score"}
    assert {s["attributes"]["g"]: (s["size"], s["status"]) for s in result["demographic_slices"]} == {
        "A": (50, "ok"), "B": (50, "ok"), "C": (5, "insufficient_data"), "unknown": (40, "ok"),
    }  # fmt: skip
    assert (result["sample_size"], result["missing_scores"]) == (145, 3)


def test_one_group_or_no_rows_give_no_verdict() -> None:
    """Nothing to compare is not equal."""
    one = assess_numeric([1.0] * 200, {"g": ["A"] * 200}, thresholds={"mean_score_gap": 1.0})
    assert one["overall_severity"] == "UNKNOWN"
    assert one["attributes"]["g"]["mean_score_gap"]["status"] == "insufficient_data"
    none = assess_numeric([], {"g": []})
    assert none["sample_size"] == 0
    assert none["label_coverage"] is None


def test_the_same_seed_gives_the_same_result() -> None:
    """Every byte of it."""
    assert json.dumps(assess_numeric(**salaries(), seed=4)) == json.dumps(
        assess_numeric(**salaries(), seed=4)
    )


def test_swapping_the_reference_turns_the_gap() -> None:
    """Signed gaps change their sign, distances stay."""
    data = salaries()
    a = assess_numeric(**data, reference_groups={"sex": "M"})["attributes"]["sex"]
    b = assess_numeric(**data, reference_groups={"sex": "F"})["attributes"]["sex"]
    for name in NUMERIC_METRICS:
        expected = a[name]["value"] if a[name]["signed"] is None else -a[name]["value"]
        assert b[name]["value"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"score": ["a"] * 200}, "score"),
        ({"score": [np.inf] * 200}, "score"),
        ({"truth": [1.0]}, "truth"),
        ({"protected": {"sex": ["F"]}}, "protected.sex"),
        ({"reference_groups": {"race": "A"}}, "reference_groups.race"),
        ({"reference_groups": {"sex": "X"}}, "reference_groups.sex"),
        ({"thresholds": {"disparate_impact_ratio": 0.8}}, "thresholds.disparate_impact_ratio"),
    ],
)
def test_bad_input_is_named(changed: dict[str, Any], field: str) -> None:
    """Each refusal says where."""
    with pytest.raises(InvalidInput) as refused:
        assess_numeric(**({"score": [1.0] * 200, "protected": SEX} | changed))
    assert refused.value.details["field"] == field


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"thresholds": {"mean_score_gap": -1}}, "mean_score_gap is -1; expected was a number above 0"),
        ({"thresholds": {"mean_score_gap": "5"}}, "a number above 0"),
        ({"alpha": 7}, "alpha is 7"),
        ({"correction": "none at all"}, "bh, holm or none"),
        ({"min_group_size": 0}, "min_group_size is 0"),
        ({"n_resamples": 0}, "n_resamples is 0; expected was a whole number from 100"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(setting: dict[str, Any], message: str) -> None:
    """A limit below 0 would breach by any difference, an alpha of 7 make all of them significant."""
    with pytest.raises(InvalidInput, match=message):
        assess_numeric([1.0, 2.0] * 100, {"sex": ["F", "M"] * 100}, **setting)
