"""What a back-test is asked with: a range of history, settings to try on it, what is known to have happened."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from fairlens_backend.core.drift.drift_settings import DriftSettings
from fairlens_backend.schemas._base import NO_NUL, Body, Moment
from fairlens_backend.schemas.checks import ColumnName, PolicySettings

BACKTEST_EXAMPLE: dict[str, Any] = {
    "window_days": 30,
    "grain": "hour",
    "metrics": "dir",
    "settings": {"thresholds": {"disparate_impact_ratio": 0.85}, "drift": {"h": 4.0}},
    "changes": [{"time": "2026-03-10T00:00:00Z"}],
}
MAX_CHANGES = 50

Count = Annotated[int, Field(ge=1, le=1000)]
Time = Annotated[Moment, Field(strict=False)]
Grain = Literal["audit", "hour", "day"]
Detector = Literal["threshold", "cusum", "adwin", "pre_alert", "prediction", "early_warning"]


class DetectorSettings(Body):
    """The detectors; what is left out keeps its default. Counts are of checks."""

    baseline: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        None, description="first checks to compare with"
    )
    k: Annotated[float, Field(gt=0, le=100)] | None = Field(None, description="slack of the CUSUM, in σ")
    h: Annotated[float, Field(gt=0, le=1000)] | None = Field(None, description="limit of the CUSUM, in σ")
    window: Annotated[int, Field(ge=2, le=1000)] | None = Field(
        None, description="checks of the moving average"
    )
    horizon: Count | None = Field(None, description="checks that the pre-alert looks ahead")
    predict_checks: Annotated[int, Field(ge=3, le=1000)] | None = Field(
        None, description="checks that the line of the prediction goes through"
    )
    predict_horizon: Count | None = Field(None, description="checks that the prediction is ahead")
    resolution: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None, description="standard errors of a period that the distance to the limit must have"
    )

    def settings(self) -> DriftSettings:
        """As the detectors take them."""
        return DriftSettings(**self.model_dump(exclude_none=True))


class BaselineRange(Body):
    """A declared baseline: the checks after `since` and up to `until`."""

    since: Time
    until: Time


class TrialSettings(PolicySettings):
    """Settings to try: those of audits and alerts, of the detectors, and the baseline. What is left out stays as registered."""

    drift: DetectorSettings | None = None
    baseline: BaselineRange | None = None


class KnownChange(Body):
    """A drift that is known to have begun."""

    time: Time
    crosses: Time | None = Field(
        None, description="when the threshold was crossed; left out: the first average beyond it afterwards"
    )


class BacktestRequest(Body):
    """How often, and how early, would these settings have alerted on the stored history?"""

    model_config = ConfigDict(json_schema_extra={"examples": [BACKTEST_EXAMPLE]})

    window_days: Annotated[float, Field(gt=0, le=3660)] = Field(30, description="how far to look back")
    since: Time | None = Field(None, description="in the place of window_days, as 2026-03-01T00:00:00Z")
    until: Time | None = Field(None, description="the end of the range; left out: now")
    grain: Grain | None = Field(
        None,
        description="audit: the audits as they were made; hour, day: counted anew from the stored counts; left out: the audits"
        " where there are enough, else hours or days",
    )
    metrics: Annotated[str, Field(max_length=1000, pattern=NO_NUL)] = Field(
        "", description="names, long or short, separated by commas; left out: dir,spd,eod,aod,theil"
    )
    attribute: ColumnName | None = Field(None, description="left out: every one of the model")
    settings: TrialSettings | None = None
    compare: TrialSettings | None = Field(None, description="other settings, tried beside the first")
    changes: list[KnownChange] | None = Field(
        None,
        max_length=MAX_CHANGES,
        description="drifts that are known to have begun; an empty list says that nothing changed, so that every alarm is"
        " false; left out: nobody knows",
    )
    detectors: list[Detector] | None = Field(None, min_length=1, max_length=6, description="left out: all")


TRIAL_SETTINGS = TypeAdapter(TrialSettings)
