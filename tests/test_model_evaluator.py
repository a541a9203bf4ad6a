"""Scoring with a registered model: its own columns, its own order, what is shown of people."""

import io
from datetime import UTC, datetime
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.tree import DecisionTreeClassifier

from fairlens_backend import model_evaluator, model_registry
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.schemas.checks import DemoQuery, EvaluateRequest

NOW = datetime(2026, 3, 4, tzinfo=UTC)
DECLARED = {
    "columns": {"truth": "truth", "id": "id", "protected": ["sex"]},
    "favourable": {"decision": ["hire"], "truth": ["good"]},
    "reference_groups": {"sex": "m"},
}
ROWS = pd.DataFrame(
    {"id": range(400), "sex": ["f", "m"] * 200, "years": np.arange(400) % 20, "grade": np.arange(400) % 7}
)
ROWS["truth"] = np.where(ROWS["years"] > 8, "good", "bad")


def register(model: Any, tenant: str = "acme", **declared: Any) -> None:
    """A model with its artefact."""
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    given = {**DECLARED, **declared}
    model_registry.register_model(
        "m", "v1", tenant=tenant, declarations=given, artefact=buffer.getvalue(), created_by="a", now=NOW
    )


def evaluate(rows: pd.DataFrame = ROWS, **asked: Any) -> dict[str, Any]:
    """Evaluate a frame that is uploaded as CSV."""
    wanted = EvaluateRequest(model_name="m", mode="prod", **asked)
    return model_evaluator.evaluate_file("acme", wanted, io.BytesIO(rows.to_csv(index=False).encode()), NOW)


def fitted(columns: list[str], names: bool = True) -> DecisionTreeClassifier:
    """A tree that hires from ten years on."""
    features = ROWS[columns] if names else ROWS[columns].to_numpy()
    return DecisionTreeClassifier(max_depth=1).fit(features, np.where(ROWS["years"] >= 10, "hire", "reject"))


def rates(answer: dict[str, Any]) -> dict[str, float]:
    """Selection rate by sex."""
    return {
        one["attributes"]["sex"]: one["rates"]["selection_rate"]["value"]
        for one in answer["demographic_slices"]
        if "sex" in one["attributes"]
    }


@pytest.mark.parametrize("names", [True, False])
def test_the_models_own_columns_in_its_own_order(database: None, names: bool) -> None:
    """Fitted on a frame it knows its columns, on an array the registered features say their order; the file's does not matter."""
    register(fitted(["years", "grade"], names), features=["years", "grade"])
    answer = evaluate(ROWS[["grade", "truth", "sex", "years", "id"]])
    by_hand = (ROWS["years"] >= 10).groupby(ROWS["sex"]).mean()
    assert rates(answer) == pytest.approx(by_hand.to_dict())
    assert answer["labelled_size"] == 400 and answer["predictions_count"] == 400


def test_without_names_and_without_features_the_rest_is_taken(database: None) -> None:
    """A model that knows no names gets what is neither truth nor id: here the two numbers, once sex is not in the way."""
    register(DummyClassifier(strategy="constant", constant="hire").fit([[0], [1]], ["hire", "reject"]))
    assert rates(evaluate()) == {"f": 1.0, "m": 1.0}


def test_what_is_shown_of_people(database: None) -> None:
    """At most 100 predictions with hashed ids, decision and score; the same id hashes the same."""
    register(fitted(["years"]))
    shown = evaluate()["predictions"]
    assert len(shown) == 100 and set(shown[0]) == {"id", "decision", "score"}
    assert shown[0]["id"] != "0" and evaluate()["predictions"] == shown
    assert all(type(one["decision"]) is int and 0 <= one["score"] <= 1 for one in shown)


def test_a_model_without_scores(database: None) -> None:
    """Scores are null, not NaN."""
    from sklearn.svm import LinearSVC

    register(LinearSVC().fit(ROWS[["years"]], np.where(ROWS["years"] >= 10, "hire", "reject")))
    assert {one["score"] for one in evaluate()["predictions"]} == {None}


def test_the_truth_may_have_labels_of_its_own(database: None) -> None:
    """hire / good: of those who are good (years > 8), who has ten years or more is hired: 10 of 11."""
    register(fitted(["years"]))
    good = [
        one["rates"]["true_positive_rate"]
        for one in evaluate()["demographic_slices"]
        if one["attributes"] == {"sex": "m"}
    ]
    men = ROWS[(ROWS["sex"] == "m") & (ROWS["truth"] == "good")]
    assert good[0]["value"] == pytest.approx((men["years"] >= 10).mean())


@pytest.mark.parametrize("gone", ["truth", "id", "sex", "years"])
def test_a_column_that_is_missing_is_named(database: None, gone: str) -> None:
    """Whatever its part."""
    register(fitted(["years"]))
    with pytest.raises(InvalidInput, match=f"'{gone}'"):
        evaluate(ROWS.drop(columns=gone))


def test_simulated_loans_are_not_for_every_model(database: None) -> None:
    """A model of other columns is refused with the columns that there are."""
    register(fitted(["years"]))
    with pytest.raises(InvalidInput, match="credit_score"):
        model_evaluator.evaluate_simulated("acme", EvaluateRequest(model_name="m", n_samples=100), NOW)


def test_another_tenants_model_is_not_there(database: None) -> None:
    """NotFound, as if it did not exist."""
    register(fitted(["years"]), tenant="other")
    with pytest.raises(NotFound):
        evaluate()


def test_a_seed_is_drawn_and_told(database: None, demo_model: tuple[bytes, dict[str, Any]]) -> None:
    """Without a seed two evaluations differ, and each can be repeated with the seed that it told."""
    content, declared = demo_model
    model_registry.register_model("loan_model", "v1", tenant="acme", declarations={name: value for name, value in declared.items() if name not in ("model_name", "version")}, artefact=content, created_by="a", now=NOW)  # fmt: skip
    first, second = (
        model_evaluator.evaluate_simulated("acme", EvaluateRequest(n_samples=300), NOW) for _ in range(2)
    )
    assert first["seed"] != second["seed"]
    again = model_evaluator.evaluate_simulated(
        "acme", EvaluateRequest(n_samples=300, seed=first["seed"]), NOW
    )
    for audit in (first, again):
        del audit["metrics"]["temporal_drift_index"]  # it also knows the audits before
    assert again["metrics"] == first["metrics"]


def test_the_demonstration(settings: Any) -> None:
    """No database is touched; a seed gives the same figures."""
    wanted = DemoQuery(scenario="drifted", n_samples=2000, seed=9)
    assert model_evaluator.demonstrate(wanted) == model_evaluator.demonstrate(wanted)
    assert (
        model_evaluator.demonstrate(wanted)["dir"]
        < model_evaluator.demonstrate(DemoQuery(n_samples=2000, seed=9))["dir"]
    )
