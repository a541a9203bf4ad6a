"""A window's assessment: published figures, and what it says where there is little to say."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlens_backend.core.assessment import Policy, assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput

DIR, SPD = "disparate_impact_ratio", "statistical_parity_difference"
EOD, AOD, THEIL = "equal_opportunity_difference", "average_odds_difference", "theil_index"


def groups(truth: bool = False, attribute: str = "sex", **named: tuple[int, int]) -> CountTable:
    """Groups of (selected, rows); with truth, every other row of each decision has a favourable one."""
    labels = [name for name, (_, rows) in named.items() for _ in range(rows)]
    decisions = [int(i < selected) for selected, rows in named.values() for i in range(rows)]
    return CountTable.from_arrays(
        {attribute: labels}, decisions, [i % 2 for i in range(len(labels))] if truth else None
    )


def compas(folder: Path, study: bool) -> CountTable:
    rows = pd.read_csv(folder / "compas_two_years.csv")
    if study:
        rows = rows[rows.days_b_screening_arrest.between(-30, 30) & (rows.is_recid != -1)]
        rows = rows[(rows.c_charge_degree != "O") & (rows.score_text != "N/A")]
        assert len(rows) == 6172
    protected = {name: rows[name] for name in ("race", "sex", "age_cat")}
    return CountTable.from_arrays(protected, rows.score_text == "Low", rows.two_year_recid == 0)


@pytest.mark.parametrize(
    ("study", "black", "white"),
    [(False, (44.85, 27.99), (23.45, 47.72)), (True, (42.34, 28.48), (22.01, 49.64))],
)
def test_the_published_error_rates_of_compas(
    test_data_dir: Path, study: bool, black: tuple[float, float], white: tuple[float, float]
) -> None:
    """ProPublica 2016, with Medium and High as the positive prediction: all rows, and the study's filtered ones."""
    result = assess(compas(test_data_dir, study), reference_groups={"race": "Caucasian"})
    for group, expected in (("African-American", black), ("Caucasian", white)):
        (piece,) = [s for s in result["demographic_slices"] if s["attributes"] == {"race": group}]
        rates = piece["rates_unfavourable_positive"]
        got = tuple(
            round(100 * rates[name]["value"], 2) for name in ("false_positive_rate", "false_negative_rate")
        )
        assert got == expected
    assert result["overall_severity"] == "CRITICAL" and result["alert"]
    assert result["attributes"]["race"][DIR]["groups_compared"] == ["African-American", "Caucasian"]
    json.dumps(result, allow_nan=False)


def test_the_published_base_rates_of_adult(test_data_dir: Path) -> None:
    """Income over 50K: about 30.4 % of men and 10.9 % of women, so a ratio of 0.36."""
    rows = pd.read_csv(test_data_dir / "adult.csv")
    result = assess(CountTable.from_arrays({"sex": rows.sex}, rows.income == ">50K"))
    rates = {
        s["attributes"]["sex"]: s["rates"]["selection_rate"]["value"] for s in result["demographic_slices"]
    }
    assert {sex: round(100 * rate, 1) for sex, rate in rates.items()} == {"Male": 30.4, "Female": 10.9}
    assert result["sentences"][0] == (
        "Female is selected 0.36 times as often as Male (10.9 % against 30.4 %; 95 % interval 0.34 to 0.38); the limit is 0.80."
    )


def test_a_metric_says_what_it_compared_and_how_sure_it_is() -> None:
    """40 of 100 against 60 of 100: ratio 2/3, χ² = 8 with one degree of freedom, p = 0.004678."""
    result = assess(groups(F=(40, 100), M=(60, 100)))
    metric = result["metrics"][DIR]
    assert metric["value"] == pytest.approx(2 / 3, abs=1e-12)
    assert metric["p_value"] == pytest.approx(0.004677734981, abs=1e-12)
    assert (
        metric["p_adjusted"] == metric["p_value"]
    )  # two tests, both of these rates: m·p/rank at the last rank
    assert (metric["breached"], metric["significant"], metric["severity"]) == (True, True, "HIGH")
    assert metric["groups_compared"] == ["F", "M"]
    assert metric["sample_sizes"] == {"F": 100, "M": 100}
    assert metric["signed"] is None and metric["status"] == "ok" and metric["reason"] is None
    assert result["metrics"][SPD]["value"] == pytest.approx(-0.2, abs=1e-12)
    assert result["reference_groups"] == {"sex": {"group": "M", "chosen": "highest selection rate"}}
    assert (result["overall_severity"], result["alert"]) == ("HIGH", True)


def test_a_breach_that_may_be_chance_is_low() -> None:
    """18 of 60 against 24 of 60 is a ratio of 0.75 with p about 0.25."""
    result = assess(groups(F=(18, 60), M=(24, 60)))
    assert result["metrics"][DIR]["breached"] and not result["metrics"][DIR]["significant"]
    assert (result["overall_severity"], result["alert"]) == ("LOW", False)
    assert "may be chance" in result["sentences"][0]


def test_the_worst_attribute_speaks_for_a_metric() -> None:
    """Race is at parity, sex is not; both are kept."""
    sex = ["F"] * 200 + ["M"] * 200
    race = ["A", "B"] * 200
    table = CountTable.from_arrays({"race": race, "sex": sex}, [1] * 40 + [0] * 160 + [1] * 120 + [0] * 80)
    result = assess(table)
    assert result["metrics"][DIR]["attribute"] == "sex"
    assert result["metrics"][DIR]["value"] == pytest.approx(1 / 3)
    assert result["attributes"]["race"][DIR]["value"] == 1.0
    assert result["protected_attributes"] == ["race", "sex"]
    assert list(result["attributes"]) == ["race", "sex", "race × sex"]
    assert assess(table, ["race"])["overall_severity"] == "PASS"


@pytest.mark.parametrize(
    ("table", "status", "severity"),
    [
        (CountTable.empty(["sex"]), "insufficient_data", "UNKNOWN"),
        (groups(F=(100, 200)), "insufficient_data", "UNKNOWN"),
        (groups(F=(100, 200), M=(20, 20)), "insufficient_data", "UNKNOWN"),
        (groups(F=(100, 200), unknown=(200, 200)), "insufficient_data", "UNKNOWN"),
        (groups(unknown=(200, 400)), "insufficient_data", "UNKNOWN"),
        (groups(F=(10, 49), M=(49, 50)), "ok", "UNKNOWN"),
        (groups(F=(200, 200), M=(200, 200)), "ok", "PASS"),
        (groups(F=(0, 200), M=(0, 200)), "undefined", "PASS"),
    ],
)
def test_where_there_is_little_to_say(table: CountTable, status: str, severity: str) -> None:
    """No rows, one group, one large group, one known group, too few rows, all or nobody selected: said, never guessed."""
    result = assess(table)
    metric = result["metrics"][DIR]
    assert (metric["status"], result["overall_severity"], result["alert"]) == (status, severity, False)
    assert (metric["value"] is None) == (status != "ok")
    if status != "ok":
        assert metric["reason"] and metric["breached"] is None and metric["severity"] == "UNKNOWN"
        assert metric["reason"] in result["sentences"]
    assert result["metrics"][EOD]["status"] in ("no_ground_truth", "insufficient_data")
    json.dumps(result, allow_nan=False)


def test_a_small_group_and_unknown_take_part_in_no_headline_value() -> None:
    """29 rows of B at 0 % and 100 unknown at 0 % leave the ratio of A and C alone; 30 rows of B do not."""
    result = assess(groups(A=(45, 100), C=(50, 100), B=(0, 29), unknown=(0, 100)))
    assert result["metrics"][DIR]["value"] == pytest.approx(0.9)
    sizes = {s["attributes"]["sex"]: (s["size"], s["status"]) for s in result["demographic_slices"]}
    assert sizes["B"] == (29, "insufficient_data") and sizes["unknown"] == (100, "ok")
    assert any("B (29 rows)" in sentence for sentence in result["sentences"])
    assert any("100 rows" in sentence and "not known" in sentence for sentence in result["sentences"])
    assert assess(groups(A=(45, 100), C=(50, 100), B=(0, 30)))["metrics"][DIR]["value"] == 0.0


def test_a_metric_of_truth_counts_the_rows_whose_truth_is_known() -> None:
    """200 rows a group, but only 29 labels of F: error rates lack data, selection rates do not."""
    labels = ["F"] * 200 + ["M"] * 200
    truth = [i % 2 if i < 29 else -1 for i in range(200)] + [i % 2 for i in range(200)]
    result = assess(CountTable.from_arrays({"sex": labels}, [0, 0, 1, 1] * 100, truth))
    assert result["metrics"][DIR]["status"] == "ok"
    assert result["metrics"][EOD]["status"] == "insufficient_data"
    assert (result["labelled_size"], result["label_coverage"]) == (229, 229 / 400)


def test_a_reference_nobody_of_which_is_selected_does_not_hide_a_gap() -> None:
    """0 % against 40 %: no ratio exists, and the difference of 40 points decides in its stead."""
    result = assess(groups(F=(40, 100), M=(0, 100)), reference_groups={"sex": "M"})
    assert result["metrics"][DIR]["status"] == "undefined"
    assert result["overall_severity"] == "CRITICAL"
    assert result["reference_groups"]["sex"]["chosen"] == "declared"


def test_a_declared_reference_that_is_too_small_is_said() -> None:
    """The declared group stays the reference; comparisons wait for its rows."""
    result = assess(groups(F=(50, 100), X=(60, 100), M=(3, 10)), reference_groups={"sex": "M"})
    assert result["metrics"][DIR]["status"] == "insufficient_data"
    assert "M" in result["metrics"][DIR]["reason"] and "10" in result["metrics"][DIR]["reason"]
    assert result["overall_severity"] == "UNKNOWN"


def test_the_settings_of_the_owner_hold() -> None:
    """A threshold of 0.9 makes 0.85 a breach; its correction, alpha and sizes are kept with the result."""
    table = groups(F=(425, 1000), M=(500, 1000))
    assert assess(table)["overall_severity"] == "PASS"
    policy = Policy(thresholds={DIR: 0.9}, correction="none", alpha=0.01)
    strict = assess(table, policy=policy)
    assert strict["overall_severity"] == "MEDIUM"
    assert strict["settings"] == policy.to_dict()
    assert assess(table, policy=Policy(thresholds={DIR: 0.9}, alpha=1e-6))["overall_severity"] == "LOW"
    assert assess(table, policy=Policy(min_sample_size=2001))["overall_severity"] == "UNKNOWN"


def test_the_theil_index_is_tested_by_resampling() -> None:
    """It compares people: no groups, a test against its limit, and its part between groups beside it."""
    table = groups(truth=True, F=(50, 100), M=(50, 100), X=(5, 10))
    without = assess(table, n_resamples=0)["metrics"][THEIL]
    assert without["p_value"] is None and without["significant"] is None and "resamples" in without["reason"]
    metric = assess(table)["metrics"][THEIL]
    assert metric["status"] == "ok" and metric["groups_compared"] == []
    # benefits: a quarter 0, half 1, a quarter 2, so ln 2 / 2 = 0.35, far above 0.20 in every draw
    assert (metric["test"], metric["p_value"], metric["confirmed"]) == ("bootstrap", 1 / 1001, True)
    assert metric["parts"] == {"between_groups": 0.0}
    assert metric["sample_sizes"] == {"F": 100, "M": 100}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"protected": ["age"]}, "age"),
        ({"protected": []}, "protected"),
        ({"reference_groups": {"sex": "Divers"}}, "Divers"),
        ({"reference_groups": {"age": "old"}}, "age"),
    ],
)
def test_what_is_not_there_is_refused_by_name(arguments: dict[str, Any], named: str) -> None:
    """A ValueError that names it and what there is."""
    with pytest.raises(InvalidInput, match=named):
        assess(groups(F=(1, 2), M=(1, 2)), **arguments)


def test_a_delta_is_not_assessed() -> None:
    """Negative counts are a difference of tables, not people."""
    with pytest.raises(InvalidInput, match="negative"):
        assess(groups(F=(1, 2)) - groups(M=(1, 2)))


def test_sentences_claim_no_more_than_was_measured() -> None:
    """Each breach is a sentence with both numbers; short and repeated labels carry their attribute; once each."""
    table = CountTable.from_arrays(
        {"sex": ["F", "M"] * 200, "old": (["1"] * 200 + ["0"] * 200)},
        ([0] * 3 + [1]) * 50 + [1] * 200,
        [0, 1, 1, 0] * 100,
    )
    sentences = assess(table, n_resamples=0)["sentences"]
    assert (
        "old=1 is selected 0.25 times as often as old=0 (25.0 % against 100.0 %); the limit is 0.80."
        in sentences
    )
    assert len(sentences) == len(set(sentences))
    for sentence in sentences:
        assert sentence.endswith(".") and not re.search("debias|unbiased|fair model|nan|None", sentence)


def test_a_ratio_just_under_its_limit_is_not_written_as_the_limit() -> None:
    """0.7996 beside a limit of 0.80 keeps the digit that tells them apart."""
    sentence = assess(groups(Women=(3998, 10000), Men=(5000, 10000)))["sentences"][0]
    assert "0.800 times" not in sentence and "0.7996 times" in sentence


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["A", "B", None]),
            st.sampled_from(["x", "y", "z"]),
            st.integers(0, 1),
            st.integers(-1, 1),
        ),
        max_size=60,
    ),
    st.integers(1, 10),
)
def test_every_answer_is_plain_json(rows: list[Any], min_group_size: int) -> None:
    """Whatever the rows: no NaN, no infinity, no numpy; what has no value has a reason and is rated UNKNOWN."""
    columns = {"a": [row[0] for row in rows], "b": [row[1] for row in rows]}
    table = CountTable.from_arrays(columns, [row[2] for row in rows], [row[3] for row in rows])
    result = assess(table, policy=Policy(min_group_size=min_group_size, min_sample_size=10))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    for by_name in result["attributes"].values():
        for metric in by_name.values():
            if metric["status"] == "ok":
                assert metric["value"] is not None and metric["severity"] != "UNKNOWN"
            else:
                assert (
                    metric["reason"]
                    and metric["value"] is metric["breached"] is metric["significant"] is None
                )
    if len(rows) < 10:
        assert result["overall_severity"] == "UNKNOWN"


def test_300_groups_are_assessed() -> None:
    """An attribute of 300 values with 40 rows each: every group compared, the answer bounded."""
    rng = np.random.default_rng(7)
    labels = np.repeat([f"g{i}" for i in range(300)], 40)
    result = assess(
        CountTable.from_arrays(
            {"zip": labels, "sex": rng.choice(["F", "M"], 12_000)}, rng.random(12_000) < 0.5
        )
    )
    assert result["metrics"][DIR]["status"] == "ok"
    assert result["demographic_slices_left_out"] > 0
    assert len(result["sentences"]) < 20
