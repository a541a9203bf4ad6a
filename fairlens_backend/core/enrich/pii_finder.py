"""Where personal data stands in a text, and in which form two spellings of it are the same."""

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from fairlens_backend.core.enrich.machine_values import is_machine_value, without_machine_values
from fairlens_backend.core.enrich.pii_numbers import SEPARATORS, Found, NumberFinder, is_ssn

KINDS: Final = ("email", "phone", "ssn", "card", "ip", "name", "other")
"""What a token can stand for. "other" is for fields that a tenant declares: it is never found by itself."""

# What can be found has one of these; a text with none is done after this one look.
_DIGITS: Final = re.compile(rf"\d(?:[{SEPARATORS}]{{0,3}}\+?\d){{6}}|\d\.\d{{1,3}}\.\d{{1,3}}\.\d")
_COLONS: Final = re.compile(r":[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:")
# Begins with a set of letters: the pattern engine skips to one of them without trying the rest at each place.
_TITLES: Final = re.compile("[MDPHFS](?:rs?|s|iss|x|rof|err|rau|me|e\u00f1ora?|ra)\\b")
_TITLE: Final = r"\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Herr|Frau|Mme|Se\u00f1ora?|Sra?)\b\.?[ ]{1,3}"
_SAID: Final = r"\b(?:(?:[Mm]y|[Hh]is|[Hh]er|[Tt]heir|[Tt]he) name is|[Nn]amed|[Nn]ame:|NAME:)[ ]{1,3}"
_CAPITAL: Final = r"[A-Z\u00c0-\u00de][\w'\u2019-]{0,40}"
_NAMED: Final = re.compile(rf"(?:{_TITLE}|{_SAID})({_CAPITAL}\.?(?:[ ]{{1,2}}{_CAPITAL}\.?){{0,2}})")

_AT: Final = re.compile(r"@|%40")
# Not = / ? & |: what stands before one of them is a parameter's name, not the address.
_LOCAL: Final = re.compile(r"[\w.%+'\u2019~^!#$-]")
_DOMAIN: Final = re.compile(r"(?:[\w-]{1,63}\.){1,8}[^\W\d_][\w-]{1,62}|\[(?:IPv6:)?[0-9A-Fa-f:.]{3,45}\]")
_QUOTED: Final = re.compile(r"\"[^\"\n]{1,64}\"\Z")
_MAX_LOCAL: Final = 64

_IPV4: Final = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)")
_IPV6: Final = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:\.\d{1,3}){0,3}(?![\w:])")
_VERSION: Final = re.compile(
    r"(?:\bv|\bver|\bversions?|\brelease|\bbuild|\bfirmware|\bsection|\bclause|\bchapter|\u00a7|\d\.?)[ .:#=]{0,2}\Z",
    re.IGNORECASE,
)
_BLANKS: Final = re.compile(r"\s+")
_MANY_NAMES: Final = 50
# Parts of names that are words: replacing them would take the text apart and protect nobody.
_PARTICLES: Final = frozenset(
    {"van", "von", "der", "den", "del", "dos", "the", "and", "bin", "ibn", "los", "las"}
)


def suspicious(text: str) -> bool:
    """Whether a text may hold personal data: never False for one in which `Finder.find` finds some of its own accord.

    >>> suspicious("loan for a car, 36 months, rate 4.5 %"), suspicious("ring 212-555-0123")
    (False, True)
    """
    if not text.isascii():
        text = plain(text)
    if "@" in text or "%40" in text or (":" in text and _COLONS.search(text) is not None):
        return True
    if _hinted(text):
        return True
    digits = _DIGITS.search(text)
    while digits is not None:
        start, end = text.rfind("\n", 0, digits.start()) + 1, text.find("\n", digits.end())
        line = text[start:end] if end >= 0 else text[start:]
        if not is_machine_value(line) and _DIGITS.search(without_machine_values(line)) is not None:
            return True
        digits = _DIGITS.search(text, end) if end >= 0 else None
    return False


def plain(text: str) -> str:
    """A text in which look-alikes are one: wide and other scripts' digits, signs that no eye sees (NFKC, without Cf)."""
    if text.isascii():
        return text
    kept = [c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf"]
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in kept)


class Finder:
    """Finds personal data in texts.

    Parameters
    ----------
    kinds : of `KINDS`, those wanted
    regions : countries whose national telephone numbers are expected, as ISO 3166 codes
    """

    def __init__(self, kinds: Iterable[str] = KINDS, regions: tuple[str, ...] = ("US",)) -> None:
        self.kinds = frozenset(kinds)
        self._numbers = NumberFinder(regions)

    def find(self, text: str, *, bare: bool = True, names: re.Pattern[str] | None = None) -> list[Found]:
        """What a `plain` text holds, from left to right, none overlapping.

        Parameters
        ----------
        bare : whether ten digits without separators may be a telephone number
        names : names known from other fields, see `known_names`
        """
        stages: list[Callable[[str], Iterator[Found]]] = []
        digits = _DIGITS.search(text) is not None
        if "email" in self.kinds and ("@" in text or "%40" in text):
            stages.append(self._emails)
        if "ip" in self.kinds and (digits or ":" in text):
            stages.append(self._addresses)
        if digits and self.kinds & {"card", "ssn", "phone"}:
            stages.append(lambda rest: self._numbers.find(rest, self.kinds, bare=bare))
        if "name" in self.kinds and (names is not None or _hinted(text)):
            stages.append(lambda rest: self._names(rest, names))
        found: list[Found] = []
        for stage in stages:
            new = list(stage(text))
            found += new
            text = _masked(text, new)
        return sorted(found, key=lambda one: one.start)

    def canonical(self, kind: str, text: str) -> str:
        """The form that equal values of one kind share.

        E-mail addresses and names: no difference of case, blanks joined. Telephone numbers: E.164. Social security and
        card numbers: digits. A value that is not of its kind keeps its text, without difference of case.
        """
        text = _BLANKS.sub(" ", plain(text)).strip()
        digits = "".join(c for c in text if c.isdigit())
        if kind == "phone":
            return self._numbers.canonical_phone(text) or digits or text.casefold()
        if kind == "ssn" and len(digits) == 9 and is_ssn(digits):
            return digits
        if kind == "card" and 13 <= len(digits) <= 19:
            return digits
        if kind == "ip":
            try:
                return str(ipaddress.ip_address(text))
            except ValueError:
                return text.casefold()
        if kind == "email":
            return text.removeprefix("mailto:").replace("%40", "@").casefold()
        return text.casefold()

    def _emails(self, text: str) -> Iterator[Found]:
        done = 0
        for at in _AT.finditer(text):
            start = at.start()
            quoted = _QUOTED.search(text, max(done, start - _MAX_LOCAL - 2), start)
            if quoted is not None:
                start = quoted.start()
            else:
                while start > done and at.start() - start < _MAX_LOCAL and _LOCAL.match(text[start - 1]):
                    start -= 1
                while start < at.start() and text[start] in ".'\u2019-":
                    start += 1
            domain = _DOMAIN.match(text, at.end())
            if start == at.start() or domain is None:
                continue
            end = domain.end()
            done = end
            yield Found(start, end, "email", self.canonical("email", text[start:end]))

    def _addresses(self, text: str) -> Iterator[Found]:
        for pattern in (_IPV4, _IPV6):
            for match in pattern.finditer(text):
                if pattern is _IPV4 and _VERSION.search(text, max(0, match.start() - 12), match.start()):
                    continue
                if pattern is _IPV6 and (match[0].count(":") < 3 or not any(c.isdigit() for c in match[0])):
                    continue
                try:
                    address = ipaddress.ip_address(match[0])
                except ValueError:
                    continue
                if not (address.is_unspecified or address.is_loopback):
                    yield Found(match.start(), match.end(), "ip", str(address))

    def _names(self, text: str, known: re.Pattern[str] | None) -> Iterator[Found]:
        first = list(known.finditer(text)) if known is not None else []
        for match in first:
            yield Found(match.start(), match.end(), "name", self.canonical("name", match[0]))
        rest = _masked(text, [Found(m.start(), m.end(), "name", "") for m in first])
        for match in _NAMED.finditer(rest):
            yield Found(match.start(1), match.end(1), "name", self.canonical("name", match[1]))


def known_names(values: Iterable[str]) -> re.Pattern[str] | None:
    """What finds the names in other texts of the same event: whole, and each word of three letters or more but "van" and the like."""
    wanted: set[str] = set()
    for value in values:
        whole = _BLANKS.sub(" ", plain(value)).strip()
        parts = [part for part in whole.split(" ") if part.casefold() not in _PARTICLES]
        wanted |= {one for one in (whole, *parts) if sum(c.isalpha() for c in one) >= 3}
    if not wanted:
        return None
    longest = sorted(wanted, key=lambda one: (-len(one), one))[:_MANY_NAMES]
    return re.compile(rf"(?<!\w)(?:{'|'.join(re.escape(one) for one in longest)})(?!\w)", re.IGNORECASE)


def _hinted(text: str) -> bool:
    return "ame" in text or "AME" in text or _TITLES.search(text) is not None


def _masked(text: str, found: list[Found]) -> str:
    """The text with what was found made unreadable, in place."""
    if not found:
        return text
    parts, at = [], 0
    for one in sorted(found, key=lambda one: one.start):
        parts += [text[at : one.start], "\x00" * (one.end - one.start)]
        at = one.end
    return "".join([*parts, text[at:]])
