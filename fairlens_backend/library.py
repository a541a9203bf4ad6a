"""`audit`: a fairness audit of a DataFrame, with no server, no database and no web framework."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from fairlens_backend.audit_plan import DEFAULT_RESAMPLES, plan_audit
from fairlens_backend.audit_result import AuditResult
from fairlens_backend.core.policy import Policy
from fairlens_backend.errors import InvalidInput
from fairlens_backend.numeric_audit import NumericIntake, numeric_settings

__all__ = ["AuditResult", "audit"]


def audit(
    df: pd.DataFrame,
    decision: str,
    truth: str | None = None,
    score: str | None = None,
    protected: str | Sequence[str] | Mapping[str, Any] = (),
    favourable: Any = (1,),
    reference_groups: Mapping[str, Any] | None = None,
    features: Sequence[str] | None = None,
    model: Any = None,
    settings: Policy | Mapping[str, Any] | None = None,
    seed: int = 0,
    *,
    missing_values: Iterable[Any] = (),
    n_resamples: int = DEFAULT_RESAMPLES,
    all_pairs: bool = False,
) -> AuditResult:
    """Measure how differently decisions treat groups of people.

    Parameters
    ----------
    df : one row a decision
    decision : column of the decision
    truth : column of the true outcome, empty where it is not known (yet)
    score : column of the score of the favourable decision, each in [0, 1] or empty
    protected : the protected attributes: a column, several, or a mapping of columns to definitions of their groups
        (None for each value its own): {"age": {"bands": [30, 50]}, "race": {"sets": {"White": [...]}, "else": "Other"}}
    favourable : the favourable labels of the decision, and of the truth where it has the same ones; or a mapping
        {"decision": [...], "truth": [...]}. "1", 1 and 1.0 are one label. None for a decision that is a number
        without favourable labels (an amount, a rent): then the groups' means, distributions and errors are compared, and
        `settings` may hold limits for those metrics, which have none by default.
    reference_groups : the privileged group of an attribute; where none is named, the one with the highest selection
        rate is taken, and the result says so
    features : columns by which people are compared in metrics 9, 10 and 17; left out: those of the model, and without
        either these are not measured
    model : decides on rows for metric 10 (a function of a DataFrame, or an estimator with `predict`), where it takes the
        protected attribute as an input and `features` names it
    settings : a `Policy`, or a mapping of some of its fields: thresholds, alpha, correction, min_group_size, min_sample_size
    seed : of the resampling and of the sample of rows; the same table and seed give the same result
    missing_values : labels that mark a missing value, such as "?"
    n_resamples : tables that the bootstrap draws
    all_pairs : also compare every two groups

    Returns
    -------
    AuditResult with severity, sentences, metrics, `to_dict()`, `to_frame()`, and a table when shown

    Raises
    ------
    InvalidInput (a ValueError)
        A column, a label or a group does not exist: the message names it and what there is.

    Examples
    --------
    >>> df = pd.DataFrame({"sex": ["F"] * 200 + ["M"] * 200, "hired": ["yes"] * 60 + ["no"] * 140 + ["yes", "no"] * 100})
    >>> result = audit(df, decision="hired", protected="sex", favourable="yes", reference_groups={"sex": "M"})
    >>> result.severity, result.metrics["disparate_impact_ratio"]["value"]
    ('CRITICAL', 0.6)
    """
    if not isinstance(df, pd.DataFrame):
        raise InvalidInput(
            f"df is a {type(df).__name__}; a pandas DataFrame was expected",
            field="df",
            expected="a DataFrame",
        )
    numeric = favourable is None
    plan = plan_audit(
        decision, truth, score, protected, (1,) if numeric else favourable, reference_groups, features, model,
        None if numeric else settings, seed,
        missing_values=missing_values, n_resamples=n_resamples, all_pairs=all_pairs,
    )  # fmt: skip
    rows = _picked(df, plan.layout.columns)
    if numeric:
        numbers = NumericIntake(plan, numeric_settings(settings))
        numbers.add(rows)
        return numbers.conclude()
    counted = plan.counter()
    counted.add(rows)
    return plan.conclude(counted)


def _picked(df: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """These columns under their names as text."""
    names: list[Hashable] = list(df.columns)
    texts = [str(name) for name in names]
    for name in wanted:
        times = texts.count(name)
        if times != 1:
            there = ", ".join(texts)
            said = "there is no column" if times == 0 else f"{times} columns are called"
            raise InvalidInput(
                f"{said} {name!r}; the columns are: {there}",
                field="columns",
                got=name,
                expected=f"one of: {there}",
            )
    chosen = df.iloc[:, [texts.index(name) for name in wanted]]
    return chosen.set_axis(list(wanted), axis=1).reset_index(drop=True)
