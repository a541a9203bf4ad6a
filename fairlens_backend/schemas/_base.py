"""What every request model shares: unknown fields are refused, bodies are typed strictly, queries arrive as text."""

from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Limit = Annotated[int, Field(ge=1, le=100, description="how many to give, 1 to 100")]
Cursor = Annotated[str | None, Field(max_length=200, description="`next_cursor` of the page before")]
# Labels of groups and decisions: what JSON calls a scalar.
Label = Annotated[str, Field(max_length=1000)] | int | float | bool

# Decisions are counted from 1970 on; far before it a time cannot be reckoned with.
Moment = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC))]

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
NO_NUL = r"^[^\x00]*$"  # PostgreSQL keeps no text with a NUL
NO_CONTROL = r"^[^\x00-\x1f\x7f-\x9f]*$"  # what `event_problems.control_characters` asks of an event's id
JOB_ID = r"^job_[0-9a-f]{24}$"
MAIL_ADDRESS_PATTERN = r"^[^\s@<>,;:\"()\[\]\\]{1,64}@[A-Za-z0-9.-]{1,253}$"
HOST_PATTERN = r"^[A-Za-z0-9.:_-]{1,253}$"
ROUTING_KEY_PATTERN = r"^[A-Za-z0-9]{32}$"
WEB_ADDRESS_PATTERN = r"^https?://[^\s\x00]+$"
PATTERNS_IN_WORDS = {
    MAIL_ADDRESS_PATTERN: "the characters of one e-mail address and nothing else",
    HOST_PATTERN: "the letters, digits, dots and dashes of a host's name",
    ROUTING_KEY_PATTERN: "32 letters and digits",
    WEB_ADDRESS_PATTERN: "https:// or http:// and an address without spaces",
    JOB_ID: "the id of a job, job_ and 24 digits or letters a to f",
    NO_NUL: "text without a NUL character, which no database keeps",
    NO_CONTROL: "text without control characters",
    NAME_PATTERN: "1 to 100 letters, digits, dots, dashes or underscores, the first a letter or digit",
}
"""What a pattern asks for, for the person whose text does not match it."""


class Body(BaseModel):
    """A JSON body: `"5"` is not a number and `false` is not 0.0."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Query(BaseModel):
    """A query string: every value arrives as text and is converted."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class PathPart(BaseModel):
    """Variables in a path."""

    model_config = ConfigDict(extra="forbid")


class PageQuery(Query):
    """The two parameters of every list."""

    limit: Limit = 20
    cursor: Cursor = None


class EnvelopeError(BaseModel):
    """What went wrong, for a program."""

    code: str
    details: dict[str, Any]


class Envelope(BaseModel):
    """The shape of every JSON answer."""

    status: str
    data: Any = None
    message: str
    error: EnvelopeError | None = None
    request_id: str
    timestamp: str

    @classmethod
    def model_json_schema(cls, *given: Any, **named: Any) -> dict[str, Any]:
        """The schema of the answer; the same object every time, so not to be changed."""
        return _schema_of(cls, given, tuple(named.items()))


@cache  # each route lists it under ten statuses: made anew for each it was a third of the time a server takes to start
def _schema_of(
    answer: type[Envelope], given: tuple[Any, ...], named: tuple[tuple[str, Any], ...]
) -> dict[str, Any]:
    return super(Envelope, answer).model_json_schema(*given, **dict(named))
