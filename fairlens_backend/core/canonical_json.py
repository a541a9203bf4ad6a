"""Canonical JSON (RFC 8785): the one spelling of a value, whose bytes are hashed."""

import json
from typing import Any, Final

import rfc8785

from fairlens_backend.errors import InvalidInput

__all__ = ["canonical_json"]

MAX_SAFE_INTEGER: Final = 2**53 - 1
_LEAST_PLAIN: Final = 1e-4
_MOST_PLAIN: Final = 1e15
"""the fractions that Python and ECMAScript spell in the same way"""
_ENCODE: Final = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False
).encode


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value: keys sorted, no spaces, numbers as ECMAScript writes them, UTF-8.

    Raises
    ------
    InvalidInput : NaN, infinity, an integer beyond ±(2⁵³ − 1), a key that is no text, or a type JSON lacks

    Examples
    --------
    >>> canonical_json({"b": 1.0, "a": [1e21, None, "é"]}).decode()
    '{"a":[1e+21,null,"é"],"b":1}'

    Source: RFC 8785, JSON Canonicalization Scheme.
    """
    try:
        # The standard library's encoder is eight times as fast, and spells what has no fractions in the same way.
        return _ENCODE(value).encode() if _is_plain(value) else _spell(value).encode()
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise InvalidInput(f"The record has no canonical JSON: {error}", expected="JSON") from error


def _is_plain(value: Any) -> bool:
    """Whether it is made of text, safe integers, truth values, null, and objects whose keys sort alike everywhere."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER)
    if kind is dict:
        # Beyond ASCII the order of code points is not that of UTF-16 units, by which RFC 8785 sorts.
        for key, item in value.items():
            if type(key) is not str or not key.isascii() or not _is_plain(item):
                return False
        return True
    return (kind is list or kind is tuple) and all(map(_is_plain, value))


def _spell(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return _ENCODE(value)
    if kind is float and _LEAST_PLAIN <= abs(value) < _MOST_PLAIN and not value.is_integer():
        return repr(
            value
        )  # both write the shortest digits that give the number back, and here without exponent
    if kind is dict and all(type(key) is str for key in value):
        # RFC 8785 section 3.2.3: keys are sorted by their UTF-16 code units.
        ascii_keys = all(map(str.isascii, value))
        names = sorted(value) if ascii_keys else sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join([f"{_ENCODE(name)}:{_spell(value[name])}" for name in names]) + "}"
    if kind is list or kind is tuple:
        return "[" + ",".join(map(_spell, value)) + "]"
    return rfc8785.dumps(value).decode()
