"""Values of a caller as JSON values, without importing the libraries that they come from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from sys import getsizeof
from typing import Any
from uuid import UUID

SCALARS = frozenset({str, int, float, bool, type(None)})
MAX_DEPTH = 16
KEY_BYTES = 64  # a short name of its own, as a parsed request has; shared ones cost less
MAX_DIGITS = 308  # what a double can hold; a longer integer is a mistake, and slow to print


class NotPlain(ValueError):
    """A value that JSON cannot carry; `path` says where it stands, the value itself is not repeated."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path


Unfit = Callable[[str, str], None]
"""Told the path and the reason of a value that JSON cannot carry; never the value."""


def as_null(path: str, reason: str) -> None:
    """Let it become null."""


def refuse(path: str, reason: str) -> None:
    """Raise it to the caller."""
    raise NotPlain(path, reason)


def _is_missing(value: Any) -> bool:
    """NaN, NaT and pandas.NA are not equal to themselves; NA refuses to say so."""
    try:
        return bool(value != value)
    except (TypeError, ValueError):
        return type(value).__name__ == "NAType"


def plain(value: Any, path: str = "value", unfit: Unfit = as_null, depth: int = 0) -> Any:
    """The JSON value of `value`: numpy scalars and arrays, dates, decimals, enums, sets and nested values included.

    Returns
    -------
    str, int, float, bool, None, list or dict
        What JSON cannot carry (NaN, NaT, pandas.NA, infinity, foreign objects) is told to `unfit` and becomes
        None: a lost feature costs less than a lost decision.

    Raises
    ------
    NotPlain
        Nested deeper than 16; or whatever `unfit` raises.

    Examples
    --------
    >>> plain({"age": Decimal("41"), "tags": {"a"}, "at": datetime(2026, 1, 2, tzinfo=timezone.utc)})
    {'age': 41.0, 'tags': ['a'], 'at': '2026-01-02T00:00:00+00:00'}
    >>> plain(float("nan")) is None
    True
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if isinstance(value, Enum):
        return plain(value.value, path, unfit, depth)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        if value.bit_length() > MAX_DIGITS * 3.33:
            return unfit(path, f"an integer of over {MAX_DIGITS} digits")
        return int(value)
    if isinstance(value, (float, Decimal)):
        number = float(value)
        return number if math.isfinite(number) else unfit(path, f"{number} is no JSON number")
    if depth >= MAX_DEPTH:
        raise NotPlain(path, f"nested deeper than {MAX_DEPTH}")
    return _plain_other(value, path, unfit, depth)


def _plain_other(value: Any, path: str, unfit: Unfit, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {str(key): plain(one, f"{path}.{key}", unfit, depth + 1) for key, one in value.items()}
    if isinstance(value, (list, tuple, AbstractSet)):
        return [plain(one, f"{path}[{i}]", unfit, depth + 1) for i, one in enumerate(value)]
    if isinstance(value, date):
        if _is_missing(value):  # NaT calls itself a datetime
            return unfit(path, "NaT is no instant")
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    listed = getattr(value, "tolist", None)  # numpy: an array becomes a list, a scalar a scalar
    if callable(listed):
        return plain(listed(), path, unfit, depth + 1)
    item = getattr(value, "item", None)  # tensors
    if callable(item):
        return plain(item(), path, unfit, depth + 1)
    if _is_missing(value):
        return unfit(path, "a missing value is None")
    return unfit(path, f"JSON cannot carry a {type(value).__name__}")


_IMMUTABLE = (str, int, float, Decimal, date, UUID, Enum)


def copied(values: Mapping[Any, Any], path: str, unfit: Unfit | None = None) -> tuple[dict[Any, Any], int]:
    """A copy that the caller's later changes do not reach, and about how many bytes it holds.

    Flat values are shared, nested ones are made plain now: they may change before they are sent. With `unfit` every
    value is looked at now.

    Examples
    --------
    >>> copied({"age": 41, "scores": (1, 2)}, "features")[0]
    {'age': 41, 'scores': [1, 2]}
    """
    mine = dict(values)
    if unfit is not None:
        mine = plain(mine, path, unfit)
    elif SCALARS.issuperset(map(type, mine.values())):
        return mine, getsizeof(mine) + KEY_BYTES * len(mine) + sum(map(getsizeof, mine.values()))
    for key, value in mine.items():
        # A numpy scalar has a shape without axes and cannot change; converting it can wait.
        if isinstance(value, _IMMUTABLE) or value is None:
            continue
        if getattr(value, "shape", None) == () and not hasattr(value, "__setitem__"):
            continue
        mine[key] = plain(value, path)
    return mine, getsizeof(mine) + KEY_BYTES * len(mine) + _deep_weight(list(mine.values()))


def _deep_weight(value: Any) -> int:
    parts = [*value, *value.values()] if type(value) is dict else value
    total = 0
    for part in parts:
        total += getsizeof(part)
        if type(part) is list or type(part) is dict:
            total += _deep_weight(part)
    return total


@lru_cache(maxsize=64)
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def iso_instant(ns: int) -> str:
    """ISO 8601 in UTC to the microsecond.

    Examples
    --------
    >>> iso_instant(1_700_000_000_123_456_000)
    '2023-11-14T22:13:20.123456Z'
    """
    second, rest = divmod(ns, 1_000_000_000)
    return f"{_second_text(second)}.{rest // 1000:06d}Z"


def instant_text(given: Any, strict: bool = False) -> str | None:
    """A caller's timestamp as ISO 8601 in UTC; a naive datetime is UTC, a number is seconds since 1970.

    Examples
    --------
    >>> instant_text(datetime(2026, 1, 2))
    '2026-01-02T00:00:00.000000Z'
    """
    if isinstance(given, str):
        return given
    try:
        if isinstance(given, datetime):
            aware = given if given.tzinfo is not None else given.replace(tzinfo=timezone.utc)
            return aware.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if isinstance(given, (int, float)) and not isinstance(given, bool):
            return iso_instant(int(given * 1_000_000_000))
    except (ValueError, OverflowError, OSError) as error:
        if strict:
            raise NotPlain("timestamp", "no instant between the years 1 and 9999") from error
        return None
    if strict:
        raise NotPlain("timestamp", f"a datetime, ISO text or seconds, not a {type(given).__name__}")
    return None


def scalar(value: Any, path: str) -> Any:
    """A label: text, a number or a truth value.

    Raises
    ------
    NotPlain
        None, NaN, or anything else.

    Examples
    --------
    >>> scalar(Decimal("1"), "label")
    1.0
    """
    item = getattr(value, "item", None)
    if callable(item):
        value = item()  # an array of one value is what predict([x]) returns; a longer one raises
    value = plain(value, path, refuse)
    if value is None or isinstance(value, (list, dict)):
        raise NotPlain(path, "text, a number or a truth value")
    return value


def number(value: Any, path: str, strict: bool) -> float | None:
    """A score or a threshold; what is none is None, or raises when `strict`."""
    if type(value) is float and math.isfinite(value):
        return value
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if math.isfinite(found):
        return found
    if strict:
        raise NotPlain(path, "a finite number")
    return None
