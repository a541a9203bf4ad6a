"""One tree of errors. A code is stable, a message is a sentence for a person, and nothing here knows HTTP.

FairLensError
├── MalformedInput (ValueError)       could not be read at all: not JSON, not UTF-8
├── InvalidInput (ValueError)         was read, but a field is not as expected
│   └── UnsupportedMedia              a type of file or body that is not taken
├── TooLarge (ValueError)             beyond a size that a setting names
├── NotAuthenticated (PermissionError) no token, or one that is not valid
├── NotAllowed (PermissionError)      a valid token without the right
├── NotFound (LookupError)            no such record, model, user, key, anchor
├── Conflict (ValueError)             there already, or changed meanwhile
├── RateLimited (RuntimeError)        too many calls; says when to come back
├── NotDelivered (RuntimeError)       a receiver did not take what was sent to it
├── Unavailable (RuntimeError)        database, disk or a service is away; says when to come back
├── TamperedArtefact (RuntimeError)   bytes that do not have the digest that was registered
└── ConfigurationError (ValueError)   a setting that stops the start
"""

from collections.abc import Mapping
from typing import Any


class FairLensError(Exception):
    """The root: `message` for a person, `details` for a program, `code` that never changes."""

    code = "error"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details


class MalformedInput(FairLensError, ValueError):
    """The bytes could not be read as what they claim to be."""

    code = "malformed_input"


class InvalidInput(FairLensError, ValueError):
    """A field is not as expected.

    Parameters
    ----------
    message : a sentence that names the field, what came and what was expected
    field : dotted path of the field, as the caller typed it
    got : what came (never a whole row, never personal data)
    expected : what would have been taken
    problems : further fields of the same input, each a mapping of field, message, got, expected

    Examples
    --------
    >>> error = InvalidInput("n_samples is 0, at least 1 was expected", field="n_samples", got=0, expected="at least 1")
    >>> error.code, error.details["field"]
    ('invalid_input', 'n_samples')
    """

    code = "invalid_input"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        got: Any = None,
        expected: str | None = None,
        problems: list[Mapping[str, Any]] | None = None,
    ) -> None:
        details: dict[str, Any] = {"field": field, "got": got, "expected": expected}
        if problems:
            details["problems"] = [dict(problem) for problem in problems]
        super().__init__(message, **details)


class UnsupportedMedia(InvalidInput):
    """A type of body or file that is not taken here."""

    code = "unsupported_media"


class TooLarge(FairLensError, ValueError):
    """Larger than a setting allows; the message names the setting."""

    code = "too_large"


class NotAuthenticated(FairLensError, PermissionError):
    """No token or key, or one that is expired, altered, revoked or of the wrong type."""

    code = "not_authenticated"


class NotAllowed(FairLensError, PermissionError):
    """A valid token or key whose role or scope does not reach."""

    code = "not_allowed"


class NotFound(FairLensError, LookupError):
    """No such thing in the caller's tenant."""

    code = "not_found"


class Conflict(FairLensError, ValueError):
    """There already, or changed meanwhile."""

    code = "conflict"


class RateLimited(FairLensError, RuntimeError):
    """Too many calls.

    Parameters
    ----------
    retry_after_s : whole seconds until the next call can succeed
    """

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after_s: int, **details: Any) -> None:
        super().__init__(message, retry_after_s=retry_after_s, **details)
        self.retry_after_s = retry_after_s


class NotDelivered(FairLensError, RuntimeError):
    """A receiver outside did not take what was sent to it; `details` say what it answered."""

    code = "not_delivered"


class Unavailable(FairLensError, RuntimeError):
    """Something that is needed is away or full. Nothing was written.

    Parameters
    ----------
    retry_after_s : whole seconds after which another try makes sense
    """

    code = "unavailable"

    def __init__(self, message: str, *, retry_after_s: int = 5, **details: Any) -> None:
        super().__init__(message, retry_after_s=retry_after_s, **details)
        self.retry_after_s = retry_after_s


class TamperedArtefact(FairLensError, RuntimeError):
    """A model's file does not have the digest that was registered. It was not loaded."""

    code = "tampered_artefact"


class ConfigurationError(FairLensError, ValueError):
    """A setting that stops the start, with how to set it right."""

    code = "configuration_error"
