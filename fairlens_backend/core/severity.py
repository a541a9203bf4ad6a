"""From breaches to one word: PASS, LOW, MEDIUM, HIGH, CRITICAL or UNKNOWN (STATISTICS section 4)."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["PASS", "LOW", "MEDIUM", "HIGH", "CRITICAL", "UNKNOWN"]

# 0.55 − 0.48 does not breach 0.07.
TOLERANCE: Final = 1e-9

# From worst to best; UNKNOWN is beside the scale, neither better nor worse than a finding.
SEVERITIES: Final[tuple[Severity, ...]] = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "PASS", "UNKNOWN")
ALERTING: Final[frozenset[Severity]] = frozenset({"CRITICAL", "HIGH"})

_RATIO: Final = "disparate_impact_ratio"
# Metrics 1, 4 and 6 restate one pair of selection rates and count as one breach; so does 13, which decides only where
# the ratio has no value.
SELECTION_METRICS: Final = frozenset(
    {
        "demographic_parity_difference",
        _RATIO,
        "statistical_parity_subgroup_lift",
        "statistical_parity_difference",
    }
)
# Metrics 9 and 17: shares of agreement, whose distance is measured from 1.
_AGREEMENT: Final = frozenset({"individual_fairness_score", "consistency"})


def is_breached(value: float, threshold: float, breached_when: str) -> bool:
    """Whether a value is beyond its threshold by more than the tolerance of 1e-9.

    Parameters
    ----------
    breached_when : "above", "below", or "outside" for beyond ± the threshold

    Examples
    --------
    >>> is_breached(0.55 - 0.48, 0.07, "above"), is_breached(0.79, 0.80, "below"), is_breached(-0.2, 0.1, "outside")
    (False, True, True)
    """
    if breached_when == "below":
        return value < threshold - TOLERANCE
    return (abs(value) if breached_when == "outside" else value) > threshold + TOLERANCE


def excess(name: str, value: float, threshold: float, breached_when: str) -> float:
    """How many times the limit is exceeded; 1 at the limit, infinite where a ratio that breaches below is 0.

    Examples
    --------
    >>> round(excess("equal_opportunity_difference", 0.15, 0.05, "above"), 12)
    3.0
    >>> round(excess("disparate_impact_ratio", 0.4, 0.8, "below"), 12)
    2.0
    """
    if name in _AGREEMENT:
        return (1 - value) / (1 - threshold)
    if breached_when == "below":
        return threshold / value if value > 0 else math.inf
    return abs(value) / threshold


@dataclass(frozen=True)
class Finding:
    """One metric's value against its threshold, as far as severity needs to know it.

    Parameters
    ----------
    name : the metric's
    value : as STATISTICS section 2 defines it
    threshold, breached_when : as for `is_breached`
    significant : whether the adjusted p-value is at most alpha; None where no test was run, which does not
        count as significant
    decides : whether a breach counts for the overall severity
    """

    name: str
    value: float
    threshold: float
    breached_when: str
    significant: bool | None
    decides: bool = True

    @property
    def breached(self) -> bool:
        """Whether the value is beyond its threshold."""
        return is_breached(self.value, self.threshold, self.breached_when)

    @property
    def excess(self) -> float:
        """How many times the limit is exceeded."""
        return excess(self.name, self.value, self.threshold, self.breached_when)


def metric_severity(finding: Finding) -> Severity:
    """The severity of one metric taken alone.

    Examples
    --------
    >>> metric_severity(Finding("disparate_impact_ratio", 0.70, 0.80, "below", significant=True))
    'HIGH'
    >>> metric_severity(Finding("disparate_impact_ratio", 0.70, 0.80, "below", significant=False))
    'LOW'
    """
    return _rated([finding])


def overall_severity(
    findings: Iterable[Finding], sample_size: int, min_sample_size: int, comparable: bool
) -> Severity:
    """The severity of an audit: the first rule of STATISTICS section 4 that holds.

    Parameters
    ----------
    findings : every metric that has a value; for a metric of several attributes each may be given,
        a metric counts as breached once
    sample_size, min_sample_size : rows, and how many are needed for a verdict
    comparable : whether there were two groups to compare

    Returns
    -------
    UNKNOWN with too few rows or nothing to compare: "no data" must not look fair.

    Examples
    --------
    >>> overall_severity([], sample_size=42, min_sample_size=100, comparable=True)
    'UNKNOWN'
    """
    findings = list(findings)
    if sample_size < min_sample_size or not comparable or not findings:
        return "UNKNOWN"
    return _rated([finding for finding in findings if finding.decides])


def _rated(findings: list[Finding]) -> Severity:
    breaches = [finding for finding in findings if finding.breached]
    counted = [finding for finding in breaches if finding.significant]
    if not counted:
        return "LOW" if breaches else "PASS"
    number = len({"selection" if finding.name in SELECTION_METRICS else finding.name for finding in counted})
    ratio = min((finding.value for finding in counted if finding.name == _RATIO), default=math.inf)
    worst = max(finding.excess for finding in counted)
    if ratio < 0.65 - TOLERANCE or worst > 3 + TOLERANCE or number >= 3:
        return "CRITICAL"
    if ratio < 0.80 - TOLERANCE or worst > 2 + TOLERANCE or number == 2:
        return "HIGH"
    return "MEDIUM"
