"""Logistic regression of a bounded sample, by Newton's method: importing scikit-learn for it costs 2 CPU-seconds."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from fairlens_backend.core.gower import as_numbers
from fairlens_backend.core.labels import canonical_labels

FloatArray = npt.NDArray[np.float64]

MAX_LEVELS: Final = 15
MIN_LEVEL_ROWS: Final = 10
_MAX_STEPS: Final = 50
_CLOSE_ENOUGH: Final = 1e-9
_CLOSE_BY_NEAR: Final = 1e-13


def fit(
    X: FloatArray,
    y: FloatArray,
    start: FloatArray | None = None,
    near: FloatArray | None = None,
    penalty: float = 1.0,
) -> FloatArray:
    """Coefficients that minimise −log likelihood + penalty/2 · sum of squares, the first (the intercept) unpenalised.

    Parameters
    ----------
    X : shape (n_rows, n_columns), the first column all 1
    y : shape (n_rows,), each 0 or 1
    start : coefficients to start from; the result does not depend on them, the time does
    near : inverse of a curvature near the one at the optimum (`inverse_curvature`), such as that of similar rows; steps
        taken with it cost a fiftieth, and it is computed anew once they do not at least halve what is left
    penalty : that of scikit-learn's `LogisticRegression(C=1 / penalty)`

    Returns
    -------
    shape (n_columns,); where all of y is the same, the intercept alone, at ±∞, so that `predict` says 0 or 1

    Examples
    --------
    >>> X = np.array([[1.0, 0], [1, 0], [1, 0], [1, 0]])
    >>> [round(float(b), 6) for b in fit(X, np.array([0.0, 1, 1, 1]))]  # the log odds of 3 to 1
    [1.098612, 0.0]

    Source: McCullagh and Nelder, Generalized linear models, ch. 4; le Cessie and van Houwelingen (1992) for the penalty.
    """
    columns = X.shape[1]
    if y.min() == y.max():
        alone = np.zeros(columns)
        alone[0] = np.inf if y[0] == 1 else -np.inf
        return alone
    ridge = _ridge(columns, penalty)
    beta = np.zeros(columns) if start is None or not np.isfinite(start).all() else start.copy()
    last, before = beta, np.inf
    for _ in range(_MAX_STEPS):
        gradient = X.T @ (y - expit(X @ beta)) - ridge * beta
        if near is not None:
            step = near @ gradient
            left = float(gradient @ step)
            if 0 <= left < before / 2:
                last, beta, before = beta, beta + step, left
                if left < _CLOSE_BY_NEAR:
                    break
                continue
            near = None
            if _loss(X @ last, y, last, ridge) < _loss(X @ beta, y, beta, ridge):
                beta = last
                continue
        near = inverse_curvature(X, beta, penalty)
        step = near @ gradient
        before = float(gradient @ step)
        last, beta = beta, beta + _shortened(X, y, beta, step, ridge) * step
        # the step is taken already, and near the end each one squares the error
        if before < _CLOSE_ENOUGH:
            break
    return beta


def inverse_curvature(X: FloatArray, beta: FloatArray, penalty: float = 1.0) -> FloatArray:
    """Inverse of the matrix of second derivatives at beta, shape (n_columns, n_columns)."""
    p = expit(X @ beta)
    # a hair on the diagonal: with all rows certain, the intercept's curvature is 0
    curvature = (X * (p * (1 - p))[:, None]).T @ X + np.diag(_ridge(X.shape[1], penalty) + 1e-10)
    inverse: FloatArray = np.linalg.inv(curvature)
    return inverse


def _ridge(columns: int, penalty: float) -> FloatArray:
    ridge = np.full(columns, penalty)
    ridge[0] = 0.0
    return ridge


def _shortened(X: FloatArray, y: FloatArray, beta: FloatArray, step: FloatArray, ridge: FloatArray) -> float:
    """1, or the first half of it, and so on, that does not go uphill."""
    linear, along = X @ beta, X @ step
    loss = _loss(linear, y, beta, ridge)
    scale = 1.0
    while scale > 1e-6:
        if _loss(linear + scale * along, y, beta + scale * step, ridge) <= loss + 1e-12 * abs(loss):
            break
        scale /= 2
    return scale


def predict(X: FloatArray, beta: FloatArray) -> FloatArray:
    """P(y=1) of each row, shape (n_rows,)."""
    if not np.isfinite(beta[0]):
        return np.full(len(X), 1.0 if beta[0] > 0 else 0.0)
    probability: FloatArray = expit(X @ beta)
    return probability


def _loss(linear: FloatArray, y: FloatArray, beta: FloatArray, ridge: FloatArray) -> float:
    return float(np.logaddexp(0.0, linear).sum() - y @ linear + 0.5 * (ridge * beta * beta).sum())


@dataclass(frozen=True, eq=False)
class Design:
    """Features as columns of numbers.

    Parameters
    ----------
    X : shape (n_rows, n_columns); an intercept, then the columns with mean 0 and standard deviation 1
    left_out : columns beyond the most that were allowed
    """

    X: FloatArray
    left_out: int


def design(features: pd.DataFrame, related_to: FloatArray, max_columns: int) -> Design:
    """Features as the columns of a regression.

    A number keeps its value, its gaps the mean, and gets a column that says where they are. A category gets a column
    for each of its 15 most frequent values that have at least 10 rows (gaps are a value); the rest stand together.

    Parameters
    ----------
    related_to : shape (n_rows, n_other). Of more than `max_columns` columns those are kept whose correlation with any
        of these is strongest: what is related to neither treatment nor outcome confounds nothing.

    Source: Belloni, Chernozhukov and Hansen, Inference on treatment effects after selection (2014), for keeping both.
    """
    columns: list[FloatArray] = []
    for name in features:
        values = as_numbers(features[name])
        if values is None:
            columns += _levels(features[name])
            continue
        gaps = np.isnan(values)
        if gaps.all():
            continue
        columns.append(np.where(gaps, values[~gaps].mean(), values))
        if gaps.any():
            columns.append(gaps.astype(np.float64))
    rows = len(features)
    table = np.array(columns).reshape(len(columns), rows)
    if len(table):
        # scaled first: the square of a large number can be infinite
        table = table / np.maximum(np.abs(table).max(axis=1, keepdims=True), np.finfo(float).tiny)
        table = table - table.mean(axis=1, keepdims=True)
        spread = table.std(axis=1)
        table = table[spread > _CLOSE_ENOUGH] / spread[spread > _CLOSE_ENOUGH][:, None]
    left_out = max(0, len(table) - max_columns)
    if left_out:
        other = related_to - related_to.mean(axis=0)
        other = other / np.maximum(other.std(axis=0), _CLOSE_ENOUGH)
        strength = np.abs(table @ other).max(axis=1)
        table = table[np.sort(np.argsort(-strength, kind="stable")[:max_columns])]
    return Design(np.ascontiguousarray(np.vstack([np.ones((1, rows)), table]).T), left_out)


def _levels(column: Any) -> list[FloatArray]:
    codes, labels = canonical_labels(column)
    count = np.bincount(codes + 1, minlength=len(labels) + 1)
    frequent = np.argsort(-count, kind="stable")[:MAX_LEVELS]
    kept = [int(code) for code in frequent if count[code] >= MIN_LEVEL_ROWS]
    return [(codes + 1 == code).astype(np.float64) for code in kept]
