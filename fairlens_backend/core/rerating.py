"""Figures of an audit, rated by settings that may differ from those it was made with."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairlens_backend.core.inference.significance import adjust_by_family
from fairlens_backend.core.judgement import unless_unknown
from fairlens_backend.core.metrics import METRICS_BY_NAME
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.severity import (
    SEVERITIES,
    Finding,
    Severity,
    is_breached,
    metric_severity,
    overall_severity,
)

Figure = Mapping[str, Any]
Verdict = tuple[Severity, list[dict[str, Any]]]

_RATIO: Final = "disparate_impact_ratio"
_DIFFERENCE: Final = "statistical_parity_difference"


def rated(figures: Sequence[Figure], sample_size: int, policy: Policy) -> Verdict:
    """The overall severity of figures, and their significant breaches, by the rules that `assess` uses.

    Parameters
    ----------
    figures : FairnessMetrics as `assess` returns them, of all attributes; their own limits, adjusted p-values and
        severities are not looked at; one of a metric that the catalogue does not list is not rated
    sample_size : rows of the audit

    Returns
    -------
    severity, and for each significant breach {name, attribute, value, threshold, severity, confirmed}, worst first.
    `confirmed` is None where no interval was kept.
    """
    adjusted = adjust_by_family(
        [figure["p_value"] for figure in figures],
        [bool(figure["groups_compared"]) for figure in figures],
        policy.correction,
    )
    without_ratio = {
        figure["attribute"]
        for figure in figures
        if figure["name"] == _RATIO and figure["status"] == "undefined"
    }
    findings: list[Finding] = []
    breached: list[tuple[int, float, dict[str, Any]]] = []
    for figure, p in zip(figures, adjusted, strict=True):
        name, value = figure["name"], figure["value"]
        metric = METRICS_BY_NAME.get(name)
        if value is None or metric is None:
            continue
        when, limit = metric.breached_when, policy.threshold(name)
        decides = policy.decides(name) or (name == _DIFFERENCE and figure["attribute"] in without_ratio)
        significant = None if p is None else p <= policy.alpha
        finding = Finding(name, value, limit, when, significant, decides)
        findings.append(finding)
        if finding.breached and significant:
            severity = metric_severity(finding)
            described = {
                "name": name,
                "attribute": figure["attribute"],
                "value": value,
                "threshold": limit,
                "severity": severity,
                "confirmed": _confirmed(figure, limit, when),
            }
            breached.append((SEVERITIES.index(severity), -finding.excess, described))
    comparable = any(figure["groups_compared"] for figure in figures)
    overall = overall_severity(findings, sample_size, policy.min_sample_size, comparable)
    overall = unless_unknown(overall, (figure["name"] for figure in figures if figure["groups_compared"]))
    breached.sort(key=lambda one: one[:2])
    return overall, [described for *_, described in breached]


def _confirmed(figure: Figure, limit: float, when: str) -> bool | None:
    """Whether the whole interval lies beyond the limit; None where no interval was kept."""
    interval = figure.get("confidence_interval")
    if not isinstance(interval, Mapping) or interval["lower"] is None or interval["upper"] is None:
        return None
    low, high = float(interval["lower"]), float(interval["upper"])
    same_side = when != "outside" or math.copysign(1, low) == math.copysign(1, high)
    return same_side and is_breached(low, limit, when) and is_breached(high, limit, when)
