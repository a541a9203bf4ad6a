"""Words of one group become that group; everything else stays as it came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.enrich import normalise
from fairlens_backend.core.enrich.normalise import GroupNormaliser
from fairlens_backend.errors import InvalidInput


@pytest.mark.parametrize(
    ("values", "group"),
    [
        (["F", "f", " Female ", "WOMAN", "weiblich", "Féminin", "mujer", "女", "женский"], "Female"),
        (["M", "male", "Mann".lower() + "lich", "Männlich", "HOMME", "hombre", "男", "мужской"], "Male"),
        (["x", "Non-Binary", "non_binary", "nonbinary", "divers", "no binario"], "Non-binary"),
        (
            [
                "",
                None,
                float("nan"),
                "prefer not to say",
                "Prefer-Not-To-Say",
                "N/A",
                "unknown",
                "keine Angabe",
            ],
            "unknown",
        ),
    ],
)
def test_words_of_sex(values, group):
    """Spellings and languages of one group are that group."""
    sex = GroupNormaliser.for_attribute("sex")
    assert {sex.group(value) for value in values} == {group}


@pytest.mark.parametrize(
    "value", ["1", "2", "0", "H", "h", "V", "K", "d", "other", "Femal", "male?female", "mf", "T"]
)
def test_nothing_is_guessed(value):
    """Codes and letters that mean different things in different places, and words with a slip, are kept."""
    found = GroupNormaliser.for_attribute("gender").normalise(f" {value} ")
    assert (found.group, found.how) == (value, "kept")


def test_iso_5218_when_declared():
    """1 is male, 2 female, 0 and 9 not known or not applicable; numbers and texts alike."""
    sex = GroupNormaliser.for_attribute("sex", iso_5218=True)
    assert [sex.group(v) for v in (1, "2", 2.0, 0, 9, 3)] == [
        "Male",
        "Female",
        "Female",
        "unknown",
        "unknown",
        "3",
    ]


def test_a_tenants_words_come_first():
    """A tenant's own words extend the table and overrule it; contradictions are refused."""
    sex = GroupNormaliser.for_attribute("sex", extra={"M": "Female", "H": "Male", 7: "Female"})
    assert [sex.group(v) for v in ("m", "h", "7", "F")] == ["Female", "Male", "Female", "Female"]
    with pytest.raises(InvalidInput):
        GroupNormaliser.for_attribute("sex", extra={"H": "Male", "h ": "Female"})
    with pytest.raises(InvalidInput):
        GroupNormaliser.for_attribute("sex", extra={"H": ""})


@pytest.mark.parametrize(
    ("value", "group"),
    [
        ("Caucasian", normalise.WHITE), ("White", normalise.WHITE), ("African-American", normalise.BLACK),
        ("Black", normalise.BLACK), ("Asian-Pac-Islander", normalise.ASIAN_OR_PACIFIC), ("Asian", normalise.ASIAN),
        ("Amer-Indian-Eskimo", normalise.AMERICAN_INDIAN), ("Native American", normalise.AMERICAN_INDIAN),
        ("Hispanic", normalise.HISPANIC), ("LATINX", normalise.HISPANIC), ("Two or More Races", normalise.MULTIPLE),
        ("Other", "Other"), ("Indian", "Indian"), ("B", "B"), ("Mixed", "Mixed"), ("Roma", "Roma"), ("refused", "unknown"),
    ],
)  # fmt: skip
def test_labels_of_race(value, group):
    """The labels of Adult, COMPAS and the OMB; ambiguous ones are kept."""
    assert GroupNormaliser.for_attribute("race").group(value) == group


def test_other_attributes_are_kept():
    """An attribute without a table has the tenant's words alone."""
    assert GroupNormaliser.for_attribute("disability").group("f") == "f"
    assert GroupNormaliser.for_attribute("disability", extra={"y": "Yes"}).group("Y") == "Yes"


def test_the_report():
    """What was mapped, kept and missing is counted."""
    sex = GroupNormaliser.for_attribute("sex")
    for value in ["F", "F", "woman", "2", None, "n/a"]:
        sex.normalise(value)
    assert sex.report() == {
        "attribute": "sex",
        "mapped": {"F": {"group": "Female", "n": 2}, "woman": {"group": "Female", "n": 1}},
        "kept": {"2": 1},
        "missing": 2,
    }


@pytest.mark.parametrize("words", [normalise.SEX_WORDS, normalise.RACE_WORDS])
def test_every_word_is_in_its_form(words):
    """No word of a table is out of reach, and every group maps to itself."""
    for word, group in words.items():
        assert normalise.match_form(word) == word
        assert words.get(normalise.match_form(group)) == group or group == "unknown"


@given(st.text(max_size=20))
def test_twice_is_once(text):
    """A group is its own group."""
    for attribute in ("sex", "race"):
        once = GroupNormaliser.for_attribute(attribute).group(text)
        assert GroupNormaliser.for_attribute(attribute).group(once) == once
