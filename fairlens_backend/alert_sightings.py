"""What an audit says about alerts: for each metric of each attribute a verdict, a severity and the figures to show."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairlens_backend.core import alerting
from fairlens_backend.core.alerting import AlertPolicy, Verdict, closing_limit, worse_than
from fairlens_backend.core.metrics import METRICS_BY_NAME
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.severity import Severity

RATIO = "disparate_impact_ratio"


@dataclass(frozen=True)
class Sighting:
    """What one audit saw of one metric of one attribute."""

    attribute: str
    metric: str
    verdict: Verdict
    severity: Severity
    figures: dict[str, Any]


def sightings(result: Mapping[str, Any], rules: AlertPolicy) -> Iterator[Sighting]:
    """What the audit says of each metric of each attribute; nothing when the whole says UNKNOWN."""
    if result["overall_severity"] == "UNKNOWN":
        return
    decides = _deciding(result)
    figures = [(name, one) for name, metrics in result["attributes"].items() for one in metrics.values()]
    breached = [one["severity"] for name, one in figures if decides(name, one) and one["breached"]]
    overall: Severity = result["overall_severity"]
    # Several breaches may together be worse than each alone: then each is as severe as they are together.
    lifted = overall in alerting.COUNTED and all(worse_than(overall, severity) for severity in breached)
    for attribute, figure in figures:
        metric = METRICS_BY_NAME[figure["name"]]
        verdict = alerting.verdict_on(
            figure, metric.breached_when, rules.closing_margin, decides(attribute, figure)
        )
        severity = overall if lifted and verdict == "breach" else figure["severity"]
        kept = _figures(result, figure, metric.breached_when, rules.closing_margin)
        yield Sighting(attribute, metric.name, verdict, severity, kept)


def _deciding(result: Mapping[str, Any]) -> Callable[[str, Mapping[str, Any]], bool]:
    limits = Policy(thresholds=result["settings"]["thresholds"])
    undefined = {
        name
        for name, metrics in result["attributes"].items()
        if metrics.get(RATIO, {}).get("status") == "undefined"
    }

    def decides(attribute: str, figure: Mapping[str, Any]) -> bool:
        # Where the ratio has no value, the difference of the rates decides in its stead (STATISTICS section 4).
        stands_in = figure["name"] == "statistical_parity_difference" and attribute in undefined
        return stands_in or limits.decides(figure["name"])

    return decides


def _figures(
    result: Mapping[str, Any], figure: Mapping[str, Any], breached_when: str, margin: float
) -> dict[str, Any]:
    kept = (
        "value",
        "signed",
        "threshold",
        "confidence_interval",
        "groups_compared",
        "sample_sizes",
        "sentence",
    )
    return {
        **{name: figure[name] for name in kept},
        "breached_when": breached_when,
        "closing_limit": closing_limit(figure["threshold"], breached_when, margin),
        "sample_size": result["sample_size"],
        "window_start": result["window_start"],
        "window_end": result["window_end"] or result["audit_timestamp"],
    }
