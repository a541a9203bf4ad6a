"""What erasures are asked for with."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from fairlens_backend.schemas._base import NO_CONTROL, NO_NUL, Body, PageQuery, PathPart

MAX_IDS = 10_000
EventId = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_CONTROL)]
ERASURE_EXAMPLE: dict[str, Any] = {"event_ids": ["application-1041", "application-1042"], "dry_run": True}


class PersonalValue(Body):
    """A personal value as events had it. Neither the field's name nor the text is kept."""

    field: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)] = Field(
        description="the name of the field that it stood in, such as email; it decides how the value is read"
    )
    text: Annotated[str, Field(min_length=1, max_length=1000, pattern=NO_NUL)] | int = Field(
        description="as the events had it; a number where they have one"
    )


class ErasureRequest(Body):
    """Whose raw rows to erase: exactly one of event_ids, token and value."""

    model_config = ConfigDict(json_schema_extra={"examples": [ERASURE_EXAMPLE]})

    event_ids: Annotated[list[EventId], Field(min_length=1, max_length=MAX_IDS)] | None = Field(
        None, description="of the person's events, as they were sent"
    )
    token: Annotated[str, Field(min_length=1, max_length=2100, pattern=NO_NUL)] | None = Field(
        None, description="the token that is kept in the place of a personal value: tok_email_…"
    )
    value: PersonalValue | None = Field(
        None,
        description="a personal value. Every event that holds it is erased: of a name those of all who are called so",
    )
    dry_run: bool = Field(False, description="only look, and say what would be erased")


class ErasuresQuery(PageQuery):
    """A page of erasures."""


class ErasurePath(PathPart):
    """One erasure."""

    id: Annotated[int, Field(ge=1, le=2**63 - 1)]
