"""`from fairlens_backend import audit`: columns by name, labels as people write them, and nothing of a server."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlens_backend import audit
from fairlens_backend.errors import InvalidInput

ROOT = Path(__file__).resolve().parent.parent


def loans(n: int = 400) -> pd.DataFrame:
    """Half women, half men; 30 % of the women and 60 % of the men are approved; the truth is the same for all."""
    half = n // 2
    return pd.DataFrame(
        {
            "sex": ["F"] * half + ["M"] * half,
            "approved": (["yes"] * 3 + ["no"] * 7) * (half // 10) + (["yes"] * 6 + ["no"] * 4) * (half // 10),
            "repaid": [1, 0] * half,
            "score": [0.5] * n,
        }
    )


def test_the_ratio_of_two_rates_known_by_hand():
    """30 % over 60 % is 0.5, which is under 0.65: CRITICAL."""
    result = audit(
        loans(), decision="approved", protected="sex", favourable="yes", reference_groups={"sex": "M"}
    )
    assert result.metrics["disparate_impact_ratio"]["value"] == pytest.approx(0.5, abs=1e-12)
    assert result.severity == "CRITICAL"
    assert any("0.50 times as often" in sentence for sentence in result.sentences)


def test_published_ratio_of_compas(test_data_dir):
    """ "Low" is the favourable decision; the rates are counted by pandas."""
    df = pd.read_csv(test_data_dir / "compas_two_years.csv")
    low = df["score_text"].eq("Low").groupby(df["race"]).mean()
    result = audit(
        df, "score_text", "two_year_recid", protected=["race"], favourable={"decision": ["Low"], "truth": [0]},
        reference_groups={"race": "Caucasian"}, settings={"min_group_size": 1000},
    )  # fmt: skip
    ratio = result.attributes["race"]["disparate_impact_ratio"]
    assert ratio["value"] == pytest.approx(low["African-American"] / low["Caucasian"], abs=1e-12)
    assert ratio["groups_compared"] == ["African-American", "Caucasian"]


def test_what_is_missing_is_named_with_what_there_is():
    """A column, a group, a label and a setting, each a ValueError."""
    df = loans()
    wrong = [
        ({"decision": "aproved"}, "'aproved'.*sex, approved, repaid, score"),
        ({"protected": ["gender"]}, "'gender'.*sex, approved"),
        ({"truth": "paid"}, "'paid'"),
        ({"reference_groups": {"sex": "Male"}}, "'Male' of sex; the groups are: F, M"),
        ({"reference_groups": {"race": "A"}}, "'race'; the protected attributes are sex"),
        ({"favourable": "Yes"}, r"\['Yes'\] occurs in column 'approved'; there are \['no', 'yes'\]"),
        ({"favourable": {"outcome": [1]}}, "outcome"),
        ({"favourable": []}, "no label"),
        ({"settings": {"alfa": 0.1}}, "'alfa'; there are thresholds, alpha"),
        ({"protected": []}, "no attribute"),
        ({"features": ["score"], "score": "score"}, "'score', which is an outcome"),
    ]
    for changes, message in wrong:
        given = {"decision": "approved", "protected": "sex", "favourable": "yes", **changes}
        with pytest.raises(ValueError, match=message):
            audit(df, **given)


def test_a_column_named_twice_and_a_table_that_is_none():
    """Which of two is meant cannot be guessed."""
    twice = pd.concat([loans(), loans()[["sex"]]], axis=1)
    with pytest.raises(InvalidInput, match="2 columns are called 'sex'"):
        audit(twice, "approved", protected="sex", favourable="yes")
    with pytest.raises(InvalidInput, match="df is a list"):
        audit([1, 2], "approved", protected="sex")  # type: ignore[arg-type]


def test_the_index_of_the_frame_does_not_matter():
    """Rows are taken by place: an index with gaps or repetitions changes nothing."""
    df = loans()
    plain = audit(df, "approved", "repaid", "score", "sex", {"decision": "yes", "truth": 1})
    odd = audit(
        df.set_axis([0] * len(df)), "approved", "repaid", "score", "sex", {"decision": "yes", "truth": 1}
    )
    assert plain.to_dict() == odd.to_dict()


def test_too_few_rows_are_unknown_and_never_a_pass():
    """20 rows allow no verdict."""
    assert audit(loans(20), "approved", protected="sex", favourable="yes").severity == "UNKNOWN"


def test_the_dict_is_json_and_the_callers_own():
    """No NaN, no numpy; changing it changes no result."""
    result = audit(loans(), "approved", "repaid", "score", "sex", {"decision": ["yes"], "truth": [1]})
    figures = result.to_dict()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    figures["metrics"].clear()
    assert result.to_dict()["metrics"]
    for key in ("audit_id", "overall_severity", "demographic_slices", "settings", "sentences", "resampling"):
        assert key in result.to_dict()


def test_the_frame_has_a_row_for_each_attribute_and_metric():
    """Its values are those of the dict."""
    result = audit(loans(), "approved", protected="sex", favourable="yes")
    frame = result.to_frame()
    assert len(frame) == sum(len(metrics) for metrics in result.attributes.values())
    row = frame[frame.metric == "disparate_impact_ratio"].iloc[0]
    assert (row.attribute, row.value) == ("sex", result.metrics["disparate_impact_ratio"]["value"])


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_html_is_escaped_and_stands_alone():
    """A group called like a script is text; nothing is loaded, nothing runs, every tag is closed."""
    evil = "<script>alert(1)</script>"
    df = loans().replace({"sex": {"F": evil}})
    html = audit(df, "approved", protected="sex", favourable="yes")._repr_html_()
    tags = _Tags()
    tags.feed(html)
    assert tags.open == []
    assert tags.seen <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert not tags.attributes & {"src", "href", "onclick", "onload"}
    assert evil not in html and "&lt;script&gt;" in html


def test_the_repr_says_the_verdict_first():
    """Severity, size, then the table, the worst first."""
    text = repr(audit(loans(), "approved", protected="sex", favourable="yes"))
    assert text.startswith("FairLens audit: CRITICAL, 400 decisions, 0 with a known outcome\n")
    assert text.index("CRITICAL  ") < text.index("\n- ")


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def test_importing_the_package_is_cheap_and_audit_brings_no_server():
    """The package alone brings no numpy; audit brings no web framework, no database, no scikit-learn, no scipy.stats."""
    assert run("import fairlens_backend, sys; print('numpy' in sys.modules)").strip() == "False"
    loaded = run("from fairlens_backend import audit; import sys; print(*sys.modules)").split()
    heavy = {"flask", "werkzeug", "sqlalchemy", "sklearn", "scipy.stats", "requests", "pydantic", "duckdb"}
    assert heavy & set(loaded) == set()


def test_importing_audit_takes_under_half_a_second_beyond_numpy_and_pandas():
    """CPU seconds; the least of three, since the first may have to compile."""
    code = (
        "import numpy, pandas, time; t = time.process_time(); from fairlens_backend import audit;"
        "print(time.process_time() - t)"
    )
    assert min(float(run(code)) for _ in range(3)) < 0.5


def test_a_fixed_seed_gives_the_same_bytes():
    """In this process and in another."""
    rng = np.random.default_rng(5)
    df = pd.DataFrame({"g": rng.choice(list("abc"), 500), "d": rng.integers(0, 2, 500)})
    one, two = (json.dumps(audit(df, "d", protected="g", seed=3).to_dict()) for _ in range(2))
    assert one == two


def people(n: int = 2000, seed: int = 8) -> pd.DataFrame:
    """Approved where the income is above 50; women earn less; the rent is 10 lower for them at every income."""
    rng = np.random.default_rng(seed)
    women = rng.random(n) < 0.5
    income = rng.normal(np.where(women, 45, 55), 10)
    return pd.DataFrame(
        {
            "sex": np.where(women, "F", "M"),
            "age": rng.integers(18, 80, n),
            "income": income,
            "approved": (income > 50).astype(int),
            "score": 1 / (1 + np.exp(-(income - 50) / 10)),
            "rent": income * 2 - np.where(women, 10, 0),
        }
    )


def test_metrics_on_rows_are_measured_where_features_are_named():
    """9, 10 and 17 are there with an interval; without features they say that they need them."""
    df = people()
    with_features = audit(df, "approved", score="score", protected="sex", features=["income", "age"]).metrics
    without = audit(df, "approved", score="score", protected="sex").metrics
    for name in ("individual_fairness_score", "counterfactual_fairness", "consistency"):
        assert with_features[name]["status"] == "ok"
        assert with_features[name]["confidence_interval"]["lower"] <= with_features[name]["value"]
        assert without[name]["status"] == "insufficient_data" and "features" in without[name]["reason"]


def test_a_model_that_looks_at_the_sex_is_found_out_and_one_that_does_not_is_cleared():
    """Intervention: 20 points easier for men is found as such; a model of the income alone changes nobody's decision."""
    df = people()

    class ByIncome:
        feature_names_in_ = np.array(["income"])

        def predict(self, rows):
            return np.where(rows["income"] > 50, "yes", "no")

    def by_sex(rows):
        return np.where(rows["income"] > np.where(rows["sex"] == "M", 40, 60), "yes", "no")

    given = {"decision": "approved", "protected": "sex", "favourable": {"decision": ["yes"], "truth": [1]}}
    df = df.assign(approved=by_sex(df))
    biased = audit(df, **given, features=["income", "age", "sex"], model=by_sex).metrics[
        "counterfactual_fairness"
    ]
    expected = (df.income > 40).mean() - (df.income > 60).mean()
    assert biased["parts"]["form"] == "intervention"
    assert biased["value"] == pytest.approx(expected, abs=0.03) and biased["groups_compared"] == ["F", "M"]
    df = df.assign(approved=ByIncome().predict(df))
    blind = audit(df, **given, model=ByIncome())
    assert (
        blind.metrics["counterfactual_fairness"]["parts"]["form"] == "adjusted"
    )  # it takes no sex to be changed
    assert blind.metrics["consistency"]["status"] == "ok"  # the features are those of the model


def test_a_number_without_favourable_labels_compares_distributions():
    """Rents of women are on average 30 lower: 20 for their incomes, 10 for their sex."""
    result = audit(people(), "rent", protected="sex", favourable=None, reference_groups={"sex": "M"})
    gap = result.attributes["sex"]["mean_score_gap"]
    assert gap["signed"] == pytest.approx(-30, abs=3)
    assert gap["confidence_interval"]["lower"] < gap["signed"] < gap["confidence_interval"]["upper"]
    assert result.severity == "UNKNOWN" and "rent" not in repr(result)
    limited = audit(
        people(), "rent", protected={"age": {"bands": [40]}}, favourable=None,
        settings={"thresholds": {"mean_score_gap": 5.0}},
    )  # fmt: skip
    assert limited.severity == "PASS" and limited.attributes["age"]["mean_score_gap"]["breached"] is False
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) and "<table>" in result._repr_html_()
    with pytest.raises(InvalidInput, match="'limits'; there are thresholds"):
        audit(people(), "rent", protected="sex", favourable=None, settings={"limits": {}})
    with pytest.raises(InvalidInput, match="numeric outcome"):
        result.threshold_search("sex")


def test_thresholds_that_would_meet_a_criterion():
    """Scores of two groups a bin apart: equal selection rates take thresholds a bin apart."""
    df = pd.DataFrame(
        {
            "g": ["a"] * 500 + ["b"] * 500,
            "s": list(np.arange(0.05, 1.0, 0.1)[[2, 3, 4, 5, 6]].repeat(100))
            + list(np.arange(0.05, 1.0, 0.1)[[3, 4, 5, 6, 7]].repeat(100)),
        }
    )
    df["d"] = (df.s > 0.5).astype(int)
    found = audit(
        df, "d", score="s", protected="g", reference_groups={"g": "b"}, n_resamples=200
    ).threshold_search("g", "demographic_parity", between_edges=False)
    (pair,) = found["pairs"]
    assert pair["gap"]["after"] == 0 and pair["thresholds"]["b"] - pair["thresholds"]["a"] == pytest.approx(
        0.1
    )


def test_all_pairs_on_request():
    """Three groups make three pairs."""
    df = pd.DataFrame({"g": list("abc") * 100, "d": [1, 0, 0] * 100})
    assert "pairs" not in audit(df, "d", protected="g").to_dict()
    pairs = audit(df, "d", protected="g", all_pairs=True).to_dict()["pairs"]["g"]
    assert len(pairs["disparate_impact_ratio"]) >= 3


def test_what_was_not_measured_is_counted_and_not_listed():
    """Without truth the error rates have no value: one line says how many and why; tiny p-values have no digits."""
    text = repr(audit(loans(20_000), "approved", protected="sex", favourable="yes"))
    assert "Not measured: " in text and "no_ground_truth" in text and "< 1e-16" in text
    assert "equalized_odds_difference" not in text


def test_error_rates_from_scores_alone():
    """All scores 0.5: half of the selected are expected to deserve it, whatever the labels say."""
    found = audit(
        loans(), "approved", score="score", protected="sex", favourable="yes"
    ).estimate_without_labels("sex")
    assert found["groups"]["F"]["rates"]["positive_predictive_value"]["value"] == pytest.approx(0.5)


def test_a_history_gives_the_drift():
    """Twenty gaps of 0.1 and 0.3 in turn have the mean 0.2; now it is 0.3: σ of the baseline is 0.1026, z − ½ = 0.475."""
    asked = {"decision": "approved", "protected": "sex", "favourable": "yes"}
    drift = audit(loans(), **asked, history={"sex": [0.1, None, 0.3] * 10}).metrics["temporal_drift_index"]
    assert drift["value"] == pytest.approx(0.1 / (0.1 * (20 / 19) ** 0.5) - 0.5) and drift["status"] == "ok"
    assert audit(loans(), **asked).metrics["temporal_drift_index"]["status"] == "no_baseline"


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({"race": [0.1]}, "history names 'race'"),
        ({"sex": [0.1, float("nan")]}, "nan at place 1"),
        ({"sex": ["0.1"]}, "'0.1' at place 0"),
        ({"sex": [True]}, "True at place 0"),
    ],
)
def test_a_history_that_is_none(history, message):
    """An attribute or a value that is not one is named."""
    with pytest.raises(InvalidInput, match=message):
        audit(loans(), decision="approved", protected="sex", favourable="yes", history=history)
