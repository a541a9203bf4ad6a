"""Which rows of a table hold nothing personal, found by its columns: values that come again are looked at once.

Fields that are called so (names, addresses) are written anew column by column. The rows that remain go through
`PiiTokeniser.tokenise` one by one; what that would leave as it is, is left here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fairlens_backend.core.enrich.pii_finder import plain, suspicious
from fairlens_backend.core.enrich.pii_numbers import is_card
from fairlens_backend.core.enrich.pii_tokens import KEEP, PiiTokeniser, Untokenisable
from fairlens_backend.core.enrich.pii_walk import Rule

MAX_REMEMBERED: Final = 50_000
MAX_TEXT: Final = 2_000
"""The rows of longer texts go the long way."""
MAX_REMEMBERED_TEXT: Final = 200
"""Longer texts are looked at each time: they seldom come again, and 50,000 of 2,000 characters are 100 MB a tenant."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
# Words and one number, which no sign joins to another: of such only a card's could be a person's.
_PLAIN_ID: Final = re.compile(r"([A-Za-z_#|-]{0,40})(?:[0-9]{1,8}_)?([0-9]{0,19})([A-Za-z_#|-]{0,12})")
# What makes bare digits a telephone or social security number.
_SPOKEN: Final = re.compile(
    "phone|tel|call|mobile|cell|fax|whatsapp|sms|text|ring|ssn|social|itin|tax|name", re.IGNORECASE
)
_ADDRESS: Final = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9_%+-]{0,30}(?:\.[A-Za-z0-9_%+-]{1,30})?@(?:[A-Za-z0-9-]{1,60}\.){1,4}[A-Za-z]{2,40}"
)
_WORDS: Final = re.compile(r"\W+")
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_PLAIN: Final = frozenset({bool, type(None)})
_LARGEST_INT: Final = 1_000_000_000
_LARGEST_FLOAT: Final = 1e12
_LEAST_CARD: Final = 13

Columns = Mapping[str, Sequence[Any]]


@dataclass
class Scanned:
    """What a look at tables of n rows said.

    Parameters
    ----------
    rows : the places of the rows that must go through `PiiTokeniser.tokenise`
    written : for each table the columns that are written anew; right for the other rows
    """

    rows: set[int] = field(default_factory=set)
    written: list[dict[str, list[Any]]] = field(default_factory=list)


class ColumnScanner:
    """Looks through tables of one tenant; one per `PiiTokeniser`, which decides what is personal.

    Examples
    --------
    >>> scanner = ColumnScanner(PiiTokeniser(bytes(32)))
    >>> table = {"note": ["paid", "ring 212-555-0123", "ask Ann"], "age": [41, 42, 43], "first_name": ["Bo", "", "Ann"]}
    >>> found = scanner.scan([table], ["e1", "e2", "e3"])
    >>> sorted(found.rows), found.written[0]["first_name"][0][:9]
    ([1, 2], 'tok_name_')
    """

    def __init__(self, tokeniser: PiiTokeniser) -> None:
        self._tokeniser = tokeniser
        self._clean: set[str] = set()
        self._whole: dict[tuple[str, Any], Any] = {}

    def scan(self, tables: Sequence[Columns], ids: Sequence[str]) -> Scanned:
        """Look at tables of the same rows, and at the ids of these."""
        found = Scanned(self._ids(ids))
        names: list[Sequence[Any]] = []
        others: list[Sequence[Any]] = [ids]
        for table in tables:
            written: dict[str, list[Any]] = {}
            texts: set[str] = set()
            unnamed: list[Sequence[Any]] = []
            for name, column in table.items():
                rule = self._tokeniser.known_rules.get(name) or self._tokeniser.rule(name)
                if rule is None:
                    return Scanned(set(range(len(ids))), [{} for _ in tables])
                if rule.kind == KEEP:
                    # What is kept is the field's own value; fields inside it have rules of their own.
                    found.rows.update(i for i, value in enumerate(column) if type(value) not in _SCALARS)
                    continue
                if rule.kind not in (None, "identifier"):
                    written[name] = self._written(name, rule, column, found.rows)
                    (names if rule.kind == "name" else others).append(column)
                    continue
                self._look_at(column, rule, found.rows, texts)
                unnamed.append(column)
            self._texts(texts, unnamed, found.rows)
            others += unnamed
            found.written.append(written)
        if names:
            # As `tokenise` reads a field's name: without look-alikes.
            every = (plain(key).lower() for table in tables for key in table)
            keys = frozenset(word for key in every for word in _WORDS.split(key))
            rest = set(range(len(ids))) - found.rows
            found.rows.update(i for i in rest if _named(i, names, others, keys))
        return found

    def _ids(self, ids: Sequence[str]) -> set[int]:
        """The places of ids in which something personal is found; UUIDs, and words with a number, are not searched."""
        uuid = _UUID.fullmatch
        return {
            i
            for i, one in enumerate(ids)
            if uuid(one) is None and not self._is_plain_id(one) and self._found(one)
        }

    def _is_plain_id(self, one: str) -> bool:
        match = _PLAIN_ID.fullmatch(one)
        if match is None:
            return False
        before, digits, after = match.groups()
        if len(digits) >= _LEAST_CARD and is_card(digits):
            return False
        if len(digits) >= 10 and digits.startswith("00"):
            return False
        for words in (before, after):
            if words and words not in self._clean:
                if _SPOKEN.search(words) is not None:
                    return False
                self._remember({words})
        return True

    def _found(self, text: str) -> bool:
        try:
            return suspicious(text) and bool(self._tokeniser.tokenise({"event_id": text}).found)
        except Untokenisable:
            return True

    def _look_at(self, column: Sequence[Any], rule: Rule, rows: set[int], texts: set[str]) -> None:
        """Adds the rows that must be looked at to `rows`, and the texts that may be clean to `texts`."""
        types = set(map(type, column))
        if not types <= _SCALARS:
            rows.update(i for i, value in enumerate(column) if type(value) not in _SCALARS)
        if int in types or float in types:
            self._numbers(column, types, rows)
        if str in types:
            texts.update(column if types == {str} else [value for value in column if type(value) is str])

    @staticmethod
    def _numbers(column: Sequence[Any], types: set[type], rows: set[int]) -> None:
        """Whole numbers of ten digits may be a telephone's, of thirteen a card's."""
        if types == {int} and max(column) < _LARGEST_INT and min(column) > -_LARGEST_INT:
            return
        if types == {float} and max(column) < _LARGEST_FLOAT:
            return
        rows.update(
            i
            for i, value in enumerate(column)
            if (type(value) is int and not -_LARGEST_INT < value < _LARGEST_INT)
            or (type(value) is float and value >= _LARGEST_FLOAT)
        )

    def _written(self, name: str, rule: Rule, column: Sequence[Any], rows: set[int]) -> list[Any]:
        """A column of names or the like with tokens; rows whose value is none or too much are added to `rows`."""
        new = list(column)
        for i, value in enumerate(column):
            if type(value) in _PLAIN:
                continue
            known = self._whole.get((name, value)) if type(value) is str else None
            if known is None:
                if type(value) is not str or len(value) > MAX_TEXT:
                    rows.add(i)
                    continue
                try:
                    known = self._token(name, rule, value)
                except Untokenisable:
                    rows.add(i)
                    continue
                if len(value) <= MAX_REMEMBERED_TEXT:
                    if len(self._whole) >= MAX_REMEMBERED:
                        self._whole = {}
                    self._whole[name, value] = known
            new[i] = known
        return new

    def _token(self, name: str, rule: Rule, value: str) -> str:
        """What `tokenise` makes of one field, without its search where the field says all."""
        kind = rule.kind or ""
        whole = rule.declared and value.strip()
        address = kind == "email" and self._tokeniser.wants(kind) and _ADDRESS.fullmatch(value)
        if whole or address:
            return self._tokeniser.token(kind, value, name)
        return str(self._tokeniser.tokenise({name: value}).document[name])

    def _texts(self, texts: set[str], columns: Sequence[Sequence[Any]], rows: set[int]) -> None:
        """Adds the rows with texts that may hold something; texts that hold nothing are remembered."""
        new = texts - self._clean
        if not new:
            return
        long = {text for text in new if len(text) > MAX_TEXT}
        short = list(new - long)
        dirty = {text for text in short if suspicious(text)} if suspicious("\n".join(short)) else set()
        self._remember(new - long - dirty)
        dirty |= long
        if dirty:
            for column in columns:
                rows.update(i for i, value in enumerate(column) if type(value) is str and value in dirty)

    def _remember(self, clean: set[str]) -> None:
        clean = {text for text in clean if len(text) <= MAX_REMEMBERED_TEXT}
        if len(self._clean) + len(clean) > MAX_REMEMBERED:
            self._clean = set()  # replaced, never emptied: other threads read it
        self._clean.update(clean)


def _named(
    i: int, names: Sequence[Sequence[Any]], others: Sequence[Sequence[Any]], keys: frozenset[str]
) -> bool:
    """Whether a row's names, or a word of three letters or more of one, may occur in its other texts or in the names of fields."""
    own = [column[i] for column in names if type(column[i]) is str]
    if not any(own):
        return False
    text = " ".join([column[i] for column in others if type(column[i]) is str])
    if not (text.isascii() and all(map(str.isascii, own))):
        return True  # there are more ways to write them alike than lower case
    text = text.lower()
    return any(_may_occur(one.lower().split(), text, keys) for one in own)


def _may_occur(words: Sequence[str], text: str, keys: frozenset[str]) -> bool:
    long = [word for word in words if len(word) > 2]
    if long:
        return any(word in text or not keys.isdisjoint(_WORDS.split(word)) for word in long)
    # "Bo Li" is looked for whole: its words alone are too short.
    return len(words) > 1 and (
        all(word in text for word in words) or keys.issuperset(filter(None, _WORDS.split(" ".join(words))))
    )
