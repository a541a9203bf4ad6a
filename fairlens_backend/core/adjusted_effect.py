"""What an outcome would be if all rows were of one group: the doubly robust (AIPW) estimate, cross-fitted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from fairlens_backend.core.logistic_regression import design, fit, inverse_curvature, predict

FloatArray = npt.NDArray[np.float64]

FOLDS: Final = 5
MIN_PROPENSITY: Final = 0.01
MAX_COLUMNS: Final = 80
_FIRST_ROWS: Final = 2_000


@dataclass(frozen=True, eq=False)
class AdjustedEffect:
    """Each group against the reference group.

    Parameters
    ----------
    means : P(ŷ=1 | do(A=g)) of the reference, then of the groups, shape (1 + n_groups,)
    influence : shape (n_rows, n_groups), of each row on (group − reference); its mean is 0
    clipped : share of the rows whose propensity was under 0.01 and was set to it, by group, shape (1 + n_groups,)
    columns : of the regressions, without the intercept
    left_out : columns that were too many
    """

    means: FloatArray
    influence: FloatArray
    clipped: FloatArray
    columns: int
    left_out: int


def adjusted_effect(
    features: pd.DataFrame,
    labels: npt.NDArray[np.object_],
    outcome: FloatArray,
    groups: Sequence[str],
    seed: int,
) -> AdjustedEffect:
    """The contrast of each group with the first, adjusted for the features.

    For each group g a logistic regression gives its propensity π_g(x) = P(A=g | x), and one, among its rows, the
    outcome μ_g(x) = P(ŷ=1 | A=g, x); both are fitted on four fifths of the rows and used on the other fifth. The
    estimate is the mean of μ_g(x) + 1{A=g}·(ŷ − μ_g(x))/π_g(x), and is right where either of the two models is.

    Parameters
    ----------
    features : the confounders, one row each
    labels : the group of each row, each one of `groups`
    outcome : shape (n_rows,), each 0 or 1
    groups : the reference first, at least two, each with at least one row a fold
    seed : of the folds

    Source: Robins, Rotnitzky and Zhao (JASA 1994); Chernozhukov et al., Double/debiased machine learning (Econometrics
    Journal 2018) for the folds; Crump et al. (Biometrika 2009) for clipping.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    member = np.stack([labels == group for group in groups], axis=1)
    rows = len(labels)
    made = design(features, np.column_stack([member, outcome]), MAX_COLUMNS)
    X = made.X
    # shuffled within each group, so that each fold has its share of each
    order = rng.permutation(rows)
    order = order[np.argsort(member.argmax(axis=1)[order], kind="stable")]
    fold = np.empty(rows, dtype=np.int64)
    fold[order] = np.arange(rows) % FOLDS
    propensity, expected = np.empty(member.shape), np.empty(member.shape)
    for g, here in enumerate(member.T):
        if g == 1 and len(groups) == 2:
            propensity[:, 1] = 1 - propensity[:, 0]
        else:
            propensity[:, g] = _cross_fitted(X, here.astype(np.float64), np.ones(rows, dtype=bool), fold)
        expected[:, g] = _cross_fitted(X, outcome, here, fold)
    clipped = (propensity < MIN_PROPENSITY).mean(axis=0)
    residual = np.where(member, outcome[:, None] - expected, 0.0)
    each = expected + residual / np.maximum(propensity, MIN_PROPENSITY)
    means = each.mean(axis=0)
    contrast = each[:, 1:] - each[:, :1]
    return AdjustedEffect(means, contrast - contrast.mean(axis=0), clipped, X.shape[1] - 1, made.left_out)


def _cross_fitted(
    X: FloatArray, y: FloatArray, used: npt.NDArray[np.bool_], fold: npt.NDArray[np.int64]
) -> FloatArray:
    """Predictions for every row by a model fitted on the used rows of the other folds."""
    result = np.empty(len(y))
    # where a search starts, and by which curvature it steps, changes how long it takes, not where it ends
    there = np.flatnonzero(used)
    first = there[:_FIRST_ROWS]
    start = fit(X[first], y[first])
    near = _near(X[first], start, len(first) / len(there))
    if len(first) < len(there):
        start = fit(X[there], y[there], start, near)
        near = _near(X[there], start, 1.0)
    for k in range(FOLDS):
        train = np.flatnonzero(used & (fold != k))
        test = fold == k
        share = len(there) / len(train)
        beta = fit(X[train], y[train], start, None if near is None else near * share)
        result[test] = predict(X[test], beta)
    return result


def _near(X: FloatArray, beta: FloatArray, share: float) -> FloatArray | None:
    """The inverse curvature of more rows, of which X is this share; None without one."""
    return inverse_curvature(X, beta) * share if np.isfinite(beta).all() else None
