"""What an audit leaves for those after it, and what it knows of those before: its figures as series over time."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from fairlens_backend.core.drift.cusum import BASELINE
from fairlens_backend.core.drift.series import variance_of_interval
from fairlens_backend.core.metrics import METRICS
from fairlens_backend.storage import figures
from fairlens_backend.storage.figures import Window
from fairlens_backend.storage.session import read_snapshot

GAP: Final = "demographic_parity_difference"
"""Metric 1, whose CUSUM is metric 12."""

KEPT: Final = {
    metric.name: metric
    for metric in METRICS
    if metric.scope == "attribute" and metric.name != "temporal_drift_index"
}
"""The metrics of counts that are kept as series. Metric 12 is itself a sum over one of them."""


def window_of(window: tuple[datetime, datetime] | None, now: datetime) -> Window:
    """The audited time; a submission has no start and ends when it is audited, as does a window that is not over yet."""
    return Window(window[0], min(window[1], now)) if window else Window(None, now)


def past_gaps(tenant: str, model: str, attributes: Iterable[str], window: Window) -> dict[str, list[float]]:
    """Metric 1 of the checks before an audit, for `assess(history=...)`: of each attribute, oldest first.

    Checks that share rows with this one or with each other are left out: an hour that is audited every quarter of an
    hour is the same rows four times, and to a CUSUM, which takes checks for independent, its noise would be drift. Of a
    model of all versions together, since a new version is what one wants to see drift from the baseline.

    At most the first 20 and the last 5,000 are read. Beyond that the sums begin at 0 with the oldest of the last ones, which
    makes a difference only where a sum has not come back to 0 since.
    """
    until = window.start or window.end
    with read_snapshot():
        return {
            attribute: figures.values(tenant, model, attribute, GAP, until, first=BASELINE)
            for attribute in attributes
        }


def keep(result: Mapping[str, Any], tenant: str, window: Window) -> None:
    """Keep the figures of a BiasAuditResult, within the unit of work that keeps the audit; a row an attribute and metric."""
    figures.add(
        tenant,
        result["model"],
        result["model_version"],
        result["audit_id"],
        window,
        {
            attribute: [
                _row(figure)
                for name, figure in result["attributes"].get(attribute, {}).items()
                if name in KEPT
            ]
            for attribute in result["protected_attributes"]
        },
    )


def _row(figure: Mapping[str, Any]) -> dict[str, Any]:
    """The signed value where the limit is ±: the series is then one that can cross 0."""
    value = figure["signed" if KEPT[figure["name"]].breached_when == "outside" else "value"]
    interval = figure["confidence_interval"] or {}
    variance = variance_of_interval(value, interval)
    return {
        "metric": figure["name"],
        "value": value,
        "lower": interval.get("lower"),
        "upper": interval.get("upper"),
        "standard_error": None if variance is None else variance**0.5,
        "n": sum(figure["sample_sizes"].values()),
        "threshold": figure["threshold"],
        "status": figure["status"],
        "severity": figure["severity"],
    }
