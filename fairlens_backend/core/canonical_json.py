"""Canonical JSON (RFC 8785): the one spelling of a value, whose bytes are hashed."""

import json
from typing import Any, Final

import rfc8785

from fairlens_backend.errors import InvalidInput

__all__ = ["canonical_json"]

MAX_SAFE_INTEGER: Final = 2**53 - 1
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
    # The standard library's encoder is eight times as fast and spells what has no fractions in the same way.
    if _is_plain(value):
        try:
            return _ENCODE(value).encode()
        except UnicodeEncodeError:
            pass  # half a surrogate pair: the library below says so
    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as error:
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
