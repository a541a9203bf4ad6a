"""How the values of one protected attribute become groups on the way in: words and codes of sex and race, ages as bands.

Where a model declares a reference group, groups are spelled as it spells that one, so that what it declares is found
again: with the reference "M" they are M and F, with "male" they are male and female.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fairlens_backend.core.enrich.age_band import BANDS, age_band, age_band_at
from fairlens_backend.core.enrich.normalise import (
    FEMALE,
    MALE,
    RACE_WORDS,
    SEX_WORDS,
    GroupNormaliser,
    match_form,
)
from fairlens_backend.core.labels import UNKNOWN, canonical_label

SEX: Final = frozenset({"sex", "gender"})
RACE: Final = frozenset({"race", "ethnicity", "race_ethnicity"})
AGES: Final = frozenset({"age", "age_years", "age_band", "age_group", "applicant_age", "customer_age"})
BIRTHS: Final = frozenset({"date_of_birth", "birth_date", "birthdate", "dob", "birthday"})

# Words that come as a pair: who calls one group by the first calls the other by the second.
_PAIRS: Final = (
    ("female", "male"), ("f", "m"), ("woman", "man"), ("women", "men"), ("girl", "boy"), ("w", "m"), ("females", "males"),
    ("femme", "homme"), ("frau", "herr"), ("weiblich", "mannlich"), ("mujer", "hombre"), ("femenino", "masculino"), ("2", "1"),
)  # fmt: skip
_ISO_DATE: Final = re.compile(r"\d{4}-?\d{2}-?\d{2}(?:[T ].*)?\Z", re.ASCII)
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d+)?\Z", re.ASCII)
_DATE_LIKE: Final = re.compile(r"\d{4}|\d+\D+\d+\D+\d")


@dataclass(frozen=True)
class AttributeGroups:
    """Brings the values of one attribute to groups.

    Parameters
    ----------
    attribute : its name, by which its kind is known; of another kind each value keeps its own label
    reference : the declared reference group, as it was written
    iso_5218 : whether the digits 0, 1, 2 and 9 are codes of sex

    Examples
    --------
    >>> at = datetime.fromisoformat("2026-03-02T12:00:00Z")
    >>> AttributeGroups("sex").groups(["female", "M", "?", 1], at)
    ['Female', 'Male', '?', '1']
    >>> AttributeGroups("sex", reference="M").groups(["female", "Male", "X"], at)
    ['F', 'M', 'Non-binary']
    >>> AttributeGroups("age").groups([41, "17", "18-25", 999, "1990-02-03"], at)
    ['40_50', 'UNDER_18', '18-25', 'unknown', '30_40']
    """

    attribute: str
    reference: str | None = None
    iso_5218: bool = False

    @property
    def kind(self) -> str | None:
        """ "sex", "race", "age", "birth", or None for an attribute of another kind."""
        name = self.attribute.casefold()
        named = (("sex", SEX), ("race", RACE), ("age", AGES), ("birth", BIRTHS))
        return next((kind for kind, names in named if name in names), None)

    def groups(self, values: Iterable[Any], at: datetime) -> list[str]:
        """The group of each value; `at` is when the decision was made, by which a date of birth is an age."""
        if self.kind in ("age", "birth"):
            return [self._age(value, at) for value in values]
        normaliser = GroupNormaliser.for_attribute(
            self.attribute, iso_5218=self.iso_5218 and self.kind == "sex"
        )
        spelled = self._spelling(normaliser)
        found = [normaliser.group(value) for value in values]
        return [spelled.get(group, group) for group in found]

    def is_word(self, value: Any) -> bool:
        """Whether a value is a known word of the attribute, and so nobody's name, whoever is called White or Lady."""
        label = canonical_label(value)
        words = {"sex": SEX_WORDS, "race": RACE_WORDS}.get(self.kind or "", {})
        return label is not None and match_form(label) in words

    def wants_the_day(self, value: Any) -> bool:
        """Whether the group depends on the day of the event: a date of birth."""
        if self.kind == "birth":
            return value is not None and value not in (*BANDS, UNKNOWN)
        return self.kind == "age" and isinstance(value, str) and _ISO_DATE.match(value.strip()) is not None

    def _age(self, value: Any, at: datetime) -> str:
        if self.wants_the_day(value):
            return age_band_at(value, at).group
        text = value.strip() if isinstance(value, str) else None
        if text is None or not text or _NUMBER.match(text):
            return age_band(value).group
        # Bands of a tenant's own stay; a date in an order that is not known is somebody's birthday, and no group.
        return UNKNOWN if _DATE_LIKE.search(text) else canonical_label(text) or UNKNOWN

    def _spelling(self, normaliser: GroupNormaliser) -> dict[str, str]:
        """The spelling of each group that the declared reference group asks for."""
        declared = canonical_label(self.reference)
        if declared is None:
            return {}
        group = normaliser.group(declared)
        if group in (declared, UNKNOWN):
            return {}
        spelled = {group: declared}
        form = match_form(declared)
        pair = next((pair for pair in _PAIRS if form in pair), None) if group in (FEMALE, MALE) else None
        if pair is not None:
            other = pair[0] if form == pair[1] else pair[1]
            spelled[FEMALE if group == MALE else MALE] = _cased_like(other, declared)
        return spelled


def _cased_like(word: str, model: str) -> str:
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[:1].isupper() else word
