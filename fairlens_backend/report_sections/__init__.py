"""The eight sections of a compliance report, each from the report's data to blocks."""

from collections.abc import Mapping
from typing import Any, Final

from fairlens_backend.report_sections import (
    executive_summary,
    groups_and_crossings,
    incidents_and_alerts,
    metric_results,
    mitigations,
    regulatory_mapping,
    scope_and_data,
    trend_and_drift,
)
from fairlens_backend.report_sections._blocks import Section

FAMILY: Final = (
    executive_summary,
    scope_and_data,
    metric_results,
    groups_and_crossings,
    trend_and_drift,
    mitigations,
    incidents_and_alerts,
    regulatory_mapping,
)


def sections(report: Mapping[str, Any]) -> list[Section]:
    """All of them, numbered from 1."""
    return [Section(number, room.TITLE, room.build(report)) for number, room in enumerate(FAMILY, 1)]
