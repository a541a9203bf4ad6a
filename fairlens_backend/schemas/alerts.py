"""What alerts, their routes and their dead letters are asked with."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field, model_validator

from fairlens_backend.schemas._base import (
    HOST_PATTERN,
    MAIL_ADDRESS_PATTERN,
    NO_NUL,
    ROUTING_KEY_PATTERN,
    WEB_ADDRESS_PATTERN,
    Body,
    PageQuery,
    PathPart,
)
from fairlens_backend.schemas.checks import ModelName

MAX_SILENCE_H = 24 * 366
MAX_RECIPIENTS = 20

AlertSeverity = Literal["CRITICAL", "HIGH", "MEDIUM"]
ChannelName = Literal["slack", "pagerduty", "email", "webhook"]
Reason = Annotated[str, Field(min_length=1, max_length=500, pattern=NO_NUL)]
MailAddress = Annotated[str, Field(pattern=MAIL_ADDRESS_PATTERN, max_length=320)]
Url = Annotated[str, Field(min_length=1, max_length=2000, pattern=WEB_ADDRESS_PATTERN)]

SILENCE_EXAMPLE: dict[str, Any] = {"hours": 8, "reason": "known since Monday, the fix ships tonight"}
RESOLVE_EXAMPLE: dict[str, Any] = {"reason": "went back to version v1"}
ROUTE_EXAMPLE: dict[str, Any] = {
    "name": "fairness on call",
    "severities": ["CRITICAL"],
    "target": {"channel": "pagerduty", "routing_key": "0123456789abcdef0123456789abcdef"},
}
TEST_EXAMPLE: dict[str, Any] = {"channel": "webhook"}


def _moment(value: object) -> object:
    """A JSON body is strict, and JSON has no times: text is read as one, in UTC as it will be kept."""
    if not isinstance(value, str):
        return value
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else found
    except (ValueError, OverflowError):  # in UTC a time at the calendar's end may be beyond it
        return value


class AlertPath(PathPart):
    """An alert's id."""

    id: Annotated[str, Field(min_length=1, max_length=64, pattern=NO_NUL)]


class NumberPath(PathPart):
    """The number of a route or of a dead letter."""

    id: Annotated[int, Field(ge=1, le=2**63 - 1)]


class AlertsQuery(PageQuery):
    """Alerts, newest first."""

    model: ModelName | None = None
    state: Literal["open", "acknowledged", "silenced", "resolved"] | None = None
    severity: AlertSeverity | None = None


class AcknowledgeRequest(Body):
    """I look after it; the body may be left out."""

    model_config = ConfigDict(openapi_extra={"required": False})  # type: ignore[typeddict-unknown-key]

    reason: Reason | None = Field(None, description="a note for the history")

    @model_validator(mode="before")
    @classmethod
    def _absent(cls, given: Any) -> Any:
        return {} if given is None else given


class SilenceRequest(Body):
    """Say nothing for a while; exactly one of `hours` and `until`."""

    model_config = ConfigDict(json_schema_extra={"examples": [SILENCE_EXAMPLE]})

    hours: Annotated[float, Field(gt=0, le=MAX_SILENCE_H)] | None = None
    until: Annotated[AwareDatetime, BeforeValidator(_moment)] | None = None
    reason: Reason

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.hours is None) == (self.until is None):
            raise ValueError("must have one of hours and until, and not both")
        return self


class ReasonRequest(Body):
    """Why an alert is closed, or opened again."""

    model_config = ConfigDict(json_schema_extra={"examples": [RESOLVE_EXAMPLE]})

    reason: Reason


class SlackTarget(Body):
    """An incoming webhook of Slack."""

    channel: Literal["slack"]
    url: Url


class PagerDutyTarget(Body):
    """A service of PagerDuty."""

    channel: Literal["pagerduty"]
    routing_key: Annotated[str, Field(pattern=ROUTING_KEY_PATTERN)] = Field(description="its integration key")


class SmtpServer(Body):
    """A mail server of this route's own."""

    host: Annotated[str, Field(pattern=HOST_PATTERN)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: Annotated[str, Field(max_length=200, pattern=NO_NUL)] = ""
    password: Annotated[str, Field(max_length=500, pattern=NO_NUL)] = ""
    sender: MailAddress

    @model_validator(mode="after")
    def _no_open_password(self) -> Self:
        if self.security == "none" and self.username:
            raise ValueError("would send its password in the clear; security starttls or tls was expected")
        return self


class EmailTarget(Body):
    """People's addresses."""

    channel: Literal["email"]
    to: list[MailAddress] = Field(min_length=1, max_length=MAX_RECIPIENTS)
    smtp: SmtpServer | None = Field(None, description="left out: the mail server of the settings")


class WebhookTarget(Body):
    """A receiver of signed JSON."""

    channel: Literal["webhook"]
    url: Url
    secret: Annotated[str, Field(min_length=16, max_length=500, pattern=NO_NUL)]


RouteTarget = Annotated[
    SlackTarget | PagerDutyTarget | EmailTarget | WebhookTarget, Field(discriminator="channel")
]
Severities = Annotated[list[AlertSeverity], Field(min_length=1, max_length=3)]
Models = Annotated[list[ModelName], Field(max_length=100)]
RouteName = Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)]


class NewRoute(Body):
    """Alerts of these severities and models go to this target."""

    model_config = ConfigDict(json_schema_extra={"examples": [ROUTE_EXAMPLE]})

    name: RouteName
    severities: Severities = ["CRITICAL", "HIGH"]  # noqa: RUF012 — pydantic copies it
    models: Models = Field(default_factory=list, description="empty: all models")
    enabled: bool = True
    target: RouteTarget = Field(description="kept encrypted and never shown again")


class RouteChange(Body):
    """What is left out stays as it is; something must be named."""

    name: RouteName | None = None
    severities: Severities | None = None
    models: Models | None = None
    enabled: bool | None = None
    target: RouteTarget | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if all(value is None for _, value in self):
            raise ValueError(f"must name what to change: one or more of {', '.join(type(self).model_fields)}")
        return self


class AlertTestRequest(Body):
    """Send a test message by a route, or by a channel of the settings."""

    model_config = ConfigDict(json_schema_extra={"examples": [TEST_EXAMPLE]})

    channel: ChannelName | None = None
    route_id: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.channel is None) == (self.route_id is None):
            raise ValueError("must have one of channel and route_id, and not both")
        return self
