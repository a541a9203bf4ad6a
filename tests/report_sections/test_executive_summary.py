"""The first page: the verdict of the sum never hides what single audits came to."""

import re
from typing import Any

import pytest

from fairlens_backend.core.counts import CountTable
from fairlens_backend.report_sections import _words as w
from fairlens_backend.report_sections import executive_summary
from fairlens_backend.report_sections._blocks import Callout, Para, Table
from tests.report_kit import audit, decisions, report

pytestmark = pytest.mark.usefixtures("database")


def verdict(found: dict[str, Any]) -> Callout:
    (callout,) = [one for one in executive_summary.build(found) if isinstance(one, Callout)]
    return callout


def words(found: dict[str, Any]) -> str:
    return " ".join(one.text for one in executive_summary.build(found) if isinstance(one, Para))


def test_a_pass_says_that_single_audits_were_critical() -> None:
    """20 days of 60 to 60, then two of 30 to 60: the sum is 57.3 to 60 and a pass, the last two days are not."""
    for day in range(20):
        audit(day, decisions(60, 60))
    assert verdict(report()) == Callout(
        "PASS.", "Over the whole range no limit is exceeded in what could be measured.", "good"
    )
    for day in (20, 21):
        audit(day, decisions(30, 60))
    found = verdict(report())
    assert found.lead == "PASS." and found.tone == "bad"
    assert (
        "of its 22 audits, 2 came to CRITICAL by themselves, and the last incident had not cleared"
        in found.text
    )
    audit(22, decisions(60, 60))
    cleared = verdict(report())
    assert cleared.tone == "plain" and cleared.text.endswith(
        "of its 23 audits, 2 came to CRITICAL by themselves."
    )


def test_a_single_audit_is_spoken_of_as_one() -> None:
    """It shares nothing with itself and is no sum."""
    audit(0, decisions(60, 60))
    said = words(report())
    assert "It rests on 1 audit of FairLens, which holds 400 decisions" in said
    assert "The only audit of the range came to PASS." in said
    assert "1 audit of FairLens that share" not in said and "the 1 audit" not in said


def test_sizes_are_of_what_a_metric_looks_at_and_the_table_says_so() -> None:
    """Of 200 decisions of each sex 100 have an outcome: the ratio looks at 200 of each, equal opportunity at 100."""
    sex = ["F"] * 200 + ["M"] * 200
    decision, truth = [0, 1] * 200, [[1, 0, -1, -1][place // 2 % 4] for place in range(400)]
    audit(0, CountTable.from_arrays({"sex": sex}, decision, truth))
    (figures,) = [one for one in executive_summary.build(report()) if isinstance(one, Table)]
    sizes = {row[1]: set(re.findall(r"n\s=\s(\d+)", row[5])) for row in figures.rows}
    assert sizes["disparate impact ratio"] == {"200"} and sizes["equal opportunity difference"] == {"100"}
    assert any(w.SIZES in note for note in figures.notes)
