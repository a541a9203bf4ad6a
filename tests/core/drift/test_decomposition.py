"""Mix and rates add up to the change of the gap, and are what the literature's examples print."""

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.drift.decomposition import decompose_change, decompose_gap
from fairlens_backend.errors import InvalidInput

Cells = Mapping[tuple[str, str], tuple[int, int]]
RATES = ("selection_rate", "true_positive_rate", "false_positive_rate", "precision")


def table(cells: Cells) -> CountTable:
    """Counts of (selected, rows) by (sex, region), truth not known."""
    n = np.zeros((len(cells), 2, 3, 11), dtype=np.int64)
    for i, (selected, rows) in enumerate(cells.values()):
        n[i, 1, 2, 10], n[i, 0, 2, 10] = selected, rows - selected
    return CountTable(("sex", "region"), tuple(cells), n, np.zeros_like(n))


def change(before: CountTable, after: CountTable, **more: Any) -> dict[str, Any]:
    asked = {"attribute": "sex", "stratum": "region", "groups": ("F", "M"), "n_resamples": 0}
    return decompose_change(before, after, **{**asked, **more})


# Household headship in the United States, 1970 and 1985, by age: share of the population in tenths of a per cent, and
# heads per thousand. Das Gupta 1993, table 5.1.
AGES = ["15", "20", "25", "30", "35", "40", "45", "50", "55", "60", "65", "70", "75"]
SIZES = {
    1970: (129, 109, 95, 80, 78, 84, 86, 78, 70, 59, 47, 36, 49),
    1985: (101, 112, 116, 109, 94, 77, 63, 60, 63, 59, 51, 40, 55),
}
HEADS = {
    1970: (19, 258, 457, 496, 512, 516, 518, 549, 587, 604, 628, 666, 668),
    1985: (22, 243, 458, 525, 561, 556, 560, 574, 572, 612, 639, 686, 722),
}


def headship(year: int, group: str) -> dict[tuple[str, str], tuple[int, int]]:
    return {
        (group, age): (size * heads, 1000 * size)
        for age, size, heads in zip(AGES, SIZES[year], HEADS[year], strict=True)
    }


def test_the_published_decomposition_of_headship_rates() -> None:
    """Of 2.9672 points 1.2269 are age structure and 1.7403 rates: Das Gupta 1993, chapter 5, as printed by DasGuptR."""
    still = {("M", "15"): (1, 2)}
    found = change(table(headship(1970, "F") | still), table(headship(1985, "F") | still))
    (of_f, of_m) = (found["by_group"][group] for group in ("F", "M"))
    assert round(100 * of_f["before"], 4) == 44.7268 and round(100 * of_f["after"], 4) == 47.6940
    # the reference stands still, so the gap changes by what the group does
    for part in (of_f, found["gap"]):
        assert round(100 * part["mix"]["value"], 4) == 1.2269
        assert round(100 * part["rates"]["value"], 4) == 1.7403
    assert [of_m[part]["value"] for part in ("change", "mix", "rates")] == [0, 0, 0]
    within = decompose_gap(
        table(headship(1985, "F") | headship(1970, "M")),
        attribute="sex",
        stratum="region",
        groups=("F", "M"),
        n_resamples=0,
    )
    assert round(100 * within["gap"]["mix"]["value"], 4) == 1.2269
    assert round(100 * within["gap"]["rates"]["value"], 4) == 1.7403


# Fall 1973, the six largest departments: admitted, applied. Bickel, Hammel, O'Connell 1975 (R's UCBAdmissions).
MEN = ((512, 825), (353, 560), (120, 325), (138, 417), (53, 191), (22, 373))
WOMEN = ((89, 108), (17, 25), (202, 593), (131, 375), (94, 393), (24, 341))
BERKELEY = {
    (sex, department): counts
    for sex, admitted in (("M", MEN), ("F", WOMEN))
    for department, counts in zip("ABCDEF", admitted, strict=True)
}


def test_berkeley_is_mix() -> None:
    """Women are admitted 14.2 points less often, and more often within departments: the gap is where they applied."""
    found = decompose_gap(
        table(BERKELEY), attribute="sex", stratum="region", groups=("F", "M"), n_resamples=200
    )
    assert found["by_group"] == {"F": 557 / 1835, "M": 1198 / 2691}
    gap = found["gap"]
    exact = {part: Fraction(0) for part in ("mix", "rates")}
    for department in "ABCDEF":
        (a_f, n_f), (a_m, n_m) = BERKELEY["F", department], BERKELEY["M", department]
        w_f, w_m, r_f, r_m = Fraction(n_f, 1835), Fraction(n_m, 2691), Fraction(a_f, n_f), Fraction(a_m, n_m)
        exact["mix"] += (r_f + r_m) / 2 * (w_f - w_m)
        exact["rates"] += (w_f + w_m) / 2 * (r_f - r_m)
    assert gap["mix"]["value"] == pytest.approx(float(exact["mix"]), abs=1e-15)
    assert gap["rates"]["value"] == pytest.approx(float(exact["rates"]), abs=1e-15)
    assert gap["rates"]["value"] > 0 > gap["mix"]["confidence_interval"]["upper"]
    assert found["sentence"].startswith(
        "The selection rate of sex=F is 14.2 percentage points below that of sex=M; of these"
    )


def test_the_sentence_says_what_the_numbers_say() -> None:
    """By hand: F in North 50 of 100, then 30 of 100; South the same; the gap of -0.10 grows to -0.20, all rates."""
    still = {("M", "North"): (60, 100), ("M", "South"): (50, 100), ("F", "South"): (40, 100)}
    before, after = (table({**still, ("F", "North"): (selected, 100)}) for selected in (50, 30))
    found = change(before, after)
    assert found["sentence"] == (
        "The gap in selection rate between sex=F and sex=M went from -10.0 to -20.0 percentage points."
        " Of the 10.0 points by which the gap grew, 10.0 come from how they were treated and 0.0 from who applied;"
        " most of it in region=North."
    )
    assert "by which the gap shrank, 10.0 come" in change(after, before)["sentence"]
    assert "stayed at -10.0 percentage points." in change(before, before)["sentence"]
    swapped = table({**still, ("F", "North"): (90, 100), ("F", "South"): (60, 100)})
    assert (
        "turned from -10.0 to +20.0 percentage points. Of the 30.0 points by which it turned"
        in (change(before, swapped)["sentence"])
    )


def test_a_stratum_of_one_period_alone_is_mix() -> None:
    """South comes in with 50 of F at 0.2: by hand R goes 0.6 to 0.4, rates 0, and South pulls as much as North's loss."""
    still = {("M", "North"): (60, 100)}
    before = table({**still, ("F", "North"): (30, 50)})
    after = table({**still, ("F", "North"): (30, 50), ("F", "South"): (10, 50)})
    found = change(before, after)
    assert found["gap"]["rates"]["value"] == 0
    assert found["gap"]["mix"]["value"] == pytest.approx(-0.2, abs=1e-15)
    south = next(one for one in found["strata"] if one["stratum"] == {"region": "South"})
    # (r̄ − R̄)·Δw = (0.2 − 0.5)·0.5 for South, (0.6 − 0.5)·(−0.5) for North
    assert south["mix"]["value"] == pytest.approx(-0.15, abs=1e-15)
    assert south["by_group"]["F"]["rate"] == {"before": None, "after": 0.2}
    assert south["by_group"]["M"]["share"] == {"before": 0, "after": 0}
    assert [one["name"] for one in found["strata"]] == ["region=South", "region=North"]
    json.dumps(found, allow_nan=False)


def test_what_cannot_be_split_says_why() -> None:
    """A group without rows of the rate has none; nothing is taken for 0."""
    full = table({("M", "N"): (1, 2), ("F", "N"): (1, 2)})
    without = table({("M", "N"): (1, 2)})
    found = change(full, without)
    assert (found["status"], found["gap"], found["strata"]) == ("undefined", None, [])
    assert found["reason"] == "sex=F has no rows after, so it has no selection rate."
    assert found["n"] == {"F": {"before": 2, "after": 0}, "M": {"before": 2, "after": 2}}
    assert change(full, full, rate="precision")["status"] == "no_ground_truth"
    labelled = CountTable.from_arrays(
        {"sex": ["F", "M", "M"], "region": ["N"] * 3}, decision=[1, 1, 0], truth=[0, 1, 1]
    )
    found = decompose_gap(
        labelled, attribute="sex", stratum="region", groups=("F", "M"), rate="true_positive_rate"
    )
    assert found["reason"] == (
        "sex=F has no rows whose true outcome is favourable, so it has no true positive rate."
    )


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"groups": ("F", "X")}, "groups"),
        ({"groups": ("F", "F")}, "groups"),
        ({"stratum": "sex"}, "stratum"),
        ({"stratum": ()}, "stratum"),
        ({"stratum": "age"}, "attributes"),
        ({"rate": "accuracy"}, "rate"),
        ({"n_resamples": -1}, "n_resamples"),
    ],
)
def test_what_is_asked_must_be_there(more: dict[str, Any], field: str) -> None:
    """A refusal names the field."""
    full = table({("M", "N"): (1, 2), ("F", "N"): (1, 2)})
    with pytest.raises(InvalidInput) as refused:
        change(full, full, **more)
    assert refused.value.details["field"] == field
    with pytest.raises(InvalidInput, match="negative counts"):
        change(full, full - full - full, **{"groups": ("F", "M")})


def test_too_many_strata_are_refused() -> None:
    """An identifier is no stratum."""
    many = table({("F", f"z{i}"): (1, 2) for i in range(1001)} | {("M", "z0"): (1, 2)})
    with pytest.raises(InvalidInput, match="1001 strata"):
        change(many, many)


rows = st.lists(
    st.tuples(
        st.sampled_from("FMX"),
        st.sampled_from("abc"),
        st.sampled_from("uv"),
        st.integers(0, 1),
        st.sampled_from([0, 1, -1]),
    ),
    min_size=4,
    max_size=80,
)


def from_rows(found: list[tuple[str, str, str, int, int]]) -> CountTable:
    # both groups always occur, so that they can be asked for
    sex, region, job, decision, truth = zip(
        *found, ("F", "a", "u", 1, -1), ("M", "a", "u", 0, -1), strict=True
    )
    return CountTable.from_arrays({"sex": sex, "region": region, "job": job}, decision, truth)


def brute_rate(found: list[tuple[str, str, str, int, int]], group: str, rate: str) -> float:
    among = {
        "selection_rate": lambda row: True,
        "true_positive_rate": lambda row: row[4] == 1,
        "false_positive_rate": lambda row: row[4] == 0,
        "precision": lambda row: row[3] == 1 and row[4] >= 0,
    }[rate]
    extra = [("F", "a", "u", 1, -1), ("M", "a", "u", 0, -1)]
    base = [row for row in [*found, *extra] if row[0] == group and among(row)]
    return sum(row[4] if rate == "precision" else row[3] for row in base) / len(base)


@given(before=rows, after=rows, rate=st.sampled_from(RATES), both=st.booleans())
def test_parts_add_up_and_change_sign_when_the_periods_are_exchanged(
    before: Any, after: Any, rate: Any, both: bool
) -> None:
    """To 1e-12 against rates counted row by row; the exchange is exact to the bit."""
    asked = {"rate": rate, "stratum": ["region", "job"] if both else "region"}
    found = change(from_rows(before), from_rows(after), **asked)
    back = change(from_rows(after), from_rows(before), **asked)
    mirrored = change(from_rows(before), from_rows(after), groups=("M", "F"), **asked)
    assert found["status"] == back["status"]
    if found["status"] != "ok":
        assert found["reason"] and found["gap"] is None
        return
    rates = {(g, t): brute_rate(part, g, rate) for g in "FM" for t, part in (("1", before), ("2", after))}
    expected = (rates["F", "2"] - rates["M", "2"]) - (rates["F", "1"] - rates["M", "1"])
    gap = found["gap"]
    assert gap["change"]["value"] == pytest.approx(expected, abs=1e-12)
    assert gap["mix"]["value"] + gap["rates"]["value"] == pytest.approx(expected, abs=1e-12)
    for group in "FM":
        own = found["by_group"][group]
        assert own["mix"]["value"] + own["rates"]["value"] == pytest.approx(
            rates[group, "2"] - rates[group, "1"], abs=1e-12
        )
    for part in ("mix", "rates"):
        assert sum(one[part]["value"] for one in found["strata"]) == pytest.approx(
            gap[part]["value"], abs=1e-12
        )
        assert back["gap"][part]["value"] == -gap[part]["value"]
        assert mirrored["gap"][part]["value"] == -gap[part]["value"]
    sizes = [abs(one["total"]["value"]) for one in found["strata"]]
    assert sizes == sorted(sizes, reverse=True)


@given(found=rows, rate=st.sampled_from(RATES))
def test_the_gap_of_one_window_adds_up_and_is_antisymmetric(found: Any, rate: Any) -> None:
    """Exchanging the groups changes the sign."""
    asked: dict[str, Any] = {"attribute": "sex", "stratum": "region", "rate": rate, "n_resamples": 0}
    one = decompose_gap(from_rows(found), groups=("F", "M"), **asked)
    other = decompose_gap(from_rows(found), groups=("M", "F"), **asked)
    if one["status"] != "ok":
        return
    expected = brute_rate(found, "F", rate) - brute_rate(found, "M", rate)
    assert one["gap"]["mix"]["value"] + one["gap"]["rates"]["value"] == pytest.approx(expected, abs=1e-12)
    assert other["gap"]["mix"]["value"] == -one["gap"]["mix"]["value"]


def test_intervals_cover_and_are_the_same_for_the_same_seed() -> None:
    """200 windows drawn from Berkeley as the population: about 95 % of their intervals contain its rates part."""
    asked: dict[str, Any] = {"attribute": "sex", "stratum": "region", "groups": ("F", "M")}
    found = decompose_gap(table(BERKELEY), seed=3, **asked)
    assert found == decompose_gap(table(BERKELEY), seed=3, **asked)
    assert found != decompose_gap(table(BERKELEY), seed=4, **asked)
    truth = found["gap"]["rates"]["value"]
    rng = np.random.default_rng(20260101)
    cells = np.array([[rows - chosen, chosen] for chosen, rows in BERKELEY.values()])
    covered = 0
    for _ in range(200):
        drawn = rng.multinomial(cells.sum(), cells.ravel() / cells.sum()).reshape(cells.shape)
        window = table({group: (int(b), int(a + b)) for group, (a, b) in zip(BERKELEY, drawn, strict=True)})
        interval = decompose_gap(window, n_resamples=200, **asked)["gap"]["rates"]["confidence_interval"]
        covered += interval["lower"] <= truth <= interval["upper"]
    # binomial(200, 0.95) is under 180 with a probability of 0.002
    assert covered >= 180


def test_counts_of_a_thousand_million_do_not_overflow() -> None:
    """10⁹ rows split as ten do."""
    small = {("F", "a"): (3, 10), ("F", "b"): (1, 10), ("M", "a"): (5, 10), ("M", "b"): (4, 10)}
    large = {group: (10**8 * a, 10**8 * b) for group, (a, b) in small.items()}
    asked: dict[str, Any] = {"attribute": "sex", "stratum": "region", "groups": ("F", "M")}
    one = decompose_gap(table(small), n_resamples=0, **asked)
    other = decompose_gap(table(large), n_resamples=100, **asked)
    for part in ("value", "mix", "rates"):
        assert one["gap"][part]["value"] == pytest.approx(other["gap"][part]["value"], abs=1e-15)
    interval = other["gap"]["value"]["confidence_interval"]
    assert interval["upper"] - interval["lower"] < 1e-3
