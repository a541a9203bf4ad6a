"""One document gone through twice: for its limits and the names it gives, then written anew with tokens."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fairlens_backend.core.enrich.pii_finder import known_names, plain, suspicious
from fairlens_backend.core.enrich.pii_keys import kind_of_key
from fairlens_backend.core.enrich.pii_numbers import is_card, is_ssn
from fairlens_backend.errors import InvalidInput

if TYPE_CHECKING:
    from fairlens_backend.core.enrich.pii_tokens import PiiTokeniser

KEEP: Final = "keep"
"""Declared for a field that is no personal data: its values are stored as they come."""

# Neither a sign of an address nor as many digits as a telephone number.
_SHOWN: Final = re.compile(r"[a-z_][a-z_]{0,40}[A-Za-z_]{0,20}[0-9]{0,4}")


class Untokenisable(InvalidInput):
    """What cannot be read as data, or not within the limits; it names the place and never the value."""

    code = "untokenisable"


@dataclass(frozen=True)
class Limits:
    """How much one document may hold, so that the time it takes is bounded."""

    depth: int = 16
    values: int = 10_000
    characters: int = 65_536


@dataclass(frozen=True, slots=True)
class Rule:
    """What a field's name says of its values; whether a tenant declared it or the name alone says so."""

    kind: str | None
    declared: bool = False

    @classmethod
    def of(cls, key: str, declared: dict[str, str]) -> "Rule":
        """The rule of a field."""
        kind = declared.get(key.casefold()) if declared else None
        return cls(kind, True) if kind is not None else cls(kind_of_key(key))

    def under(self, outer: "Rule") -> "Rule":
        """The rule inside another field: what is in a name is a name, unless it says otherwise."""
        return outer if self.kind is None and (outer.declared or outer.kind == "name") else self


NO_RULE: Final = Rule(None)


class Walk:
    """Goes through one document."""

    def __init__(self, tokeniser: "PiiTokeniser", declared: dict[str, str], limits: Limits) -> None:
        self._tokeniser = tokeniser
        self._declared = declared
        self._limits = limits
        self._values = 0
        self._characters = 0
        self._named: list[str] = []
        self._names: re.Pattern[str] | None = None
        self.found: dict[str, int] = {}

    def over(self, document: Any) -> Any:
        """The document with tokens."""
        self._look(document, NO_RULE, "", 0)
        self._names = known_names(self._named)
        return self._written(document, NO_RULE, "")

    def _look(self, value: Any, rule: Rule, path: str, depth: int) -> None:
        """Checks types and limits, and gathers the names."""
        self._values += 1
        if self._values > self._limits.values:
            raise refused(path, f"more than {self._limits.values} values")
        if depth > self._limits.depth:
            raise refused(path, f"more than {self._limits.depth} levels")
        if isinstance(value, str):
            self._count(value, path)
            if rule.kind == "name" and self._tokeniser.wants("name") and not suspicious(value):
                self._named.append(value)
        elif isinstance(value, dict):
            for i, (key, item) in enumerate(value.items()):
                inner = _inner(path, key, i)
                if not isinstance(key, str):
                    raise refused(inner, f"a key of type {type(key).__name__}; a text was expected")
                self._count(key, inner)
                self._look(item, self._rule(key)[0].under(rule), inner, depth + 1)
        elif isinstance(value, list | tuple):
            for i, item in enumerate(value):
                self._look(item, rule, f"{path}.{i}" if path else str(i), depth + 1)
        elif value is not None and not isinstance(value, bool | int | float):
            raise refused(path, f"a value of type {type(value).__name__}; JSON's types were expected")

    def _rule(self, key: str) -> tuple[Rule, bool]:
        """The rule of a field, and whether its name is no personal data."""
        rule = self._tokeniser.known_rules.get(key) or self._tokeniser.rule(key)
        return (Rule.of(key, self._declared), False) if rule is None else (rule, True)

    def _count(self, text: str, path: str) -> None:
        self._characters += len(text)
        if self._characters > self._limits.characters:
            raise refused(path, f"more than {self._limits.characters} characters")

    def _written(self, value: Any, rule: Rule, path: str) -> Any:
        if isinstance(value, dict):
            new: dict[str, Any] = {}
            for i, (key, item) in enumerate(value.items()):
                inner = _inner(path, key, i)
                own, clean = self._rule(key)
                # Fields of the format itself, such as "label", are nobody's name, whoever is called so.
                names = None if not path and _SHOWN.fullmatch(key) else self._names
                name = key if clean and names is None else self._text(key, inner, NO_RULE, names)
                if name in new:
                    raise refused(inner, "two keys that are one person's")
                new[name] = self._written(item, own.under(rule), inner)
            return new
        if isinstance(value, list | tuple):
            return [
                self._written(item, rule, f"{path}.{i}" if path else str(i)) for i, item in enumerate(value)
            ]
        if value is None or isinstance(value, bool) or rule.kind == KEEP:
            return value
        if isinstance(value, str):
            return self._of_text(value, rule, path)
        return self._of_number(value, rule, path)

    def _of_text(self, value: str, rule: Rule, path: str) -> str:
        kind = rule.kind
        if not value.strip():
            return value
        if kind is not None and (rule.declared or (self._tokeniser.wants(kind) and _is_whole(kind, value))):
            if kind == "name" and not rule.declared:
                kind = self._tokeniser.only_kind(value) or kind
            return self._token(kind, value, path)
        return self._text(value, path, rule, self._names)

    def _of_number(self, value: float, rule: Rule, path: str) -> Any:
        kind = rule.kind
        whole = isinstance(value, int) or value.is_integer()
        # Integers of thousands of digits are no numbers of persons, and their text takes quadratic time.
        if whole and abs(value) >= 1e20 and not rule.declared:
            return value
        try:
            text = str(int(value)) if whole else repr(value)
        except ValueError:
            raise refused(path, "a number of too many digits") from None
        if rule.declared and kind is not None:
            return self._token(kind, text, path)
        if self._tokeniser.wants("card") and is_card(text):
            return self._token("card", text, path)
        if kind == "ssn" and whole and 7 <= len(text) <= 9 and is_ssn(text.zfill(9)):
            # A number has lost the zeros in front.
            return self._token("ssn", text.zfill(9), path) if self._tokeniser.wants("ssn") else value
        if kind == "phone" and whole and 10 <= len(text) <= 15 and self._tokeniser.wants("phone"):
            return self._token("phone", text, path)
        return value

    def _text(self, value: str, path: str, rule: Rule, names: re.Pattern[str] | None) -> str:
        if not suspicious(value) and (names is None or names.search(plain(value)) is None):
            return value
        text, kinds = self._tokeniser.text(value, path, bare=rule.kind != "identifier", names=names)
        for kind in kinds:
            self.found[kind] = self.found.get(kind, 0) + 1
        return text

    def _token(self, kind: str, value: str, path: str) -> str:
        token = self._tokeniser.token(kind, value, path)
        if token != value:
            self.found[kind] = self.found.get(kind, 0) + 1
        return token


def _is_whole(kind: str, value: str) -> bool:
    """Whether a field that is called so holds one value of the kind and nothing else."""
    text = plain(value)
    digits = sum(c.isdigit() for c in text)
    if kind == "phone":
        return 7 <= digits <= 17 and digits + sum(c in " \t+-./()x" for c in text) == len(text)
    if kind == "ssn":
        return digits == 9 and len(text) <= 16
    if kind == "card":
        return 13 <= digits <= 19 and len(text) <= 30
    return kind == "name" and any(c.isalpha() for c in text)


def _inner(path: str, key: Any, i: int) -> str:
    """The path of an item; keys that may be a person's are shown by their place."""
    name = key if isinstance(key, str) and _SHOWN.fullmatch(key) else f"[{i}]"
    return f"{path}.{name}" if path else name


def refused(path: str, reason: str) -> Untokenisable:
    """The refusal of what stands at a path."""
    where = path[:200] or "the document"
    return Untokenisable(f"{where} cannot be stored without personal data: {reason}", field=where)
