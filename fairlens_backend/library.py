"""`audit`: a fairness audit of a DataFrame, with no server, no database and no web framework."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

import pandas as pd

from fairlens_backend.audit_result import AuditResult
from fairlens_backend.core.assessment import DEFAULT_POLICY, Policy, assess
from fairlens_backend.core.group_definitions import parse_groups
from fairlens_backend.decision_counter import Intake, Layout
from fairlens_backend.errors import InvalidInput

__all__ = ["AuditPlan", "AuditResult", "audit", "plan_audit"]

MAX_ATTRIBUTE_GROUPS: Final = 1000
DEFAULT_RESAMPLES: Final = 1000
# What a stored audit has and one of the library has not, so that both have one shape.
_IDENTITY: Final = ("audit_id", "model_id", "model_version", "audit_timestamp", "window_start", "window_end")


@dataclass(frozen=True)
class AuditPlan:
    """An audit that has been described and not yet seen a row; every door makes one and feeds it."""

    layout: Layout
    reference_groups: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = DEFAULT_POLICY
    seed: int = 0
    n_resamples: int = DEFAULT_RESAMPLES
    all_pairs: bool = False
    model: Any = None

    def counter(self) -> Intake:
        """What rows are to be added to, piece by piece."""
        return Intake(self.layout, MAX_ATTRIBUTE_GROUPS, seed=self.seed)

    def conclude(self, counted: Intake) -> AuditResult:
        """Assess what was counted."""
        table = counted.finish()
        assessment = assess(table, None, self.reference_groups, self.policy)
        return AuditResult(
            {
                **dict.fromkeys(_IDENTITY),
                **assessment,
                "triggered_mitigation": False,
                "mitigation_id": None,
                "seed": self.seed,
                "n_resamples": self.n_resamples,
                "remarks": counted.remarks(),
            },
            table,
        )


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
        {"decision": [...], "truth": [...]}. "1", 1 and 1.0 are one label.
    reference_groups : the privileged group of an attribute; where none is named, the one with the highest selection
        rate is taken, and the result says so
    features : columns by which people are compared in metrics 9, 10 and 17; not measured without
    model : scores rows for metric 10, where it takes the protected attribute as an input
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
    plan = plan_audit(
        decision, truth, score, protected, favourable, reference_groups, features, model, settings, seed,
        missing_values=missing_values, n_resamples=n_resamples, all_pairs=all_pairs,
    )  # fmt: skip
    counted = plan.counter()
    counted.add(_picked(df, plan.layout))
    return plan.conclude(counted)


def plan_audit(
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
) -> AuditPlan:
    """Check the arguments of `audit` before any row is read."""
    attributes = [protected] if isinstance(protected, str) else [str(name) for name in protected]
    if not attributes:
        raise InvalidInput(
            "protected names no attribute; at least one column was expected",
            field="protected", got=[], expected="at least one column",
        )  # fmt: skip
    definitions = {}
    if isinstance(protected, Mapping):
        declared_groups = {name: how for name, how in protected.items() if how is not None}
        definitions = parse_groups(declared_groups, "protected")
    favoured, truth_favoured = _favourable(favourable)
    declared = {str(name): str(group) for name, group in (reference_groups or {}).items()}
    unknown = [name for name in declared if name not in attributes]
    if unknown:
        raise InvalidInput(
            f"reference_groups names {unknown[0]!r}; the protected attributes are {', '.join(attributes)}",
            field=f"reference_groups.{unknown[0]}", got=unknown[0], expected=f"one of {attributes}",
        )  # fmt: skip
    outcomes = {name for name in (decision, truth, score) if name is not None}
    leaked = [name for name in features or () if name in outcomes]
    if leaked:
        raise InvalidInput(
            f"features names {leaked[0]!r}, which is an outcome: people are compared by what is known before it",
            field="features", got=leaked[0], expected="columns other than decision, truth and score",
        )  # fmt: skip
    layout = Layout(
        decision=decision,
        protected=tuple(dict.fromkeys(attributes)),
        favourable=favoured,
        truth=truth,
        truth_favourable=truth_favoured,
        score=score,
        missing_values=tuple(missing_values),
        features=tuple(dict.fromkeys(map(str, features or ()))),
        definitions=definitions,
    )
    return AuditPlan(layout, declared, policy_of(settings), seed, n_resamples, all_pairs, model)


def policy_of(settings: Policy | Mapping[str, Any] | None) -> Policy:
    """The policy that settings describe; `InvalidInput` names one that does not exist.

    Examples
    --------
    >>> policy_of({"alpha": 0.01}).alpha
    0.01
    """
    if isinstance(settings, Policy):
        return settings
    known = [one.name for one in fields(Policy)]
    for name in settings or {}:
        if name not in known:
            raise InvalidInput(
                f"settings names {name!r}; there are {', '.join(known)}",
                field=f"settings.{name}", got=str(name), expected=f"one of {known}",
            )  # fmt: skip
    return Policy(**(settings or {}))


def _favourable(given: Any) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
    """Favourable labels of the decision and, where named apart, of the truth."""
    truth = None
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in ("decision", "truth")]
        if unknown or "decision" not in given:
            raise InvalidInput(
                f"favourable has the keys {list(given)}; decision, and truth if it differs, were expected",
                field="favourable", got=[str(name) for name in given], expected="decision and truth",
            )  # fmt: skip
        truth = given.get("truth")
        given = given["decision"]
    return _labels(given), None if truth is None else _labels(truth)


def _labels(given: Any) -> tuple[Any, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        return (given,)
    labels = tuple(given)
    if not labels:
        raise InvalidInput(
            "favourable names no label; at least one was expected",
            field="favourable",
            got=[],
            expected="a label",
        )
    return labels


def _picked(df: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """The columns of the layout under their names as text."""
    names: list[Hashable] = list(df.columns)
    texts = [str(name) for name in names]
    for name in layout.columns:
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
    chosen = df.iloc[:, [texts.index(name) for name in layout.columns]]
    return chosen.set_axis(layout.columns, axis=1).reset_index(drop=True)
