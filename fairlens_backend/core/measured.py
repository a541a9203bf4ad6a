"""One metric of one attribute, on its way to the FairnessMetric of a result."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fairlens_backend.core.metrics import METRICS_BY_NAME, AnyMetric
from fairlens_backend.core.row_sample import RowMeasured
from fairlens_backend.core.severity import SEVERITIES, TOLERANCE, Finding, Severity
from fairlens_backend.errors import InvalidInput

ALL_ROWS: Final = "all rows"
"""Stands for an attribute where a metric compares people, not groups."""

LEVEL: Final = 0.95


@dataclass(frozen=True)
class Measured:
    """What is known so far; `replace` adds the value, then the tests, then the severity.

    `sizes` are the rows that the metric uses: of the two groups compared, else of the largest groups. `attribute` is
    None where there was none to measure.
    """

    metric: AnyMetric
    attribute: str | None
    threshold: float
    status: str
    sizes: Mapping[str, int]
    reason: str | None = None
    value: float | None = None
    signed: float | None = None
    interval: tuple[float, float, str] | None = None
    compared: tuple[str, ...] = ()
    parts: Mapping[str, Any] | None = None
    test: str | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    significant: bool | None = None
    severity: Severity = "UNKNOWN"
    sentence: str | None = None

    @classmethod
    def of_rows(cls, row: RowMeasured, threshold: float) -> "Measured":
        """A metric that was measured on rows."""
        return cls(
            metric=METRICS_BY_NAME[row.metric_name],
            attribute=ALL_ROWS if row.attribute is None else row.attribute,
            threshold=threshold,
            status=row.status,
            sizes=row.sizes,
            reason=row.reason,
            value=row.value,
            signed=row.signed,
            interval=row.interval,
            compared=row.compared,
            parts=row.parts,
            test=row.test,
            p_value=row.p_value,
            sentence=row.sentence,
        )

    def finding(self, *, decides: bool) -> Finding | None:
        """What severity needs to know; None without a value."""
        if self.value is None:
            return None
        when = self.metric.breached_when
        return Finding(self.metric.name, self.value, self.threshold, when, self.significant, decides)

    @property
    def confirmed(self) -> bool | None:
        """Whether the whole interval lies beyond the threshold; None without an interval."""
        if self.interval is None:
            return None
        low, high, _ = self.interval
        below, above = high < self.threshold - TOLERANCE, low > self.threshold + TOLERANCE
        if self.metric.breached_when == "below":
            return below
        return above or (self.metric.breached_when == "outside" and high < -self.threshold - TOLERANCE)

    def rank(self) -> tuple[int, float]:
        """Least for the attribute that is worst."""
        finding = self.finding(decides=True)
        return SEVERITIES.index(self.severity), -finding.excess if finding else math.inf

    def to_dict(self) -> dict[str, Any]:
        """The FairnessMetric."""
        finding = self.finding(decides=True)
        low, high, method = self.interval or (None, None, None)
        return {
            "name": self.metric.name,
            "short_name": self.metric.short_name,
            "attribute": self.attribute,
            "value": self.value,
            "signed": self.signed,
            "threshold": self.threshold,
            "breached": finding.breached if finding else None,
            "confirmed": self.confirmed,
            "confidence_interval": {"lower": low, "upper": high, "level": LEVEL, "method": method}
            if self.interval
            else None,
            "severity": self.severity,
            "groups_compared": list(self.compared),
            "sample_sizes": dict(self.sizes),
            "test": self.test,
            "p_value": self.p_value,
            "p_adjusted": self.p_adjusted,
            "significant": self.significant,
            "status": self.status,
            "reason": self.reason,
            "definition": self.metric.definition,
            "sentence": self.sentence,
            "parts": dict(self.parts or {}),
        }


def require_row_metric(row: RowMeasured) -> None:
    """Refuse a record of a metric that does not exist."""
    if row.metric_name not in METRICS_BY_NAME:
        raise InvalidInput(
            f"there is no metric {row.metric_name!r}; there are {', '.join(METRICS_BY_NAME)}",
            field="extra",
            got=row.metric_name,
            expected=f"one of {', '.join(METRICS_BY_NAME)}",
        )
