"""Compares all that audits state with what the whole engine makes of their counts: intervals, tests, severities, the alert.

A verdict rests on all figures together: each test counts in the correction of the others, each breach in the overall severity.
Figures of rows and of earlier audits, which no counts give, take part in it as the audit states them.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from fairlens_backend import __version__
from fairlens_backend.core.assessment import measure_all
from fairlens_backend.core.audit_evidence import basis_of
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.judgement import judge, overall
from fairlens_backend.core.measured import Measured
from fairlens_backend.core.metrics import METRICS_BY_NAME
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.severity import ALERTING
from fairlens_backend.errors import FairLensError
from fairlens_backend.verifier.bodies import AuditBody, Fault, Settings, ShortBody, Stated, long_body
from fairlens_backend.verifier.lines import Wrong

TOLERANCE: Final = 2e-9
"""Limits and p-values are kept as whole numbers of 1e-9, so two machines may round a half to different sides."""
_BY_COUNTS: Final = "its counts give"
_BY_ALL: Final = "its counts, and what it states of rows and of earlier audits, give"


@dataclass(frozen=True)
class _Difference:
    """What an audit states otherwise than it is computed anew."""

    what: str
    said: object
    given: object
    source: str


def interval_faults(some: Sequence[tuple[int, AuditBody | ShortBody]]) -> list[Fault]:
    """The first audit that states other limits, p-values, statuses, groups or severities than the whole engine gives."""
    for index, body in some:
        try:
            _compare(index, body)
        except Wrong as wrong:
            return [(index, wrong)]
    return []


def _compare(index: int, stated_body: AuditBody | ShortBody) -> None:
    try:
        body = long_body(stated_body) if isinstance(stated_body, ShortBody) else stated_body
        settings = body.settings
        if settings is None:  # without counts, of which `add` has made sure
            return
        policy = Policy(**settings.policy)
        made = _computed(body, settings, policy)
        others = [_as_stated(one, policy) for one in body.figures if one.basis != "counts"]
        _look_at_names(made, body.figures)
    except (FairLensError, LookupError, TypeError, ValueError, msgspec.ValidationError) as error:
        raise Wrong(f"Entry {index}: its audit cannot be computed anew: {error}.") from error
    made = [one for one in made if basis_of(one.metric.name) == "counts"]
    n_tests = sum(one.p_value is not None for one in [*made, *others])
    # A stated p-value is rounded, and the correction multiplies it, by the number of tests at most.
    slack = TOLERANCE * (n_tests if any(one.p_value is not None for one in others) else 1)
    found: list[_Difference] = []
    for alpha in (policy.alpha, policy.alpha + slack, policy.alpha - slack):
        judged = judge([*made, *others], replace(policy, alpha=min(max(alpha, 1e-12), 1 - 1e-12)))
        difference = next(_differences(body, judged, policy, slack), None)
        if difference is None:
            return
        found.append(difference)
    raise _misstated(index, found[0], body.engine)


def _computed(body: AuditBody, settings: Settings, policy: Policy) -> list[Measured]:
    return measure_all(
        CountTable.from_dict(msgspec.to_builtins(body.counts)),
        settings.protected_attributes,
        settings.reference_groups,
        policy,
        seed=settings.seed,
        n_resamples=settings.n_resamples,
    )


def _as_stated(stated: Stated, policy: Policy) -> Measured:
    """A figure that no counts give, as far as others depend on it."""
    name, value, p_value = stated.metric, stated.value, stated.p_value
    if name not in METRICS_BY_NAME:
        raise ValueError(f"there is no metric {name}")
    if (stated.status == "ok") != (value is not None) or (value is None and p_value is not None):
        raise ValueError(f"{name} of {stated.attribute} is {stated.status}, and its value {value}")
    if p_value is not None and not 0 <= p_value <= 1:
        raise ValueError(f"the p-value of {name} of {stated.attribute} is {p_value}")
    return Measured(
        METRICS_BY_NAME[name],
        stated.attribute,
        policy.threshold(name),
        str(stated.status),
        {},
        value=value,
        compared=stated.groups_compared,
        p_value=p_value,
    )


def _look_at_names(made: Sequence[Measured], figures: Sequence[Stated]) -> None:
    """Whether each figure is stated once, under its own basis, and none is left out."""
    seen = set()
    for one in figures:
        if one.basis != basis_of(one.metric):
            raise ValueError(
                f"{one.metric} of {one.attribute} is of {basis_of(one.metric)}, and stated as of {one.basis}"
            )
        if (one.attribute, one.metric) in seen:
            raise ValueError(f"{one.metric} of {one.attribute} is stated twice")
        seen.add((one.attribute, one.metric))
    for figure in made:
        if (figure.attribute, figure.metric.name) not in seen:
            raise ValueError(f"{figure.metric.name} of {figure.attribute} is left out")


def _differences(
    body: AuditBody, judged: Sequence[Measured], policy: Policy, slack: float
) -> Iterator[_Difference]:
    stated = {(one.attribute, one.metric): one for one in body.figures}
    source = (
        _BY_ALL
        if any(one.basis != "counts" and one.value is not None for one in body.figures)
        else _BY_COUNTS
    )
    for one in judged:
        said = stated[one.attribute, one.metric.name]
        of = f"{one.metric.name} of {one.attribute}"
        if said.basis == "counts":
            for name, given in _of_counts(one):
                if not _equal(getattr(said, name), given, TOLERANCE):
                    yield _Difference(f"{name} of {of}", getattr(said, name), given, _BY_COUNTS)
            if said.sample_sizes is not None and said.sample_sizes != dict(one.sizes):
                yield _Difference(f"sample_sizes of {of}", said.sample_sizes, dict(one.sizes), _BY_COUNTS)
        if not _equal(said.p_adjusted, one.p_adjusted, slack):
            yield _Difference(f"p_adjusted of {of}", said.p_adjusted, one.p_adjusted, source)
        if said.severity != one.severity:
            yield _Difference(f"severity of {of}", said.severity, one.severity, source)
    severity = overall(judged, body.sample_size, policy)
    if body.overall_severity != severity:
        yield _Difference("overall_severity", body.overall_severity, severity, source)
    if body.alert is not (severity in ALERTING):
        yield _Difference("alert", body.alert, severity in ALERTING, source)


def _of_counts(one: Measured) -> Iterator[tuple[str, object]]:
    """What of a figure the counts alone give, beside its value and sign, which `verifier.stated_figures` compares."""
    low, high, method = one.interval or (None, None, None)
    yield "status", one.status
    yield "groups_compared", tuple(one.compared)
    yield "lower", low
    yield "upper", high
    yield "method", method
    yield "p_value", one.p_value


def _equal(said: object, given: object, tolerance: float) -> bool:
    if isinstance(said, float | int) and isinstance(given, float | int):
        return math.isclose(said, given, rel_tol=tolerance, abs_tol=tolerance)
    return said == given


def _misstated(index: int, one: _Difference, engine: str | None) -> Wrong:
    said, given = (_worded(value) for value in (one.said, one.given))
    versions = (
        f" The audit was computed by version {engine}, this is version {__version__}."
        if engine not in (None, __version__)
        else ""
    )
    return Wrong(f"Entry {index}: it states {said} for {one.what}; {one.source} {given}.{versions}")


def _worded(value: object) -> str:
    if value is None or value == ():
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return " and ".join(map(str, value))
    return str(value)
