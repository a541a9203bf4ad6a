"""When a model is audited on the clock, as it is asked for."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from fairlens_backend.schemas._base import NO_NUL, Body, PageQuery
from fairlens_backend.schemas.audits import MAX_WINDOW_HOURS
from fairlens_backend.schemas.checks import ColumnName, ModelName, PolicySettings

SCHEDULE_EXAMPLE: dict[str, Any] = {
    "cron": "0 6 * * 1-5",
    "time_zone": "Europe/Berlin",
    "window_minutes": 1440,
    "settings": {"thresholds": {"disparate_impact_ratio": 0.85}},
    "reaudit": {"share": 0.02, "days": 60},
}


class Reaudit(Body):
    """From which change on a past window is audited anew, and for how long."""

    share: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="of its decisions that came, went or got another outcome; left out: REAUDIT_SHARE"
    )
    decisions: Annotated[int, Field(ge=1, le=10**12)] | None = Field(
        None, description="so many of them, whatever their share; left out: REAUDIT_DECISIONS"
    )
    days: Annotated[float, Field(ge=0, le=3660)] | None = Field(
        None, description="how far back; left out: REAUDIT_DAYS"
    )


class ScheduleRequest(Body):
    """The schedule of a model, whole: what is left out is as the server's settings say."""

    model_config = ConfigDict(json_schema_extra={"examples": [SCHEDULE_EXAMPLE]})

    cron: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)] | None = Field(
        None, description="minute, hour, day of month, month, day of week; left out: AUDIT_CRON"
    )
    time_zone: Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)] | None = Field(
        None, description="IANA name, in which the cron line is meant; left out: UTC"
    )
    window_minutes: Annotated[int, Field(ge=0, le=MAX_WINDOW_HOURS * 60)] | None = Field(
        None,
        description="how far an audit looks back, 0: to the time it was due before; left out: AUDIT_WINDOW_MINUTES",
    )
    protected_attributes: list[ColumnName] | None = Field(
        None, min_length=1, max_length=10, description="left out: those registered"
    )
    version: ModelName | None = Field(None, description="left out: all versions together")
    settings: PolicySettings | None = Field(None, description="limits in the place of the model's own")
    sample_rows: Annotated[int, Field(ge=0, le=10_000)] | None = Field(
        None,
        description="single decisions that metrics 9, 10 and 17 compare by their features, seconds of work an audit; left"
        " out: 0, the metrics of counts alone",
    )
    reaudit: Reaudit | None = None
    enabled: bool = True
    restart_watches: bool = Field(
        False,
        description="begin the confidence sequences anew: a new baseline after what they told was mended",
    )


class WindowsQuery(PageQuery):
    """What became of a model's windows."""

    state: Literal["audited", "empty", "failed", "skipped"] | None = None
