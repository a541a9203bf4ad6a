"""The simulator: parity without drift, a monotone fall with it, the same applicants at every level."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlens_backend.data_simulator import REGIONS, generate_loan_data
from fairlens_backend.errors import InvalidInput

LEVELS = np.linspace(0.0, 1.0, 11)


def approval_rates(applications: pd.DataFrame) -> tuple[float, float]:
    """Share approved of women and of men, counted without the package."""
    approved = applications["approved"].to_numpy()
    women = applications["gender"].to_numpy() == "Female"
    return float(approved[women].mean()), float(approved[~women].mean())


def ratios(drift_level: float, seeds: range, n: int = 1000) -> np.ndarray:
    """Disparate impact ratio of one frame a seed."""
    rates = [approval_rates(generate_loan_data(n, drift_level, seed)) for seed in seeds]
    return np.array([women / men for women, men in rates])


def test_columns_types_and_ranges():
    """A frame has the seven columns with the types and ranges that are promised, also under full drift."""
    applications = generate_loan_data(20_000, drift_level=1.0, seed=5)
    assert applications.columns.tolist() == [
        "application_id",
        "gender",
        "credit_score",
        "income",
        "region",
        "approved",
        "true_label",
    ]
    assert len(applications) == 20_000
    assert applications["application_id"].is_unique
    assert set(applications["gender"]) == {"Male", "Female"}
    assert set(applications["region"]) == set(REGIONS) and len(REGIONS) == 4
    assert applications["credit_score"].between(300, 850).all()
    assert (applications["income"] > 0).all()
    assert set(applications["approved"]) == set(applications["true_label"]) == {0, 1}
    for column in ("credit_score", "income", "approved", "true_label"):
        assert applications[column].dtype == np.int64
    assert not applications.isna().any(axis=None)


@pytest.mark.parametrize("n", [1, 9, 10, 12_345])
def test_application_ids_count_from_one(n):
    """The i-th application is called APP- and i in seven digits."""
    assert generate_loan_data(n)["application_id"].tolist() == [f"APP-{i:07d}" for i in range(1, n + 1)]


def test_parity_without_drift():
    """Without drift the default frame is near a ratio of 1, and over 200 seeds the mean difference in rates is 0 within 3 standard errors."""
    women, men = approval_rates(generate_loan_data(1000))
    assert 0.9 < women / men < 1.1
    rates = [approval_rates(generate_loan_data(1000, seed=seed)) for seed in range(200)]
    differences = np.array([w - m for w, m in rates])
    assert abs(differences.mean()) < 3 * differences.std(ddof=1) / np.sqrt(200)
    # Two shares of about 500 rows each at 0.6 differ with a standard deviation of √(2·0.24/500) = 0.031.
    assert differences.std(ddof=1) == pytest.approx(0.031, abs=0.006)


def test_base_rates_are_near_six_tenths():
    """About 60 % are approved and about 60 % would repay, women and men alike."""
    applications = generate_loan_data(200_000)
    by_gender = applications.groupby("gender")[["approved", "true_label"]].mean()
    assert ((by_gender - 0.6).abs() < 0.01).all(axis=None)


@pytest.mark.parametrize(
    ("drift_level", "low", "high", "share"),
    [(0.1, 0.75, 1.03, 0.95), (0.3, 0.0, 0.8, 0.97), (0.5, 0.35, 0.65, 0.97), (1.0, 0.2, 0.4, 0.99)],
)
def test_ratio_at_a_level(drift_level, low, high, share):
    """At 1,000 rows nearly every seed has its ratio in the band of its level; at 0.3 that is below four fifths."""
    found = ratios(drift_level, range(200))
    assert np.mean((found > low) & (found < high)) >= share


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_female_rate_falls_strictly(seed):
    """For one seed the rate of women falls at every tenth of drift, and the rate of men stays."""
    rates = [approval_rates(generate_loan_data(5000, level, seed)) for level in LEVELS]
    assert (np.diff([women for women, _ in rates]) < 0).all()
    assert len({men for _, men in rates}) == 1


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), low=st.floats(0, 1), high=st.floats(0, 1), n=st.integers(1, 400))
def test_same_applicants_at_every_level(seed, low, high, n):
    """Drift touches only what is recorded of women, and never in their favour."""
    low, high = sorted((low, high))
    less, more = generate_loan_data(n, low, seed), generate_loan_data(n, high, seed)
    men = less["gender"] == "Male"
    pd.testing.assert_frame_equal(less[men], more[men])
    untouched = ["application_id", "gender", "region", "true_label"]
    pd.testing.assert_frame_equal(less[untouched], more[untouched])
    for column in ("credit_score", "income", "approved"):
        assert (more[column] <= less[column]).all()


def test_reproducible_without_global_state():
    """The same arguments give the same frame whatever numpy's global state; another seed gives another one."""
    np.random.seed(1)
    first = generate_loan_data(500, 0.2, 9)
    state = np.random.get_state()[1].copy()
    np.random.seed(2)
    pd.testing.assert_frame_equal(first, generate_loan_data(500, 0.2, 9))
    np.random.seed(1)
    assert (np.random.get_state()[1] == state).all()
    assert not first.equals(generate_loan_data(500, 0.2, 10))


def test_a_model_learns_the_process_and_shows_the_drift():
    """A logistic regression on the recorded features reaches 0.8 against both labels; trained without drift, it approves fewer women at every level."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def features(applications: pd.DataFrame) -> pd.DataFrame:
        return pd.get_dummies(applications[["credit_score", "income", "region"]], columns=["region"])

    train, test = generate_loan_data(5000, seed=1), generate_loan_data(5000, seed=2)
    for label in ("approved", "true_label"):
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features(train), train[label])
        assert model.score(features(test), test[label]) >= 0.8
        women_approved = []
        for level in LEVELS:
            drifted = generate_loan_data(5000, level, seed=2)
            women = drifted["gender"] == "Female"
            women_approved.append(model.predict(features(drifted))[women].mean())
        assert (np.diff(women_approved) < 0).all()


def test_a_million_rows_in_about_a_second():
    """A million rows take under 1.5 CPU-seconds; CPU time, so that a busy neighbour does not fail it."""
    generate_loan_data(10)
    start = time.process_time()
    assert len(generate_loan_data(1_000_000, 0.5)) == 1_000_000
    assert time.process_time() - start < 1.5


@pytest.mark.parametrize(
    "n", [0, -1, True, np.True_, 1.0, 1000.5, "1000", None, 5_000_001, 10**9, float("nan")]
)
def test_bad_n(n):
    """A number of rows that is no whole number from 1 to 5,000,000 is refused by name."""
    with pytest.raises(InvalidInput, match=r"^n is .* was expected$") as caught:
        generate_loan_data(n)
    assert caught.value.details["field"] == "n"
    assert caught.value.details["expected"] == "a whole number from 1 to 5000000"


@pytest.mark.parametrize(
    "drift_level", [-0.1, 1.0001, float("nan"), float("inf"), True, "0.3", None, 10**400]
)
def test_bad_drift_level(drift_level):
    """A drift outside [0, 1] is refused by name."""
    with pytest.raises(InvalidInput) as caught:
        generate_loan_data(10, drift_level)
    assert caught.value.details["field"] == "drift_level"
    assert caught.value.details["expected"] == "a number from 0 to 1"


@pytest.mark.parametrize("seed", [-1, 1.5, None, False, "42"])
def test_bad_seed(seed):
    """A seed that is no whole number from 0 up is refused: None would make the frame unrepeatable."""
    with pytest.raises(InvalidInput) as caught:
        generate_loan_data(10, 0.0, seed)
    assert caught.value.details["field"] == "seed"


def test_details_are_json():
    """What came is named in a form that JSON can carry: a number as itself, NaN as text."""
    with pytest.raises(InvalidInput) as caught:
        generate_loan_data(0)
    assert caught.value.details["got"] == 0
    with pytest.raises(InvalidInput) as caught:
        generate_loan_data(10, float("nan"))
    assert caught.value.details["got"] == "nan"


def test_numpy_arguments_are_taken():
    """Numbers out of an array are numbers."""
    pd.testing.assert_frame_equal(
        generate_loan_data(np.int64(20), np.float64(0.5), np.uint8(3)), generate_loan_data(20, 0.5, 3)
    )
