"""What background jobs are asked about with, and what makes one."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from fairlens_backend.schemas._base import JOB_ID, NO_NUL, Body, Limit, PathPart, Query

REBUILD_EXAMPLE: dict[str, Any] = {"first_day": "2026-03-01", "last_day": "2026-03-31"}


class JobPath(PathPart):
    """A job's id in a path."""

    id: Annotated[str, Field(min_length=1, max_length=64, pattern=NO_NUL)]


class JobsQuery(Query):
    """Which jobs to list."""

    state: Literal["waiting", "running", "done", "dead", "cancelled"] | None = Field(
        None, description="only those in this state"
    )
    limit: Limit = 20
    cursor: Annotated[str | None, Field(pattern=JOB_ID, description="`next_cursor` of the page before")] = (
        None
    )


class RebuildRequest(Body):
    """Days to count anew, both included, UTC."""

    model_config = ConfigDict(json_schema_extra={"examples": [REBUILD_EXAMPLE]})
    # Not strict: JSON has no type for days.
    first_day: Annotated[date, Field(strict=False, description="as 2026-03-01")]
    last_day: Annotated[date, Field(strict=False, description="included; at most 4000 days after the first")]
