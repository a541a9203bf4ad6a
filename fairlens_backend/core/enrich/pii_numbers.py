"""Which digits of a text are a card, a social security or a telephone number."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from fairlens_backend.core.enrich.machine_values import without_machine_values
from fairlens_backend.errors import ConfigurationError

SEPARATORS: Final = " \t\u00a0().\\-/\u2010-\u2015"
# Up to three separators between two digits: one number, as people write them. No two ways to match, so linear.
_RUN: Final = re.compile(rf"\+?\(?\d(?:[{SEPARATORS}]{{0,3}}\+?\d)*")
_DIGITS: Final = re.compile(r"\d+")
_AMERICAN: Final = re.compile(r"(?:\+?1[ .-]?)?\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}")
_NEAR: Final = 30
_PHONE_WORDS: Final = re.compile(
    r"\b(?:phone|telephone|tel|call|calls|called|mobile|cell|fax|whatsapp|sms|text|ring)\b", re.IGNORECASE
)
_SSN_WORDS: Final = re.compile(r"\b(?:ssn|social security|itin|taxpayer|tax id)\b", re.IGNORECASE)
# Brands by first digits and lengths (ISO/IEC 7812 ranges as the brands publish them).
_BRANDS: Final = {
    "2": ((re.compile(r"222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),),
    "3": (
        (re.compile(r"3[47]"), (15,)),
        (re.compile(r"30[0-5]|3095|3[689]"), (14, 16, 19)),
        (re.compile(r"35(?:2[89]|[3-8])"), (16, 17, 18, 19)),
    ),
    "4": ((re.compile(r"4"), (13, 16, 19)),),
    "5": ((re.compile(r"5[1-5]"), (16,)), (re.compile(r"50|5[6-9]"), (13, 14, 15, 16, 17, 18, 19))),
    "6": ((re.compile(r"6"), (13, 14, 15, 16, 17, 18, 19)),),
    "8": ((re.compile(r"81"), (16, 17, 18, 19)),),
}
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


@dataclass(frozen=True, slots=True)
class Found:
    """One piece of personal data: text[start:end], its kind, and the form that equal values share."""

    start: int
    end: int
    kind: str
    canonical: str


@dataclass(frozen=True, slots=True)
class _Group:
    digits: str
    start: int
    end: int
    # What stands right before: a plus sign begins another number, a letter makes bare digits an identifier.
    plus: bool
    glued: bool


def luhn(digits: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1, annex B).

    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    total = sum(int(digit) for digit in digits[-1::-2])
    return (total + sum(_DOUBLED[int(digit)] for digit in digits[-2::-2])) % 10 == 0


def is_card(digits: str) -> bool:
    """Whether 13 to 19 digits are a payment card's: brand, length of that brand, check digit."""
    if (
        not 13 <= len(digits) <= 19
        or not digits.isdigit()
        or digits[0] not in _BRANDS
        or len(set(digits)) < 2
    ):
        return False
    brands = _BRANDS[digits[0]]
    return any(len(digits) in lengths and brand.match(digits) for brand, lengths in brands) and luhn(digits)


def is_ssn(digits: str) -> bool:
    """Whether nine digits may be a social security number, or the ITIN that stands in for one.

    An SSN has no area 000 or 666, no group 00, no serial 0000; those from 900 on are ITINs, whose fourth and fifth digit are
    50–65, 70–88, 90–92 or 94–99.

    Source: SSA, Program Operations Manual RM 10201.030; IRS, Internal Revenue Manual 3.21.263.
    """
    if len(digits) != 9 or digits[:3] in ("000", "666") or digits[3:5] == "00" or digits[5:] == "0000":
        return False
    middle = int(digits[3:5])
    return digits[0] != "9" or (50 <= middle <= 99 and middle not in (66, 67, 68, 69, 89, 93))


class NumberFinder:
    """Finds numbers of persons in digits.

    Parameters
    ----------
    regions : ISO 3166 codes of the countries whose national telephone numbers are expected, the tenant's first

    Raises
    ------
    ConfigurationError
        The package `phonenumbers` is not installed, or a region is none.
    """

    def __init__(self, regions: tuple[str, ...] = ("US",)) -> None:
        try:
            import phonenumbers
        except ImportError:
            raise ConfigurationError(
                'personal data is found with the package phonenumbers, which is missing: pip install "fairlens[enrich]"'
            ) from None
        self._lib: Any = phonenumbers
        for region in regions:
            if region not in phonenumbers.SUPPORTED_REGIONS:
                raise ConfigurationError(
                    f"{region[:10]!r} is no region of telephone numbers; two capital letters, such as US, were expected"
                )
        self._regions = regions
        self._north_american = any(phonenumbers.country_code_for_region(r) == 1 for r in regions)
        self._others = tuple(r for r in regions if phonenumbers.country_code_for_region(r) != 1)

    def find(self, text: str, kinds: frozenset[str], *, bare: bool) -> Iterator[Found]:
        """Numbers in a text of ASCII digits, from left to right, none overlapping.

        Parameters
        ----------
        kinds : which of card, ssn, phone are wanted
        bare : whether ten digits without separators may be a telephone number
        """
        text = without_machine_values(text)
        for run in _RUN.finditer(text):
            groups = [_group(text, m) for m in _DIGITS.finditer(text, run.start(), run.end())]
            if sum(len(group.digits) for group in groups) < 7:
                continue
            i = 0
            while i < len(groups):
                hit = self._at(text, groups, i, kinds, bare)
                if hit is None:
                    i += 1
                else:
                    found, taken = hit
                    yield found
                    i += taken

    def canonical_phone(self, text: str) -> str | None:
        """A telephone number in E.164; None when it cannot be one."""
        if self._north_american and _AMERICAN.fullmatch(text):
            digits = "".join(c for c in text if c.isdigit())[-10:]
            if _plan(digits):
                return "+1" + digits
        for region in self._regions or (None,):
            number = self._parsed(text, region)
            if number is not None and self._lib.is_possible_number(number):
                return self._e164(number)
        return None

    def _at(
        self,
        text: str,
        groups: list[_Group],
        i: int,
        kinds: frozenset[str],
        bare: bool,
    ) -> tuple[Found, int] | None:
        """What starts at group i, and how many groups it takes."""
        first = groups[i]
        if "card" in kinds and first.digits[0] in _BRANDS:
            for taken, digits in reversed(list(_windows(groups, i, 13, 19))):
                if is_card(digits):
                    return Found(first.start, groups[i + taken - 1].end, "card", digits), taken
        if "ssn" in kinds:
            sizes = [len(group.digits) for group in groups[i : i + 3]]
            digits = "".join(group.digits for group in groups[i : i + 3])
            if sizes == [3, 2, 4] and is_ssn(digits):
                return Found(first.start, groups[i + 2].end, "ssn", digits), 3
            if sizes[0] == 9 and is_ssn(first.digits) and _near(_SSN_WORDS, text, first.start):
                return Found(first.start, first.end, "ssn", first.digits), 1
        if "phone" in kinds:
            phone = self._phone(text, groups, i, bare)
            if phone is not None:
                canonical, taken = phone
                start = first.start
                while start and text[start - 1] in "+(":
                    start -= 1
                return Found(start, groups[i + taken - 1].end, "phone", canonical), taken
        return None

    def _phone(self, text: str, groups: list[_Group], i: int, bare: bool) -> tuple[str, int] | None:
        first = groups[i]
        before = text[max(0, first.start - 2) : first.start]
        if first.plus:
            return self._longest(groups, i, 8, 15, "+", None, possible=True)
        if first.digits.startswith("00"):
            return self._longest(groups, i, 10, 17, "", "DE")
        context = _near(_PHONE_WORDS, text, first.start)
        if self._north_american:
            american = _north_american(groups, i, context)
            if american is not None:
                return american
            if context or (bare and not first.glued):
                one_piece = self._longest(groups[i : i + 1], 0, 10, 11, "", "US")
                if one_piece is not None:
                    return one_piece
        for region in self._others:
            if not (first.digits.startswith("0") or context or before.endswith("(")):
                continue
            hit = self._longest(groups, i, 7, 15, "", region)
            # A single group of digits with a leading zero is more often a code than a telephone number.
            if hit is not None and (hit[1] > 1 or context or (bare and not first.glued)):
                return hit
        return None

    def _longest(
        self,
        groups: list[_Group],
        i: int,
        least: int,
        most: int,
        prefix: str,
        region: str | None,
        possible: bool = False,
    ) -> tuple[str, int] | None:
        """The longest window from group i that is a valid number, else (if wanted) the longest that is possible."""
        fallback = None
        for taken, digits in reversed(list(_windows(groups, i, least, most))):
            number = self._parsed(prefix + digits, region)
            if number is None:
                continue
            if self._lib.is_valid_number(number):
                return self._e164(number), taken
            if possible and fallback is None and self._lib.is_possible_number(number):
                fallback = self._e164(number), taken
        if possible and fallback is None:
            # A plus sign before eight digits or more says telephone number, whatever the plan of that country.
            window = next(iter(_windows(groups, i, least, most)), None)
            fallback = None if window is None else ("+" + window[1], window[0])
        return fallback

    def _parsed(self, text: str, region: str | None) -> Any:
        try:
            return self._lib.parse(text, region)
        except self._lib.NumberParseException:
            return None

    def _e164(self, number: Any) -> str:
        return str(self._lib.format_number(number, self._lib.PhoneNumberFormat.E164))


def _group(text: str, match: re.Match[str]) -> _Group:
    start, end = match.span()
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    sign = text.rfind("+", max(0, start - 2), start)
    # The 4 of "ZIP+4" is no country.
    plus = sign >= 0 and not (end - start == 1 and text[max(0, sign - 1) : sign].isalnum())
    return _Group(match[0], start, end, plus, before.isalpha() or before == "_" or after.isalpha())


def _windows(groups: list[_Group], i: int, least: int, most: int) -> Iterator[tuple[int, str]]:
    """How many groups from i on have `least` to `most` digits together, and those digits; shortest first."""
    digits = ""
    for taken, group in enumerate(groups[i : i + most], start=1):
        if len(digits) + len(group.digits) > most or (group.plus and taken > 1):
            return
        digits += group.digits
        if len(digits) >= least:
            yield taken, digits


def _north_american(groups: list[_Group], i: int, context: bool) -> tuple[str, int] | None:
    """Ten digits as 3-3-4, 3-7 or 6-4, perhaps after a 1; near a word such as "call" in one piece, or seven of them."""
    for skipped in (0, 1):
        if skipped and groups[i].digits != "1":
            break
        sizes = [len(group.digits) for group in groups[i + skipped : i + skipped + 3]]
        for shape in ([3, 3, 4], [3, 7], [6, 4], [10]):
            if sizes[: len(shape)] == shape and (context or len(shape) > 1 or skipped):
                digits = "".join(g.digits for g in groups[i + skipped : i + skipped + len(shape)])
                if _plan(digits):
                    return "+1" + digits, skipped + len(shape)
    pair = [len(group.digits) for group in groups[i : i + 2]]
    if context and (pair == [3, 4] or pair[:1] == [7]) and groups[i].digits[0] in "23456789":
        taken = 1 if pair[:1] == [7] else 2
        return "".join(group.digits for group in groups[i : i + taken]), taken
    return None


def _plan(digits: str) -> bool:
    """The North American plan: area and exchange begin with 2 to 9, and neither ends in 11."""
    return digits[0] in "23456789" and digits[3] in "23456789" and digits[1:3] != "11"


def _near(words: re.Pattern[str], text: str, start: int) -> bool:
    return words.search(text, max(0, start - _NEAR), start) is not None
