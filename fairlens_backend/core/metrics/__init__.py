"""The family of metrics: one file a metric, one import a line."""

from fairlens_backend.core.metrics import (
    average_odds_difference,
    calibration_gap,
    consistency,
    counterfactual_fairness,
    demographic_parity_difference,
    disparate_impact_ratio,
    equal_opportunity_difference,
    equalized_odds_difference,
    false_negative_rate_difference,
    false_positive_rate_difference,
    individual_fairness_score,
    intersectional_bias_score,
    predictive_parity_difference,
    statistical_parity_difference,
    statistical_parity_subgroup_lift,
    temporal_drift_index,
    theil_index,
)
from fairlens_backend.core.metrics._metric import GroupRates, Metric
from fairlens_backend.core.metrics._row_metric import RowMetric

METRICS: tuple[Metric, ...] = (
    demographic_parity_difference.METRIC,
    equalized_odds_difference.METRIC,
    equal_opportunity_difference.METRIC,
    disparate_impact_ratio.METRIC,
    average_odds_difference.METRIC,
    statistical_parity_subgroup_lift.METRIC,
    predictive_parity_difference.METRIC,
    calibration_gap.METRIC,
    intersectional_bias_score.METRIC,
    temporal_drift_index.METRIC,
    statistical_parity_difference.METRIC,
    theil_index.METRIC,
    false_positive_rate_difference.METRIC,
    false_negative_rate_difference.METRIC,
)
"""The metrics of counts, in the order of STATISTICS section 2."""

ROW_METRICS: tuple[RowMetric, ...] = (
    individual_fairness_score.METRIC,
    counterfactual_fairness.METRIC,
    consistency.METRIC,
)
"""Those of a sample of rows, measured by `core.row_metrics` and handed to `assess` as `extra`."""

AnyMetric = Metric | RowMetric

_EVERY: tuple[AnyMetric, ...] = (*METRICS, *ROW_METRICS)

METRICS_BY_NAME: dict[str, AnyMetric] = {
    metric.name: metric for metric in sorted(_EVERY, key=lambda metric: metric.number)
}
"""All, in the order of STATISTICS section 2."""

__all__ = ["METRICS", "METRICS_BY_NAME", "ROW_METRICS", "AnyMetric", "GroupRates", "Metric", "RowMetric"]
