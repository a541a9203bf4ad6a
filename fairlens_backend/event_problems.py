"""What is wrong with a body of events: where, what came and what was expected, but no value, and no name that may be a person's."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

import msgspec

from fairlens_backend.core.enrich.pii_finder import suspicious
from fairlens_backend.errors import InvalidInput, MalformedInput
from fairlens_backend.schemas.events import (
    NOT_BLANK,
    AttributeItem,
    LabelItem,
    Prediction,
    PredictionEvent,
    SessionContext,
    UseCase,
    Value,
)

_PLACE: Final = re.compile(r" - at `\$(?:\[\d+\])?\.?(.*?)`\Z")
_NAME: Final = r"[a-z_][a-z_]{0,40}[A-Za-z_]{0,20}[0-9]{0,4}"
_TOLD: Final = re.compile(rf"(?:features\.|demographic_tags\.|attributes\.)?{_NAME}")
_UNKNOWN: Final = re.compile(r"unknown field [`'](.*)[`']", re.DOTALL)
_CAME: Final = re.compile(r"(unknown field|enum value) [`'].*[`']", re.DOTALL)
_STEP: Final = re.compile(r"\[\.\.\.\]|\[\d+\]|[^.\[\]]+")
_ANY_KEY: Final = "[...]"
_KEYS_TOLD: Final = 5
_EVENT_FIELDS: Final = frozenset(PredictionEvent.__struct_fields__)
_REQUIRED: Final = frozenset({"event_id", "prediction"})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_BYTES: Final = bytes([*range(32), 127])
_FIELDS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "prediction": Prediction,
    "session_context": SessionContext,
    "labels": LabelItem,
    "attributes": AttributeItem,
}


def malformed(error: Exception, expected: str = "JSON") -> MalformedInput:
    """The refusal of bytes that are no JSON, such as one event a line."""
    said = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    said = "it is nested too deeply" if isinstance(error, RecursionError) else said
    said = "it is empty or cut off" if "truncated" in said else said  # msgspec's word for both
    asked = "" if expected == "JSON" else f" Expected was {expected}."
    return MalformedInput(f"The body is not JSON: {said}.{asked}", expected=expected)


def require_event(keys: Mapping[str, msgspec.Raw], forms: str) -> None:
    """Refuse an object that is no event which lacks something, but something else: a list inside an object, as some interfaces
    want it.

    Raises
    ------
    InvalidInput : it has no field of an event; or neither event_id nor prediction, and a list
    """
    has_list = any(bytes(value).lstrip()[:1] == b"[" for value in keys.values())
    if _REQUIRED & keys.keys() or (_EVENT_FIELDS & keys.keys() and not has_list):
        return
    told = [f"`{key}`" for key in keys if re.fullmatch(_NAME, key) and not suspicious(key)][:_KEYS_TOLD]
    what = f"with {', '.join(told)}" if told else "without any field of an event"
    raise InvalidInput(
        f"The body is an object {what}, and has neither event_id nor prediction. Expected was {forms}.",
        field="body",
        got=f"an object {what}",
        expected=forms,
    )


def shown(path: str) -> str:
    """A path that may be told: the name of a column may be a person's."""
    return path if _TOLD.fullmatch(path) else f"a column of {path.split('.', maxsplit=1)[0]}"


def control_characters(ids: Sequence[str]) -> dict[int, str]:
    """Of each id that has one, by its place, what is wrong. The same rule as an erasure's: no database keeps a NUL, and whoever
    erases an event has to be able to write its id.

    >>> control_characters(["e1", "e2" + chr(0), "é"])
    {1: 'Expected text without control characters, got U+0000 as character 3'}
    """
    joined = "".join(ids)  # all in one, since nearly always there is nothing to find
    if joined.isascii() and len(joined.encode().translate(None, _CONTROL_BYTES)) == len(joined):
        return {}
    found = ((i, _CONTROL.search(one)) for i, one in enumerate(ids))
    return {
        i: "Expected text without control characters,"
        f" got U+{ord(there[0]):04X} as character {there.start() + 1}"
        for i, there in found
        if there is not None
    }


def require_ids(ids: Sequence[str], path: str) -> None:
    """Refuse a whole body for an id that no event can have; `path` names the field, with {} for the place."""
    for i, said in control_characters(ids).items():
        field = path.format(i)
        raise InvalidInput(f"{field}: {said}.", field=field, expected="text without control characters")


def problem_of(
    error: msgspec.ValidationError, came: Any = None, kind: type[msgspec.Struct] = PredictionEvent
) -> dict[str, str]:
    """Where and what; of what came its kind and size alone.

    Parameters
    ----------
    came : what was read, from JSON's own types; None where that is not known
    kind : what it should have been
    """
    text = str(error)
    place = _PLACE.search(text)
    path = place[1] if place else ""
    steps = _STEP.findall(path)
    said = _PLACE.sub("", text)
    found = _found(steps, came, "Expected `array`" in said)
    field = _told(steps, found) or "event"
    unknown = _UNKNOWN.search(said)
    if unknown is not None:
        return {"field": field, "message": _stranger(unknown[1], steps, kind)}
    said = _CAME.sub(r"\1", said)
    if f"matching regex {NOT_BLANK!r}" in said:
        said = "Expected text that is more than blanks"
    elif "matching regex" in said:
        said = "Expected 1 to 100 letters, digits, dots, dashes or underscores, the first a letter or digit"
    if "enum value" in said:  # only of this field
        said = f"Expected one of {', '.join(get_args(UseCase))}"
    if came is not None and ", got " not in said and "missing required" not in said:
        said += f", got {_kind_of(_at(came, found))}"
    return {"field": field, "message": said}


def invalid(
    error: msgspec.ValidationError, body: bytes = b"null", kind: type[msgspec.Struct] = PredictionEvent
) -> InvalidInput:
    """The refusal of a whole body, by its first problem."""
    try:
        came = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        came = None
    problem = problem_of(error, came, kind)
    return InvalidInput(
        f"{problem['field']}: {problem['message']}.", field=problem["field"], expected=problem["message"]
    )


def _stranger(key: str, steps: Sequence[str], kind: type[msgspec.Struct]) -> str:
    """A field that there is not, by its name where that is like a field's, and those that there are."""
    inner = [step for step in steps if not step.startswith("[")]
    there = _FIELDS[inner[-1]] if inner and inner[-1] in _FIELDS else kind
    told = (
        f"`{key}`"
        if re.fullmatch(_NAME, key) and not suspicious(key)
        else f"(a name of {len(key)} characters)"
    )
    return f"Object contains unknown field {told}, expected some of {', '.join(there.__struct_fields__)}"


def _told(steps: Sequence[str], found: Sequence[Any]) -> str:
    """A path as it may be told: a name that somebody chose may be a person's."""
    path = ".".join(map(str, found))
    if _ANY_KEY not in steps:
        return path
    at = list(steps).index(_ANY_KEY)
    key = found[at]
    if not isinstance(key, str) or not re.fullmatch(_NAME, key) or suspicious(key):
        return f"a column of {'.'.join(map(str, found[:at]))}"
    return path


def _found(steps: Sequence[str], came: Any, wants_list: bool) -> list[Any]:
    """The steps with the key of a mapping, where it is not told, looked for; None where it is not found."""
    found: list[Any] = []
    for number, step in enumerate(steps):
        if step == _ANY_KEY:
            there = _at(came, found)
            rest = steps[number + 1 :]
            found.append(
                next((key for key, value in _items(there) if _is_wrong(value, rest, wants_list)), None)
            )
        else:
            found.append(int(step[1:-1]) if step.startswith("[") else step)
    return found


def _is_wrong(value: Any, rest: Sequence[str], wants_list: bool) -> bool:
    """Whether a value of a mapping is what the message is about: no list in its place, or no scalar."""
    if rest:
        place = int(rest[0][1:-1])
        return isinstance(value, list) and place < len(value) and not _is_value(value[place])
    return not isinstance(value, list) if wants_list else not _is_value(value)


def _is_value(value: Any) -> bool:
    try:
        msgspec.convert(value, Value | None)
    except msgspec.ValidationError:
        return False
    return True


def _items(there: Any) -> list[tuple[str, Any]]:
    return list(there.items()) if isinstance(there, dict) else []


def _at(came: Any, steps: Sequence[Any]) -> Any:
    """What stands at a path; None where there is none."""
    for step in steps:
        if isinstance(came, dict):
            came = came.get(step)
        elif isinstance(came, list) and isinstance(step, int) and step < len(came):
            came = came[step]
        else:
            return None
    return came


def _kind_of(value: Any) -> str:
    """What came, without its content."""
    if isinstance(value, str):
        return f"text of {len(value)} character{'' if len(value) == 1 else 's'}"
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'an array'} of {len(value)}"
    if isinstance(value, bool) or value is None:
        return "null" if value is None else "a truth value"
    return "a number"
