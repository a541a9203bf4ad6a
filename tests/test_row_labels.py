"""A label that the model declares neither as favourable nor as unfavourable is no refusal: its row is not counted, and that is said."""

import io
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from fairlens_backend import audit, cli, prediction_submission
from fairlens_backend.errors import InvalidInput
from fairlens_backend.schemas.checks import SubmitRequest
from tests.ingest_kit import NOW, register
from tests.test_model_evaluator import evaluate
from tests.test_model_evaluator import register as register_artefact

SAID = "a label that the model declares neither as favourable nor as unfavourable; they were not counted."
BOTH: dict[str, Any] = {
    "columns": {"decision": "hired", "truth": "stayed", "protected": ["sex"]},
    "group_definitions": {},
    "unfavourable": {"decision": ["no"], "truth": ["bad"]},
}
# Of 400: 40 are deferred, 20 of these with the truth "asked", and 40 have no decision.
FRAME = pd.DataFrame(
    {
        "sex": ["F", "M"] * 200,
        "hired": ["deferred", "", "yes", "yes", "no", "yes", "no", "no", "yes", "no"] * 40,
        "stayed": (["good"] * 10 + ["asked"] * 1 + [""] * 9) * 20,
    }
)


def submit(rows: pd.DataFrame | None, stream: io.BytesIO | None = None, **more: Any) -> dict[str, Any]:
    """Hand in decisions of `hiring`."""
    given = {} if rows is None else {"rows": rows.to_dict("records")}
    return prediction_submission.submit(
        "acme", SubmitRequest(model_name="hiring", **given, **more), stream, NOW
    )


def in_csv(frame: pd.DataFrame) -> io.BytesIO:
    return io.BytesIO(frame.to_csv(index=False).encode())


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("as_file", [False, True])
def test_a_submission_of_a_registered_model(as_file: bool) -> None:
    """Neither refused nor unlabelled: out of the counts, told by column and number and without the word."""
    register(**BOTH)
    answer = submit(None, in_csv(FRAME)) if as_file else submit(FRAME)
    assert (answer["rows_read"], answer["rows_without_decision"], answer["rows_undeclared"]) == (400, 40, 40)
    assert answer["sample_size"] == 320
    assert f"40 of 400 rows have in 'hired' {SAID}" in answer["remarks"] and "deferred" not in str(answer)
    assert SAID in answer["message"]
    # By hand: of each ten rows four are yes and four no.
    sizes = {
        one["attributes"].get("sex"): one["rates"]["selection_rate"]["value"]
        for one in answer["demographic_slices"]
    }
    assert sizes == {"F": 0.5, "M": 0.5}


@pytest.mark.usefixtures("database")
def test_a_truth_that_nobody_declared() -> None:
    """The whole row, as a single event with such a truth is set aside whole; an empty truth is only not known yet."""
    register(**BOTH)
    frame = FRAME.assign(hired="yes", stayed=["good", "bad", "asked", ""] * 100)
    answer = submit(frame)
    assert (answer["sample_size"], answer["labelled_size"], answer["rows_undeclared"]) == (300, 200, 100)
    assert f"100 of 400 rows have in 'stayed' {SAID}" in answer["remarks"]


@pytest.mark.usefixtures("database")
def test_a_request_can_declare_it() -> None:
    """For a model that is not registered; and other favourable labels than the registered ones have other opposites."""
    declared = {**BOTH, "favourable": {"decision": ["yes"], "truth": ["good"]}}
    assert submit(FRAME, **declared)["sample_size"] == 320
    register(**BOTH)
    # Who is deferred is favoured now, so "no" is no longer all that is unfavourable; 20 of them have the truth "asked".
    assert submit(FRAME, favourable={"decision": ["deferred"]})["sample_size"] == 340
    swapped = submit(FRAME, favourable={"decision": ["no"]}, unfavourable={"decision": ["yes"]})
    assert (swapped["sample_size"], swapped["rows_undeclared"]) == (320, 40)


@pytest.mark.usefixtures("database")
def test_without_a_declaration_every_other_label_is_unfavourable() -> None:
    """As it was: whoever names only favourable labels has said that the others are not."""
    register(**{**BOTH, "unfavourable": None})
    answer = submit(FRAME)
    assert (answer["sample_size"], answer["rows_undeclared"]) == (360, 0)


@pytest.mark.usefixtures("database")
def test_no_row_that_can_be_counted() -> None:
    """A slip in the declaration is refused, with what it was."""
    register(**BOTH)
    with pytest.raises(
        InvalidInput, match=r"No row can be counted\. 400 of 400 rows have in 'hired' a label"
    ) as refusal:
        submit(FRAME.assign(hired="hm"))
    assert refusal.value.details["field"] == "unfavourable"


@pytest.mark.usefixtures("database")
def test_a_file_that_a_registered_model_scores() -> None:
    """The truth follows the same rule; so do classes of the model that nobody declared, which are shown as no decision."""
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(
        {
            "id": range(400),
            "sex": ["f", "m"] * 200,
            "years": rng.integers(0, 9, 400),
            "truth": ["good", "bad", "bad", "left"] * 100,
        }
    )
    model = DummyClassifier(strategy="stratified", random_state=1)
    model.fit(rows[["years"]], np.array(["hire", "reject", "ask", "ask"] * 100))
    register_artefact(model, features=["years"], unfavourable={"decision": ["reject"], "truth": ["bad"]})
    answer = evaluate(rows)
    answered = model.predict(rows[["years"]])
    known = (answered != "ask") & (rows["truth"] != "left")
    assert 0 < answer["sample_size"] == int(known.sum()) < 300
    assert sum(SAID in one for one in answer["remarks"]) == 2
    shown = [one["decision"] for one in answer["predictions"]]
    assert shown == [{"hire": 1, "reject": 0, "ask": None}[one] for one in answered[:100]]


@pytest.mark.parametrize("kind", ["csv", "parquet", "frame"])
def test_a_file_without_a_server(tmp_path: Path, kind: str, capsys: Any) -> None:
    """`fairlens audit FILE --unfavourable no` and the library: the same rows, counted in pieces or where they lie."""
    frame = FRAME.assign(stayed=["good", "bad", "asked", None] * 100)
    by_hand = int((frame["hired"].isin(["yes", "no"]) & (frame["stayed"] != "asked")).sum())
    if kind == "frame":
        labels = {"decision": "no", "truth": "bad"}
        favourable = {"decision": "yes", "truth": "good"}
        found = audit(
            frame, "hired", "stayed", protected="sex", favourable=favourable, unfavourable=labels
        ).to_dict()
    else:
        path = tmp_path / f"file.{kind}"
        if kind == "csv":
            frame.to_csv(path, index=False)
        else:
            duckdb.from_df(frame).write_parquet(str(path))
        arguments = "--decision hired --truth stayed --protected sex --favourable yes --favourable-truth good"
        cli.main(
            [
                "audit",
                str(path),
                *arguments.split(),
                "--unfavourable",
                "no",
                "--unfavourable-truth",
                "bad",
                "--format",
                "json",
            ]
        )
        found = json.loads(capsys.readouterr().out)
    assert found["sample_size"] == by_hand
    assert any("rows have in 'stayed' a label" in one for one in found["remarks"])


def test_labels_that_contradict_themselves(tmp_path: Path, capsys: Any) -> None:
    """Said before a row is read: by field, and what was expected."""
    frame = pd.DataFrame({"sex": ["F", "M"] * 50, "hired": ["yes", "no"] * 50})
    with pytest.raises(
        InvalidInput, match="'yes' is among the favourable and among the unfavourable labels of the decision"
    ):
        audit(frame, "hired", protected="sex", favourable="yes", unfavourable=["no", "yes"])
    with pytest.raises(InvalidInput, match="unfavourable names no label"):
        audit(frame, "hired", protected="sex", favourable="yes", unfavourable=[])
    frame.to_csv(tmp_path / "a.csv")
    arguments = ["audit", str(tmp_path / "a.csv"), "--decision", "hired", "--protected", "sex"]
    assert cli.main([*arguments, "--unfavourable-truth", "no"]) == 2
    assert "--unfavourable-truth needs --unfavourable" in capsys.readouterr().err
    assert cli.main([*arguments, "--numeric", "--unfavourable", "no"]) == 2
