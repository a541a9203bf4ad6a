"""What is wrong with an event is told by its key, by the kind of what came and by what was expected; a value is never told."""

import json
from typing import Any

import pytest

from fairlens_backend import attribute_supply, count_keeper, dead_letter_box, prediction_ingest
from fairlens_backend.errors import FairLensError, InvalidInput
from fairlens_backend.event_reader import read_events
from fairlens_backend.label_reader import read_labels
from fairlens_backend.schemas.erasures import ErasureRequest
from tests.ingest_kit import NOW, SENDER, day_window, event, label, register, send

TABLE: dict[str, Any] = {"model_id": "hiring", "event_id": ["a", "b"], "label": ["yes", "no"]}


def errors_of(body: Any) -> tuple[str, str]:
    """Field and message of the one event that is refused, or of the refusal of the whole body."""
    try:
        read = read_events(json.dumps(body).encode())
    except InvalidInput as error:
        return str(error.details["field"]), error.message
    ((problem,),) = [one.errors for one in read.refused]
    return problem["field"], problem["message"]


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        (
            {"modle_id": 1},
            "event",
            "unknown field `modle_id`, expected some of event_id, model_id, prediction",
        ),
        (
            {"prediction": {"label": "y", "prob": 1}},
            "prediction",
            "`prob`, expected some of label, score, threshold",
        ),
        (
            {"session_context": {"tenant": "x"}},
            "session_context",
            "`tenant`, expected some of tenant_id, use_case",
        ),
        ({"demographic_tags": {"age": 3, "sex": [1]}}, "demographic_tags.sex", "got `array`"),
        (
            {"demographic_tags": {"age": 3, "sex": "x" * 1001}},
            "demographic_tags.sex",
            "got text of 1001 characters",
        ),
        ({"timestamp": "yesterday"}, "timestamp", "got text of 9 characters"),
        ({"prediction": {"label": "y", "score": 9}}, "prediction.score", "<= 1.0, got a number"),
        ({"event_id": 3}, "event_id", "Expected `str`, got `int`"),
        ({"event_id": ...}, "event", "missing required field `event_id`"),
    ],
)
def test_a_problem_of_one_event_names_its_key(changes: dict[str, Any], field: str, said: str) -> None:
    """By a path without brackets, with what came and what was expected."""
    found, message = errors_of([event(**{"event_id": "e1", **changes})])
    assert found == field and said in message


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        (
            {"demographic_tags": {"age": [1, 1], "sex": 3}},
            "demographic_tags.sex",
            "Expected `array`, got `int`",
        ),
        ({"features": {"age": [1, 1], "pay": {}}}, "features.pay", "Expected `array`, got `object`"),
        ({"labels": 1}, "event", "unknown field `labels`, expected some of model_id, event_id, label"),
        ({"demographic_tags": {"age": [1, 1], "sex": [1, [1]]}}, "demographic_tags.sex", "got `array`"),
    ],
)
def test_a_problem_of_columns_names_the_column(changes: dict[str, Any], field: str, said: str) -> None:
    """The same for a table; where one row is wrong, of that row."""
    found, message = errors_of({**TABLE, **changes})
    assert found == field and said in message


@pytest.mark.parametrize(
    "name", ["Maria Garcia", "ann@example.org", "x" * 300, "212-555-0123", "Maria", "line\nbreak"]
)
def test_a_key_that_may_be_a_persons_is_not_told(name: str) -> None:
    """Neither an unknown field's nor a column's: how long it is, and where."""
    for body in ([event("e", **{name: 1})], {**TABLE, name: 1}):
        field, said = errors_of(body)
        assert field == "event" and f"(a name of {len(name)} characters)" in said and name not in said
    field, said = errors_of([event("e", demographic_tags={name: [1]})])
    assert field == "a column of demographic_tags" and name not in said


def test_labels_and_attributes_name_their_place() -> None:
    """`labels.1.label`, not `labels[1].label`."""
    for body, said in (
        (
            {"labels": [{"event_id": "e", "label": 1}, {"event_id": "f", "label": []}]},
            "labels.1.label: Expected",
        ),
        (
            {"labels": [{"event_id": "e", "lable": 1}]},
            "labels.0: .*`lable`, expected some of event_id, label",
        ),
        ({"event_id": ["a"], "label": [[]]}, "label.0: Expected"),
        ([], "event: Expected `object`, got `array`"),
    ):
        with pytest.raises(InvalidInput, match=said):
            read_labels(json.dumps(body).encode())
    body = {"attributes": [{"event_id": "e", "attributes": {"age": 1, "sex": []}}]}
    with pytest.raises(InvalidInput, match=r"attributes\.0\.attributes\.sex: Expected"):
        attribute_supply.supply(SENDER, json.dumps(body).encode(), NOW)


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("character", ["\x00", "\n", "\x1f", "\x7f", "\x85"])
def test_one_rule_for_ids_in_and_out(character: str) -> None:
    """What an erasure refuses no event, label or attribute may be called; the event is a dead letter that says where it is."""
    register()
    bad = f"id{character}"
    said = f"Expected text without control characters, got U+{ord(character):04X} as character 3"
    for body in ([event("good"), event(bad)], {**TABLE, "event_id": ["other", bad]}):
        answer = send(body)
        assert answer["queued"] == 1
        assert answer["rejected"] == [{"index": 1, "errors": [{"field": "event_id", "message": said}]}]
    assert len(dead_letter_box.list_letters("acme")["items"]) == 2
    with pytest.raises(InvalidInput, match=r"labels\.1\.event_id"):
        label([("good", "good"), (bad, "good")])
    given = {"attributes": [{"event_id": bad, "attributes": {"sex": "F"}}]}
    with pytest.raises(InvalidInput, match=r"attributes\.0\.event_id"):
        attribute_supply.supply(SENDER, json.dumps(given).encode(), NOW)
    with pytest.raises(ValueError, match="event_ids"):
        ErasureRequest.model_validate({"event_ids": [bad]})
    assert count_keeper.window_table("acme", "hiring", *day_window()).total == 2


def test_ids_that_are_no_control_characters_are_taken() -> None:
    """Whatever else is in them: accents, emoji, blanks that Python does not print, other scripts."""
    ids = ["é", "日本", "🙂", "a\u00a0b", "zero\u200bwidth", "a b", "\ue000"]
    assert prediction_ingest.control_characters(ids) == {}
    for one in ids:
        assert ErasureRequest.model_validate({"event_ids": [one]}).event_ids == [one]


NUL = "a\x00b"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "changes",
    [
        {"event_id": NUL},
        {"model_id": NUL},
        {"model_version": NUL},
        {"timestamp": NUL},
        {"prediction": {"label": NUL}},
        {"ground_truth": NUL},
        {"features": {"job": NUL}},
        {"features": {NUL: "x"}},
        {"features": {"deep": [{"er": NUL}]}},
        {"features": {"sex": NUL}, "demographic_tags": {}},
        {"demographic_tags": {"sex": NUL}},
        {"demographic_tags": {NUL: "x"}},
        {"session_context": {"tenant_id": NUL}},
        {"session_context": {"use_case": NUL}},
        {NUL: 1},
        {"prediction": {"label": "yes", NUL: 1}},
    ],
)
def test_a_nul_anywhere_takes_no_database_down(changes: dict[str, Any]) -> None:
    """In every text of an event: it is counted or a dead letter with a reason, beside a good one that is counted, as rows and
    as columns; a letter can be listed and tried again."""
    register()
    bad = event(**{"event_id": "bad", **changes})
    answer = send([event("good"), bad])
    assert "good" in answer["event_ids"] and len(answer["event_ids"]) + len(answer["rejected"]) == 2
    assert "\\u0000" not in json.dumps(answer["rejected"])
    for letter in dead_letter_box.list_letters("acme")["items"]:
        with pytest.raises(FairLensError):
            dead_letter_box.replay(SENDER, letter["id"], None, NOW)
    columns = {name: bad[name] for name in ("model_id", "model_version", "timestamp") if name in changes}
    inner = {**bad["prediction"]}
    table: dict[str, Any] = {
        "model_id": bad["model_id"],
        "event_id": [bad["event_id"] + "2"],
        "label": [inner["label"]],
        "features": {name: [value] for name, value in bad.get("features", {}).items()},
        "demographic_tags": {name: [value] for name, value in bad["demographic_tags"].items()},
        **{name: value for name, value in (bad.get("session_context") or {}).items()},
    }
    if "ground_truth" in bad:
        table["ground_truth"] = [bad["ground_truth"]]
    if "timestamp" in columns:
        table["timestamp"] = [columns["timestamp"]]
    try:
        taken = send(table)
    except FairLensError as error:
        assert error.details["field"] and "\x00" not in error.message
    else:
        assert len(taken["event_ids"]) + len(taken["rejected"]) == 1
