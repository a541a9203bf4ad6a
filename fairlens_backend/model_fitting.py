"""Fits a classifier on three quarters of the rows, and measures accuracy and fairness on the rest."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fairlens_backend.core.labels import canonical_labels, matching
from fairlens_backend.errors import InvalidInput
from fairlens_backend.fairness_metrics import compute_all_metrics
from fairlens_backend.model_scorer import score

HELD_OUT_SHARE = 0.25
MIN_LABELS = 2
# A tree's histogram has 255 bins; rarer categories beyond them share one.
MAX_CATEGORIES = 250


@dataclass(frozen=True)
class Task:
    """What to learn from which rows, and what the registered model declares.

    `truth` is the column that fairness is measured against; `target` the one that is learned.
    """

    rows: pd.DataFrame
    features: list[str]
    target: str
    truth: str
    favourable: list[Any]
    protected: list[str]
    source: str
    linear: bool = False
    reference_groups: dict[str, str] = field(default_factory=dict)
    declarations: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """A fitted estimator as bytes, and how it did on the rows held out."""

    content: bytes
    accuracy: float
    rows_fitted: int
    rows_held_out: int
    fairness: dict[str, dict[str, Any]]

    @property
    def sha256(self) -> str:
        """Digest of the bytes."""
        return hashlib.sha256(self.content).hexdigest()


def train(task: Task, seed: int = 42) -> Trained:
    """Fit on three quarters of the rows; measure on the rest.

    Raises
    ------
    InvalidInput : fewer than two labels to tell apart
    """
    import joblib

    order = np.random.default_rng(seed).permutation(len(task.rows))
    held = int(len(order) * HELD_OUT_SHARE)
    held_out, fitted = task.rows.iloc[order[:held]], task.rows.iloc[order[held:]]
    _, labels = canonical_labels(fitted[task.target])
    if len(labels) < MIN_LABELS or held == 0:
        raise InvalidInput(
            f"There are {len(fitted)} rows to fit with the labels {labels[:20]} in {task.target!r}; two labels and at least "
            "4 rows are needed.",
            field="--samples or --target",
            got=len(task.rows),
            expected="rows with two labels",
        )
    pipeline = _pipeline(fitted[task.features], task.linear, seed)
    pipeline.fit(fitted[task.features], fitted[task.target].to_numpy())
    decision, _ = score(pipeline, held_out, task.features, task.favourable)
    measured = held_out[task.protected].assign(
        decision=decision, truth=_favourable(held_out[task.truth], task.favourable)
    )
    fairness = {
        attribute: compute_all_metrics(
            measured,
            attribute,
            outcome="decision",
            truth="truth",
            privileged=task.reference_groups.get(attribute),
        )
        for attribute in task.protected
    }
    buffer = io.BytesIO()
    joblib.dump(pipeline, buffer)
    accuracy = float((decision == _favourable(held_out[task.target], task.favourable)).mean())
    return Trained(buffer.getvalue(), accuracy, len(fitted), len(held_out), fairness)


def _favourable(values: Any, favourable: Sequence[Any]) -> npt.NDArray[np.int64]:
    """1 where the label is favourable, 0 where not, -1 where there is none; shape (n_rows,)."""
    codes, labels = canonical_labels(values)
    return np.append(matching(labels, favourable).astype(np.int64), -1)[codes]


def _pipeline(rows: pd.DataFrame, linear: bool, seed: int) -> Any:
    """A line on scaled numbers and one-hot texts, or gradient-boosted trees that take texts and gaps as they are."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    numbers = [name for name in rows if pd.api.types.is_numeric_dtype(rows[name])]
    texts = [name for name in rows if name not in numbers]
    if linear:
        columns = make_column_transformer(
            (StandardScaler(), numbers), (OneHotEncoder(handle_unknown="ignore"), texts)
        )
        return make_pipeline(columns, LogisticRegression(max_iter=1000))
    codes = OrdinalEncoder(
        # A category that was not seen, also a marker like "?", counts as a gap.
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        max_categories=MAX_CATEGORIES,
    )
    columns = make_column_transformer((codes, texts), ("passthrough", numbers))
    trees = HistGradientBoostingClassifier(
        categorical_features=list(range(len(texts))), learning_rate=0.1, max_iter=150, random_state=seed
    )
    return make_pipeline(columns, trees)
