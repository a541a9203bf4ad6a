"""What the drift of a model is asked with."""

from typing import Annotated

from pydantic import Field

from fairlens_backend.schemas._base import NO_NUL, Moment, Query
from fairlens_backend.schemas.checks import ColumnName


class DriftQuery(Query):
    """How has a model's fairness moved, where is it heading, and where does the change come from?"""

    window_days: Annotated[float, Field(gt=0, le=3660)] = Field(30, description="how far to look back")
    since: Moment | None = Field(
        None, description="the begin of the window, in the place of window_days, as 2026-02-01T00:00:00Z"
    )
    until: Moment | None = Field(
        None, description="the end of the window, as 2026-03-01T00:00:00Z; left out: now"
    )
    metrics: Annotated[str, Field(max_length=1000, pattern=NO_NUL)] = Field(
        "", description="names, long or short, separated by commas; left out: dir,spd,eod,aod,theil"
    )
    attribute: ColumnName | None = Field(None, description="left out: every one that the model is audited by")
    grain: Annotated[str, Field(min_length=1, max_length=5, pattern=NO_NUL)] | None = Field(
        None,
        description="hour, day, or hours that divide a day or are whole days: all decisions of each period summed and assessed"
        " exactly; audit, or left out: audit by audit",
    )
