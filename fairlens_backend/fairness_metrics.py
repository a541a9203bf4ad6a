"""The metrics of a DataFrame of decisions: thin readings of the count table, with no server and no database.

The groups compared are `privileged` and `unprivileged`. With `unprivileged=None` every other group is compared and
the one furthest away speaks; with `privileged=None` the group with the highest selection rate is the reference.
"""

from typing import Any, Final

import pandas as pd

from fairlens_backend.core.assessment import DEFAULT_POLICY, Policy, assess
from fairlens_backend.core.comparison import Comparison, compare_groups
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput

__all__ = [
    "average_odds_diff",
    "calc_rates",
    "compute_all_metrics",
    "disparate_impact_ratio",
    "equal_opportunity_diff",
    "statistical_parity_diff",
    "theil_index",
]

DEFAULT_TRUTH: Final = "true_label"


def calc_rates(
    df: pd.DataFrame,
    protected: str = "gender",
    outcome: str = "approved",
    privileged: str | None = "Male",
    unprivileged: str | None = "Female",
) -> dict[str, float | None]:
    """Selection rates of the two groups, P(outcome = 1 | group), each in [0, 1].

    Parameters
    ----------
    df : one row a decision
    protected : column of the protected attribute
    outcome : column of the decision, 1 the favourable one and 0 the other
    privileged, unprivileged : labels of the groups; None to choose (see the module)

    Returns
    -------
    dict with privileged_rate and unprivileged_rate; None when there is no such group to choose.

    Raises
    ------
    InvalidInput
        A column or group is not there (the message names it and what there is), or an outcome is not 0 or 1.

    Examples
    --------
    >>> df = pd.DataFrame({"gender": ["Male", "Male", "Female", "Female"], "approved": [1, 1, 1, 0]})
    >>> calc_rates(df)
    {'privileged_rate': 1.0, 'unprivileged_rate': 0.5}
    """
    comparison = _compare(df, protected, outcome, None, privileged, unprivileged)
    reference, other = comparison.pair()
    return {"privileged_rate": comparison.rate(reference), "unprivileged_rate": comparison.rate(other)}


def disparate_impact_ratio(
    df: pd.DataFrame,
    protected: str = "gender",
    outcome: str = "approved",
    privileged: str | None = "Male",
    unprivileged: str | None = "Female",
    truth: str = DEFAULT_TRUTH,
) -> float | None:
    """Selection rate of the unprivileged group over that of the privileged one, in [0, ∞); 1 is parity.

    None when nobody of the privileged group got the favourable decision. Arguments and errors as `calc_rates`.

    Examples
    --------
    >>> df = pd.DataFrame({"gender": ["Male", "Male", "Female", "Female"], "approved": [1, 1, 1, 0]})
    >>> disparate_impact_ratio(df)
    0.5

    Source: EEOC Uniform Guidelines, 29 CFR 1607.4(D); STATISTICS section 2, metric 4.
    """
    return _compare(df, protected, outcome, None, privileged, unprivileged).read("dir")


def statistical_parity_diff(
    df: pd.DataFrame,
    protected: str = "gender",
    outcome: str = "approved",
    privileged: str | None = "Male",
    unprivileged: str | None = "Female",
    truth: str = DEFAULT_TRUTH,
) -> float | None:
    """Selection rate of the unprivileged group minus that of the privileged one, in [−1, 1]; 0 is parity.

    Examples
    --------
    >>> df = pd.DataFrame({"gender": ["Male", "Male", "Female", "Female"], "approved": [1, 1, 1, 0]})
    >>> statistical_parity_diff(df)
    -0.5

    Source: STATISTICS section 2, metric 13.
    """
    return _compare(df, protected, outcome, None, privileged, unprivileged).read("spd")


def equal_opportunity_diff(
    df: pd.DataFrame,
    protected: str = "gender",
    outcome: str = "approved",
    privileged: str | None = "Male",
    unprivileged: str | None = "Female",
    truth: str = DEFAULT_TRUTH,
) -> float | None:
    """True positive rate of the unprivileged group minus that of the privileged one, in [−1, 1]; 0 is parity.

    None without the column of the truth, or when a group has no row whose truth is 1.

    Source: STATISTICS section 2, metric 3 in its signed form.
    """
    return _compare(df, protected, outcome, truth, privileged, unprivileged).read("eod")


def average_odds_diff(
    df: pd.DataFrame,
    protected: str = "gender",
    outcome: str = "approved",
    privileged: str | None = "Male",
    unprivileged: str | None = "Female",
    truth: str = DEFAULT_TRUTH,
) -> float | None:
    """Mean of the signed gaps in false and in true positive rate, in [−1, 1]; opposite gaps cancel in this form.

    None without the column of the truth, or when a group lacks rows with either truth.

    Source: STATISTICS section 2, metric 5 in its signed form.
    """
    return _compare(df, protected, outcome, truth, privileged, unprivileged).read("aod")


def theil_index(
    df: pd.DataFrame,
    protected: str = "gender",
    outcome: str = "approved",
    privileged: str | None = "Male",
    unprivileged: str | None = "Female",
    truth: str = DEFAULT_TRUTH,
) -> float | None:
    """Inequality of the benefits ŷ − y + 1 over all people of the groups compared, in [0, ∞); 0 is equality.

    None without the column of the truth, or when every benefit is 0.

    Source: STATISTICS section 2, metric 14.
    """
    return _compare(df, protected, outcome, truth, privileged, unprivileged).read("theil")


def compute_all_metrics(
    df: pd.DataFrame,
    protected: str = "gender",
    *,
    outcome: str = "approved",
    truth: str = DEFAULT_TRUTH,
    privileged: str | None = None,
    unprivileged: str | None = None,
    policy: Policy = DEFAULT_POLICY,
    n_resamples: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """All metrics of counts, the rates behind them, the severity and a message.

    Groups under `policy.min_group_size` rows are compared only where no two larger ones are: the figures then stand,
    and the severity, which needs `policy.min_sample_size` rows and two groups large enough, is UNKNOWN.

    Returns
    -------
    dict with dir, spd, eod, aod (both signed), theil, female_rate, male_rate (None when no group is called so),
    privileged, unprivileged, privileged_rate, unprivileged_rate, sample_size, severity, alert, message. An undefined figure is None;
    eod, aod and theil are None without the column of the truth. `audit` is what `core.assessment.assess` returns, every
    metric with its test; its intervals, and the test of the Theil index, need `n_resamples` above 0.

    Examples
    --------
    >>> df = pd.DataFrame({"gender": ["Male"] * 100 + ["Female"] * 100})
    >>> df["approved"] = [1] * 60 + [0] * 40 + [1] * 42 + [0] * 58
    >>> result = compute_all_metrics(df)
    >>> result["dir"], result["severity"], result["eod"]
    (0.7, 'HIGH', None)
    >>> result["message"]
    'HIGH: Female is selected 0.70 times as often as Male (42.0 % against 60.0 %); the limit is 0.80.'
    """
    comparison = _compare(df, protected, outcome, truth, privileged, unprivileged, policy.min_group_size)
    reference, other = comparison.pair()
    declared = {protected: reference} if reference is not None else None
    result = assess(comparison.table, [protected], declared, policy, n_resamples=n_resamples, seed=seed)
    severity = result["overall_severity"]
    by_sex = {label.casefold(): label for (label,) in comparison.table.groups}
    return {
        **{name: comparison.read(name) for name in ("dir", "spd", "eod", "aod", "theil")},
        "female_rate": comparison.rate(by_sex.get("female")),
        "male_rate": comparison.rate(by_sex.get("male")),
        "privileged": reference,
        "unprivileged": other,
        "privileged_rate": comparison.rate(reference),
        "unprivileged_rate": comparison.rate(other),
        "sample_size": result["sample_size"],
        "severity": severity,
        "alert": result["alert"],
        "message": f"{severity}: {result['sentences'][0]}",
        "audit": result,
    }


def _compare(
    df: pd.DataFrame,
    protected: str,
    outcome: str,
    truth: str | None,
    privileged: str | None,
    unprivileged: str | None,
    min_group_size: int = DEFAULT_POLICY.min_group_size,
) -> Comparison:
    columns = list(map(str, df.columns))
    # Only the truth under its usual name may be missing: a column that the caller named must be there.
    if truth == DEFAULT_TRUTH and truth not in columns:
        truth = None
    for field, column in (("protected", protected), ("outcome", outcome), ("truth", truth)):
        if column is not None and column not in columns:
            raise InvalidInput(
                f"{field}: there is no column {column!r}; the columns are: {', '.join(columns)}",
                field=field,
                got=column,
                expected=f"one of: {', '.join(columns)}",
            )
    known_truth = None if truth is None else df[truth].to_numpy()
    table = CountTable.from_arrays({protected: df[protected]}, df[outcome].to_numpy(), known_truth)
    return compare_groups(table, privileged, unprivileged, min_group_size)
