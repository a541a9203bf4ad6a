"""Metric 10: asking a model, and adjusting without one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlens_backend.core.metrics._row_metric import RowSettings
from fairlens_backend.core.metrics.counterfactual_fairness import METRIC
from fairlens_backend.core.row_sample import RowMeasured, RowSample
from fairlens_backend.errors import InvalidInput


def measured(settings: RowSettings, **columns: Any) -> RowMeasured:
    (one,) = METRIC.compute(RowSample.draw(**columns), settings)
    return one


def applicants(n: int = 1000) -> dict[str, Any]:
    """Income 0 … n − 1, half of them women."""
    features = pd.DataFrame({"income": np.arange(n), "sex": np.tile(["F", "M"], n // 2)})
    return {"features": features, "decision": np.arange(n) % 2, "protected": {"sex": features["sex"]}}


def lenient(rows: pd.DataFrame) -> Any:
    """Men need an income of 400, women of 500."""
    return (rows["income"] >= np.where(rows["sex"] == "M", 400, 500)).astype(int)


def test_a_model_is_asked_with_the_attribute_set() -> None:
    """Hand: as men 600 of 1,000 are selected, as women 500; the 100 between are the change."""
    one = measured(RowSettings(0.06, {"sex": "M"}, lenient), **applicants())
    assert one.value == pytest.approx(0.1, abs=1e-12)
    assert one.signed == pytest.approx(-0.1, abs=1e-12)
    assert one.compared == ("F", "M")
    assert one.parts["form"] == "intervention"
    assert (one.parts["rate"], one.parts["reference_rate"]) == (0.5, 0.6)
    # the mean of 100 times −1 and 900 times 0: √(0.1·0.9 / 1000)
    assert one.parts["standard_error"] == pytest.approx((0.09 / 1000) ** 0.5, rel=0.01)
    assert one.interval == (
        pytest.approx(0.1 - 1.96 * (0.09 / 1000) ** 0.5, abs=3e-4),
        pytest.approx(0.1 + 1.96 * (0.09 / 1000) ** 0.5, abs=3e-4),
        "influence function",
    )
    assert one.p_value is not None
    assert one.p_value < 1e-20
    assert one.sentence is not None
    assert "10.0 percentage points less often than with M" in one.sentence
    assert str(one.parts["assumption"]) in one.sentence


def test_the_sign_turns_with_the_reference() -> None:
    """The same contrast from the other side."""
    one = measured(RowSettings(0.06, {"sex": "F"}, lenient), **applicants())
    assert one.signed == pytest.approx(0.1, abs=1e-12)
    assert "more often" in (one.sentence or "")


def test_a_model_that_does_not_listen_has_no_effect_and_no_certainty() -> None:
    """No decision changes: 0, p = 1, and an interval that still has a width."""
    one = measured(
        RowSettings(0.06, {"sex": "M"}, lambda rows: (rows["income"] > 300).to_numpy()), **applicants()
    )
    assert (one.value, one.p_value) == (0, 1)
    assert one.interval is not None
    assert one.interval[0] == 0
    assert 0 < one.interval[1] < 0.01
    assert "as often as" in (one.sentence or "")


def test_an_estimator_s_predict_is_used_and_its_inputs_are_heeded() -> None:
    """`predict` where there is one; a model that has no such input is not asked, the rows are adjusted."""

    class Model:
        feature_names_in_ = np.array(["income", "sex"], dtype=object)

        def predict(self, rows: pd.DataFrame) -> Any:
            return lenient(rows)

    model = Model()
    assert measured(RowSettings(0.06, {"sex": "M"}, model), **applicants()).parts["form"] == "intervention"
    model.feature_names_in_ = np.array(["income"], dtype=object)
    assert measured(RowSettings(0.06, {"sex": "M"}, model), **applicants()).parts["form"] == "adjusted"


def test_a_band_is_set_to_values_of_its_own() -> None:
    """Age groups: each row gets an age of the group, drawn from those there are; the kind of column stays."""
    seen: list[pd.Series] = []

    def model(rows: pd.DataFrame) -> Any:
        seen.append(rows["age"])
        return (rows["age"] >= 40).astype(int).to_numpy()

    age = np.arange(1000) % 60 + 10
    band = np.where(age < 40, "young", "old")
    one = measured(
        RowSettings(0.06, {"age": "old"}, model),
        features=pd.DataFrame({"age": age, "x": 0}),
        decision=age % 2,
        protected={"age": band},
    )
    assert one.signed == -1
    assert one.interval is not None
    assert one.interval[0] < 1 <= one.interval[1]
    old, young = seen
    assert set(old) == set(range(40, 70))
    assert set(young) == set(range(10, 40))
    assert old.dtype == np.int64


def test_a_model_that_gives_no_decisions_is_refused() -> None:
    """Probabilities, labels, or too few answers are no decisions of 0 or 1."""
    for answer in (lambda rows: np.full(len(rows), 0.5), lambda rows: ["yes"] * len(rows), lambda rows: [1]):
        with pytest.raises(InvalidInput, match="0 or 1"):
            measured(RowSettings(0.06, {"sex": "M"}, answer), **applicants())


def test_of_several_groups_the_furthest_is_named_with_a_simultaneous_interval() -> None:
    """B is 0.02 and C 0.3 from A; the interval is wider than for two groups alone."""

    def model(rows: pd.DataFrame) -> Any:
        return (rows["x"] >= rows["g"].map({"A": 100, "B": 120, "C": 400})).to_numpy()

    g = np.random.default_rng(0).choice(["A", "B", "C"], 1000)
    features = pd.DataFrame({"x": np.arange(1000), "g": g})
    one = measured(
        RowSettings(0.06, {"g": "A"}, model), features=features, decision=np.zeros(1000), protected={"g": g}
    )
    assert one.signed == pytest.approx(-0.3)
    assert one.compared == ("C", "A")
    assert one.interval is not None
    assert one.interval[2] == "simultaneous"
    error = (0.3 * 0.7 / 1000) ** 0.5
    assert 2 * 1.96 * error < one.interval[1] - one.interval[0] < 2 * 2.6 * error


def test_without_effects_the_p_values_of_several_groups_are_nominal() -> None:
    """Five equal groups, adjusted: at most 7 of 60 data sets below 0.05 (more come in 0.9 % of runs)."""
    low = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=800)
        one = measured(
            RowSettings(0.06, seed=seed),
            features={"x": x},
            decision=(rng.random(800) < 1 / (1 + np.exp(-x))).astype(int),
            protected={"g": rng.choice(list("ABCDE"), 800)},
        )
        assert one.p_value is not None
        low += one.p_value <= 0.05
    assert low <= 7


def test_intervals_of_the_adjusted_form_cover_the_effect() -> None:
    """100 data sets with a common cause and an effect of −0.1: at least 89 intervals hold it."""
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x = rng.random(600)
        women = rng.random(600) < 0.2 + 0.6 * x
        one = measured(
            RowSettings(0.06, {"sex": "M"}, seed=seed),
            features={"x": x},
            decision=(rng.random(600) < 0.3 + 0.5 * x - 0.1 * women).astype(int),
            protected={"sex": np.where(women, "F", "M")},
        )
        low, high = one.parts["signed_lower"], one.parts["signed_upper"]
        assert isinstance(low, float)
        assert isinstance(high, float)
        held += low <= -0.1 <= high
        assert one.interval is not None
        assert one.value is not None
        assert one.interval[0] <= one.value <= one.interval[1]
    assert held >= 89


def test_the_assumption_of_the_adjusted_form_is_spelled_out() -> None:
    """In the parts and in the sentence, with what was clipped."""
    one = measured(RowSettings(0.06), **applicants())
    assert one.parts["form"] == "adjusted"
    assert "common cause" in str(one.parts["assumption"])
    assert str(one.parts["assumption"]) in (one.sentence or "")
    assert one.parts["clipped_share"] == 0
    assert one.parts["columns"] == 1  # income; the attribute itself is no confounder


def test_what_is_missing_is_said() -> None:
    """Small groups, an absent reference, neither model nor features."""
    data = applicants(40)
    assert measured(RowSettings(0.06), **data).status == "insufficient_data"
    data = applicants()
    assert measured(RowSettings(0.06, {"sex": "X"}), **data).status == "insufficient_data"
    nothing = measured(RowSettings(0.06), **(data | {"features": None}))
    assert (nothing.status, nothing.value, nothing.interval) == ("no_model", None, None)
    one_group = measured(RowSettings(0.06), **(data | {"protected": {"sex": ["F"] * 1000}}))
    assert one_group.status == "insufficient_data"
    unknown = measured(RowSettings(0.06), **(data | {"protected": {"sex": [None] * 1000}}))
    assert unknown.status == "insufficient_data"


def test_a_reference_that_is_not_declared_is_the_group_selected_most() -> None:
    """In `applicants` only men are selected."""
    one = measured(RowSettings(0.06), **applicants())
    assert one.compared == ("F", "M")
