"""Words and codes for sex and race, in several languages, as one group each; what is not certain is kept as it came."""

import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fairlens_backend.core.labels import UNKNOWN, canonical_label
from fairlens_backend.errors import InvalidInput

FEMALE: Final = "Female"
MALE: Final = "Male"
NON_BINARY: Final = "Non-binary"

WHITE: Final = "White"
BLACK: Final = "Black or African American"
ASIAN: Final = "Asian"
PACIFIC: Final = "Native Hawaiian or Other Pacific Islander"
ASIAN_OR_PACIFIC: Final = "Asian or Pacific Islander"
AMERICAN_INDIAN: Final = "American Indian or Alaska Native"
HISPANIC: Final = "Hispanic or Latino"
MIDDLE_EASTERN: Final = "Middle Eastern or North African"
MULTIPLE: Final = "Two or more races"


def _words(groups: Mapping[str, str]) -> dict[str, str]:
    return {match_form(word): group for group, words in groups.items() for word in words.split("|")}


def match_form(text: str) -> str:
    """The form in which words are compared: no accents, case, punctuation or further blanks.

    >>> match_form(" Non-Binary "), match_form("FÉMININ")
    ('non binary', 'feminin')
    """
    decomposed = unicodedata.normalize("NFKD", text)
    kept = [c if c.isalnum() else " " for c in decomposed if not unicodedata.combining(c)]
    return " ".join("".join(kept).casefold().split())


MISSING: Final = (
    "unknown|unk|n a|na|null|nil|missing|not stated|not specified|unspecified|not reported|not recorded|not available|"
    "not provided|not known|refused|declined|declined to answer|decline to answer|declined to state|decline to state|"
    "prefer not to say|prefer not to answer|prefer not to disclose|prefer not to state|i prefer not to say|"
    "rather not say|undisclosed|not disclosed|withheld|no answer|no response|keine angabe|non precise|non renseigne|"
    "prefiero no decirlo|no especificado|prefiro nao dizer|nao informado|preferisco non rispondere|zeg ik liever niet"
)

SEX_WORDS: Final = _words(
    {
        FEMALE: "f|fem|female|females|woman|women|girl|lady|cis woman|cis female|cisgender woman|trans woman|transgender woman|"
        "w|weiblich|frau|femme|feminin|feminine|femenino|femenina|mujer|hembra|feminino|feminina|mulher|femmina|femminile|"
        "donna|vrouw|vrouwelijk|kvinna|kvinne|kvinde|kobieta|zena|nainen|kadin|zhenshchina|\u0436\u0435\u043d\u0441\u043a\u0438\u0439|"
        "\u0436\u0435\u043d\u0449\u0438\u043d\u0430|\u5973|\u5973\u6027|\uc5ec|\uc5ec\uc131|\u092e\u0939\u093f\u0932\u093e|\u0623\u0646\u062b\u0649",
        MALE: "m|male|males|man|men|boy|gentleman|cis man|cis male|cisgender man|trans man|transgender man|masc|"
        "mannlich|maennlich|herr|homme|masculin|masculine|masculino|masculina|hombre|varon|homem|maschio|maschile|uomo|"
        "mannelijk|mand|mezczyzna|muz|mies|erkek|muzhchina|\u043c\u0443\u0436\u0441\u043a\u043e\u0439|"
        "\u043c\u0443\u0436\u0447\u0438\u043d\u0430|\u7537|\u7537\u6027|\ub0a8|\ub0a8\uc131|\u092a\u0941\u0930\u0941\u0937|\u0630\u0643\u0631",
        NON_BINARY: "x|nb|enby|non binary|nonbinary|nonbinary person|genderqueer|gender queer|genderfluid|gender fluid|agender|"
        "bigender|third gender|gender non conforming|diverse gender|divers|non binaire|no binario|no binaria|nao binario|"
        "non binario|non binair|nichtbinar|nicht binar|ickebinar",
        UNKNOWN: MISSING,
    }
)
"""Words and letters that mean one group wherever they are used for sex or gender. Not among them: "h" and "v" (a man in
French and a woman in Dutch, a man in Spanish), "k", "d", "other", and all digits: a tenant declares those."""

ISO_5218: Final = {"0": UNKNOWN, "1": MALE, "2": FEMALE, "9": UNKNOWN}
"""Codes of ISO/IEC 5218, for a tenant that declares them: elsewhere 1 is a woman, or 0 a man."""

RACE_WORDS: Final = _words(
    {
        WHITE: "white|caucasian|white not hispanic|white non hispanic|non hispanic white|white not hispanic or latino|"
        "white alone|white american",
        BLACK: "black|african american|afro american|black or african american|black not hispanic|black non hispanic|"
        "non hispanic black|black not hispanic or latino|black african american|black alone|black american|"
        "black or african american not hispanic or latino",
        ASIAN: "asian|asian american|asian not hispanic or latino|asian non hispanic|non hispanic asian|asian alone|"
        "east asian|south asian|southeast asian|chinese|japanese|korean|filipino|vietnamese|asian indian",
        PACIFIC: "native hawaiian or other pacific islander|native hawaiian or pacific islander|pacific islander|"
        "native hawaiian|nhpi|nhopi|samoan|chamorro|native hawaiian and other pacific islander|hawaiian or pacific islander",
        ASIAN_OR_PACIFIC: "asian or pacific islander|asian pac islander|asian pacific islander|api|aapi|"
        "asian and pacific islander",
        AMERICAN_INDIAN: "american indian or alaska native|american indian|native american|alaska native|aian|"
        "amer indian eskimo|native american or alaska native|american indian and alaska native|american indian alaskan native|"
        "american indian or alaskan native",
        HISPANIC: "hispanic|latino|latina|latinx|latine|hispanic or latino|hispanic latino|latino hispanic|"
        "hispanic or latina|hispanic of any race|latino or hispanic",
        MIDDLE_EASTERN: "middle eastern or north african|middle eastern|mena|north african|middle eastern north african",
        MULTIPLE: "two or more races|two or more|multiracial|multi racial|mixed race|biracial|more than one race|"
        "multiple races|2 or more races|two or more races not hispanic or latino",
        UNKNOWN: MISSING,
    }
)
"""Labels of one OMB group (Statistical Policy Directive 15, and the combined group of 1977). Not among them: "Indian",
"Native", "African", "Other", "Mixed" and single letters, which mean one thing here and another there."""

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "sex": SEX_WORDS,
    "gender": SEX_WORDS,
    "race": RACE_WORDS,
    "ethnicity": RACE_WORDS,
    "race_ethnicity": RACE_WORDS,
}


@dataclass(frozen=True)
class Normalised:
    """A value's group, and how it came to it: "mapped" to a group, "kept" as it came, "missing"."""

    group: str
    how: str


@dataclass
class GroupNormaliser:
    """Brings the values of one attribute to groups, and counts what it did.

    Words of the built-in table for sex, gender, race and ethnicity are mapped; a tenant's own words come first. Every other
    value keeps its label as it came, without blanks around it. Nothing is guessed: no nearest word, no digits unless declared.
    A value's group depends on nothing but the words, so that every worker gives the same.

    Examples
    --------
    >>> sex = GroupNormaliser.for_attribute("sex", extra={"H": "Male"})
    >>> [sex.group(v) for v in ("F", "femme", "H", 2, "prefer not to say", " Two-Spirit", None)]
    ['Female', 'Female', 'Male', '2', 'unknown', 'Two-Spirit', 'unknown']
    >>> sex.report()["kept"]
    {'2': 1, 'Two-Spirit': 1}
    """

    attribute: str
    words: Mapping[str, str]
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    max_counted: int = 10_000

    @classmethod
    def for_attribute(
        cls, attribute: str, *, extra: Mapping[Any, str] | None = None, iso_5218: bool = False
    ) -> "GroupNormaliser":
        """The normaliser of an attribute; of one without a table of words it uses the tenant's alone.

        Parameters
        ----------
        extra : {value: group}, a tenant's own, before the table
        iso_5218 : whether the digits 0, 1, 2 and 9 are codes of sex by ISO/IEC 5218

        Raises
        ------
        InvalidInput
            A value or a group of `extra` is empty, or two values that are one when compared go to two groups.
        """
        words = dict(_WORDS.get(attribute.casefold(), {}))
        if iso_5218:
            words |= ISO_5218
        own: dict[str, str] = {}
        for value, group in (extra or {}).items():
            label, to = canonical_label(value), canonical_label(group)
            if label is None or to is None or own.setdefault(match_form(label) or label, to) != to:
                raise InvalidInput(
                    f"{str(value)[:50]!r} → {str(group)[:50]!r} of {attribute} is empty, or contradicts another line",
                    field=f"extra.{str(value)[:50]}",
                )
        return cls(attribute, words | own)

    def normalise(self, value: Any) -> Normalised:
        """The group of one value, and how it came to it."""
        label = canonical_label(value)
        if label is None:
            result, shown = Normalised(UNKNOWN, "missing"), ""
        else:
            form = match_form(label) or label
            group = self.words.get(form)
            shown = label
            if group is not None:
                result = Normalised(group, "missing" if group == UNKNOWN else "mapped")
            else:
                result = Normalised(label, "kept")
        if (key := (result.how, shown, result.group)) in self.counts or len(self.counts) < self.max_counted:
            self.counts[key] += 1
        return result

    def group(self, value: Any) -> str:
        """The group of one value."""
        return self.normalise(value).group

    def report(self) -> dict[str, Any]:
        """What was done so far: {"mapped": {value: {"group", "n"}}, "kept": {label: n}, "missing": n}."""
        mapped = {
            shown: {"group": group, "n": n}
            for (how, shown, group), n in sorted(self.counts.items())
            if how == "mapped"
        }
        kept = {shown: n for (how, shown, _), n in sorted(self.counts.items()) if how == "kept"}
        missing = sum(n for (how, _, _), n in self.counts.items() if how == "missing")
        return {"attribute": self.attribute, "mapped": mapped, "kept": kept, "missing": missing}
