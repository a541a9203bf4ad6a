"""What the many tests of an audit say together of each of its figures, and the one word that follows from all of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from fairlens_backend.core.inference.significance import adjust_by_family
from fairlens_backend.core.measured import Measured
from fairlens_backend.core.metrics import METRICS
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.severity import Finding, Severity, metric_severity, overall_severity

__all__ = ["judge", "overall", "unless_unknown"]

_WITH_REFERENCE: Final = frozenset(metric.name for metric in METRICS if metric.compared == "reference")
_CERTAIN: Final[frozenset[Severity]] = frozenset({"CRITICAL", "HIGH", "MEDIUM"})


def judge(measured: Sequence[Measured], policy: Policy) -> list[Measured]:
    """Every figure of an audit with its adjusted p-value, whether that is significant, and its severity.

    Parameters
    ----------
    measured : all of them, since each test counts in the correction of the others

    Source: STATISTICS sections 3 and 4.
    """
    adjusted = adjust_by_family(
        [one.p_value for one in measured], [bool(one.compared) for one in measured], policy.correction
    )
    return [_judge(one, p, policy) for one, p in zip(measured, adjusted, strict=True)]


def overall(judged: Sequence[Measured], sample_size: int, policy: Policy) -> Severity:
    """The severity of an audit with these figures, as `judge` gives them."""
    comparable = any(one.compared for one in judged)
    severity = overall_severity(_findings(judged, policy), sample_size, policy.min_sample_size, comparable)
    return unless_unknown(severity, (one.metric.name for one in judged if one.compared))


def unless_unknown(severity: Severity, compared: Iterable[str]) -> Severity:
    """The severity, or UNKNOWN: no breach among the groups that were compared says nothing of a reference group that could not be.

    Parameters
    ----------
    compared : names of the metrics by which some groups were compared

    Examples
    --------
    >>> unless_unknown("PASS", ["demographic_parity_difference"]), unless_unknown("PASS", ["disparate_impact_ratio"])
    ('UNKNOWN', 'PASS')
    """
    return severity if severity in _CERTAIN or not _WITH_REFERENCE.isdisjoint(compared) else "UNKNOWN"


def _judge(one: Measured, p_adjusted: float | None, policy: Policy) -> Measured:
    significant = None if p_adjusted is None else p_adjusted <= policy.alpha
    one = replace(one, p_adjusted=p_adjusted, significant=significant)
    finding = one.finding(decides=True)
    return replace(one, severity=metric_severity(finding)) if finding else one


def _findings(judged: Sequence[Measured], policy: Policy) -> Iterator[Finding]:
    no_ratio = {
        one.attribute
        for one in judged
        if one.metric.name == "disparate_impact_ratio" and one.status == "undefined"
    }
    for one in judged:
        # Where nobody of the reference group is selected the ratio has no value, and the difference decides in its
        # stead: a gap of 40 points must not pass because it cannot be divided.
        stands_in = one.metric.name == "statistical_parity_difference" and one.attribute in no_ratio
        finding = one.finding(decides=policy.decides(one.metric.name) or stands_in)
        if finding:
            yield finding
