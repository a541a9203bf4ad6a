"""What pydantic found wrong with a request, in sentences for a person."""

import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ValidationError

from fairlens_backend.schemas._base import PATTERNS_IN_WORDS
from fairlens_backend.schemas.alerts import ChannelName

MAX_ECHO = 80
SECRET_FIELDS = ("password", "refresh_token", "token", "secret", "key", "routing_key", "url")
_TAGGED = "target"  # the one object of several kinds: pydantic puts the chosen kind behind the field's name
_KINDS = get_args(ChannelName)
_BRANCHES = ("constrained-str", "str", "int", "float", "bool")  # pydantic names the members of `Label` so
_PATTERN = "string_pattern_mismatch"
_ONE_THING = (
    "text ",
    "the id ",
    "https://",
)  # beginnings of what a pattern asks for that are one thing, and not many characters
_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number of at most 18 digits",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "string_unicode": "a text",
    "list_type": "a list",
    "dict_type": "a JSON object",
    "model_type": "a JSON object",
    "model_attributes_type": "a JSON object",
    "datetime_from_date_parsing": "a time with its zone (2026-03-01T00:00:00Z)",
    "datetime_type": "a time with its zone (2026-03-01T00:00:00Z)",
    "datetime_parsing": "a time with its zone (2026-03-01T00:00:00Z)",
    "date_type": "a day (2026-03-01)",
    "date_parsing": "a day (2026-03-01)",
    "date_from_datetime_parsing": "a day (2026-03-01)",
    "date_from_datetime_inexact": "a day (2026-03-01)",
    "timezone_aware": "a time with its zone (2026-03-01T00:00:00Z)",
}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}
_LENGTHS = {
    "too_short": ("at least", "min_length", "item"),
    "too_long": ("at most", "max_length", "item"),
    "string_too_short": ("at least", "min_length", "character"),
    "string_too_long": ("at most", "max_length", "character"),
}


def problems_of(error: ValidationError) -> list[dict[str, Any]]:
    """Each field that is not as expected, once: its path, what came, what was expected, a sentence.

    Examples
    --------
    >>> from fairlens_backend.schemas.checks import EvaluateRequest
    >>> try:
    ...     EvaluateRequest.model_validate({"n_samples": "5", "mode": "test"})
    ... except ValidationError as error:
    ...     for problem in problems_of(error):
    ...         problem["message"]
    "mode is 'test', 'demo' or 'prod' was expected."
    "n_samples is '5', a whole number was expected."
    """
    by_path: dict[tuple[Any, ...], dict[str, Any]] = {}
    for found in error.errors(include_url=False):
        path = found["loc"]
        if path[:1] == (_TAGGED,) and path[1:2] and path[1] in _KINDS:
            path = (_TAGGED, *path[2:])
        of_label = bool(path) and path[-1] in _BRANCHES
        if of_label:
            path = path[:-1]
        if path in by_path and of_label:
            # Every member of the union refuses for itself; of a text, only its length can be wrong.
            if not isinstance(found["input"], str):
                by_path[path] = _described(path, found, "a text, a number or a truth value")
            continue
        by_path[path] = _problem(path, found)
    return list(by_path.values())


def sentence_of(problems: list[dict[str, Any]]) -> str:
    """The first problem, and how many more there are."""
    first: str = problems[0]["message"]
    more = len(problems) - 1
    if more == 0:
        return first
    return f"{first} {more} more {'field is' if more == 1 else 'fields are'} not as expected."


def _problem(path: tuple[Any, ...], found: Mapping[str, Any]) -> dict[str, Any]:
    kind, value, context = found["type"], found["input"], found.get("ctx", {})
    name = _name(path)
    if kind == "extra_forbidden":
        return _made(name, _echo(path, value), "no such field", f"{name} is not a known field.")
    if kind == "missing":
        return _made(name, None, "a value", f"{name} is missing.")
    if kind in _LENGTHS:
        word, limit, unit = _LENGTHS[kind]
        count = f"{len(value)} {unit}{'' if len(value) == 1 else 's'}"
        expected = f"{word} {context[limit]}"
        return _made(
            name, count, expected, f"{name} has {count}, {expected} {_verb(context[limit])} expected."
        )
    if kind in _BOUNDS:
        word, limit = _BOUNDS[kind]
        bound = context[limit]
        # A whole number as it is: 2^63 - 1 is not 9.22e+18.
        expected = f"{word} {f'{bound:.15g}' if isinstance(bound, float) else bound}"
        return _made(
            name, _echo(path, value), expected, f"{name} is {str(value)[:MAX_ECHO]}, {expected} was expected."
        )
    if kind == _PATTERN:
        expected = PATTERNS_IN_WORDS.get(context["pattern"], f"text of the form {context['pattern']}")
        return _described(path, found, expected, were=not expected.startswith(_ONE_THING))
    if kind == "literal_error":
        choices = context["expected"]
        return _described(path, found, f"one of {choices}" if "," in choices else choices)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        path = (*path, context["discriminator"].strip("'"))
        tag = value.get(path[-1]) if isinstance(value, dict) else None
        choices = context.get("expected_tags")
        if choices is None:
            return _made(_name(path), None, "a value", f"{_name(path)} is missing.")
        return _described(path, {"input": tag}, f"one of {choices}")
    if kind in ("value_error", "assertion_error"):
        expected = str(context.get("error", found["msg"]))
        return _made(name, _echo(path, value), expected, f"{name} {expected}.")
    return _described(path, found, _EXPECTED.get(kind, found["msg"][0].lower() + found["msg"][1:]))


def _described(
    path: tuple[Any, ...], found: Mapping[str, Any], expected: str, *, were: bool = False
) -> dict[str, Any]:
    got = _echo(path, found["input"])
    shown = _shown(got, found["input"])
    # The words of a pattern may end in a clause of their own.
    ending = (", " if ", " in expected and found.get("type") == _PATTERN else " ") + (
        "were" if were else "was"
    )
    return _made(_name(path), got, expected, f"{_name(path)} is {shown}, {expected}{ending} expected.")


def _verb(count: int) -> str:
    return "was" if count == 1 else "were"


def _made(name: str, got: Any, expected: str, message: str) -> dict[str, Any]:
    return {
        "field": "body" if name == "The body" else name,
        "got": got,
        "expected": expected,
        "message": message,
    }


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(str(part)[:MAX_ECHO] for part in path) or "The body"


def _echo(path: tuple[Any, ...], value: Any) -> Any:
    """What came, so far as it may be repeated: never a secret, never the content of a row, never at length."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    secret = bool(path) and str(path[-1]) in SECRET_FIELDS
    if (
        secret
        or (path and path[0] == "rows" and len(path) > 1)
        or not isinstance(value, (str, int, float, bool, type(None)))
    ):
        kinds = {
            str: f"text of {len(value) if isinstance(value, str) else 0} characters",
            bool: "a truth value",
        }
        return kinds.get(
            type(value),
            "null" if value is None else "a number" if isinstance(value, (int, float)) else "something else",
        )
    if isinstance(value, str):
        return value[:MAX_ECHO]
    if isinstance(value, float) and not float("-inf") < value < float("inf"):
        return str(value)
    if isinstance(value, int) and abs(value) >= 2**63:
        return "a number of more than 18 digits"
    return value


def _shown(got: Any, value: Any) -> str:
    """The echo within a sentence: texts in quotes, the rest as JSON writes it."""
    if isinstance(got, str):
        return repr(got) if isinstance(value, str) and value.startswith(got) else got
    return json.dumps(got)
