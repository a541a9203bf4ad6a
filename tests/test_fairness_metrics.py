"""The five metrics of a DataFrame, by hand and without a server."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fairlens_backend import fairness_metrics as fm
from fairlens_backend.errors import InvalidInput

# gender, approved, true_label, rows: Male SR 60 %, TPR 40/50, FPR 20/50; Female SR 42 %, TPR 30/50, FPR 12/50
CELLS = [
    ("Male", 1, 1, 40), ("Male", 0, 1, 10), ("Male", 1, 0, 20), ("Male", 0, 0, 30),
    ("Female", 1, 1, 30), ("Female", 0, 1, 20), ("Female", 1, 0, 12), ("Female", 0, 0, 38),
]  # fmt: skip


def frame(cells: list[Any] = CELLS) -> pd.DataFrame:
    rows = [(gender, approved, truth) for gender, approved, truth, k in cells for _ in range(k)]
    return pd.DataFrame(rows, columns=["gender", "approved", "true_label"])


def test_each_metric_by_hand() -> None:
    """The signed forms are unprivileged minus privileged."""
    df = frame()
    assert fm.calc_rates(df) == pytest.approx({"privileged_rate": 0.60, "unprivileged_rate": 0.42})
    assert fm.disparate_impact_ratio(df) == pytest.approx(0.70, abs=1e-12)
    assert fm.statistical_parity_diff(df) == pytest.approx(-0.18, abs=1e-12)
    assert fm.equal_opportunity_diff(df) == pytest.approx(-0.20, abs=1e-12)
    assert fm.average_odds_diff(df) == pytest.approx((-0.16 - 0.20) / 2, abs=1e-12)
    # benefits: 30 people with 0, 138 with 1, 32 with 2, mean 202/200
    mean = 202 / 200
    theil = (138 * (1 / mean) * math.log(1 / mean) + 32 * (2 / mean) * math.log(2 / mean)) / 200
    assert fm.theil_index(df) == pytest.approx(theil, abs=1e-12)


def test_all_metrics_at_once_are_the_single_ones() -> None:
    """compute_all_metrics chooses the reference, rates the finding and says it in a sentence."""
    df = frame()
    result = fm.compute_all_metrics(df)
    assert result["dir"] == fm.disparate_impact_ratio(df)
    assert result["spd"] == fm.statistical_parity_diff(df)
    assert result["eod"] == fm.equal_opportunity_diff(df)
    assert result["aod"] == fm.average_odds_diff(df)
    assert result["theil"] == fm.theil_index(df)
    assert (result["female_rate"], result["male_rate"]) == pytest.approx((0.42, 0.60))
    assert (result["privileged"], result["unprivileged"]) == ("Male", "Female")
    # three of metrics 1–12 are beyond their limits, and the worst, e = 0.20/0.05 = 4 of the third, speaks
    assert (result["severity"], result["alert"]) == ("CRITICAL", True)
    assert result["message"] == (
        "CRITICAL: Among rows whose true outcome is favourable, Female is selected in 60.0 % of cases and Male in"
        " 80.0 %, 20.0 percentage points apart; the limit is 5.0."
    )


def test_swapping_the_groups_inverts_and_flips() -> None:
    """Either may be the privileged one."""
    df = frame()
    named = {"privileged": "Female", "unprivileged": "Male"}
    assert fm.disparate_impact_ratio(df, **named) == pytest.approx(1 / 0.70, abs=1e-12)
    assert fm.statistical_parity_diff(df, **named) == pytest.approx(0.18, abs=1e-12)
    assert fm.equal_opportunity_diff(df, **named) == pytest.approx(0.20, abs=1e-12)
    assert fm.average_odds_diff(df, **named) == pytest.approx(0.18, abs=1e-12)


def test_without_truth_error_metrics_are_absent() -> None:
    """No column, or a column without a label: None, never 0; the selection rates stand."""
    for df in (frame().drop(columns="true_label"), frame().assign(true_label=None)):
        result = fm.compute_all_metrics(df)
        assert result["eod"] is result["aod"] is result["theil"] is None
        assert fm.equal_opportunity_diff(df) is fm.average_odds_diff(df) is fm.theil_index(df) is None
        assert result["dir"] == pytest.approx(0.70)


def test_undefined_is_none() -> None:
    """Nobody of the privileged group approved: no ratio; one group: nothing to compare; no rows: nothing at all."""
    nobody = frame([("Male", 0, 1, 60), ("Female", 1, 1, 60)])
    assert fm.disparate_impact_ratio(nobody) is None
    alone = fm.compute_all_metrics(frame([("Female", 1, 1, 100), ("Female", 0, 1, 100)]))
    assert alone["dir"] is alone["spd"] is alone["eod"] is alone["aod"] is alone["male_rate"] is None
    assert alone["female_rate"] == 0.5 and alone["severity"] == "UNKNOWN"
    empty = fm.compute_all_metrics(frame([]).astype({"approved": int}))
    assert empty["dir"] is None and empty["severity"] == "UNKNOWN" and empty["privileged"] is None
    unknown = fm.compute_all_metrics(frame([("", 1, 1, 100), (None, 0, 1, 100)]))
    assert unknown["dir"] is None and unknown["severity"] == "UNKNOWN"


def test_few_rows_have_figures_but_no_verdict() -> None:
    """Ten rows can be divided; whether they mean anything is not known."""
    result = fm.compute_all_metrics(
        frame([("Male", 1, 1, 4), ("Male", 0, 1, 1), ("Female", 1, 1, 2), ("Female", 0, 1, 3)])
    )
    assert result["dir"] == pytest.approx(0.5)
    assert (result["severity"], result["alert"]) == ("UNKNOWN", False)
    assert "10 rows, 100 needed" in result["message"]


def test_groups_may_be_named_or_chosen() -> None:
    """With three groups: two named are alone compared; one left open is the furthest, or the most often selected."""
    df = frame([*CELLS, ("Other", 1, 1, 10), ("Other", 0, 1, 90)])
    assert fm.disparate_impact_ratio(df) == pytest.approx(0.70)
    assert fm.disparate_impact_ratio(df, unprivileged=None) == pytest.approx(0.1 / 0.6)
    assert fm.disparate_impact_ratio(df, privileged=None, unprivileged="Other") == pytest.approx(0.1 / 0.6)
    assert fm.disparate_impact_ratio(df, privileged=None, unprivileged=None) == pytest.approx(0.1 / 0.6)
    assert fm.calc_rates(df, unprivileged=None) == pytest.approx(
        {"privileged_rate": 0.6, "unprivileged_rate": 0.1}
    )
    named = fm.compute_all_metrics(df, privileged="Female", unprivileged="Other")
    assert named["dir"] == pytest.approx(0.1 / 0.42) and named["male_rate"] is None
    only = frame([("Female", 1, 1, 5)])
    assert fm.disparate_impact_ratio(only, privileged=None) is None


def test_other_columns_and_labels() -> None:
    """Any column may be protected, and numbers are found by their text."""
    df = pd.DataFrame({"old": [1, 1, 0, 0], "hired": [True, False, True, True]})
    arguments = {"protected": "old", "outcome": "hired", "privileged": "0", "unprivileged": "1"}
    assert fm.disparate_impact_ratio(df, **arguments) == 0.5
    result = fm.compute_all_metrics(df, "old", outcome="hired")
    assert result["dir"] == 0.5 and result["female_rate"] is None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"protected": "sex"}, "'sex'.*gender, approved, true_label"),
        ({"outcome": "hired"}, "'hired'"),
        ({"truth": "paid_back"}, "'paid_back'"),
        ({"privileged": "Man"}, "'Man'.*Female, Male"),
        ({"unprivileged": "Woman"}, "'Woman'.*Female, Male"),
        ({"unprivileged": "Male"}, "both 'Male'"),
    ],
)
def test_a_column_or_group_that_is_not_there_is_named_with_those_that_are(
    arguments: dict[str, str], named: str
) -> None:
    """A ValueError: the caller mistyped, and sees what could have been typed."""
    with pytest.raises(InvalidInput, match=named):
        fm.equal_opportunity_diff(frame(), **arguments)


def test_decisions_that_are_not_0_or_1_are_refused() -> None:
    """Words must be turned into 0 and 1 first: which one is favourable is not ours to guess."""
    with pytest.raises(InvalidInput, match="decision"):
        fm.disparate_impact_ratio(frame().assign(approved="yes"))


def test_no_server_and_no_database_is_imported() -> None:
    """A script beside a model must not load, or need, what the server needs."""
    code = (
        "import sys; from fairlens_backend.fairness_metrics import compute_all_metrics;"
        "sys.exit(', '.join({'flask', 'werkzeug', 'sqlalchemy', 'requests', 'sklearn', 'scipy.stats'} & set(sys.modules)) or 0)"
    )
    root = Path(fm.__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_agrees_with_fairlearn_on_the_demo_data() -> None:
    """The same ratio and gaps as fairlearn's where it defines the same."""
    fairlearn = pytest.importorskip("fairlearn.metrics")
    df = frame()
    arguments = {"y_true": df.true_label, "y_pred": df.approved, "sensitive_features": df.gender}
    result = fm.compute_all_metrics(df)
    assert result["dir"] == pytest.approx(fairlearn.demographic_parity_ratio(**arguments), abs=1e-12)
    assert abs(result["spd"]) == pytest.approx(
        fairlearn.demographic_parity_difference(**arguments), abs=1e-12
    )
    assert abs(result["eod"]) == pytest.approx(fairlearn.equal_opportunity_difference(**arguments), abs=1e-12)
