"""What a compliance report is asked with."""

from datetime import date
from typing import Annotated, Literal

from pydantic import Field

from fairlens_backend.schemas._base import PathPart, Query
from fairlens_backend.schemas.checks import ModelName


class ReportPath(PathPart):
    """A model's name."""

    model_id: ModelName


class ReportQuery(Query):
    """The days a report is of, and its form."""

    start_date: Annotated[date, Field(description="the first day, in UTC: 2026-01-01")]
    end_date: Annotated[date, Field(description="the last day, included, in UTC; not later than today")]
    format: Literal["pdf", "html", "json"] = Field("json", description="json is the data of the other two")
