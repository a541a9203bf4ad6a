"""Declared groups, and metrics on rows, through the doors of `/api`."""

import numpy as np
import pytest

from tests.api import EVALUATE, REGISTER, SUBMIT, assert_envelope, submission

ROW_METRICS = ("individual_fairness_score", "counterfactual_fairness", "consistency")


def aged() -> list[dict]:
    """100 people of 20 of whom 30 are selected, 100 of 45 with 60, 100 of 70 with 60, 5 without an age."""
    rows = [
        {"decision": int(i < selected), "age": age, "income": 100 * i + age}
        for age, selected in ((20, 30), (45, 60), (70, 60))
        for i in range(100)
    ]
    return rows + [{"decision": 0, "age": None, "income": 0}] * 5


BANDS = {"age": {"bands": [30, 60]}}
COLUMNS = {"decision": "decision", "protected": ["age"]}


def groups(audit):
    return {
        one["attributes"]["age"]: one["size"]
        for one in audit["demographic_slices"]
        if len(one["attributes"]) == 1
    }


@pytest.mark.parametrize("form", ["rows", "csv"])
def test_groups_are_declared_with_the_request(people, form):
    """Three bands and the unknown; 30 % over 60 % is 0.5."""
    body = submission(aged(), columns=COLUMNS, group_definitions=BANDS, reference_groups={"age": "30_60"})
    if form == "rows":
        answer = people.monitor.post(SUBMIT, body)
    else:
        rows = body.pop("rows")
        lines = [f"{row['decision']},{'' if row['age'] is None else row['age']}" for row in rows]
        answer = people.monitor.upload(SUBMIT, body, content="\n".join(["decision,age", *lines]).encode())
    audit = assert_envelope(answer, 200)
    assert groups(audit) == {"UNDER_30": 100, "30_60": 100, "60_PLUS": 100, "unknown": 5}
    ratio = audit["attributes"]["age"]["disparate_impact_ratio"]
    assert ratio["value"] == pytest.approx(0.5) and ratio["groups_compared"] == ["UNDER_30", "30_60"]


def test_groups_are_declared_once_at_registration(people):
    """A submission need not repeat them, and may replace those of one attribute."""
    declared = {
        "model_name": "hiring", "columns": COLUMNS, "favourable": {"decision": [1]}, "group_definitions": BANDS,
    }  # fmt: skip
    assert_envelope(people.admin.post(REGISTER, declared), 201)
    rows = {"model_name": "hiring", "rows": aged()}
    assert "60_PLUS" in groups(assert_envelope(people.monitor.post(SUBMIT, rows), 200))
    other = {**rows, "group_definitions": {"age": {"ranges": [{"name": "old", "from": 65}], "else": "rest"}}}
    assert groups(assert_envelope(people.monitor.post(SUBMIT, other), 200)) == {
        "old": 100,
        "rest": 200,
        "unknown": 5,
    }


@pytest.mark.parametrize(
    ("definitions", "place"),
    [
        ({"age": {"bands": [60, 30]}}, "group_definitions.age.bands.1"),
        ({"age": {"band": [30]}}, "group_definitions.age"),
        ({"age": {"sets": {"a": [1], "b": [1]}}}, "group_definitions.age.sets.b.0"),
    ],
)
def test_a_definition_that_cannot_be_read_is_refused_by_its_place(people, definitions, place):
    """Here and at registration, before anything is stored."""
    for caller, path, body in (
        (people.monitor, SUBMIT, submission(aged(), columns=COLUMNS, group_definitions=definitions)),
        (people.admin, REGISTER, {"model_name": "hiring", "group_definitions": definitions}),
    ):
        answer = caller.post(path, body)
        assert_envelope(answer, 422, "invalid_input")
        assert place in answer.get_json()["message"]


@pytest.mark.parametrize("form", ["rows", "csv"])
def test_features_of_a_submission_give_the_metrics_on_rows(people, form):
    """9 and 17 for all people, 10 adjusted; the same from JSON and from a file; without features a reason."""
    rng = np.random.default_rng(2)
    rows = [
        {
            "decision": int(income > 50),
            "sex": sex,
            "income": float(income),
            "s": float(round(income / 200, 3)),
        }
        for sex, income in zip(rng.choice(["F", "M"], 400), rng.uniform(10, 90, 400).round(2), strict=True)
    ]
    body = submission(
        rows, columns={"decision": "decision", "score": "s", "protected": ["sex"]}, features=["income"]
    )
    plain = assert_envelope(people.monitor.post(SUBMIT, {**body, "features": ["income"]}), 200)
    if form == "csv":
        lines = [f"{row['decision']},{row['sex']},{row['income']},{row['s']}" for row in body.pop("rows")]
        content = "\n".join(["decision,sex,income,s", *lines]).encode()
        audit = assert_envelope(people.monitor.upload(SUBMIT, body, content=content), 200)
        for one in (audit, plain):
            del one["attributes"]["sex"]["temporal_drift_index"]  # it also knows the audits before
        assert audit["attributes"] == plain["attributes"]
    else:
        del body["features"]
        audit = assert_envelope(people.monitor.post(SUBMIT, body), 200)
        for name in ROW_METRICS:
            assert audit["metrics"][name]["status"] == "insufficient_data"
    for name in ROW_METRICS:
        assert plain["metrics"][name]["status"] == "ok", plain["metrics"][name]
    assert plain["metrics"]["counterfactual_fairness"]["parts"]["form"] == "adjusted"
    kept = assert_envelope(people.monitor.get(f"/v1/audits/{plain['audit_id']}", counts="1"), 200)
    assert "income" not in str(kept["counts"])  # the sample is not kept


def test_an_outcome_is_no_feature(people):
    """People are compared by what is known before the decision."""
    body = submission(features=["decision"])
    assert assert_envelope(people.monitor.post(SUBMIT, body), 422, "invalid_input")["field"] == "features"
    assert_envelope(people.monitor.post(SUBMIT, submission(features=["height"])), 422, "invalid_input")


def test_a_registered_model_is_compared_by_its_own_features(people, loan_model):
    """The loan model takes no gender: the effect of gender is adjusted for its features, not intervened on."""
    asked = {"n_samples": 600, "seed": 4}
    plain = assert_envelope(people.monitor.post(EVALUATE, asked), 200)
    assert {plain["metrics"][name]["status"] for name in ROW_METRICS} == {"insufficient_data"}
    audit = assert_envelope(people.monitor.post(EVALUATE, {**asked, "row_metrics": True}), 200)
    for name in ROW_METRICS:
        assert audit["metrics"][name]["status"] == "ok", audit["metrics"][name]
    assert audit["metrics"]["counterfactual_fairness"]["parts"]["form"] == "adjusted"


def test_a_model_that_takes_the_attribute_is_intervened_on(people, loan_model):
    """Region is an input of the loan model: it is set for everyone, and the model decides anew."""
    asked = {"n_samples": 600, "seed": 4, "columns": {"protected": ["gender", "region"]}}
    audit = assert_envelope(people.monitor.post(EVALUATE, asked), 200)
    effect = audit["attributes"]["region"]["counterfactual_fairness"]
    assert effect["status"] == "ok" and effect["parts"]["form"] == "intervention"
    assert "counterfactual_fairness" not in audit["attributes"]["gender"]  # the model does not take it
    assert audit["metrics"]["consistency"]["status"] == "insufficient_data"  # nobody asked for it
