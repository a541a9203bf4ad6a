"""An audit that has been described and not yet seen a row: every door that audits rows makes one and feeds it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from typing import Any, Final

from fairlens_backend.audit_result import AuditResult
from fairlens_backend.core.assessment import DEFAULT_POLICY, Policy, assess
from fairlens_backend.core.group_definitions import parse_groups
from fairlens_backend.core.label_words import label_digest
from fairlens_backend.core.row_sample import RowSample
from fairlens_backend.decision_counter import Intake
from fairlens_backend.decision_layout import Layout
from fairlens_backend.errors import InvalidInput
from fairlens_backend.row_auditor import Decider, measure_sample

__all__ = ["DEFAULT_RESAMPLES", "IDENTITY", "AuditPlan", "plan_audit", "policy_of"]

MAX_ATTRIBUTE_GROUPS: Final = 1000
DEFAULT_RESAMPLES: Final = 1000
IDENTITY: Final = (
    *("audit_id", "model_id", "model_version", "audit_timestamp", "window_start", "window_end"),
    *("revision", "revises", "sequential"),
)
"""what a stored audit has and one of rows at hand has not; they are None there, so that both have one shape"""


@dataclass(frozen=True)
class AuditPlan:
    """What is audited and how; `plan_audit` makes one."""

    layout: Layout
    reference_groups: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = DEFAULT_POLICY
    seed: int = 0
    n_resamples: int = DEFAULT_RESAMPLES
    all_pairs: bool = False
    model: Any = None
    strata: tuple[str, ...] = ()
    """attributes of the layout that are counted and not assessed"""
    history: Mapping[str, Sequence[float | None]] = field(default_factory=dict)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The attributes that are assessed."""
        return tuple(name for name in self.layout.protected if name not in self.strata)

    def counter(self) -> Intake:
        """What rows are to be added to, piece by piece."""
        return Intake(self.layout, MAX_ATTRIBUTE_GROUPS, seed=self.seed)

    def conclude(self, counted: Intake) -> AuditResult:
        """Assess what was counted."""
        table = counted.finish()
        extra = measure_sample(
            self._assessed(counted.sample),
            table,
            self.reference_groups,
            self.policy,
            model=None if self.model is None else Decider(self.model, self.layout.favourable),
            seed=self.seed,
            n_resamples=self.n_resamples,
        )
        assessment = assess(
            table,
            self.attributes,
            self.reference_groups,
            self.policy,
            seed=self.seed,
            n_resamples=self.n_resamples,
            extra=extra,
            all_pairs=self.all_pairs,
            history=self.history,
        )
        return AuditResult(
            {
                **dict.fromkeys(IDENTITY),
                **assessment,
                "triggered_mitigation": False,
                "mitigation_id": None,
                "remarks": counted.remarks(),
            },
            table,
        )

    def _assessed(self, sample: RowSample | None) -> RowSample | None:
        """The sample with the attributes that are assessed."""
        if sample is None or not self.strata:
            return sample
        return replace(sample, protected={name: sample.protected[name] for name in self.attributes})


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
    strata: Sequence[str] = (),
    by_proxy: bool = False,
    history: Mapping[str, Sequence[float | None]] | None = None,
    unfavourable: Any = None,
) -> AuditPlan:
    """Check the arguments of `audit` before any row is read; `by_proxy` allows that no attribute is recorded."""
    attributes = [protected] if isinstance(protected, str) else [str(name) for name in protected]
    if not attributes and not by_proxy:
        raise InvalidInput(
            "protected names no attribute; at least one column was expected",
            field="protected", got=[], expected="at least one column",
        )  # fmt: skip
    definitions = {}
    if isinstance(protected, Mapping):
        declared_groups = {name: how for name, how in protected.items() if how is not None}
        definitions = parse_groups(declared_groups, "protected")
    favoured, truth_favoured = _outcomes(favourable, "favourable")
    others, truth_others = _opposites(unfavourable, favoured, truth_favoured)
    declared = {str(name): str(group) for name, group in (reference_groups or {}).items()}
    unknown = [name for name in declared if name not in attributes]
    if unknown:
        raise InvalidInput(
            f"reference_groups names {unknown[0]!r}; the protected attributes are {', '.join(attributes)}",
            field=f"reference_groups.{unknown[0]}", got=unknown[0], expected=f"one of {attributes}",
        )  # fmt: skip
    inputs = getattr(model, "feature_names_in_", None)
    if features is None and inputs is not None:
        features = [str(name) for name in inputs]
    outcomes = {name for name in (decision, truth, score) if name is not None}
    leaked = [name for name in features or () if name in outcomes]
    if leaked:
        raise InvalidInput(
            f"features names {leaked[0]!r}, which is an outcome: people are compared by what is known before it",
            field="features", got=leaked[0], expected="columns other than decision, truth and score",
        )  # fmt: skip
    counted_only = [str(name) for name in ([strata] if isinstance(strata, str) else strata)]
    wrong = [name for name in counted_only if name in attributes or name in outcomes]
    if wrong:
        raise InvalidInput(
            f"strata names {wrong[0]!r}, which is a protected attribute or an outcome",
            field="strata", got=wrong[0], expected="other columns",
        )  # fmt: skip
    layout = Layout(
        decision=decision,
        protected=tuple(dict.fromkeys([*attributes, *counted_only])),
        favourable=favoured,
        truth=truth,
        truth_favourable=truth_favoured,
        unfavourable=others,
        truth_unfavourable=truth_others,
        score=score,
        missing_values=tuple(missing_values),
        features=tuple(dict.fromkeys(map(str, features or ()))),
        definitions=definitions,
    )
    return AuditPlan(
        layout, declared, policy_of(settings), seed, n_resamples, all_pairs, model, tuple(counted_only),
        history=_history(history or {}, attributes),
    )  # fmt: skip


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


def _history(given: Mapping[str, Sequence[float | None]], attributes: Sequence[str]) -> dict[str, list[Any]]:
    """Earlier values by attribute; `InvalidInput` names what is no attribute or no number."""
    found = {str(name): list(values) for name, values in given.items()}
    for name, values in found.items():
        if name not in attributes:
            raise InvalidInput(
                f"history names {name!r}; the protected attributes are {', '.join(attributes)}",
                field=f"history.{name}", got=name, expected=f"one of {list(attributes)}",
            )  # fmt: skip
        for place, value in enumerate(values):
            number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
            if value is not None and not number:
                raise InvalidInput(
                    f"history of {name} has {value!r} at place {place}; a number or None was expected",
                    field=f"history.{name}", got=str(value), expected="a finite number or None",
                )  # fmt: skip
    return found


def _opposites(
    given: Any, favoured: Iterable[Any], truth_favoured: Iterable[Any] | None
) -> tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]:
    """Unfavourable labels of the decision and of the truth, where they are declared; none is favourable too."""
    if given is None:
        return None, None
    others = _outcomes(given, "unfavourable")
    for mine, other, part in zip(
        (favoured, truth_favoured or favoured), others, ("decision", "truth"), strict=True
    ):
        both = [one for one in other or () if label_digest(one) in {label_digest(label) for label in mine}]
        if both:
            raise InvalidInput(
                f"{both[0]!r} is among the favourable and among the unfavourable labels of the {part}; a label can be one of them",
                field=f"unfavourable.{part}", got=str(both[0]), expected="labels that are not favourable",
            )  # fmt: skip
    return others


def _outcomes(given: Any, field: str) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
    """Labels of the decision and, where named apart, of the truth."""
    truth = None
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in ("decision", "truth")]
        if unknown or "decision" not in given:
            raise InvalidInput(
                f"{field} has the keys {list(given)}; decision, and truth if it differs, were expected",
                field=field, got=[str(name) for name in given], expected="decision and truth",
            )  # fmt: skip
        truth = given.get("truth")
        given = given["decision"]
    return _labels(given, field), None if truth is None else _labels(truth, field)


def _labels(given: Any, field: str) -> tuple[Any, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        return (given,)
    labels = tuple(given)
    if not labels:
        raise InvalidInput(
            f"{field} names no label; at least one was expected",
            field=field,
            got=[],
            expected="a label",
        )
    return labels
