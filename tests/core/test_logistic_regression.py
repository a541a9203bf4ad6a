"""Logistic regression against scikit-learn's."""

import numpy as np
import pandas as pd
import pytest

from fairlens_backend.core.logistic_regression import design, fit, inverse_curvature, predict

NOTHING = np.zeros((0, 1))


@pytest.mark.parametrize("penalty", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("slope", [0.0, 1.0, 8.0])
def test_coefficients_are_scikit_learn_s(penalty: float, slope: float) -> None:
    """The same penalised optimum, also where the rows are nearly separated."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(int(slope))
    X = rng.normal(size=(400, 5))
    y = (rng.random(400) < 1 / (1 + np.exp(-1 - slope * X[:, 0] + X[:, 1]))).astype(float)
    theirs = LogisticRegression(C=1 / penalty, tol=1e-12, max_iter=10_000, solver="newton-cholesky").fit(X, y)
    ours = fit(np.column_stack([np.ones(400), X]), y, penalty=penalty)
    assert ours[0] == pytest.approx(theirs.intercept_[0], abs=1e-6)
    assert ours[1:] == pytest.approx(theirs.coef_[0], abs=1e-6)
    assert predict(np.column_stack([np.ones(400), X]), ours) == pytest.approx(
        theirs.predict_proba(X)[:, 1], abs=1e-7
    )


def test_separated_rows_and_repeated_columns_have_a_fit() -> None:
    """The penalty keeps coefficients finite where the likelihood has no maximum, and shares them between twins."""
    x = np.linspace(-1, 1, 100)
    X = np.column_stack([np.ones(100), x, x])
    beta = fit(X, (x > 0).astype(float))
    assert np.isfinite(beta).all()
    assert beta[1] == pytest.approx(beta[2], abs=1e-8)
    assert ((predict(X, beta) > 0.5) == (x > 0)).all()


def test_one_outcome_is_predicted_for_certain() -> None:
    """Rows that all have the same outcome give that outcome."""
    X = np.ones((10, 2))
    assert predict(X, fit(X, np.ones(10))).tolist() == [1.0] * 10
    assert predict(X, fit(X, np.zeros(10))).tolist() == [0.0] * 10


def test_where_the_search_starts_does_not_matter() -> None:
    """A start far off ends at the same optimum."""
    rng = np.random.default_rng(2)
    X = np.column_stack([np.ones(300), rng.normal(size=(300, 3))])
    y = (rng.random(300) < 0.4).astype(float)
    assert fit(X, y, start=np.array([5.0, -9, 9, 4])) == pytest.approx(fit(X, y), abs=1e-7)


def test_a_curvature_that_is_near_or_wrong_does_not_matter() -> None:
    """Steps by another's curvature end at the same optimum, also where it is far too large or too small."""
    rng = np.random.default_rng(3)
    X = np.column_stack([np.ones(300), rng.normal(size=(300, 3))])
    y = (rng.random(300) < 1 / (1 + np.exp(-2 * X[:, 1]))).astype(float)
    right = fit(X, y)
    near = inverse_curvature(X[:100], right) / 3
    for factor in (1.0, 0.01, 100.0, -1.0):
        assert fit(X, y, np.array([1.0, -2, 3, 0]), near * factor) == pytest.approx(right, abs=1e-6)


def test_features_become_standardised_columns() -> None:
    """A number with gaps gives two columns, a category one for each frequent value, a constant none."""
    frame = pd.DataFrame(
        {
            "x": [1.0, np.nan, 3.0] * 20,
            "c": ["a", "b", "b"] * 20,
            "same": 7,
            "empty": np.nan,
            "rare": [f"v{i}" for i in range(60)],
        }
    )
    made = design(frame, np.zeros((60, 1)), 80)
    assert made.X.shape == (60, 1 + 2 + 2)
    assert made.left_out == 0
    assert made.X[:, 0].tolist() == [1.0] * 60
    assert made.X[:, 1:].mean(axis=0) == pytest.approx(np.zeros(4), abs=1e-12)
    assert made.X[:, 1:].std(axis=0) == pytest.approx(np.ones(4), abs=1e-12)
    # a gap has the mean, 0 once standardised
    assert made.X[1, 1] == pytest.approx(0.0, abs=1e-12)


def test_of_too_many_columns_the_related_ones_are_kept() -> None:
    """Two of 30 columns are related to the others given, and both are kept among 5."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(500, 30)), columns=[f"x{i}" for i in range(30)])
    related = frame[["x7", "x19"]].to_numpy() + rng.normal(size=(500, 2))
    made = design(frame, related, 5)
    assert made.left_out == 25
    kept = made.X[:, 1:]
    for name in ("x7", "x19"):
        assert np.abs(np.corrcoef(kept.T, frame[name])[-1, :-1]).max() == pytest.approx(1.0)
