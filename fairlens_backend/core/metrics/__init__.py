"""The family of metrics: one file a metric, one import a line."""

from fairlens_backend.core.metrics import (
    average_odds_difference,
    disparate_impact_ratio,
    equal_opportunity_difference,
    statistical_parity_difference,
    theil_index,
)
from fairlens_backend.core.metrics._metric import Metric

METRICS: tuple[Metric, ...] = (
    equal_opportunity_difference.METRIC,
    disparate_impact_ratio.METRIC,
    average_odds_difference.METRIC,
    statistical_parity_difference.METRIC,
    theil_index.METRIC,
)
"""In the order of STATISTICS section 2."""

METRICS_BY_NAME: dict[str, Metric] = {metric.name: metric for metric in METRICS}

__all__ = ["METRICS", "METRICS_BY_NAME", "Metric"]
