"""What the rotation of keys is asked with, and what it answers."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from fairlens_backend.schemas._base import NO_NUL, Body, Envelope, PathPart

ROTATE_EXAMPLE: dict[str, Any] = {"revoke": False}
Kind = Literal["data", "jwt", "tokens", "ledger", "master"]


class KeyPath(PathPart):
    """Which key."""

    kind: Annotated[
        Kind,
        Field(
            description="data: encrypts alert texts, dead letters and routes' secrets; jwt: signs logins; tokens: makes a"
            " tenant's tokens of personal data; ledger: signs heads; master: wraps the others"
        ),
    ]


class RetiredPath(PathPart):
    """Of which key the older ones are retired."""

    kind: Literal["data", "tokens", "master"]


class _OfTenant(Body):
    tenant: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            pattern=NO_NUL,
            description="tokens: whose; your own when left out",
        ),
    ] = None


class RotateRequest(_OfTenant):
    """How to rotate."""

    model_config = ConfigDict(json_schema_extra={"examples": [ROTATE_EXAMPLE]})
    revoke: Annotated[bool, Field(description="jwt: end every login now, and not when its tokens expire")] = (
        False
    )


class RetireRequest(_OfTenant):
    """Whose older keys to destroy."""


class KeyVersion(Body):
    """A version of a key that is still there."""

    version: int
    created_at: str | None
    ends_at: str | None


class KeyJob(Body):
    """How far the job of a rotation is."""

    job_id: str
    state: str
    progress: float
    error: str | None
    finished_at: str | None


class ShownKey(Body):
    """A key, never the key itself."""

    kind: Kind
    tenant: str
    version: int
    created_at: str | None
    age_days: float | None
    versions: list[KeyVersion]
    outstanding: Annotated[dict[str, int], Field(description="what older keys still made, by name")]
    settled: Annotated[bool, Field(description="whether nothing is outstanding")]
    job: KeyJob | None


class KeyList(Body):
    """All keys that the caller may rotate."""

    items: list[ShownKey]


class KeyListAnswer(Envelope):
    """The keys in the envelope."""

    data: KeyList
