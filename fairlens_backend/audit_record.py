"""What is kept of an audit as a record of its own: the columns of `fairness_checks`, from its assessment."""

from collections.abc import Mapping
from typing import Any, Final

SHORT_METRICS: Final = ("dir", "spd", "eod", "aod", "theil")
SIGNED_SHORT_METRICS: Final = ("eod", "aod")
SEX_ATTRIBUTES: Final = ("gender", "sex")


def check_columns(assessment: Mapping[str, Any], **identity: Any) -> dict[str, Any]:
    """The columns of the record.

    Parameters
    ----------
    identity : record_id, tenant, model, model_version, audit_id, drift_level
    """
    by_short = {metric["short_name"]: metric for metric in assessment["metrics"].values()}
    figures = {
        name: by_short[name]["signed" if name in SIGNED_SHORT_METRICS else "value"]
        if name in by_short
        else None
        for name in SHORT_METRICS
    }
    return {
        **identity,
        "sample_size": assessment["sample_size"],
        "severity": assessment["overall_severity"],
        "alert": assessment["alert"],
        **figures,
        "female_rate": _selection_rate(assessment, "female"),
        "male_rate": _selection_rate(assessment, "male"),
    }


def _selection_rate(assessment: Mapping[str, Any], group: str) -> float | None:
    """The selection rate of a group of that name in an attribute called gender or sex, or None."""
    for piece in assessment["demographic_slices"]:
        attributes = piece["attributes"]
        if len(attributes) == 1:
            ((attribute, label),) = attributes.items()
            if attribute.lower() in SEX_ATTRIBUTES and label.lower() == group:
                value: float | None = piece["rates"]["selection_rate"]["value"]
                return value
    return None
