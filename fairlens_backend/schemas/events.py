"""Decisions and labels as they are sent: structs that are read 40,000 a second, and their description for the OpenAPI document."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct
from pydantic import Field

from fairlens_backend.schemas._base import NAME_PATTERN, Body, PageQuery, PathPart

MAX_EVENTS: Final = 500
MAX_COLUMN_EVENTS: Final = 10_000
MAX_ID: Final = 200

UseCase = Literal["hiring", "lending", "healthcare", "criminal_justice", "content_recommendation"]
EventId = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
Value = Annotated[str, Meta(max_length=1000)] | int | float | bool
# An empty text, or one of blanks, is no decision; counted, it would be one against the person.
NOT_BLANK: Final = r"\S"
Decision = Annotated[str, Meta(min_length=1, max_length=1000, pattern=NOT_BLANK)] | int | float | bool
Score = Annotated[float, Meta(ge=0, le=1)] | None
Time = Annotated[datetime, Meta(tz=True)] | float | None


class Prediction(Struct, forbid_unknown_fields=True, gc=False):
    """What the model said."""

    label: Decision
    score: Score = None
    threshold: float | None = None


class SessionContext(Struct, forbid_unknown_fields=True, gc=False):
    """Whose decision it is and what for."""

    tenant_id: str | None = None
    use_case: UseCase | None = None


class PredictionEvent(Struct, forbid_unknown_fields=True):
    """One decision."""

    event_id: EventId
    model_id: Name
    prediction: Prediction
    model_version: Name | None = None
    timestamp: Time = None
    features: dict[str, Any] = {}
    ground_truth: Value | None = None
    demographic_tags: dict[str, Value | None] = {}
    session_context: SessionContext | None = None


class EventTable(Struct, forbid_unknown_fields=True):
    """Decisions of one model as columns of equal length."""

    model_id: Name
    event_id: list[EventId]
    label: list[Decision]
    model_version: Name | None = None
    tenant_id: str | None = None
    use_case: UseCase | None = None
    timestamp: list[Time] | None = None
    score: list[Score] | None = None
    threshold: list[float | None] | None = None
    ground_truth: list[Value | None] | None = None
    features: dict[str, list[Any]] = {}
    demographic_tags: dict[str, list[Value | None]] = {}


class AnyTable(Struct, forbid_unknown_fields=True):
    """An `EventTable` whose single values may be wrong: what is left to read row by row."""

    model_id: Name
    event_id: list[Any]
    label: list[Any]
    model_version: Name | None = None
    tenant_id: str | None = None
    use_case: UseCase | None = None
    timestamp: list[Any] | None = None
    score: list[Any] | None = None
    threshold: list[Any] | None = None
    ground_truth: list[Any] | None = None
    features: dict[str, list[Any]] = {}
    demographic_tags: dict[str, list[Any]] = {}


class LabelItem(Struct, forbid_unknown_fields=True, gc=False):
    """The true outcome of one decision."""

    event_id: EventId
    label: Value


class LabelList(Struct, forbid_unknown_fields=True):
    """Labels, one by one."""

    labels: Annotated[list[LabelItem], Meta(min_length=1, max_length=MAX_EVENTS)]


class LabelTable(Struct, forbid_unknown_fields=True):
    """Labels as two columns."""

    event_id: Annotated[list[EventId], Meta(min_length=1, max_length=MAX_COLUMN_EVENTS)]
    label: Annotated[list[Value], Meta(min_length=1, max_length=MAX_COLUMN_EVENTS)]


class AttributeItem(Struct, forbid_unknown_fields=True, gc=False):
    """The protected attributes of one decision."""

    event_id: EventId
    attributes: Annotated[dict[str, Value | None], Meta(min_length=1, max_length=50)]


class AttributeList(Struct, forbid_unknown_fields=True):
    """Protected attributes, one decision after the other."""

    attributes: Annotated[list[AttributeItem], Meta(min_length=1)]


class AttributeTable(Struct, forbid_unknown_fields=True):
    """Protected attributes as columns."""

    event_id: Annotated[list[EventId], Meta(min_length=1)]
    attributes: Annotated[dict[str, list[Value | None]], Meta(min_length=1, max_length=50)]


EVENT_EXAMPLE: dict[str, Any] = {
    "event_id": "018bcfe5-687b-7800-8000-000000000001",
    "model_id": "hiring",
    "model_version": "v1",
    "timestamp": "2026-03-01T09:30:00Z",
    "prediction": {"label": "yes", "score": 0.81, "threshold": 0.5},
    "demographic_tags": {"sex": "female"},
    "session_context": {"use_case": "hiring"},
}
# Two of the four scores are no probabilities: those two events become dead letters, the others are counted.
EVENT_TABLE_EXAMPLE: dict[str, Any] = {
    "model_id": "hiring",
    "event_id": ["event-1", "event-2", "event-3", "event-4"],
    "timestamp": ["2026-03-01T09:30:00Z", 1772357400.5, "2026-03-01T10:30:01+01:00", 1772357402],
    "label": ["yes", "no", "yes", "no"],
    "score": [0.81, 0.2, 81, 20],
    "features": {"years_employed": [4, 11, 2, 7], "first_name": ["Maria", "John", "Paul", "Anna"]},
    "demographic_tags": {"sex": ["female", None, "male", "female"]},
}
LABELS_EXAMPLE: dict[str, Any] = {"labels": [{"event_id": "event-1", "label": "yes"}]}
ATTRIBUTES_EXAMPLE: dict[str, Any] = {
    "event_id": ["event-1", "event-2"],
    "attributes": {"sex": ["female", "male"]},
}

_KINDS: Final = (PredictionEvent, EventTable, LabelList, LabelTable, AttributeList, AttributeTable)


def openapi_components() -> dict[str, Any]:
    """The structs as schemas of the OpenAPI document, by name."""
    return msgspec.json.schema_components(_KINDS, ref_template="#/components/schemas/{name}")[1]


def openapi_body(kinds: tuple[str, ...], example: Any) -> dict[str, Any]:
    """The description of a body that is one of several structs; `PredictionEvent[]` is a list of them."""
    schemas = [
        {
            "type": "array",
            "maxItems": MAX_EVENTS,
            "items": {"$ref": f"#/components/schemas/{kind.removesuffix('[]')}"},
        }
        if kind.endswith("[]")
        else {"$ref": f"#/components/schemas/{kind}"}
        for kind in kinds
    ]
    content = {"schema": {"oneOf": schemas}, "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


class DeadLettersQuery(PageQuery):
    """A page of dead letters."""


class DeadLetterPath(PathPart):
    """One dead letter."""

    id: Annotated[int, Field(ge=1, le=2**63 - 1)]


class ReplayRequest(Body):
    """The event in its mended form; without one it is tried as it was."""

    event: dict[str, Any] | None = Field(
        None, description="a whole event, in the place of the one that was sent"
    )
