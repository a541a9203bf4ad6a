"""Which rows of a table hold nothing personal, found by its columns: values that come again are looked at once.

The rows that remain go through `PiiTokeniser.tokenise` one by one; what that would leave as it is, is left here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairlens_backend.core.enrich.pii_finder import suspicious
from fairlens_backend.core.enrich.pii_tokens import KEEP, PiiTokeniser
from fairlens_backend.core.enrich.pii_walk import Rule

MAX_REMEMBERED: Final = 50_000
MAX_TEXT: Final = 2_000
"""Longer texts are not remembered, and their rows go the long way."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Neither an address nor a name nor as many digits as a number of a person: what most ids look like beside UUIDs.
_PLAIN_ID: Final = re.compile(r"[A-Za-z_:.#/-]{0,40}[0-9]{0,6}(?:[A-Za-z_:#/-][0-9]{0,2})?")
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_PLAIN: Final = frozenset({bool, type(None)})
_LARGEST_INT: Final = 1_000_000_000
_LARGEST_FLOAT: Final = 1e12

Columns = Mapping[str, Sequence[Any]]


class ColumnScanner:
    """Looks through tables of one tenant; one per `PiiTokeniser`, which decides what is personal.

    Examples
    --------
    >>> scanner = ColumnScanner(PiiTokeniser(bytes(32)))
    >>> table = {"note": ["paid", "ring 212-555-0123", "paid"], "age": [41, 42, 43], "first_name": ["", "", "Ann"]}
    >>> sorted(scanner.to_look_at(table, 3))
    [1, 2]
    """

    def __init__(self, tokeniser: PiiTokeniser) -> None:
        self._tokeniser = tokeniser
        self._clean: set[str] = set()

    def to_look_at(self, columns: Columns, n: int) -> set[int]:
        """The rows, of n, that hold or may hold something personal."""
        found: set[int] = set()
        texts: set[str] = set()
        for name, column in columns.items():
            rule = self._tokeniser.known_rules.get(name) or self._tokeniser.rule(name)
            if rule is None:
                return set(range(n))
            if rule.kind != KEEP:
                self._look_at(column, rule, found, texts)
            if len(found) == n:
                return found
        new = texts - self._clean
        if new:
            dirty = self._dirty(new)
            if dirty:
                for column in columns.values():
                    found.update(i for i, value in enumerate(column) if type(value) is str and value in dirty)
        return found

    def ids_to_look_at(self, ids: Sequence[str]) -> set[int]:
        """The places of ids that are neither UUIDs nor short words with a few digits, and hold or may hold something personal."""
        uuid, simple = _UUID.fullmatch, _PLAIN_ID.fullmatch
        unlike = [
            i for i, one in enumerate(ids) if uuid(one) is None and (simple(one) is None or "ame" in one)
        ]
        if not unlike or not suspicious("\n".join([ids[i] for i in unlike])):
            return set()
        return {i for i in unlike if suspicious(ids[i])}

    def _look_at(self, column: Sequence[Any], rule: Rule, found: set[int], texts: set[str]) -> None:
        """Adds the rows that must be looked at to `found`, and the texts that may be clean to `texts`."""
        types = set(map(type, column))
        if not types <= _SCALARS:
            found.update(i for i, value in enumerate(column) if type(value) not in _SCALARS)
        if rule.kind not in (None, "identifier"):
            # A field of names, numbers of persons, or declared: whatever stands in it.
            found.update(
                i
                for i, value in enumerate(column)
                if type(value) not in _PLAIN and (type(value) is not str or value.strip())
            )
            return
        if int in types or float in types:
            self._numbers(column, types, found)
        if str in types:
            texts.update(column if types == {str} else [value for value in column if type(value) is str])

    @staticmethod
    def _numbers(column: Sequence[Any], types: set[type], found: set[int]) -> None:
        """Whole numbers of ten digits may be a telephone's, of thirteen a card's."""
        if types <= {int} and max(column) < _LARGEST_INT and min(column) > -_LARGEST_INT:
            return
        # Not-a-numbers compare with nothing, so they are asked for what they are not.
        if types <= {float} and not any(value >= _LARGEST_FLOAT for value in column):
            return
        found.update(
            i
            for i, value in enumerate(column)
            if (type(value) is int and not -_LARGEST_INT < value < _LARGEST_INT)
            or (type(value) is float and value >= _LARGEST_FLOAT)
        )

    def _dirty(self, new: set[str]) -> set[str]:
        """Of texts seen for the first time, those that may hold something; the others are remembered."""
        long = {text for text in new if len(text) > MAX_TEXT}
        short = list(new - long)
        dirty = {text for text in short if suspicious(text)} if suspicious("\n".join(short)) else set()
        if len(self._clean) + len(short) > MAX_REMEMBERED:
            self._clean = set()  # replaced, never emptied: other threads read it
        self._clean |= new - long - dirty
        return dirty | long
