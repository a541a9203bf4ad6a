"""Digits that machines write, in which numbers of persons would be seen: dates, times, fractions, UUIDs, digests."""

import re
from typing import Final

_MACHINE: Final = re.compile(
    r"(?<![\d+(])(?<!\d[-/.])(?:"
    r"(?:19|20)\d\d([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12]\d|3[01])(?!\d|[-/.]\d)"
    r"(?:[T ][0-2]\d:[0-5]\d(?::[0-6]\d(?:[.,]\d{1,9})?)?(?:[+-][01]\d:?[0-5]\d(?!\d))?)?"
    r"|(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|[12]\d|3[01])\2(?:19|20)\d\d(?![-/.]?\d))"
    r"|(?<![\w.+-])-?0\.\d{5,}(?![\d.])"
    r"|(?<![0-9A-Fa-f-])[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f-])"
    r"|(?<![0-9A-Za-z])(?=[0-9]{0,31}[A-Fa-f])[0-9A-Fa-f]{32,128}(?![0-9A-Za-z])"
)


def without_machine_values(text: str) -> str:
    """The text with dates, times, fractions, UUIDs and digests made unreadable, in place."""
    return _MACHINE.sub(lambda match: "\x00" * len(match[0]), text)


def is_machine_value(text: str) -> bool:
    """Whether a text is one date, time, fraction, UUID or digest and nothing else."""
    return _MACHINE.fullmatch(text) is not None
