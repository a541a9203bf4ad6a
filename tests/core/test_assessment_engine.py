"""The whole result: intervals, the verdicts that must hold, the edges."""

import json
from collections import Counter
from typing import Any

import numpy as np
import pytest

from fairlens_backend.core import audit_views
from fairlens_backend.core.assessment import ALL_ROWS, Policy, assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.metrics import METRICS_BY_NAME
from fairlens_backend.core.row_sample import RowMeasured
from fairlens_backend.errors import InvalidInput

DIR, DPD = "disparate_impact_ratio", "demographic_parity_difference"


def table_of(cells: list[tuple[str, int, int, int]], attribute: str = "sex") -> CountTable:
    """(group, decision, truth, rows); truth −1 is not known."""
    rows = [(group, decision, truth) for group, decision, truth, k in cells for _ in range(k)]
    group, decision, truth = zip(*rows, strict=True)
    return CountTable.from_arrays({attribute: group}, decision, truth)


def odds(group: str, tpr: int, fpr: int, times: int = 1) -> list[tuple[str, int, int, int]]:
    """100 rows of each truth, by rates in per cent."""
    return [
        (group, 1, 1, tpr * times),
        (group, 0, 1, (100 - tpr) * times),
        (group, 1, 0, fpr * times),
        (group, 0, 0, (100 - fpr) * times),
    ]


def drawn_window(seed: int, rows: int = 1000) -> CountTable:
    """Score, truth and decision have nothing to do with sex or race: no gap between groups is real."""
    rng = np.random.default_rng(seed)
    score = rng.beta(2, 2, rows)
    protected = {
        "sex": rng.choice(["F", "M"], rows),
        "race": rng.choice(list("ABCD"), rows, p=[0.5, 0.25, 0.15, 0.1]),
    }
    return CountTable.from_arrays(protected, score > 0.55, rng.random(rows) < score, score)


def test_equal_selection_with_unequal_true_positive_rates_is_not_low() -> None:
    """SR 0.5 in both, TPR 0.9 and 0.5: the ratio is 1, and the audit is CRITICAL all the same."""
    result = assess(table_of([*odds("F", 50, 50), *odds("M", 90, 10)]))
    assert result["metrics"][DIR]["value"] == 1.0
    assert result["overall_severity"] == "CRITICAL"
    assert result["metrics"]["equal_opportunity_difference"]["confirmed"] is True


def test_a_perfect_classifier_with_equal_base_rates_passes() -> None:
    """Every decision is the truth, half of each group is favourable."""
    result = assess(table_of([*odds("F", 100, 0, 2), *odds("M", 100, 0)]))
    assert result["overall_severity"] == "PASS"
    for metric in result["attributes"]["sex"].values():
        interval = metric["confidence_interval"]
        if interval:
            assert interval["lower"] <= metric["value"] <= interval["upper"]
            assert interval["lower"] < interval["upper"]


def test_windows_without_a_difference_seldom_alert() -> None:
    """200 windows of 1,000 rows: HIGH or CRITICAL in at most 5 %, give or take 2 standard errors of 1.5 %."""
    found = Counter(assess(drawn_window(seed), n_resamples=0)["overall_severity"] for seed in range(200))
    assert (found["HIGH"] + found["CRITICAL"]) / 200 <= 0.05 + 0.03, found


def test_the_same_seed_gives_the_same_bytes_and_another_other_intervals() -> None:
    """Permuting the rows, too, changes no byte."""
    rng = np.random.default_rng(1)
    sex, race = rng.choice(["F", "M"], 600), rng.choice(["A", "B", "C"], 600)
    decision, order = rng.random(600) < 0.4, rng.permutation(600)
    one = assess(CountTable.from_arrays({"sex": sex, "race": race}, decision), seed=7)
    two = assess(CountTable.from_arrays({"sex": sex[order], "race": race[order]}, decision[order]), seed=7)
    assert json.dumps(one) == json.dumps(two)
    other = assess(CountTable.from_arrays({"sex": sex, "race": race}, decision), seed=8)
    assert other["metrics"][DIR]["confidence_interval"] != one["metrics"][DIR]["confidence_interval"]
    assert other["metrics"][DIR]["value"] == one["metrics"][DIR]["value"]


def test_confirmed_is_when_the_whole_interval_is_beyond_the_limit() -> None:
    """0.72 of 200 rows is a breach that may still be none; of 20,000 rows it is one."""
    for times, confirmed in ((1, False), (100, True)):
        cells = [
            ("F", 1, -1, 36 * times),
            ("F", 0, -1, 64 * times),
            ("M", 1, -1, 50 * times),
            ("M", 0, -1, 50 * times),
        ]
        metric = assess(table_of(cells))["metrics"][DIR]
        assert metric["breached"] and metric["confirmed"] is confirmed
        assert (metric["confidence_interval"]["upper"] < 0.8) is confirmed
        assert (
            metric["confidence_interval"]["level"] == 0.95
            and metric["confidence_interval"]["method"] == "bca"
        )


def test_a_metric_of_every_kind_is_in_every_result() -> None:
    """All seventeen names; what was not measured says why."""
    result = assess(table_of([*odds("F", 50, 50), *odds("M", 90, 10)]))
    assert list(result["metrics"]) == list(METRICS_BY_NAME)
    for name in (
        "individual_fairness_score",
        "counterfactual_fairness",
        "consistency",
        "intersectional_bias_score",
    ):
        metric = result["metrics"][name]
        assert (metric["attribute"], metric["status"]) == (None, "insufficient_data") and metric["reason"]
    assert result["metrics"]["temporal_drift_index"]["status"] == "no_baseline"
    assert result["metrics"]["calibration_gap"]["status"] == "no_scores"


def test_every_crossing_has_its_own_entry() -> None:
    """Three attributes make three crossings, each with the intersectional score alone."""
    rng = np.random.default_rng(5)
    columns = {name: rng.choice(["x1", "x2"], 600) for name in ("a", "b", "c")}
    result = assess(CountTable.from_arrays(columns, rng.random(600) < 0.5))
    assert list(result["attributes"]) == ["a", "b", "c", "a × b", "a × c", "b × c"]
    assert list(result["attributes"]["a × b"]) == ["intersectional_bias_score"]
    assert len(result["impact_ratio_tables"]) == 6


def test_metrics_of_rows_are_judged_with_the_others() -> None:
    """They come as `extra`, take part in the adjustment and the verdict, and keep their own sentence."""
    extra = [
        RowMeasured("counterfactual_fairness", "sex", 0.3, -0.3, (0.2, 0.4, "bca"), 1e-6, "bootstrap",
                    {"F": 100, "M": 100}, ("F", "M"), sentence="It is 0.30."),
        RowMeasured("consistency", None, 0.9, None, (0.88, 0.92, "bca"), 0.9, "bootstrap", {"all": 200}),
        RowMeasured("individual_fairness_score", None, status="no_scores", reason="No row has a score."),
    ]  # fmt: skip
    table = table_of([*odds("F", 50, 50), *odds("M", 50, 50)])
    result = assess(table, extra=extra)
    found = result["attributes"]["sex"]["counterfactual_fairness"]
    assert (
        found["breached"] and found["confirmed"] and found["significant"] and found["severity"] == "CRITICAL"
    )
    assert found["p_adjusted"] > found["p_value"] and found["sentence"] == "It is 0.30."
    assert result["overall_severity"] == "CRITICAL" and assess(table)["overall_severity"] == "PASS"
    assert list(result["attributes"][ALL_ROWS]) == ["consistency", "individual_fairness_score"]
    assert result["metrics"]["individual_fairness_score"]["status"] == "no_scores"
    with pytest.raises(InvalidInput, match="beauty"):
        assess(table, extra=[RowMeasured("beauty", None, 0.5)])


def test_history_gives_the_drift_of_an_attribute() -> None:
    """Twenty checks of 0.00 to 0.04 make the baseline; a gap of 0.30 now is far beyond it."""
    cells = [("F", 1, -1, 350), ("F", 0, -1, 650), ("M", 1, -1, 650), ("M", 0, -1, 350)]
    history = {"sex": [0.01 * (i % 5) for i in range(20)]}
    metric = assess(table_of(cells), history=history)["metrics"]["temporal_drift_index"]
    # the counts of this check imply √(2·0.35·0.65/1000) = 0.0213, more than the baseline's 0.0145
    sigma = np.sqrt(2 * 0.35 * 0.65 / 1000)
    assert metric["value"] == pytest.approx((0.3 - 0.02) / sigma - 0.5)
    assert metric["signed"] > 0 and metric["test"] == "cusum_bound" and metric["confirmed"]
    short = assess(table_of(cells), history={"sex": [0.01, 0.02]})["metrics"]["temporal_drift_index"]
    assert short["status"] == "no_baseline" and "2 earlier checks" in short["reason"]


def test_all_pairs_on_request() -> None:
    """Each metric of every two groups: of three groups with 20, 40 and 80 per cent the ratios are ½, ¼ and ½."""
    cells = [
        (g, d, -1, k) for g, yes in (("A", 20), ("B", 40), ("C", 80)) for d, k in ((1, yes), (0, 100 - yes))
    ]
    result = assess(table_of(cells), all_pairs=True)
    assert "pairs" not in assess(table_of(cells))
    pairs = {tuple(one["groups"]): one["value"] for one in result["pairs"]["sex"][DIR]}
    assert pairs == {("A", "B"): 0.5, ("A", "C"): 0.25, ("B", "C"): 0.5}
    gaps = {tuple(one["groups"]): one["value"] for one in result["pairs"]["sex"][DPD]}
    assert gaps == pytest.approx({("A", "B"): 0.2, ("A", "C"): 0.6, ("B", "C"): 0.4})
    assert result["worst_groups"]["sex"] == {"group": "A", "pair": ["A", "C"]}


def test_the_owner_sets_thresholds_of_the_metrics_that_do_not_decide() -> None:
    """13 to 15 and 17 may be given limits; a limit of a metric of rows applies to `extra`."""
    limits = {"false_positive_rate_difference": 0.5, "theil_index": 0.9, "consistency": 0.95}
    extra = [
        RowMeasured("consistency", None, 0.9, None, (0.88, 0.92, "bca"), 0.001, "bootstrap", {"all": 200})
    ]
    table = table_of([*odds("F", 50, 50), *odds("M", 90, 10)])
    result = assess(table, policy=Policy(thresholds=limits), extra=extra)["metrics"]
    assert result["false_positive_rate_difference"]["breached"] is False
    assert result["consistency"]["breached"] is True and result["consistency"]["confirmed"] is True


def billions() -> CountTable:
    one = table_of([*odds("F", 50, 50), *odds("M", 90, 10)])
    return CountTable(one.attributes, one.groups, one.n * 10_000_000, one.score_units)


def edges() -> dict[str, CountTable]:
    labels = [f"g{i}" for i in range(300)]
    many = [(label, d, y, 10) for label in labels for d in (0, 1) for y in (0, 1)]
    scores = CountTable.from_arrays({"sex": ["F", "M"] * 200}, [1] * 400, [0, 1, 1, 0] * 100, [1.0] * 400)
    return {
        "no rows": CountTable.empty(["sex"]),
        "one row": table_of([("F", 1, 1, 1)]),
        "one group": table_of(odds("F", 60, 20)),
        "a group of one": table_of([*odds("F", 60, 20), *odds("M", 70, 20), ("X", 1, 1, 1)]),
        "nobody selected": table_of([("F", 0, -1, 100), ("M", 0, -1, 100)]),
        "reference rate 0": table_of([("F", 1, 1, 40), ("F", 0, 1, 60), ("M", 0, 1, 100)]),
        "all scores 1": scores,
        "truth missing for one group": table_of([*odds("F", 60, 20), ("M", 1, -1, 80), ("M", 0, -1, 120)]),
        "300 groups": table_of(many),
        "billions": billions(),
        "all right": table_of([("F", 1, 1, 50), ("M", 1, 1, 50)]),
        "all wrong": table_of([("F", 0, 1, 50), ("M", 0, 1, 50)]),
        "only unknown": table_of([("", 1, 1, 100)]),
    }


@pytest.mark.parametrize("edge", list(edges()))
def test_edges_are_answered_plainly(edge: str) -> None:
    """Plain JSON; a value with its interval around it, or a status with its reason; nothing constant, nothing infinite."""
    result = assess(edges()[edge], n_resamples=200, all_pairs=edge != "300 groups")
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    everything: list[dict[str, Any]] = [
        m for by_name in result["attributes"].values() for m in by_name.values()
    ]
    for metric in everything:
        interval = metric["confidence_interval"]
        if metric["status"] == "ok":
            assert interval["lower"] <= metric["value"] <= interval["upper"]
            assert interval["lower"] < interval["upper"], metric["name"]
            assert metric["p_value"] is not None and metric["test"] and metric["sentence"]
        else:
            assert metric["reason"] and metric["value"] is interval is metric["confirmed"] is None


def test_what_the_edges_mean() -> None:
    """One group, nobody selected and unknown alone are UNKNOWN or PASS as the data say, never a guess."""
    verdicts = {name: assess(table, n_resamples=0)["overall_severity"] for name, table in edges().items()}
    assert (
        verdicts["no rows"]
        == verdicts["one row"]
        == verdicts["one group"]
        == verdicts["only unknown"]
        == "UNKNOWN"
    )
    assert verdicts["reference rate 0"] in ("HIGH", "CRITICAL") and verdicts["billions"] == "CRITICAL"
    assert verdicts["all right"] == "PASS"
    absent = assess(edges()["truth missing for one group"], n_resamples=0)["metrics"]
    assert (
        absent["equal_opportunity_difference"]["status"] == "insufficient_data"
        and absent[DIR]["status"] == "ok"
    )


@pytest.mark.parametrize(
    "arguments", [{"seed": -1}, {"seed": 1.5}, {"n_resamples": -1}, {"n_resamples": 10**9}]
)
def test_resampling_out_of_range_is_refused(arguments: dict[str, Any]) -> None:
    """A ValueError that names the argument."""
    with pytest.raises(InvalidInput, match=next(iter(arguments))):
        assess(table_of(odds("F", 60, 20)), **arguments)


def test_a_table_with_very_many_cells_is_drawn_view_by_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit each attribute has its own draws: other intervals, near the same, and again the same bytes."""
    table = drawn_window(3)
    joint = assess(table)
    monkeypatch.setattr(audit_views, "MAX_JOINT_CELLS", 10)
    apart, again = assess(table), assess(table)
    assert json.dumps(apart) == json.dumps(again)
    for name in ("race", "sex", "sex × race"):
        for metric, other in zip(
            joint["attributes"][name].values(), apart["attributes"][name].values(), strict=True
        ):
            assert metric["value"] == other["value"]
            if metric["value"] is not None:
                one, two = metric["confidence_interval"], other["confidence_interval"]
                width = one["upper"] - one["lower"]
                assert two["lower"] == pytest.approx(one["lower"], abs=0.3 * width)
                assert two["upper"] == pytest.approx(one["upper"], abs=0.3 * width)


def test_a_limit_that_the_owner_sets_decides() -> None:
    """FPR 50 % against 60 % of 1,000 rows each and nothing else apart: within ±8 points no verdict, a limit of 5 makes one.

    Selection 70 % and 75 % (gap 5 of 10), TPR 90 % both, so equalized odds 10 points: its limit is set to 50, and those of
    3, 5 and 7 are met. With the default limit, named or not, the FPR difference of 10 points is reported only.
    """
    cells = [("F", 1, 1, 900), ("F", 0, 1, 100), ("F", 1, 0, 500), ("F", 0, 0, 500)]
    cells += [("M", 1, 1, 900), ("M", 0, 1, 100), ("M", 1, 0, 600), ("M", 0, 0, 400)]
    name, others = "false_positive_rate_difference", {"equalized_odds_difference": 0.5}
    verdicts = {
        limit: assess(table_of(cells), policy=Policy(thresholds=others | ({name: limit} if limit else {})))
        for limit in (None, 0.08, 0.05, 0.2)
    }
    assert {limit: one["overall_severity"] for limit, one in verdicts.items()} == {
        None: "PASS",
        0.08: "PASS",
        0.05: "MEDIUM",
        0.2: "PASS",
    }
    assert [one["metrics"][name]["breached"] for one in verdicts.values()] == [True, True, True, False]
    told = [text for text in verdicts[None]["sentences"] if "unfavourable" in text]
    assert len(told) == 1 and told[0].endswith("This is reported and does not decide the verdict.")
    assert not any("does not decide" in text for text in verdicts[0.05]["sentences"])
