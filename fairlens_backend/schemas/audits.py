"""What an audit of a window, and questions about stored audits, are asked with."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from fairlens_backend.schemas._base import NO_NUL, Body, Moment, PageQuery, PathPart, Query
from fairlens_backend.schemas.checks import ColumnName, ModelName, PolicySettings

MAX_WINDOW_HOURS = 24 * 366
MAX_REPLAYED = 200

WINDOW_EXAMPLE: dict[str, Any] = {"window_hours": 24}
DRY_RUN_EXAMPLE: dict[str, Any] = {"thresholds": {"disparate_impact_ratio": 0.9}, "alpha": 0.01}

AuditId = Annotated[str, Field(min_length=1, max_length=64, pattern=NO_NUL)]
GroupName = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
Severity = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW", "PASS", "UNKNOWN"]
Rate = Literal["selection_rate", "true_positive_rate", "false_positive_rate", "precision"]


class ModelPath(PathPart):
    """A model's name."""

    id: ModelName


class AuditPath(PathPart):
    """An audit's id."""

    id: AuditId


class MetricPath(PathPart):
    """A metric's name, or its short one."""

    name: Annotated[str, Field(min_length=1, max_length=80)]


class WindowAuditRequest(Body):
    """Audit as one what was submitted for a model in the last hours."""

    model_config = ConfigDict(json_schema_extra={"examples": [WINDOW_EXAMPLE]})

    window_hours: Annotated[float, Field(gt=0, le=MAX_WINDOW_HOURS)] = Field(
        1, description="how far to look back"
    )
    until: Annotated[Moment, Field(strict=False)] | None = Field(
        None, description="the end of the window, a whole minute as 2026-03-01T10:00:00Z; left out: now"
    )
    protected_attributes: list[ColumnName] | None = Field(
        None, min_length=1, max_length=10, description="left out: those registered, else those of the audits"
    )
    version: ModelName | None = Field(None, description="left out: all versions together")
    sample_rows: Annotated[int, Field(ge=0, le=10_000)] = Field(
        2_000,
        description="single decisions, drawn at random, that metrics 9, 10 and 17 compare by their features; 0: counts alone",
    )


class AuditsQuery(PageQuery):
    """Audits, newest first."""

    model: ModelName | None = None
    severity: Severity | None = None


class AuditQuery(Query):
    """One audit."""

    counts: bool = Field(False, description="also the count table that every figure came from")


class ThresholdsQuery(Query):
    """What thresholds by group would meet a criterion, and what they would cost?"""

    attribute: ColumnName
    criterion: Literal["demographic_parity", "equal_opportunity", "equalized_odds"] = "demographic_parity"
    reference: GroupName | None = Field(None, description="left out: that of the audit")
    tolerance: Annotated[float, Field(ge=0, le=1)] = Field(0.01, description="greatest gap that meets it")
    between_edges: bool = Field(True, description="0: only thresholds at the edges of score bins")
    all_pairs: bool = Field(False, description="every pair of groups, not just those with the reference")


class EstimatesQuery(Query):
    """Error rates from calibrated scores alone, where labels are not there yet."""

    attribute: ColumnName


class DecompositionQuery(Query):
    """How much of a gap, or of its change since another audit, is who was decided on, and how they were treated?"""

    attribute: ColumnName
    stratum: Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL)] = Field(
        description="another attribute of the audit, or several separated by commas"
    )
    against: AuditId | None = Field(None, description="the earlier audit; left out: the gap within this one")
    group: GroupName | None = Field(None, description="left out: the group furthest from the reference")
    reference: GroupName | None = Field(None, description="left out: that of the audit")
    rate: Rate = "selection_rate"


class DryRunRequest(PolicySettings):
    """Other settings, tried on stored audits: how often would they have alerted?"""

    model_config = ConfigDict(json_schema_extra={"examples": [DRY_RUN_EXAMPLE]})

    window_days: Annotated[float, Field(gt=0, le=3660)] = 30
    limit: Annotated[int, Field(ge=1, le=MAX_REPLAYED)] = Field(
        100, description="newest audits to try them on"
    )


class MetricQuery(Query):
    """One metric, and what a value of it would mean."""

    value: float | None = Field(None, description="a value to be put in words: 0.72")
