"""`audit`: a fairness audit of a DataFrame, with no server, no database and no web framework."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from fairlens_backend.audit_plan import DEFAULT_RESAMPLES, plan_audit
from fairlens_backend.audit_result import AuditResult
from fairlens_backend.core.policy import Policy
from fairlens_backend.errors import InvalidInput
from fairlens_backend.numeric_audit import NumericIntake, numeric_settings
from fairlens_backend.proxy_audit import estimate_proxies, only_by_proxy, parse_proxies

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
    strata: str | Sequence[str] = (),
    proxies: Mapping[str, Any] | None = None,
    history: Mapping[str, Sequence[float | None]] | None = None,
    unfavourable: Any = None,
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
    strata : further columns to count by, such as the department applied to; no groups to be compared, they split a gap
        or its change into who applied and how they were treated (`AuditResult.decompose_change`)
    proxies : attributes that are not recorded, of which a proxy gives probabilities: {"gender": {"F": "p_female", "M":
        "p_male"}}, or {"race": {"groups": {…}, "stratum": "zip"}} with the column within whose values the bounds are
        taken. The result has them apart, in `proxies`: estimates and bounds, which decide no verdict. `protected` may
        then be empty
    history : for an attribute the values of demographic_parity_difference of earlier audits, oldest first, None where
        there was none: metric 12 says how far the gap has moved since the first 20
    unfavourable : the labels that are not favourable, as `favourable`: rows with any other label are then not counted, and
        `remarks` say how many; None where every other label is unfavourable

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
    # A frame read without a header has numbers for names.
    decision, truth, score = str(decision), *(None if name is None else str(name) for name in (truth, score))
    numeric = favourable is None
    recorded = [protected] if isinstance(protected, str) else [str(name) for name in protected]
    by_proxy = parse_proxies(proxies, recorded)
    if numeric and (by_proxy or strata or history or unfavourable is not None):
        raise InvalidInput(
            "a numeric outcome takes neither proxies, strata, a history nor unfavourable labels",
            field="favourable",
        )
    named = {str(name): group for name, group in (reference_groups or {}).items()}
    references = {one.attribute: named.pop(one.attribute, None) for one in by_proxy}
    plan = plan_audit(
        decision, truth, score, protected, (1,) if numeric else favourable, named, features, model,
        None if numeric else settings, seed, missing_values=missing_values, n_resamples=n_resamples,
        all_pairs=all_pairs, strata=strata, by_proxy=bool(by_proxy), history=history, unfavourable=unfavourable,
    )  # fmt: skip
    columns = [*plan.layout.columns, *(name for one in by_proxy for name in one.columns)]
    rows = _picked(df, list(dict.fromkeys(columns)))
    if by_proxy:
        estimates = estimate_proxies(rows, plan, by_proxy, references)
        if not plan.attributes:
            return only_by_proxy(rows, plan, estimates)
    if numeric:
        numbers = NumericIntake(plan, numeric_settings(settings))
        numbers.add(rows)
        return numbers.conclude()
    counted = plan.counter()
    counted.add(rows)
    found = plan.conclude(counted)
    return AuditResult({**found.result, "proxies": estimates}, found.table) if by_proxy else found


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
