"""A model's newest figures as families for Prometheus: by metric and attribute, and never by group.

The names of groups are values of protected attributes, and a series is kept for long by a system that asks nobody who reads
it: which groups a figure compares is told by the audit itself. A figure that is undefined has no sample; that it has none is a
sample of `fairlens_fairness_metric_defined`, so that "unknown" is not taken for "fair".
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from prometheus_client.metrics_core import Metric

from fairlens_backend import gauges, model_registry
from fairlens_backend.core.severity import SEVERITIES
from fairlens_backend.storage import latest_figures
from fairlens_backend.storage.session import read_snapshot

Labels = tuple[str, ...]

BY_METRIC: Final = ("model", "attribute", "metric")


def exposition(tenant: str, model: str, accept: str) -> tuple[bytes, str]:
    """The newest audit of a model as Prometheus reads it; and its content type.

    Raises
    ------
    NotFound : no such model, neither registered nor ever audited
    """
    with read_snapshot():
        audit = latest_figures.newest_audit(tenant, model)
        if audit is None:
            model_registry.get_model(model, None, tenant=tenant)
        result = None if audit is None else audit.result
    return gauges.text_of(_families(model, result), accept, with_counted=False)


def _families(model: str, result: Mapping[str, Any] | None) -> list[Metric]:
    told = "Whether the model was ever audited."
    families = gauges.gauges(
        "fairlens_fairness_audited", told, ("model",), [((model,), float(result is not None))]
    )
    if result is None:
        return families
    return [*families, *_of_audit(model, result), *_of_figures(model, result)]


def _of_audit(model: str, result: Mapping[str, Any]) -> list[Metric]:
    """What the audit is of, how large it was, how severe."""
    one = ("model",)
    severity = result["overall_severity"]
    ends = result.get("window_end") or result["audit_timestamp"]
    return [
        *gauges.gauges(
            "fairlens_fairness_model_info",
            "The version that the newest audit is of.",
            ("model", "model_version"),
            [((model, result["model_version"]), 1)],
        ),
        *gauges.gauges(
            "fairlens_fairness_severity",
            "The severity of the newest audit: 1 for the one it has, 0 for the others.",
            ("model", "severity"),
            [((model, name), float(name == severity)) for name in SEVERITIES],
        ),
        *gauges.gauges(
            "fairlens_fairness_decisions",
            "Decisions in the newest audit.",
            one,
            [((model,), result["sample_size"])],
        ),
        *gauges.gauges(
            "fairlens_fairness_labelled_decisions",
            "Of them, those whose true outcome is known.",
            one,
            [((model,), result["labelled_size"])],
        ),
        *gauges.gauges(
            "fairlens_fairness_audit_timestamp_seconds",
            "When the newest audit was made, seconds since 1970.",
            one,
            [((model,), _seconds(result["audit_timestamp"]))],
        ),
        *gauges.gauges(
            "fairlens_fairness_window_end_timestamp_seconds",
            "The end of the window that it is of; of a submission, when it was audited.",
            one,
            [((model,), _seconds(ends))],
        ),
    ]


def _of_figures(model: str, result: Mapping[str, Any]) -> list[Metric]:
    """Each metric of each attribute: value, interval, limit, breach, severity, size."""
    figures = [
        ((model, attribute, name), figure)
        for attribute, metrics in result["attributes"].items()
        for name, figure in metrics.items()
    ]
    interval = [(labels, figure["confidence_interval"] or {}) for labels, figure in figures]

    def known(of: list[tuple[Labels, Mapping[str, Any]]], key: str) -> list[tuple[Labels, float]]:
        return [(labels, float(found[key])) for labels, found in of if found.get(key) is not None]

    families = [
        ("value", "Value of a metric, between the groups that differ most.", known(figures, "value")),
        ("lower", "Lower end of its confidence interval.", known(interval, "lower")),
        ("upper", "Upper end of its confidence interval.", known(interval, "upper")),
        ("threshold", "The limit that it is held against.", known(figures, "threshold")),
        (
            "breached",
            "Whether it is beyond the limit, by more than chance explains.",
            known(figures, "breached"),
        ),
        (
            "defined",
            "Whether it has a value: without one it is unknown, which does not mean fair.",
            [(labels, float(figure["value"] is not None)) for labels, figure in figures],
        ),
        (
            "decisions",
            "Decisions that it was computed from.",
            [(labels, float(sum((figure["sample_sizes"] or {}).values()))) for labels, figure in figures],
        ),
    ]
    states = [
        ((*labels, severity), float(figure["severity"] == severity))
        for labels, figure in figures
        for severity in SEVERITIES
    ]
    return [
        family
        for name, told, samples in families
        for family in gauges.gauges(f"fairlens_fairness_metric_{name}", told, BY_METRIC, samples)
    ] + gauges.gauges(
        "fairlens_fairness_metric_severity",
        "The severity of a metric: 1 for the one it has, 0 for the others.",
        (*BY_METRIC, "severity"),
        states,
    )


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
