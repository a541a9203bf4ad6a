"""What is wrong with a body of events, told without what came: a name of a field or a value may be a person's."""

import re
from typing import Final, get_args

import msgspec

from fairlens_backend.errors import InvalidInput, MalformedInput
from fairlens_backend.schemas.events import NOT_BLANK, UseCase

_PLACE: Final = re.compile(r" - at `\$(?:\[\d+\])?\.?(.*?)`\Z")
_TOLD: Final = re.compile(
    r"(?:features\.|demographic_tags\.|attributes\.)?[a-z_][a-z_]{0,40}[A-Za-z_]{0,20}[0-9]{0,4}"
)
_CAME: Final = re.compile(r"(unknown field|enum value) [`'].*[`']")


def malformed(error: Exception) -> MalformedInput:
    """The refusal of bytes that are no JSON."""
    said = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    said = "it is nested too deeply" if isinstance(error, RecursionError) else said
    return MalformedInput(f"The body is not JSON: {said}.", expected="JSON")


def shown(path: str) -> str:
    """A path that may be told: the name of a column may be a person's."""
    return path if _TOLD.fullmatch(path) else f"a column of {path.split('.', maxsplit=1)[0]}"


def problem_of(error: msgspec.ValidationError) -> dict[str, str]:
    """Where and what, without what came: a name of a field or a value may be a person's."""
    text = str(error)
    place = _PLACE.search(text)
    said = _CAME.sub(r"\1", _PLACE.sub("", text))
    if f"matching regex {NOT_BLANK!r}" in said:
        said = "Expected text that is more than blanks"
    elif "matching regex" in said:
        said = "Expected 1 to 100 letters, digits, dots, dashes or underscores, the first a letter or digit"
    if "enum value" in said:  # only of this field
        said = f"Expected one of {', '.join(get_args(UseCase))}"
    return {"field": place[1] if place and place[1] else "event", "message": said}


def invalid(error: msgspec.ValidationError) -> InvalidInput:
    """The refusal of a whole body, by its first problem."""
    problem = problem_of(error)
    return InvalidInput(
        f"{problem['field']}: {problem['message']}.", field=problem["field"], expected=problem["message"]
    )
