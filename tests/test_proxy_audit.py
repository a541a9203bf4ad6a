"""Attributes known by proxy, and a gap's change by stratum, from the library."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlens_backend import audit
from fairlens_backend.errors import InvalidInput


def applicants() -> pd.DataFrame:
    """Two kinds of names, 1,000 rows each: P(F) 0.9 and 20 % selected, P(F) 0.3 and 60 % selected."""
    kind = np.repeat(["Mary", "Sam"], 1000)
    p = np.where(kind == "Mary", 0.9, 0.3)
    hired = np.concatenate([np.arange(1000) < 200, np.arange(1000) < 600]).astype(int)
    return pd.DataFrame({"name": kind, "p_f": p, "p_m": 1 - p, "hired": hired, "site": ["N", "S"] * 1000})


GENDER: dict[str, Any] = {"gender": {"groups": {"F": "p_f", "M": "p_m"}, "stratum": "name"}}


def test_proxies_give_estimates_and_bounds_by_hand():
    """Chen et al.'s weights and Kallus et al.'s bounds, worked out by hand.

    Weighted: F = (0.9·200 + 0.3·600) / 1200 = 0.3, M = (0.1·200 + 0.7·600) / 800 = 0.55. Bounds of F's selected rows: of
    900 among 1000 with 200 selected 100 to 200, of 300 among 1000 with 600 selected 0 to 300, so 100/1200 to 500/1200; the
    rest of the 800 selected is M's, 300/800 to 700/800.
    """
    result = audit(applicants(), "hired", protected="site", proxies=GENDER, reference_groups={"gender": "M"})
    found = result.proxies["gender"]
    assert found["is_proxy"] is True and found["n"] == 2000
    rates = {group: one["rates"]["selection_rate"] for group, one in found["groups"].items()}
    assert [rates[group]["value"] for group in "FM"] == pytest.approx([0.3, 0.55], abs=1e-9)
    assert [rates["F"]["bounds"][end] for end in ("lower", "upper")] == pytest.approx(
        [1 / 12, 5 / 12], abs=1e-8
    )
    assert [rates["M"]["bounds"][end] for end in ("lower", "upper")] == pytest.approx(
        [3 / 8, 7 / 8], abs=1e-8
    )
    # 0.3 / 0.55, and the bounds' extremes (1/12)/(7/8) and (5/12)/(3/8)
    assert (
        "gender=F is estimated to be selected 0.55 times as often as gender=M (30.0 % against 55.0 %"
        in (found["sentence"])
    )
    assert "any ratio of 0.10 to 1.11 possible" in found["sentence"] and found["sentence"] in repr(result)
    assert "gender" not in result.attributes and result.to_dict()["proxies"] == result.proxies
    assert json.dumps(result.to_dict(), allow_nan=False)


def test_an_audit_by_proxy_alone_gives_no_verdict():
    """Nothing is recorded, so there is nothing to judge: UNKNOWN, with the estimates; a row without decision is said."""
    frame = applicants().astype({"hired": object})
    frame.loc[0, "hired"] = None
    result = audit(frame, "hired", proxies={"gender": {"F": "p_f", "M": "p_m"}})
    assert (
        result.severity == "UNKNOWN"
        and result.proxies["gender"]["n"] == result.to_dict()["sample_size"] == 1999
    )
    assert "1 of 2000 rows have no decision" in repr(result) and "gender=F" in result._repr_html_()
    assert result.to_frame().empty


def test_a_row_without_a_proxy_is_of_unknown_group():
    """Its probabilities are missing: it counts as a row, and for no group."""
    frame = applicants()
    frame.loc[frame.name == "Sam", ["p_f", "p_m"]] = None
    groups = audit(frame, "hired", proxies=GENDER).proxies["gender"]["groups"]
    assert [groups[group]["expected_size"] for group in "FM"] == pytest.approx([900, 100])


@pytest.mark.parametrize(
    ("proxies", "message"),
    [
        ({"site": {"F": "p_f", "M": "p_m"}}, "site is a recorded attribute"),
        ({"gender": "p_f"}, "at least two groups"),
        ({"gender": {"F": "p_f"}}, "at least two groups"),
        ({"gender": {"groups": {"F": "p_f", "M": "p_m"}, "zip": "name"}}, "keys groups and stratum"),
        ({"gender": {"F": "p_f", "M": "p_x"}}, "no column 'p_x'"),
        ({"gender": {"F": "p_f", "M": "name"}}, "not a probability"),
        ({"gender": {"F": "p_f", "M": "hired"}}, "must be in \\[0, 1\\] and their sum at most 1"),
    ],
)
def test_what_is_wrong_with_a_proxy_is_named(proxies, message):
    """The attribute, the form or the column."""
    with pytest.raises(InvalidInput, match=message):
        audit(applicants(), "hired", protected="site", proxies=proxies)


def year(shares: dict[tuple[str, str], tuple[int, int]]) -> pd.DataFrame:
    """(sex, department): (rows, of them selected)."""
    rows = [
        (sex, department, int(i < selected))
        for (sex, department), (size, selected) in shares.items()
        for i in range(size)
    ]
    return pd.DataFrame(rows, columns=["sex", "department", "admitted"])


def test_a_change_is_split_into_mix_and_rates():
    """Women move to the strict department, its rates stay: all of the change is mix, by Kitagawa's formula by hand.

    Before: both 50 and 50 rows at 80 % and 20 %, so 50 % and no gap. After: of 100 women 20 and 80, so 32 %, men as
    before: a gap of −18 points, all from who applied. The department splits; it is no protected attribute.
    """
    same = {("M", "easy"): (50, 40), ("M", "hard"): (50, 10)}
    before = year({("F", "easy"): (50, 40), ("F", "hard"): (50, 10), **same})
    after = year({("F", "easy"): (20, 16), ("F", "hard"): (80, 16), **same})
    given: dict[str, Any] = {"protected": "sex", "strata": "department", "reference_groups": {"sex": "M"}}
    results = [audit(frame, "admitted", **given) for frame in (before, after)]
    found = results[1].decompose_change(results[0], attribute="sex", stratum="department")
    assert found["groups_compared"] == ["F", "M"]
    assert found["gap"]["change"]["value"] == pytest.approx(-0.18)
    assert found["gap"]["mix"]["value"] == pytest.approx(-0.18)
    assert found["gap"]["rates"]["value"] == pytest.approx(0.0, abs=1e-12)
    assert results[1].to_dict()["protected_attributes"] == ["sex"]
    plain = audit(after, "admitted", protected="sex", reference_groups={"sex": "M"})
    assert plain.to_dict() == results[1].to_dict()
    with pytest.raises(InvalidInput, match="department"):
        results[1].decompose_change(plain, attribute="sex", stratum="department")
    with pytest.raises(InvalidInput, match="no two groups of 'age'"):
        results[1].decompose_change(results[0], attribute="age", stratum="department")
    with pytest.raises(InvalidInput, match="strata names 'sex'"):
        audit(after, "admitted", protected="sex", strata=["sex"])
