"""What only the writer can tell of an event: it is a dead letter with its reason, and the others of its request are counted."""

import threading
from typing import Any

import pytest

from fairlens_backend import count_keeper, dead_letter_box
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput
from fairlens_backend.prediction_ingest import Sender
from fairlens_backend.storage import count_series
from tests.ingest_kit import NOW, SENDER, day_window, event, label, register, send

BY_SEX: dict[str, Any] = {"columns": {"decision": "hired", "protected": ["sex"]}, "group_definitions": {}}


@pytest.fixture(autouse=True)
def model(database: None) -> None:
    """The model `hiring`, by sex."""
    register(**BY_SEX)


def of_sex(event_id: str, sex: Any, **changes: Any) -> dict[str, Any]:
    """An event of one group; None where the attribute is absent."""
    return event(event_id, demographic_tags={} if sex is None else {"sex": sex}, **changes)


def counted(tenant: str = "acme", name: str = "hiring") -> CountTable:
    """All that was counted."""
    return count_keeper.window_table(tenant, name, *day_window())


def letters(tenant: str = "acme") -> list[dict[str, Any]]:
    """The tenant's dead letters."""
    return list(dead_letter_box.list_letters(tenant, 100)["items"])


def test_values_beyond_the_limit_are_dead_letters(make_settings: Any) -> None:
    """Of 3 values at most the fourth is set aside, by a reason that names attribute and limit; those known, and absent ones,
    are counted as before; with more room the letter is counted after all."""
    make_settings(MAX_ATTRIBUTE_GROUPS="3")
    send([of_sex(f"e{i}", f"g{i}") for i in range(3)])
    label([("late", "good")])
    answer = send([of_sex("a", "g1"), of_sex("late", "person 77"), of_sex("b", None), of_sex("c", "g2")])
    assert (answer["event_ids"], answer["queued"], answer["duplicates"]) == (["a", "b", "c"], 3, 0)
    ((index, errors),) = [(one["index"], one["errors"]) for one in answer["rejected"]]
    assert index == 1 and errors[0]["field"] == "demographic_tags.sex"
    assert errors[0]["message"].startswith("Expected one of the 3 values that sex has already")
    assert "MAX_ATTRIBUTE_GROUPS" in errors[0]["message"] and "77" not in str(errors)
    assert sorted(counted().groups) == [("g0",), ("g1",), ("g2",), ("unknown",)] and counted().total == 6
    (letter,) = letters()
    assert (letter["model"], letter["errors"]) == ("hiring", errors)
    with pytest.raises(InvalidInput, match="the 3 values that sex has already"):
        dead_letter_box.replay(SENDER, letter["id"], None, NOW)
    assert len(letters()) == 1
    make_settings(MAX_ATTRIBUTE_GROUPS="4")
    assert dead_letter_box.replay(SENDER, letter["id"], None, NOW)["queued"] == 1
    assert letters() == [] and ("person 77",) in counted().groups
    # Its label, which came before, still waited for it.
    table = counted()
    assert table.n[table.groups.index(("person 77",)), 1, 1].sum() == 1


def test_who_comes_first_has_room(make_settings: Any) -> None:
    """Within one request too, whatever the values are called."""
    make_settings(MAX_ATTRIBUTE_GROUPS="2")
    answer = send([of_sex(f"e{i}", sex) for i, sex in enumerate(["Z", "M", "A", "Z", "B"])])
    assert [one["index"] for one in answer["rejected"]] == [2, 4]
    assert counted().groups == (("M",), ("Z",))


def test_the_limit_is_of_each_attribute_and_each_version(make_settings: Any) -> None:
    """Two attributes of two values make four groups; a value in the features is named as such; another version has its own room."""
    make_settings(MAX_ATTRIBUTE_GROUPS="2")
    both = {"columns": {"decision": "hired", "protected": ["sex", "team"]}, "group_definitions": {}}
    register(version="v2", **both)
    tags = [{"sex": sex, "team": team} for sex in "FM" for team in "AB"]
    answer = send([event(f"e{i}", model_version="v2", demographic_tags=one) for i, one in enumerate(tags)])
    assert answer["queued"] == 4
    more = event("f", model_version="v2", demographic_tags={"sex": "F"}, features={"team": "C"})
    assert send([more])["rejected"][0]["errors"][0]["field"] == "features.team"
    assert send([of_sex("g", "X")])["queued"] == 1


def test_all_groups_together_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it a decision is a dead letter, and those beside it in the request are counted."""
    monkeypatch.setattr(count_series, "MAX_GROUPS", 2)
    answer = send([of_sex(f"e{i}", f"g{i}") for i in range(3)])
    assert answer["queued"] == 2 and counted().total == 2
    assert "at most 2 of sex together" in answer["rejected"][0]["errors"][0]["message"]


def test_many_requests_at_once_keep_the_limit(make_settings: Any) -> None:
    """Eight threads bring 40 values at once: exactly 5 are there afterwards, and every event is counted or a dead letter."""
    make_settings(MAX_ATTRIBUTE_GROUPS="5")
    answers: list[dict[str, Any]] = []

    def bring(k: int) -> None:
        answers.append(send([of_sex(f"{k}-{i}", f"g{(k * 5 + i)}") for i in range(5)]))

    threads = [threading.Thread(target=bring, args=(k,)) for k in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    taken = sum(one["queued"] for one in answers)
    refused = sum(len(one["rejected"]) for one in answers)
    assert (taken + refused, len(counted().groups), counted().total) == (40, 5, taken)
    assert len(letters()) == refused == 35


def test_an_id_of_another_model_is_a_conflict() -> None:
    """Not a duplicate that nobody hears of: a dead letter whose reason says so, be it in one request or later."""
    register("lending", **BY_SEX)
    first = send(
        [of_sex("e1", "F"), of_sex("e1", "F", model_id="lending"), of_sex("e2", "F", model_id="lending")]
    )
    assert (first["event_ids"], first["queued"], first["duplicates"]) == (["e1", "e2"], 2, 0)
    again = send([of_sex("e1", "F", model_id="lending"), of_sex("e2", "F"), of_sex("e3", "F")])
    assert (again["event_ids"], again["queued"], again["duplicates"]) == (["e3"], 1, 0)
    for answer, places in ((first, [1]), (again, [0, 1])):
        assert [one["index"] for one in answer["rejected"]] == places
        for one in answer["rejected"]:
            assert one["errors"][0]["field"] == "event_id"
            assert one["errors"][0]["message"].startswith("Expected an id that no decision of another model")
    assert (counted().total, counted(name="lending").total) == (2, 1)


def test_an_id_again_is_a_duplicate() -> None:
    """Under the same model, be it of another version; in another tenant it is another event."""
    register(version="v2", **BY_SEX)
    register("lending", tenant="other", **BY_SEX)
    send([of_sex("e1", "F")])
    answer = send([of_sex("e1", "F"), of_sex("e1", "M", model_version="v2")])
    assert (answer["event_ids"], answer["queued"], answer["duplicates"]) == (["e1", "e1"], 0, 2)
    other = send([of_sex("e1", "F", model_id="lending")], Sender("other", "x"))
    assert (other["queued"], other["rejected"]) == (1, [])
    assert counted().total == 1
