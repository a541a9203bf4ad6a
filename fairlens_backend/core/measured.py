"""One metric of one attribute, on its way to the FairnessMetric of a result."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlens_backend.core.metrics import Metric
from fairlens_backend.core.severity import SEVERITIES, Finding, Severity


@dataclass(frozen=True)
class Measured:
    """What is known so far; `replace` adds the value, then the tests, then the severity.

    `sizes` are the rows that the metric uses: of the two groups compared, else of the largest groups.
    """

    metric: Metric
    attribute: str
    threshold: float
    status: str
    sizes: Mapping[str, int]
    reason: str | None = None
    value: float | None = None
    signed: float | None = None
    compared: tuple[str, ...] = ()
    parts: Mapping[str, float | None] | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    significant: bool | None = None
    severity: Severity = "UNKNOWN"

    def finding(self, *, decides: bool) -> Finding | None:
        """What severity needs to know; None without a value."""
        if self.value is None:
            return None
        when = self.metric.breached_when
        return Finding(self.metric.name, self.value, self.threshold, when, self.significant, decides)

    def rank(self) -> tuple[int, float]:
        """Least for the attribute that is worst."""
        finding = self.finding(decides=True)
        return SEVERITIES.index(self.severity), -finding.excess if finding else math.inf

    def to_dict(self) -> dict[str, Any]:
        """The FairnessMetric."""
        finding = self.finding(decides=True)
        return {
            "name": self.metric.name,
            "short_name": self.metric.short_name,
            "attribute": self.attribute,
            "value": self.value,
            "signed": self.signed,
            "threshold": self.threshold,
            "breached": finding.breached if finding else None,
            "severity": self.severity,
            "groups_compared": list(self.compared),
            "sample_sizes": dict(self.sizes),
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "significant": self.significant,
            "status": self.status,
            "reason": self.reason,
            "definition": self.metric.definition,
            "parts": dict(self.parts or {}),
        }
