"""Scores rows with somebody's model: its decision, favourable or not, and the score of the favourable one."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fairlens_backend.core.labels import canonical_labels, matching
from fairlens_backend.errors import InvalidInput
from fairlens_backend.row_labels import meanings

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]

CHUNK_ROWS = 20_000  # rows a model sees at once, so that its working memory does not grow with the file
_MAX_LISTED = 20
_ROUNDING = 1e-6  # float32 models sum to 1 only so far


def score(
    model: Any,
    df: pd.DataFrame,
    features: Sequence[str] | None,
    favourable_classes: Sequence[Any],
    unfavourable_classes: Sequence[Any] | None = None,
) -> tuple[IntArray, FloatArray | None]:
    """Ask a model for its decisions.

    The model gets its columns by name and in its own order (`feature_names_in_`); a model that knows no names gets
    the `features` in the order given, as a plain array where it was fitted on one. Columns are given as they are:
    numbers must be numbers already. Labels compare as text and as numbers: "1", 1 and 1.0 are one label.

    Parameters
    ----------
    model : has `predict`; `predict_proba` and `classes_` are used where they are there
    df : rows to score, with at least the features
    features : input columns in order; may be None when the model knows its own
    favourable_classes : the labels that are favourable, in any spelling
    unfavourable_classes : the others, where they are declared; None where every other label is one

    Returns
    -------
    decision : int array, shape (n_rows,), 1 favourable and 0 not, -2 neither
    score : float array, shape (n_rows,), each in [0, 1], the probability of the favourable labels together;
        None when the model gives no probabilities by class

    Raises
    ------
    InvalidInput : a feature is missing, no favourable label is one of the model's, the model fails on these rows,
        or what it answers is not one label a row. No value of a row is in the message.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> model = DummyClassifier(strategy="prior").fit([[0], [0], [0], [0]], ["no", "yes", "yes", "yes"])
    >>> decision, scores = score(model, pd.DataFrame({"x": [1, 2]}), ["x"], ["yes"])
    >>> decision.tolist(), scores.tolist()
    ([1, 1], [0.75, 0.75])
    """
    names = _feature_names(model, df, features)
    classes = _classes(model)
    has_scores = classes is not None and callable(getattr(model, "predict_proba", None))
    is_favourable = matching(classes, favourable_classes) if classes is not None else np.zeros(0, dtype=bool)
    codes: list[npt.NDArray[np.intp]] = []
    labels: dict[str, int] = {}
    scores: list[FloatArray] = []
    for start in range(0, len(df), CHUNK_ROWS):
        rows = _as_fitted(model, df[names].iloc[start : start + CHUNK_ROWS])
        found, said = _predicted(model, rows)
        # Chunks number their labels for themselves; the last place is for the missing (-1 indexes it).
        place = np.array([*(labels.setdefault(label, len(labels)) for label in said), -1], dtype=np.intp)
        codes.append(place[found])
        if has_scores:
            scores.append(_probability(model, rows, is_favourable))
    chosen = matching(labels, favourable_classes)
    if not chosen.any() and not is_favourable.any() and (classes is not None or len(labels) > 1):
        there = (classes or list(labels))[:_MAX_LISTED]
        raise InvalidInput(
            f"None of the favourable labels {list(favourable_classes)} is one of the model's; it decides between {there}.",
            field="favourable.decision",
            got=list(favourable_classes),
            expected=f"at least one of {there}",
        )
    code = np.concatenate(codes) if codes else np.zeros(0, dtype=np.intp)
    if (code < 0).any():
        missing = int((code < 0).sum())
        raise _bad_answer(f"{missing} of {len(code)} predictions are missing", "a label for each row")
    decision = np.append(meanings(list(labels), favourable_classes, unfavourable_classes), 0)[code]
    return decision, np.concatenate(scores) if scores else None


def _feature_names(model: Any, df: pd.DataFrame, features: Sequence[str] | None) -> list[str]:
    own = getattr(model, "feature_names_in_", None)
    names = [str(name) for name in (own if own is not None else features or ())]
    if not names:
        raise InvalidInput(
            "The model does not know the names of its input columns and none were registered; register `features`.",
            field="features",
            got=None,
            expected="a list of column names",
        )
    absent = [name for name in names if name not in df.columns]
    if absent:
        there = [str(name) for name in df.columns][: 3 * _MAX_LISTED]
        raise InvalidInput(
            f"The model needs the column{'s' if len(absent) > 1 else ''} {absent[:_MAX_LISTED]}; there are {there}.",
            field="features",
            got=there,
            expected=f"the columns {names[: 3 * _MAX_LISTED]}",
        )
    return names


def _as_fitted(model: Any, rows: pd.DataFrame) -> Any:
    """A table by names, but a plain array for an estimator that was fitted on one."""
    # A column without any value is read as numbers; encoders of texts fail on those, and take objects, as numbers do.
    empty = [name for name in rows if rows[name].isna().all()]
    rows = rows.astype(dict.fromkeys(empty, object))
    on_array = hasattr(model, "n_features_in_") and getattr(model, "feature_names_in_", None) is None
    return rows.to_numpy() if on_array else rows


def _classes(model: Any) -> list[str] | None:
    """The labels that the model decides between, each in one spelling, in the order of its probabilities."""
    own = getattr(model, "classes_", None)
    if own is None or np.ndim(own) != 1:
        return None
    codes, labels = canonical_labels(np.asarray(own))
    return [labels[code] if code >= 0 else "" for code in codes]


def _predicted(model: Any, rows: Any) -> tuple[npt.NDArray[np.intp], list[str]]:
    answer = np.asarray(_ask(model.predict, rows, "predict"))
    if answer.shape not in ((len(rows),), (len(rows), 1)):
        raise _bad_answer(
            f"predict gave an array of shape {answer.shape} for {len(rows)} rows", "one label a row"
        )
    return canonical_labels(answer.ravel())


def _probability(model: Any, rows: Any, is_favourable: npt.NDArray[np.bool_]) -> FloatArray:
    answer = np.asarray(_ask(model.predict_proba, rows, "predict_proba"), dtype=np.float64)
    if answer.shape != (len(rows), len(is_favourable)):
        raise _bad_answer(
            f"predict_proba gave an array of shape {answer.shape} for {len(rows)} rows and {len(is_favourable)} labels",
            "one probability a row and label",
        )
    total: FloatArray = answer[:, is_favourable].sum(axis=1)
    # `not all` and not `any` of the contrary, so that a NaN is refused too.
    if not ((total >= -_ROUNDING) & (total <= 1 + _ROUNDING)).all():
        raise _bad_answer("predict_proba gave values that are not probabilities", "numbers from 0 to 1")
    return np.clip(total, 0.0, 1.0)


def _ask(method: Callable[[Any], Any], rows: Any, name: str) -> Any:
    try:
        return method(rows)
    except Exception as error:  # code from elsewhere runs here: it may raise anything
        # Its own message is left out: it may quote the values of a person.
        raise InvalidInput(
            f"The model's {name} failed on these rows ({type(error).__name__}). Check that the columns hold what it was "
            "trained on: the same types, the same marks for missing values.",
            field="features",
            got=type(error).__name__,
            expected="rows as the model was trained on",
        ) from error


def _bad_answer(what: str, expected: str) -> InvalidInput:
    return InvalidInput(
        f"The model's answer cannot be used: {what}; {expected} was expected.",
        field="model_name",
        got=what,
        expected=expected,
    )
