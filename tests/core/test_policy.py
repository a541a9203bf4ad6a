"""The settings of an assessment are checked where they are made."""

from typing import Any

import pytest

from fairlens_backend.core.policy import Policy
from fairlens_backend.errors import InvalidInput


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"thresholds": {"dir": 0.8}}, "thresholds"),
        ({"thresholds": [0.8]}, "thresholds"),
        ({"thresholds": {"disparate_impact_ratio": 0}}, "thresholds.disparate_impact_ratio"),
        ({"thresholds": {"disparate_impact_ratio": 1.25}}, "thresholds.disparate_impact_ratio"),
        ({"thresholds": {"disparate_impact_ratio": float("nan")}}, "thresholds.disparate_impact_ratio"),
        ({"thresholds": {"disparate_impact_ratio": "0.8"}}, "thresholds.disparate_impact_ratio"),
        ({"thresholds": {"theil_index": True}}, "thresholds.theil_index"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 1}, "alpha"),
        ({"correction": "bonferroni"}, "correction"),
        ({"min_group_size": 0}, "min_group_size"),
        ({"min_group_size": 2.5}, "min_group_size"),
        ({"min_sample_size": True}, "min_sample_size"),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(settings: dict[str, Any], field: str) -> None:
    """A threshold that names no metric would silently not apply."""
    with pytest.raises(InvalidInput) as refused:
        Policy(**settings)
    assert refused.value.details["field"] == field


def test_the_settings_kept_with_an_audit_name_every_limit() -> None:
    """Defaults included: an audit must be understood without the code that made it."""
    given = {"theil_index": 1.5}
    policy = Policy(thresholds=given, min_group_size=50)
    given["theil_index"] = 9.0
    assert policy.to_dict() == {
        "thresholds": {
            "demographic_parity_difference": 0.1,
            "equalized_odds_difference": 0.08,
            "equal_opportunity_difference": 0.05,
            "disparate_impact_ratio": 0.8,
            "average_odds_difference": 0.07,
            "statistical_parity_subgroup_lift": 1.25,
            "predictive_parity_difference": 0.08,
            "calibration_gap": 0.05,
            "individual_fairness_score": 0.85,
            "counterfactual_fairness": 0.06,
            "intersectional_bias_score": 0.12,
            "temporal_drift_index": 5.0,
            "statistical_parity_difference": 0.1,
            "theil_index": 1.5,
            "false_positive_rate_difference": 0.08,
            "false_negative_rate_difference": 0.08,
            "consistency": 0.85,
        },
        "alpha": 0.05,
        "correction": "bh",
        "min_group_size": 50,
        "min_sample_size": 100,
    }
