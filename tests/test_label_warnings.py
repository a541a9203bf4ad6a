"""A word that nobody declared is no silent refusal of a person: it is warned of, or set aside where both classes are declared."""

from typing import Any

import pytest
from pydantic import ValidationError

from fairlens_backend import count_keeper, dead_letter_box
from fairlens_backend.core.counts import CountTable
from fairlens_backend.schemas.checks import RegisterRequest
from tests.ingest_kit import NOW, SENDER, day_window, event, label, register, send

BOTH: dict[str, Any] = {"unfavourable": {"decision": ["no", "later"], "truth": ["bad"]}}


def decided(name: str, word: Any, truth: Any = None) -> dict[str, Any]:
    """An event with a decision and perhaps its truth."""
    return event(name, prediction={"label": word}, **({} if truth is None else {"ground_truth": truth}))


def counted() -> CountTable:
    """All that was counted."""
    return count_keeper.window_table("acme", "hiring", *day_window())


def selected_and_true() -> tuple[int, int, int]:
    """How many decisions are favourable, how many have a truth, and how many of these a favourable one."""
    n = counted().n.sum(axis=0)
    return int(n[1].sum()), int(n[:, :2].sum()), int(n[:, 1].sum())


@pytest.mark.usefixtures("database")
def test_an_odd_word_is_counted_and_warned_of() -> None:
    """Where only favourable labels are declared: by field, with the number of events and no word; "Yes" is not "yes"."""
    register()
    words = ["yes", "no", "Yes", "perhaps", "perhaps", False, 0]
    answer = send([decided(f"e{i}", word, "good" if i else "so so") for i, word in enumerate(words)])
    assert (answer["queued"], answer["rejected"]) == (7, [])
    told = [(one["field"], one["n_events"]) for one in answer["warnings"]]
    assert told == [("ground_truth", 1), ("prediction.label", 3)]
    assert all("counted as unfavourable" in one["message"] for one in answer["warnings"])
    assert "perhaps" not in str(answer) and "so so" not in str(answer)
    assert selected_and_true() == (1, 7, 6)
    # Known words alone warn of nothing, though the odd ones are remembered.
    assert "warnings" not in send([decided("f", "no", "bad"), decided("g", "yes")])


@pytest.mark.usefixtures("database")
def test_a_table_is_warned_of_alike() -> None:
    """As rows."""
    register()
    table = {
        "model_id": "hiring",
        "event_id": ["a", "b"],
        "label": ["maybe", "no"],
        "ground_truth": [None, "bad"],
    }
    (warning,) = send(table)["warnings"]
    assert (warning["field"], warning["n_events"]) == ("prediction.label", 1)


@pytest.mark.usefixtures("database")
def test_with_both_classes_declared_any_other_word_is_set_aside() -> None:
    """The decision's and the truth's alike; the letter is counted once it is mended; a customary "0" is none of them."""
    register(**BOTH)
    sent = [
        decided("a", "yes", "good"),
        decided("b", "later"),
        decided("c", "0"),
        decided("d", "no", "worse"),
    ]
    answer = send(sent)
    assert (answer["event_ids"], "warnings" in answer) == (["a", "b"], False)
    assert [(one["index"], one["errors"][0]["field"]) for one in answer["rejected"]] == [
        (2, "prediction.label"),
        (3, "ground_truth"),
    ]
    said = "Expected one of the labels that the model declares as favourable or as unfavourable"
    assert {one["errors"][0]["message"] for one in answer["rejected"]} == {said}
    letter = dead_letter_box.list_letters("acme")["items"][0]["id"]
    assert dead_letter_box.replay(SENDER, letter, decided("c", "no"), NOW)["queued"] == 1
    assert counted().total == 3 and selected_and_true() == (1, 1, 1)


@pytest.mark.usefixtures("database")
def test_late_and_early_labels_follow_the_same_rule() -> None:
    """Joined with a warning, or not joined; of what waited for its decision that decision's answer says so."""
    register()
    register("strict", **BOTH)
    for model in ("hiring", "strict"):
        send([event(f"{model}{i}", model_id=model) for i in range(3)])
    answer = label([("hiring0", "good"), ("hiring1", "odd"), ("hiring2", "bad")])
    assert answer["joined"] == 3 and "undeclared" not in answer
    assert [(one["field"], one["n_events"]) for one in answer["warnings"]] == [("label", 1)]
    assert label([("hiring1", "odd")])["unchanged"] == 1
    answer = label([("strict0", "good"), ("strict1", "odd"), ("strict2", "bad")])
    assert (answer["joined"], answer["undeclared"], "warnings" in answer) == (2, 1, False)
    assert label([("strict9", "odd"), ("strict8", "bad")])["waiting"] == 2
    answer = send([event(f"strict{i}", model_id="strict") for i in (8, 9)])
    (warning,) = answer["warnings"]
    assert (warning["field"], warning["n_events"], warning["event_ids"]) == ("label", 1, ["strict9"])
    assert warning["message"].startswith(
        "a label that came before its event is not joined"
    ) and "odd" not in str(answer)
    table = count_keeper.window_table("acme", "strict", *day_window())
    assert (table.total, table.labelled) == (5, 3)
    # It waits no longer, and a declared one is joined as ever.
    assert label([("strict9", "good")])["joined"] == 1
    assert "warnings" not in send([event("strict9", model_id="strict")])


@pytest.mark.usefixtures("database")
def test_an_early_label_that_counts_as_unfavourable_is_warned_of() -> None:
    """As a late one is, where only favourable labels are declared; beside what the same request is warned of itself."""
    register()
    label([("a", "odd"), ("b", "good"), ("d", "odd"), ("e", "odd")])
    bad = event("x", prediction={"label": "yes", "score": 7})
    answer = send([bad, event("b"), event("a"), decided("c", "perhaps"), event("d"), event("a")])
    assert [(one["field"], one["n_events"], one.get("event_ids")) for one in answer["warnings"]] == [
        ("prediction.label", 1, None),
        ("label", 2, ["a", "d"]),
    ]
    assert "counted as unfavourable" in answer["warnings"][1]["message"]
    assert selected_and_true() == (3, 3, 1)
    letter = dead_letter_box.list_letters("acme")["items"][0]["id"]
    assert dead_letter_box.replay(SENDER, letter, event("e"), NOW)["warnings"][0]["event_ids"] == ["e"]


@pytest.mark.usefixtures("database")
def test_too_many_words_to_remember_are_still_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """When what is remembered of a column is dropped, odd words stay odd, and known ones known."""
    monkeypatch.setattr("fairlens_backend.event_coding.MAX_REMEMBERED", 4)
    register()
    for k in range(5):
        words = [f"word {k}-{i}" for i in range(3)] + ["yes", "no"]
        answer = send([decided(f"{k}-{i}", word) for i, word in enumerate(words)])
        assert [one["n_events"] for one in answer["warnings"]] == [3]


def test_a_label_cannot_be_both() -> None:
    """1 and true are one label, as everywhere."""
    given = {"model_name": "m", "favourable": {"decision": [1]}}
    for other in ([1], ["true"], [0, True]):
        with pytest.raises(ValidationError, match=r"favourable\.decision and in unfavourable\.decision"):
            RegisterRequest.model_validate({**given, "unfavourable": {"decision": other}})
    with pytest.raises(ValidationError, match=r"unfavourable\.truth"):
        RegisterRequest.model_validate({**given, "unfavourable": {"truth": [1]}})
    kept = RegisterRequest.model_validate({**given, "unfavourable": {"decision": [0], "truth": ["0"]}})
    assert kept.unfavourable is not None and kept.unfavourable.decision == [0]
