"""Decisions in, one count table out: labels, gaps, slips, and the published figures of COMPAS."""

import pandas as pd
import pytest

from fairlens_backend.errors import InvalidInput
from fairlens_backend.prediction_intake import Intake, Layout, intake_rows
from fairlens_backend.uploaded_files import CsvFile

LAYOUT = Layout(
    decision="decision", protected=("sex",), favourable=("yes",), truth="paid", truth_favourable=(1,)
)


def test_published_error_rates_of_compas(test_data_dir):
    """ProPublica 2016, all rows, high risk as the positive: false positives 44.85/23.45 %, false negatives 27.99/47.72 %."""
    layout = Layout("score_text", ("race",), ("Low",), truth="two_year_recid", truth_favourable=(0,))
    intake = Intake(layout, 1000)
    with (test_data_dir / "compas_two_years.csv").open("rb") as stream:
        for piece in CsvFile(stream, max_bytes=10**9).texts(layout.columns):
            intake.add(piece)
    table = intake.finish()
    assert table.total == 7214
    rates = {}
    for (race,), n in zip(table.groups, table.decided, strict=True):
        # Low is favourable here: their positives are our unfavourable decisions.
        rates[race] = (100 * n[0, 1] / (n[0, 1] + n[1, 1]), 100 * n[1, 0] / (n[0, 0] + n[1, 0]))
    assert [round(float(rate), 2) for rate in rates["African-American"]] == [44.85, 27.99]
    assert [round(float(rate), 2) for rate in rates["Caucasian"]] == [23.45, 47.72]


def counted(rows: list[dict], layout: Layout = LAYOUT, limit: int = 1000) -> dict[tuple, int]:
    """The cells that are not zero, by (group, decision, truth)."""
    table = intake_rows(rows, layout, limit).finish()
    return {
        (*group, d, y): int(n[d, y])
        for group, n in zip(table.groups, table.decided, strict=True)
        for d in (0, 1)
        for y in (0, 1, 2)
        if n[d, y]
    }


def test_labels_compare_as_text_and_as_numbers():
    """1, "1", "1.0" and true are one label; " yes " is yes."""
    rows = [
        {"decision": d, "sex": "F", "paid": p}
        for d, p in [("yes", 1), (" yes ", "1"), ("yes", "1.0"), ("yes", True)]
    ]
    assert counted(rows) == {("F", 1, 1): 4}


def test_a_missing_truth_is_unknown_and_a_missing_group_is_its_own():
    """Neither is dropped, neither is taken for a value."""
    rows = [
        {"decision": "yes", "sex": None, "paid": None},
        {"decision": "no", "sex": "F", "paid": ""},
        {"decision": "no", "paid": 0},
    ]
    assert counted(rows) == {("unknown", 1, 2): 1, ("F", 0, 2): 1, ("unknown", 0, 0): 1}


def test_declared_marks_are_missing_values():
    """'?' is a group until it is declared to mark a gap."""
    rows = [{"decision": "yes", "sex": "?", "paid": 1}, {"decision": "no", "sex": "F", "paid": 1}]
    assert ("?", 1, 1) in counted(rows)
    declared = Layout(
        "decision", ("sex",), ("yes",), truth="paid", truth_favourable=(1,), missing_values=("?",)
    )
    assert ("unknown", 1, 1) in counted(rows, declared)


def test_rows_without_a_decision_are_left_out_and_said():
    """They are counted in a remark, never as a refusal of the person."""
    rows = [{"decision": "yes", "sex": "F", "paid": 1}, {"decision": None, "sex": "F", "paid": 1}]
    intake = intake_rows(rows, LAYOUT, 1000)
    assert intake.finish().total == 1
    assert any("1 of 2 rows have no decision" in remark for remark in intake.remarks())


def test_a_favourable_label_that_never_occurs_is_a_slip():
    """'Yes' for 'yes' would make everybody refused; both are named."""
    rows = [{"decision": d, "sex": "F", "paid": 1} for d in ("yes", "no")]
    layout = Layout("decision", ("sex",), ("Yes",), truth="paid", truth_favourable=(1,))
    with pytest.raises(
        InvalidInput, match=r"\['Yes'\] occurs in column 'decision'; there are \['no', 'yes'\]"
    ):
        counted(rows, layout)


def test_nobody_selected_is_an_answer():
    """All decisions 'no' with favourable 'yes' is data, and the remark says that all are the same."""
    intake = intake_rows([{"decision": "no", "sex": "F", "paid": 1}] * 3, LAYOUT, 1000)
    assert intake.finish().total == 3
    assert any("same decision, 'no'" in remark for remark in intake.remarks())


def test_a_column_that_no_row_has_is_named():
    """With the columns there are."""
    with pytest.raises(InvalidInput, match=r"No row has a column 'paid'; there are \['decision', 'sex'\]"):
        intake_rows([{"decision": "yes", "sex": "F"}], LAYOUT, 1000)


def test_a_nested_value_is_refused_by_its_place():
    """Lists and objects are no labels."""
    with pytest.raises(InvalidInput) as refused:
        intake_rows(
            [{"decision": "yes", "sex": "F", "paid": 1}, {"decision": "yes", "sex": ["F"], "paid": 1}],
            LAYOUT,
            1000,
        )
    assert refused.value.details["field"] == "rows.1.sex"


def test_no_rows_at_all():
    """Nothing is not fair."""
    with pytest.raises(InvalidInput, match="no row"):
        intake_rows([], LAYOUT, 1000).finish()


@pytest.mark.parametrize("score", ["high", 1.5, -0.1])
def test_a_score_outside_zero_to_one_is_refused_by_its_row(score):
    """The value itself is not repeated: it may be anything."""
    layout = Layout("decision", ("sex",), ("yes",), score="s")
    with pytest.raises(InvalidInput, match="row 2") as refused:
        intake_rows(
            [{"decision": "yes", "sex": "F", "s": 0.2}, {"decision": "yes", "sex": "F", "s": score}],
            layout,
            1000,
        )
    assert refused.value.details["field"] == "rows.1.s"


def test_more_groups_than_the_setting_allows():
    """A column of ids is no protected attribute."""
    rows = [{"decision": "yes", "sex": f"g{i}", "paid": 1} for i in range(11)]
    with pytest.raises(InvalidInput, match="more than 10 different values"):
        counted(rows, limit=10)
    assert len(counted(rows, limit=11)) == 11


def test_pieces_add_up_to_the_whole():
    """Whatever the pieces, the table is that of all rows."""
    frame = pd.DataFrame(
        {"decision": ["yes", "no"] * 500, "sex": ["F", "M", "F"] * 333 + ["M"], "paid": [1, 0, 0, None] * 250}
    )
    whole = Intake(LAYOUT, 1000)
    whole.add(frame)
    pieces = Intake(LAYOUT, 1000)
    for start in range(0, 1000, 7):
        pieces.add(frame.iloc[start : start + 7])
    assert pieces.finish() == whole.finish()


def test_repeated_ids_are_counted_and_said():
    """Nothing is dropped behind the caller's back."""
    layout = Layout("decision", ("sex",), ("yes",), id="who")
    intake = intake_rows([{"decision": "yes", "sex": "F", "who": who} for who in (1, 2, 2)], layout, 1000)
    assert intake.finish().total == 3
    assert any("1 rows repeat an id" in remark for remark in intake.remarks())
