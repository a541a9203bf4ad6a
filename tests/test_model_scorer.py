"""Scoring: decisions are 0 or 1 by favourable label, scores its probability, and mistakes are named."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlens_backend import model_scorer
from fairlens_backend.errors import InvalidInput
from fairlens_backend.model_scorer import score


class Says:
    """A model that answers what it was told, one answer a row, without classes or probabilities."""

    def __init__(self, *answers: Any) -> None:
        self.answers = answers

    def predict(self, rows: Any) -> Any:
        return np.array(self.answers, dtype=object)[: len(rows)]


class Threshold:
    """Above 10 is one class, else the other; the score is known by hand: x / 100."""

    def __init__(self, classes: list[Any], names: list[str] | None = None) -> None:
        self.classes_ = np.array(classes)
        if names:
            self.feature_names_in_ = np.array(names, dtype=object)
        self.seen: list[list[str]] = []
        self.sizes: list[int] = []

    def predict(self, rows: pd.DataFrame) -> Any:
        self.seen.append(list(rows.columns))
        self.sizes.append(len(rows))
        return self.classes_[(rows["x"].to_numpy() > 10).astype(int)]

    def predict_proba(self, rows: pd.DataFrame) -> Any:
        p = rows["x"].to_numpy() / 100
        return np.column_stack([1 - p, p])


FRAME = pd.DataFrame({"id": ["a", "b", "c"], "y": [0, 0, 0], "x": [5, 10, 50]})


@pytest.mark.parametrize(
    "classes, favourable",
    [([0, 1], ["1"]), ([0, 1], [1.0]), (["0", "1"], [1]), ([False, True], ["true"]), ([False, True], [1]),
     (["<=50K", ">50K"], [" >50K "]), ([0.0, 1.0], ["1e0"])],
)  # fmt: skip
def test_the_favourable_label_is_found_in_any_spelling(classes: list[Any], favourable: list[Any]) -> None:
    """Text and number, blanks around it, true for 1: the same decisions and scores."""
    decision, scores = score(Threshold(classes), FRAME, ["y", "x"], favourable)
    assert decision.tolist() == [0, 0, 1] and decision.dtype.kind == "i"
    assert scores is not None and scores.tolist() == [0.05, 0.10, 0.50]


def test_the_other_class_can_be_the_favourable_one() -> None:
    """Not reoffending is favourable: decisions and scores turn around."""
    decision, scores = score(Threshold(["0", "1"]), FRAME, ["x"], [0])
    assert decision.tolist() == [1, 1, 0]
    assert scores is not None and scores.tolist() == [0.95, 0.90, 0.50]


def test_several_favourable_labels_add_their_probabilities() -> None:
    """Low and Medium favourable: P = P(Low) + P(Medium)."""

    class Three(Threshold):
        def predict(self, rows: pd.DataFrame) -> Any:
            return np.array(["Low", "Medium", "High"])[: len(rows)]

        def predict_proba(self, rows: pd.DataFrame) -> Any:
            return np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3], [0.25, 0.25, 0.5]])[: len(rows)]

    decision, scores = score(Three(["High", "Low", "Medium"]), FRAME, ["x"], ["Medium", "Low"])
    assert decision.tolist() == [1, 1, 0]
    assert scores is not None and scores.tolist() == pytest.approx([0.8, 0.4, 0.75])


def test_columns_reach_the_model_in_its_own_order_else_as_registered() -> None:
    """`feature_names_in_` wins; without it the registered order; columns that are no features stay out."""
    for model in (own := Threshold([0, 1], ["x", "y"]), plain := Threshold([0, 1])):
        score(model, FRAME, ["y", "x"], [1])
    assert own.seen == [["x", "y"]] and plain.seen == [["y", "x"]]
    assert score(own, FRAME, None, [1])[0].tolist() == [0, 0, 1]


def test_an_estimator_fitted_on_an_array_gets_an_array_without_a_warning(
    recwarn: pytest.WarningsRecorder,
) -> None:
    """scikit-learn warns when names come to a model that was fitted without."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6).fit(
        np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]), [0, 0, 1, 1]
    )
    decision, scores = score(model, pd.DataFrame({"a": [0.0, 3.0], "b": [1.0, 1.0]}), ["a", "b"], [1])
    assert decision.tolist() == [0, 1]
    assert scores is not None and scores[0] < 0.01 and scores[1] > 0.99
    assert not [w for w in recwarn if "feature names" in str(w.message)]


def test_a_long_table_is_scored_in_chunks_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call sees more than the bound; what comes out does not depend on it."""
    frame = pd.DataFrame({"x": np.arange(25) % 17})
    model = Threshold(["no", "yes"])
    monkeypatch.setattr(model_scorer, "CHUNK_ROWS", 10)
    decision, scores = score(model, frame, ["x"], ["yes"])
    assert model.sizes == [10, 10, 5]
    assert decision.tolist() == [int(i % 17 > 10) for i in range(25)]
    assert scores is not None and scores.tolist() == [i % 17 / 100 for i in range(25)]


def test_a_model_without_classes_decides_by_what_it_predicts() -> None:
    """No probabilities by class, so no score: None, never a made-up one."""
    decision, scores = score(Says("approve", "deny", "approve"), FRAME, ["x"], ["approve"])
    assert decision.tolist() == [1, 0, 1] and scores is None


def test_a_prediction_outside_the_classes_is_compared_like_any_other() -> None:
    """A wrapper that maps 0 and 1 to words still decides."""
    model = Says("no", "yes", "no")
    model.classes_ = np.array([0, 1])  # type: ignore[attr-defined]
    assert score(model, FRAME, ["x"], ["yes"])[0].tolist() == [0, 1, 0]


def test_no_rows_give_no_decisions() -> None:
    """The model is not asked."""
    decision, scores = score(Threshold([0, 1]), FRAME.iloc[:0], ["x"], [1])
    assert decision.tolist() == [] and scores is None


def test_a_missing_feature_is_named_with_what_there_is() -> None:
    """The message has the column that is wanted and those that came."""
    with pytest.raises(InvalidInput, match=r"needs the column \['income'\]; there are \['id', 'y', 'x'\]"):
        score(Threshold([0, 1]), FRAME, ["x", "income"], [1])
    with pytest.raises(InvalidInput, match="register `features`"):
        score(Threshold([0, 1]), FRAME, None, [1])


def test_a_favourable_label_that_the_model_does_not_know_is_named() -> None:
    """Silence would audit a model that never decides favourably."""
    with pytest.raises(
        InvalidInput, match=r"\['approved'\] is one of the model's; it decides between \['0', '1'\]"
    ):
        score(Threshold([0, 1]), FRAME, ["x"], ["approved"])
    with pytest.raises(InvalidInput, match="favourable"):
        score(Says(0.31, 0.62, 0.93), FRAME, ["x"], [1])  # a regression, not a decision


@pytest.mark.parametrize("part", ["predict", "predict_proba"])
def test_a_failing_model_is_named_by_the_kind_of_its_error_without_its_words(part: str) -> None:
    """Its message may quote a person's value, so only the exception's type is told."""
    model = Threshold([0, 1])

    def fail(rows: Any) -> Any:
        raise KeyError("could not convert string 'Jane Doe'")

    setattr(model, part, fail)
    with pytest.raises(InvalidInput, match=rf"model's {part} failed on these rows \(KeyError\)") as refusal:
        score(model, FRAME, ["x"], [1])
    assert "Jane" not in str(refusal.value.details) + refusal.value.message


@pytest.mark.parametrize(
    "answer", [[1, 0], [[1, 0, 1], [0, 1, 1]], [1, None, 0], [1.0, float("nan"), 0.0]]
)  # fmt: skip
def test_an_answer_that_is_not_one_label_a_row_is_refused(answer: Any) -> None:
    """Too few, too many, or missing."""
    model = Threshold([0, 1])
    model.predict = lambda rows: np.array(answer)  # type: ignore[method-assign]
    with pytest.raises(InvalidInput, match="answer cannot be used"):
        score(model, FRAME, ["x"], [1])


@pytest.mark.parametrize(
    "bad", [np.full((3, 2), np.nan), np.full((3, 2), 1.5), np.full((3, 3), 0.3), np.zeros(3)]
)
def test_probabilities_that_are_none_are_refused(bad: Any) -> None:
    """NaN, above 1, a class too many, one column only: said, not dropped."""
    model = Threshold([0, 1])
    model.predict_proba = lambda rows: bad  # type: ignore[method-assign]
    with pytest.raises(InvalidInput, match="predict_proba gave"):
        score(model, FRAME, ["x"], [1])


def test_columns_without_any_value_are_taken_by_encoders_and_by_numbers() -> None:
    """A CSV reader types an empty column of texts as numbers; the decision is that of a row with those gaps."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.DataFrame(
        {"n": [1.0, 2.0, None, 4.0] * 5, "t": pd.array(["a", "b", None, "b"] * 5, dtype="str")}
    )
    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    for numbers, last in (
        ("passthrough", HistGradientBoostingClassifier()),
        (SimpleImputer(), LogisticRegression()),
    ):
        model = make_pipeline(make_column_transformer((texts, ["t"]), (numbers, ["n"])), last)
        model.fit(frame, ([0, 1] * 10))
        mixed, _ = score(model, frame, None, [1])
        alone, _ = score(model, pd.DataFrame({"n": [float("nan")], "t": [float("nan")]}), None, [1])
        assert alone.tolist() == [mixed[2]]
