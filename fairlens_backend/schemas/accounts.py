"""What logging in and the administration of users and keys are asked with, and what they answer."""

from typing import Annotated, Literal

from pydantic import Field

from fairlens_backend.schemas._base import Body, Envelope, PathPart

RoleName = Literal["monitor", "auditor", "admin"]
# Wider than what a new name may be: whoever has an account may log in to it. The desks check new names and passwords.
TypedName = Annotated[str, Field(min_length=1, max_length=200)]
TypedPassword = Annotated[str, Field(min_length=1, max_length=1024)]


class LoginRequest(Body):
    """A name and its password."""

    username: TypedName
    password: TypedPassword


class RefreshRequest(Body):
    """A refresh token, used up by the call."""

    refresh_token: Annotated[str, Field(min_length=1, max_length=4096)]


class NewUser(Body):
    """A user to make."""

    username: Annotated[TypedName, Field(description="1 to 100 letters, digits and . _ @ + -")]
    password: Annotated[str, Field(description="at least 12 characters, at most 1024 bytes")]
    role: RoleName
    tenant: Annotated[
        str | None,
        Field(max_length=200, description="your own when left out; another one only for the operator"),
    ] = None


class NewApiKey(Body):
    """An API key to make."""

    name: Annotated[str, Field(min_length=1, max_length=100, description="what the key is for, in words")]
    scope: Annotated[
        Literal["submit", "ingest", "attributes", "metrics"],
        Field(
            description="submit: send data sets of predictions; ingest: send single decisions and their labels;"
            " attributes: supply protected attributes of decisions; metrics: read the figures for Prometheus"
        ),
    ]


class UserPath(PathPart):
    """A user's name in a path."""

    username: TypedName


class ApiKeyPath(PathPart):
    """A key's number in a path."""

    id: Annotated[int, Field(ge=1, le=2**63 - 1)]


class Tokens(Body):
    """What a login gives."""

    access_token: str
    refresh_token: str
    expires_in: Annotated[int, Field(description="seconds the access token lives")]
    token_type: Literal["Bearer"]
    role: RoleName


class ShownUser(Body):
    """A user, without the password's hash."""

    username: str
    role: RoleName
    tenant: str
    created_at: str
    locked_until: Annotated[str | None, Field(description="null unless failed logins lock the account now")]


class ShownApiKey(Body):
    """A key, without the key."""

    id: int
    name: str
    prefix: Annotated[str, Field(description="the public part, after fl_")]
    scope: str
    created_by: str
    created_at: str
    last_used_at: Annotated[str | None, Field(description="to the minute")]
    revoked_at: str | None


class MadeApiKey(ShownApiKey):
    """A key at the one time that it is shown."""

    key: Annotated[str, Field(description="the header X-Api-Key; shown this once")]


class UserPage(Body):
    """One page of users."""

    items: list[ShownUser]
    next_cursor: str | None


class ApiKeyPage(Body):
    """One page of keys."""

    items: list[ShownApiKey]
    next_cursor: str | None


class DeletedUser(Body):
    """A user that is gone."""

    username: str
    deleted: bool


class RotatedKey(Body):
    """A new encryption key is in use."""

    rotated: bool
    reencrypted: Annotated[int, Field(description="texts encrypted again with the new key until now")]
    job_id: Annotated[str, Field(description="the job that encrypts the rest: GET /v1/jobs/{id}")]


class AcknowledgedDamage(Body):
    """What an operator has looked into."""

    damage: Annotated[str | None, Field(description="what was found until now; null when nothing was")]
    remains: Annotated[
        str | None,
        Field(description="what is still found: records that are gone, until the next one is written"),
    ]


class TokensAnswer(Envelope):
    """Tokens in the envelope."""

    data: Tokens


class UserAnswer(Envelope):
    """A user in the envelope."""

    data: ShownUser


class UserPageAnswer(Envelope):
    """A page of users in the envelope."""

    data: UserPage


class DeletedUserAnswer(Envelope):
    """A deleted user in the envelope."""

    data: DeletedUser


class ApiKeyAnswer(Envelope):
    """A key in the envelope."""

    data: ShownApiKey


class MadeApiKeyAnswer(Envelope):
    """A key at the one time that it is shown, in the envelope."""

    data: MadeApiKey


class ApiKeyPageAnswer(Envelope):
    """A page of keys in the envelope."""

    data: ApiKeyPage


class RotatedKeyAnswer(Envelope):
    """A rotation in the envelope."""

    data: RotatedKey


class AcknowledgedDamageAnswer(Envelope):
    """An acknowledgement in the envelope."""

    data: AcknowledgedDamage
