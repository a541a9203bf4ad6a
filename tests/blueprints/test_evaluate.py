"""POST /api/evaluate_model and /api/submit_predictions, GET /api/monitor_fairness: what they answer, on real data too."""

import argparse
import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlens_backend.data_simulator import generate_loan_data
from tests.api import EVALUATE, REGISTER, SUBMIT, Caller, People, assert_envelope, rows_of, submission

CSV = b"race,decision,other\n" + b"".join(
    b"%s,%d,x\n" % (b"ab"[i % 2 : i % 2 + 1], i % 2 and i % 3 == 0) for i in range(300)
)


def of_the_window(data: dict[str, Any]) -> dict[str, Any]:
    """The metrics of these rows alone: all but the drift index, which knows the audits before."""
    return {name: metric for name, metric in data["metrics"].items() if name != "temporal_drift_index"}


def test_evaluation_on_simulated_loans(people: People, loan_model: dict[str, Any]) -> None:
    """The answer has what SPEC names; with a seed it is the same again; the stored record is the answer's."""
    body = {
        "model_name": "loan_model",
        "version": "v1",
        "n_samples": 1500,
        "drift_level": 0.8,
        "mode": "demo",
        "seed": 7,
    }
    first = assert_envelope(people.monitor.post(EVALUATE, body), 200)
    again = assert_envelope(people.monitor.post(EVALUATE, body), 200)
    assert first["predictions_count"] == first["sample_size"] == 1500 and len(first["predictions"]) == 100
    assert (first["simulated"], first["mode"], first["drift_level"], first["alert"]) == (
        True,
        "demo",
        0.8,
        True,
    )
    assert of_the_window(first) == of_the_window(again) and first["predictions"] == again["predictions"]
    assert first["record_id"] != again["record_id"]
    record = assert_envelope(people.auditor.get("/api/audit_history"), 200)["items"][1]
    assert record["record_id"] == first["record_id"] and record["drift_level"] == 0.8
    assert record["dir"] == first["metrics"]["disparate_impact_ratio"]["value"]


def test_predictions_show_nobody(people: People, loan_model: dict[str, Any]) -> None:
    """A shown prediction has a hashed id, a decision and a score: no gender, no income, no plain id."""
    data = assert_envelope(people.monitor.post(EVALUATE, {"n_samples": 50, "seed": 3}), 200)
    assert {frozenset(one) for one in data["predictions"]} == {frozenset({"id", "decision", "score"})}
    assert not any("APP-" in one["id"] for one in data["predictions"])
    assert len({one["id"] for one in data["predictions"]}) == 50


def test_demo_takes_no_file_and_prod_needs_one(people: People, loan_model: dict[str, Any]) -> None:
    """Each refusal names the other mode."""
    assert (
        assert_envelope(people.monitor.upload(EVALUATE, {"mode": "demo"}, content=b"x"), 422)["field"]
        == "mode"
    )
    assert assert_envelope(people.monitor.post(EVALUATE, {"mode": "prod"}), 422)["field"] == "file"
    assert assert_envelope(people.monitor.upload(EVALUATE, {"mode": "prod"}), 422)["field"] == "file"


def test_evaluation_of_a_file_is_that_of_the_same_rows(people: People, loan_model: dict[str, Any]) -> None:
    """The simulator's rows, saved as CSV and uploaded, are decided and measured as in the demo."""
    shown = assert_envelope(
        people.monitor.post(EVALUATE, {"n_samples": 800, "drift_level": 0.5, "seed": 11}), 200
    )
    content = generate_loan_data(800, 0.5, 11).to_csv(index=False).encode()
    for sent in (content, gzip.compress(content), b"\xef\xbb\xbf" + content):
        data = assert_envelope(people.monitor.upload(EVALUATE, {"mode": "prod"}, content=sent), 200)
        assert of_the_window(data) == of_the_window(shown) and data["predictions_count"] == 800
        assert (data["mode"], data["simulated"]) == ("prod", False)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ((b"credit_score", b"score"), "columns"),
        ((b"region", b"income"), "columns"),
        ((b"true_label", b"truth"), "columns"),
        ((b"Male,", b"M\0ale,"), "columns"),
    ],
)
def test_files_that_a_model_cannot_score(
    people: People, loan_model: dict[str, Any], change: tuple[bytes, bytes], field: str
) -> None:
    """A missing column, a header twice, a NUL: 422 that names it."""
    content = generate_loan_data(50).to_csv(index=False).encode().replace(*change)
    assert (
        assert_envelope(people.monitor.upload(EVALUATE, {"mode": "prod"}, content=content), 422)["field"]
        == field
    )


@pytest.mark.parametrize("wrong", [b"lots", b"", b"inf", b"1" + b"0" * 400])
def test_values_that_a_model_cannot_score(people: People, loan_model: dict[str, Any], wrong: bytes) -> None:
    """A text, a gap, an infinity where a number belongs: 422, and the value is not repeated."""
    lines = generate_loan_data(50).to_csv(index=False).encode().split(b"\n")
    cells = lines[5].split(b",")
    cells[2] = wrong
    lines[5] = b",".join(cells)
    answer = people.monitor.upload(EVALUATE, {"mode": "prod"}, content=b"\n".join(lines))
    assert assert_envelope(answer, 422, "invalid_input")["field"] == "features"
    assert "lots" not in answer.get_data(as_text=True)


def submit_csv(caller: Caller, content: bytes, **changes: Any) -> Any:
    """Upload a CSV of predictions."""
    return caller.upload(SUBMIT, submission(rows=..., **changes), content=content)


def test_a_submitted_file_is_the_same_as_its_rows(people: People) -> None:
    """CSV, gzip, a byte order mark, UTF-16, semicolons and JSON rows give the same figures."""
    frame = pd.read_csv(io.BytesIO(CSV))
    wanted = of_the_window(
        assert_envelope(people.monitor.post(SUBMIT, submission(frame.to_dict("records"))), 200)
    )
    text = CSV.decode()
    forms: list[tuple[bytes, dict[str, Any]]] = [
        (CSV, {}),
        (gzip.compress(CSV), {}),
        (b"\xef\xbb\xbf" + CSV, {}),
        (CSV.replace(b"\n", b"\r\n"), {}),
        (text.encode("utf-16"), {"encoding": "utf-16"}),
        (text.replace(",", ";").encode(), {"delimiter": ";"}),
    ]
    for content, format_ in forms:
        again = assert_envelope(submit_csv(people.monitor, content, **format_), 200)
        assert of_the_window(again) == wanted


def test_latin_1_must_be_named(people: People) -> None:
    """Latin-1 sent as UTF-8 is 400 that says how to name it; named, its letters are right."""
    content = b"race,decision\n" + "né,1\nné,0\nplain,1\nplain,0\n".encode("latin-1") * 30
    message = submit_csv(people.monitor, content).get_json()["message"]
    assert "latin-1" in message and "0xe9" in message
    data = assert_envelope(submit_csv(people.monitor, content, encoding="latin-1"), 200)
    assert {piece["attributes"]["race"] for piece in data["demographic_slices"]} >= {"né", "plain"}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"race,decision\n", 422),
        (b"race,verdict\na,1\n", 422),
        (b"race,race,decision\na,b,1\n", 422),
        (b"race,decision\na,1,2,3\n", 400),
        (b"race,decision\na,1\nb,0,1,2\n", 400),
        (b'race,decision\n"a,1\n', 400),
        (gzip.compress(CSV, mtime=0)[:-20], 400),
        (b"PK\x03\x04zip", 415),
        (b"\x80\x04pickle", 415),
        (b"%PDF-1.7", 415),
    ],
)
def test_files_that_are_no_csv_of_these_columns(people: People, content: bytes, status: int) -> None:
    """Empty, torn, ambiguous, of another kind: refused with a sentence, nothing stored."""
    assert_envelope(submit_csv(people.monitor, content), status)
    assert assert_envelope(people.auditor.get("/api/audit_history"), 200)["items"] == []


def test_columns_that_are_called_like_numbers(people: People) -> None:
    """A column "007" is not a column 7, and "1e3" not 1000.0."""
    content = CSV.replace(b"race,decision", b"007,1e3", 1)
    columns = {"decision": "1e3", "protected": ["007"]}
    data = assert_envelope(submit_csv(people.monitor, content, columns=columns), 200)
    assert data["protected_attributes"] == ["007"] and data["sample_size"] == 300


def test_parts_of_a_form(people: People) -> None:
    """A part that is missing, unknown, no file, or no JSON is named."""
    monitor = people.monitor
    assert_envelope(monitor.call("POST", SUBMIT, data={"file": (io.BytesIO(CSV), "a.csv")}), 400)
    assert_envelope(monitor.upload(SUBMIT, submission(rows=...), part="csv", content=CSV), 422)
    assert_envelope(monitor.upload(SUBMIT, "{", content=CSV), 400)
    assert_envelope(monitor.upload(SUBMIT, '{"alpha": NaN}', content=CSV), 400)
    assert_envelope(monitor.upload(SUBMIT, "[]", content=CSV), 422)
    assert_envelope(monitor.upload(SUBMIT, submission(), content=CSV), 422)
    assert_envelope(monitor.upload(SUBMIT, submission(rows=...)), 422)
    form = {"request": '{"model_name": "m"}', "file": "race,decision"}
    assert_envelope(monitor.call("POST", SUBMIT, data=form, content_type="multipart/form-data"), 422)


def test_a_registered_model_need_not_repeat_itself(people: People) -> None:
    """What is registered holds where the request says nothing, and the request's word counts first."""
    declared = submission(rows=..., model_name="known", reference_groups={"race": "b"})
    assert_envelope(people.admin.post(REGISTER, declared), 201)
    rows = rows_of({"a": (60, 100), "b": (30, 100)})
    data = assert_envelope(people.monitor.post(SUBMIT, {"model_name": "known", "rows": rows}), 200)
    assert (data["model_version"], data["metrics"]["disparate_impact_ratio"]["value"]) == ("v1", 2.0)
    own = {"model_name": "known", "rows": rows, "reference_groups": {"race": "a"}}
    assert (
        assert_envelope(people.monitor.post(SUBMIT, own), 200)["metrics"]["disparate_impact_ratio"]["value"]
        == 0.5
    )


def test_the_demonstration_stores_nothing(client: Any, people: People) -> None:
    """Fair is within the limit, drifted is an alert, both the same at every call."""
    nobody = Caller(client)
    fair = assert_envelope(nobody.get("/api/monitor_fairness?scenario=fair&n_samples=5000"), 200)
    drifted = assert_envelope(nobody.get("/api/monitor_fairness?scenario=drifted&n_samples=5000"), 200)
    assert (fair["alert"], drifted["alert"], fair["stored"]) == (False, True, False)
    assert fair["dir"] > 0.8 > drifted["dir"]
    assert "record_id" not in drifted


def test_compas_gives_the_published_rates(people: People, test_data_dir: Path) -> None:
    """ProPublica 2016: false positives 44.85 and 23.45 %, false negatives 27.99 and 47.72 %, from the file as published."""
    request = {
        "model_name": "compas",
        "columns": {
            "decision": "score_text",
            "truth": "two_year_recid",
            "id": "id",
            "protected": ["race", "sex", "age_cat"],
        },
        "favourable": {"decision": ["Low"], "truth": [0]},
        "reference_groups": {"race": "Caucasian"},
    }
    content = (test_data_dir / "compas_two_years.csv").read_bytes()
    data = assert_envelope(people.monitor.upload(SUBMIT, request, content=content), 200)
    assert data["sample_size"] == data["labelled_size"] == 7214 and data["alert"]
    rates = {}
    for piece in data["demographic_slices"]:
        found = piece.get("rates_unfavourable_positive", {})
        if set(piece["attributes"]) == {"race"}:
            values = (found["false_positive_rate"], found["false_negative_rate"])
            rates[piece["attributes"]["race"]] = [
                round(100 * (one["value"] if isinstance(one, dict) else one), 2) for one in values
            ]
    assert rates["African-American"] == [44.85, 27.99]
    assert rates["Caucasian"] == [23.45, 47.72]


def test_adult_with_a_model_of_its_train_split(people: People, test_data_dir: Path) -> None:
    """Trained here, registered through the API, scored on the test split: rates as pandas counts them from the same model."""
    import joblib

    from fairlens_backend.model_fitting import train
    from fairlens_backend.model_train import _parser, csv_task

    arguments = ["--csv", str(test_data_dir / "adult.csv"), "--target", "income", "--favourable", ">50K"]
    arguments += [
        "--protected",
        "sex,race",
        "--where",
        "split=train",
        "--reference",
        "sex=Male",
        "--missing",
        "?",
    ]
    wanted: argparse.Namespace = _parser().parse_args([*arguments, "--name", "adult"])
    task = csv_task(wanted)
    content = train(task).content
    declared = {
        "model_name": "adult",
        "features": task.features,
        "favourable": {"decision": [">50K"], "truth": [">50K"]},
    }
    declared |= {"reference_groups": {"sex": "Male"}, **task.declarations}
    assert_envelope(people.admin.upload(REGISTER, declared, "artefact", content), 201)
    adult = pd.read_csv(test_data_dir / "adult.csv", na_values=["?"], skipinitialspace=True)
    test = adult[adult["split"] == "test"]
    sent = test.to_csv(index=False, na_rep="?").encode()
    request = {"model_name": "adult", "mode": "prod"}
    data = assert_envelope(people.monitor.upload(EVALUATE, request, content=sent), 200)
    assert data["sample_size"] == len(test) == 16281
    model = joblib.load(io.BytesIO(content))
    decision = pd.Series(model.predict(test[task.features]) == ">50K", index=test.index)
    truth = test["income"].str.strip().str.rstrip(".") == ">50K"
    for attribute in ("sex", "race"):
        for group, rows in test.groupby(attribute).groups.items():
            (piece,) = [one for one in data["demographic_slices"] if one["attributes"] == {attribute: group}]
            rates = piece["rates"]
            assert piece["size"] == len(rows)
            assert np.isclose(rates["selection_rate"]["value"], decision[rows].mean())
            assert np.isclose(rates["base_rate"]["value"], truth[rows].mean())
    men, women = (decision[test["sex"] == sex].mean() for sex in ("Male", "Female"))
    sex = data["attributes"]["sex"]["disparate_impact_ratio"]
    assert np.isclose(sex["value"], women / men)
