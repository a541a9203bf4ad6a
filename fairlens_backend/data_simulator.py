"""Simulated loan applications whose records drift against one gender, for demos, tests and training."""

import math
import numbers
import operator
from typing import Any

import numpy as np
import pandas as pd

from fairlens_backend.errors import InvalidInput

MAX_ROWS = 5_000_000
REGIONS = ("North", "South", "East", "West")

_GENDERS = ("Male", "Female")
_MEDIAN_SCORE = 660.0
_MEDIAN_INCOME = 48_000.0

# What full drift takes off a recorded credit score, and off a recorded income as a share of it.
_SCORE_LOST = 112.0
_INCOME_LOST = 0.10
# The first steps of drift weigh more than the last: at 0.3 a check of 1,000 rows must already be under four fifths.
_FRONT_LOAD = 0.5


def generate_loan_data(n: int, drift_level: float = 0.0, seed: int = 42) -> pd.DataFrame:
    """Draw loan applications of equally creditworthy women and men, recorded with or without drift.

    Worth, which nobody sees, has one distribution for both genders. Recorded credit score and income follow
    from it with noise; the historic process decides from those two with noise of its own. Drift lowers
    what is *recorded* of women and nothing else, so decisions move away from worth for women only.

    Parameters
    ----------
    n : number of applications, 1 to 5,000,000
    drift_level : 0 (parity within noise) to 1 (disparate impact ratio near 0.3), unitless
    seed : whole number ≥ 0. One seed gives the same applicants at every drift level: men's rows are then
        identical, and no woman is approved who was not at a lower level.

    Returns
    -------
    DataFrame, shape (n, 7)
        application_id (text, unique within the frame), gender ("Male" or "Female"), credit_score (int, 300 to 850),
        income (int > 0, currency a year), region (one of `REGIONS`, unrelated to everything else),
        approved (0 or 1, the historic decision), true_label (0 or 1, would repay; not touched by drift).

    Raises
    ------
    InvalidInput : when an argument is not as described; the error's details name it

    Examples
    --------
    >>> fair, drifted = generate_loan_data(1000), generate_loan_data(1000, drift_level=1.0)
    >>> fair.columns.tolist()
    ['application_id', 'gender', 'credit_score', 'income', 'region', 'approved', 'true_label']
    >>> women = fair["gender"] == "Female"
    >>> bool(drifted["approved"][women].mean() < fair["approved"][women].mean())
    True
    >>> drifted[~women].equals(fair[~women])
    True

    Source: none; the constants are chosen, not estimated from real loans.
    """
    n = _whole_number("n", n, 1, MAX_ROWS)
    drift_level = _level("drift_level", drift_level)
    rng = np.random.default_rng(_whole_number("seed", seed, 0, None))

    # Everything random is drawn before drift is applied, in a fixed order: that makes levels comparable.
    female = rng.random(n) < 0.5
    region = rng.integers(0, len(REGIONS), n)
    worth, score_noise, income_noise, decision_noise, life = rng.standard_normal((5, n))

    lost = drift_level * (1.0 + _FRONT_LOAD - _FRONT_LOAD * drift_level) * female
    credit_score = np.clip(
        np.rint(_MEDIAN_SCORE + 65.0 * worth + 35.0 * score_noise - _SCORE_LOST * lost), 300, 850
    )
    income = np.maximum(
        1.0,
        np.rint(_MEDIAN_INCOME * np.exp(0.30 * worth + 0.20 * income_noise) * (1.0 - _INCOME_LOST * lost)),
    )
    # 74 and 0.36 are the spreads of score and log income; −0.34 and −0.26 put both base rates at 0.6.
    case = (credit_score - _MEDIAN_SCORE) / 74.0 + 0.35 * np.log(income / _MEDIAN_INCOME) / 0.36
    approved = case + 0.4 * decision_noise > -0.34
    true_label = worth + 0.35 * life > -0.26

    return pd.DataFrame(
        {
            "application_id": pd.array(_application_ids(n), dtype="str"),
            "gender": pd.array(_GENDERS, dtype="str").take(female.astype(np.intp)),
            "credit_score": credit_score.astype(np.int64),
            "income": income.astype(np.int64),
            "region": pd.array(REGIONS, dtype="str").take(region),
            "approved": approved.astype(np.int64),
            "true_label": true_label.astype(np.int64),
        }
    )


def _application_ids(n: int) -> list[str]:
    """APP-0000001 and on, written digit by digit into one array: two thirds of the time of n formatted strings."""
    letters = np.empty((n, 11), dtype=np.uint32)
    letters[:, :4] = [ord(letter) for letter in "APP-"]
    number = np.arange(1, n + 1, dtype=np.uint32)
    for column in range(10, 3, -1):
        number, letters[:, column] = np.divmod(number, np.uint32(10))
    letters[:, 4:] += ord("0")
    ids: list[str] = letters.view("U11").ravel().tolist()
    return ids


def _whole_number(field: str, value: Any, least: int, most: int | None) -> int:
    """The value as an int in [least, most]; True, 3.0 and "3" are refused."""
    expected = (
        f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"
    )
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise _refusal(field, value, expected)
    number = operator.index(value)
    if number < least or (most is not None and number > most):
        raise _refusal(field, number, expected)
    return number


def _level(field: str, value: Any) -> float:
    """The value as a float in [0, 1]; NaN, True and "0.3" are refused."""
    if (
        not isinstance(value, (int, float, np.integer, np.floating))
        or isinstance(value, bool)
        or not 0 <= value <= 1
    ):
        raise _refusal(field, value, "a number from 0 to 1")
    return float(value)


def _refusal(field: str, value: Any, expected: str) -> InvalidInput:
    # Details go into JSON, which knows neither NaN nor numpy: those are named as text.
    value = float(value) if isinstance(value, float) else value
    speakable = isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value))
    got = value if speakable else repr(value)[:80]
    return InvalidInput(
        f"{field} is {value!r:.80}, {expected} was expected", field=field, got=got, expected=expected
    )
