"""What a tenant says of personal data, and what the estimates by proxy are asked with."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from fairlens_backend.schemas._base import NO_NUL, Body, Query
from fairlens_backend.schemas.audits import MAX_WINDOW_HOURS
from fairlens_backend.schemas.checks import ColumnName

FieldName = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
FieldNames = Annotated[list[FieldName], Field(max_length=20)]

PRIVACY_EXAMPLE: dict[str, Any] = {
    "proxies": {"gender": True},
    "personal_fields": {"applicant": "name", "internal_note": "other"},
    "store_features": True,
}


class ProxySwitches(Body):
    """Which proxies are used where a protected attribute is absent; left out: as it is."""

    gender: bool | None = Field(None, description="by first name")
    race: bool | None = Field(None, description="race and ethnicity by surname and ZIP code (BISG)")
    income_bracket: bool | None = Field(None, description="by ZIP code")


class ProxyFields(Body):
    """Which fields of an event hold what proxies are read from; the first one that is there counts."""

    first_name: FieldNames | None = None
    surname: FieldNames | None = None
    zip: FieldNames | None = None


class PrivacyRequest(Body):
    """What to do with personal data; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [PRIVACY_EXAMPLE]})

    proxies: ProxySwitches | None = None
    fields: ProxyFields | None = None
    personal_fields: Annotated[dict[FieldName, str], Field(max_length=500)] | None = Field(
        None,
        description="further fields whose whole value becomes a token: {field: email, phone, ssn, card, ip, name or other};"
        " keep: no personal data. In the place of the former ones",
    )
    store_features: bool | None = Field(
        None, description="whether features and tags are kept (tokenised); false: the counts and cells alone"
    )


class ProxyEstimatesQuery(Query):
    """What do proxies estimate of a window?"""

    attribute: ColumnName | None = Field(None, description="left out: every one with proxies in the window")
    window_hours: Annotated[float, Field(gt=0, le=MAX_WINDOW_HOURS)] = 24
    version: Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)] | None = None
    reference: Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)] | None = Field(
        None, description="the reference group; left out: the one with the highest estimated selection rate"
    )
