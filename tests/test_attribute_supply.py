"""Protected attributes that come apart from their decision: where decisions are counted then, and what may supply them."""

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlens_backend import attribute_supply, count_keeper, event_retention
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput, MalformedInput, TooLarge, Unavailable
from fairlens_backend.prediction_ingest import Sender
from fairlens_backend.storage import count_series, ingest_writer, session, tables
from tests.ingest_kit import NOW, SENDER, brute_table, day_window, event, label, register, send


@pytest.fixture(autouse=True)
def model(database: None) -> None:
    """The model `hiring`, registered."""
    register()


def counted(model: str = "hiring") -> CountTable:
    """All counts of a model."""
    return count_keeper.window_table("acme", model, *day_window())


def supply(body: Any, sender: Sender = SENDER, now: Any = NOW) -> dict[str, Any]:
    """Supply attributes."""
    return attribute_supply.supply(sender, json.dumps(body).encode(), now)


def rows(*pairs: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """The body by rows."""
    return {"attributes": [{"event_id": one, "attributes": values} for one, values in pairs]}


def assert_counts_are_the_rows() -> None:
    """Each day's counts are those of its raw rows."""
    for days in range(4):
        for one in count_keeper.check_counts("acme", "hiring", NOW.date() - timedelta(days=days)):
            assert one["equal"], one


def test_a_decision_moves_to_its_group() -> None:
    """From unknown to what is supplied; again the same changes nothing; a correction moves it once more; null takes it back."""
    send(
        [
            event("e1", demographic_tags={}),
            event("e2", demographic_tags={"sex": "M"}, prediction={"label": "no"}),
        ]
    )
    assert counted() == brute_table(
        [("yes", None, 0.75, "unknown", "unknown"), ("no", None, None, "M", "unknown")]
    )
    answer = supply(rows(("e1", {"sex": "F", "age": 41}), ("e2", {"age": "29"})))
    assert answer == {"moved": 2, "unchanged": 0, "waiting": 0, "expired": 0, "rejected": []}
    assert counted() == brute_table([("yes", None, 0.75, "F", "30_50"), ("no", None, None, "M", "UNDER_30")])
    assert supply(rows(("e1", {"sex": " F "})))["unchanged"] == 1
    assert supply(rows(("e1", {"sex": "M"})))["moved"] == 1
    assert supply(rows(("e1", {"sex": None})))["moved"] == 1
    assert counted() == brute_table(
        [("yes", None, 0.75, "unknown", "30_50"), ("no", None, None, "M", "UNDER_30")]
    )
    label([("e1", "good")])
    assert counted() == brute_table(
        [("yes", "good", 0.75, "unknown", "30_50"), ("no", None, None, "M", "UNDER_30")]
    )
    assert_counts_are_the_rows()


def test_what_comes_before_its_decision_waits() -> None:
    """Supplies of one event add up; they count above the event's own tags; another tenant's are another's."""
    assert supply(rows(("e1", {"sex": "F"}), ("e2", {"sex": "M"})))["waiting"] == 2
    assert supply(rows(("e1", {"age": 20})))["waiting"] == 1
    assert supply(rows(("e3", {"sex": "F"})), Sender("other", "x"))["waiting"] == 1
    send([event("e1"), event("e2"), event("e3")])
    assert counted() == brute_table(
        [("yes", None, 0.75, sex, age) for sex, age in (("F", "UNDER_30"), ("M", "30_50"), ("F", "30_50"))]
    )
    assert_counts_are_the_rows()


def test_what_waits_keeps_no_decision_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of attributes that would make more groups than a model may have those beyond are dropped, and the decisions counted."""
    monkeypatch.setattr(count_series, "MAX_GROUPS", 3)
    register("small", columns={"decision": "hired", "protected": ["sex"]}, group_definitions={})
    supply(rows(*((f"e{i}", {"sex": f"id {i}"}) for i in range(4))))
    sent = [event(f"e{i}", model_id="small", demographic_tags={}) for i in range(4)]
    assert send(sent)["queued"] == 4
    groups = [group for (group,) in counted("small").groups]
    assert counted("small").total == 4
    assert len(groups) == 3 and "unknown" in groups
    answer = supply(rows(("e0", {"sex": "one more"})))
    assert answer["moved"] == 0 and "20,000 groups of all" in answer["rejected"][0]["errors"][0]["message"]


def test_an_attribute_has_no_more_values_than_it_may(make_settings: Any) -> None:
    """The value for which there is no room is rejected, and its decision counted where it was; a known value still moves it."""
    make_settings(MAX_ATTRIBUTE_GROUPS="2")
    send([event("e1"), event("e2", demographic_tags={"sex": "M"}), event("e3", demographic_tags={})])
    answer = supply(rows(("e3", {"sex": "X"})))
    said = "Expected values of which there are at most 2 of each attribute (MAX_ATTRIBUTE_GROUPS)"
    assert [(one["index"], one["errors"][0]["field"]) for one in answer["rejected"]] == [
        (0, "attributes.sex")
    ]
    assert answer["rejected"][0]["errors"][0]["message"].startswith(said)
    assert supply(rows(("e3", {"sex": "F"})))["moved"] == 1
    assert counted().total == 3 and {sex for sex, _ in counted().groups} == {"F", "M"}
    assert_counts_are_the_rows()


def test_early_attributes_have_their_time() -> None:
    """After EARLY_LABEL_DAYS they wait no longer."""
    supply(rows(("e1", {"sex": "M"})), now=NOW - timedelta(days=31))
    supply(rows(("e2", {"sex": "M"})), now=NOW - timedelta(days=29))
    assert event_retention.purge(NOW)["early_attributes"] == 1
    send([event("e1"), event("e2")])
    assert counted() == brute_table([("yes", None, 0.75, sex, "30_50") for sex in "FM"])


def test_an_attribute_that_the_model_has_not_is_rejected() -> None:
    """By its place and name; nothing of that decision moves. A name that may be a person's is not repeated."""
    send([event("e1"), event("e2")])
    answer = supply(rows(("e1", {"religion": "x"}), ("e2", {"sex": "M", "ann@example.org": 1})))
    assert answer["moved"] == 0
    assert [(one["index"], one["errors"][0]["field"]) for one in answer["rejected"]] == [
        (0, "attributes.religion"),
        (1, "attributes"),
    ]
    assert "ann@" not in json.dumps(answer)
    assert counted() == brute_table([("yes", None, 0.75, "F", "30_50")] * 2)


def test_purged_rows_are_expired() -> None:
    """Their counts stay where they are."""
    old = NOW - timedelta(days=91)
    send([event("old", timestamp=old.isoformat()), event("new")])
    send([event("older", timestamp=(old - timedelta(days=1)).isoformat())])
    count_keeper.purge_raw(NOW)
    answer = supply(rows(("older", {"sex": "M"}), ("new", {"sex": "M"})))
    assert (answer["moved"], answer["expired"]) == (1, 1)


def test_columns_find_each_their_own() -> None:
    """1,200 decisions of several batches and days, attributes shuffled: a recount by hand."""
    chance = random.Random(5)
    ids = [f"e{i}" for i in range(1200)]
    ages = [chance.randrange(18, 80) for _ in ids]
    table = {
        "model_id": "hiring", "event_id": ids, "label": ["yes"] * 1200, "features": {"age": ages},
        "timestamp": [NOW.timestamp() - chance.randrange(3 * 86400) for _ in ids],
    }  # fmt: skip
    assert send(table)["queued"] == 1200
    count_keeper.compact(NOW)
    sexes = [chance.choice(["F", "M", None]) for _ in ids]
    order = chance.sample(range(1200), 1200)
    body = {"event_id": [ids[i] for i in order], "attributes": {"sex": [sexes[i] for i in order]}}
    answer = supply(body)
    assert answer["moved"] == sum(sex is not None for sex in sexes)

    def band(age: int) -> str:
        return "UNDER_30" if age < 30 else "30_50" if age < 50 else "50_PLUS"

    assert counted() == brute_table(
        [("yes", None, None, sex or "unknown", band(age)) for sex, age in zip(sexes, ages, strict=True)]
    )
    assert_counts_are_the_rows()
    count_keeper.compact(NOW)
    assert_counts_are_the_rows()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", MalformedInput),
        (b"{}", InvalidInput),
        (b'{"attributes": []}', InvalidInput),
        (b'{"attributes": [{"event_id": "e", "attributes": {}}]}', InvalidInput),
        (b'{"attributes": [{"event_id": "e", "attributes": {"sex": ["F"]}}]}', InvalidInput),
        (b'{"attributes": [{"event_id": "e", "attributes": {"sex": "a\\u0000b"}}]}', InvalidInput),
        (b'{"event_id": ["e"], "attributes": {"sex": ["F", "M"]}}', InvalidInput),
        (json.dumps(rows(*[(f"e{i}", {"sex": "F"}) for i in range(501)])).encode(), TooLarge),
    ],
)
def test_a_body_that_is_none(body: bytes, error: type[Exception]) -> None:
    """Refused as a whole."""
    with pytest.raises(error):
        attribute_supply.supply(SENDER, body, NOW)


def test_values_are_read_as_those_of_events() -> None:
    """Words as groups, ages and dates of birth as bands on the day of the decision."""
    register("lending", normalise_groups=True, group_definitions={}, reference_groups={"sex": "Male"})
    send([event("e1", model_id="lending", demographic_tags={}), event("e2", model_id="lending")])
    supply(rows(("e1", {"sex": "mujer", "age": "1996-03-03"}), ("e2", {"sex": 1, "age": 17})))
    assert set(counted("lending").groups) == {("Female", "18_30"), ("1", "UNDER_18")}


def test_nobodys_address_waits() -> None:
    """A value that is an address is a token, in what waits and in the name of the group."""
    supply(rows(("e1", {"sex": "ann@example.org"})))
    send([event("e1"), event("e2")])
    supply(rows(("e2", {"sex": "ann@example.org"}), ("e9", {"sex": "ann@example.org"})))
    labels = {group[0] for group in counted().groups}
    assert len(labels) == 1 and next(iter(labels)).startswith("tok_email_")
    with session.read_snapshot() as found:
        waiting = found.query(tables.detail_tables.EarlyAttributes).one()
        assert next(iter(waiting.attributes.values())).startswith("tok_email_")


def test_a_failed_commit_moves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither cell nor count nor what waits; the same supply moves and waits when it comes again."""
    send(event("e1"))
    real = ingest_writer._apply

    def fails(taken: Any) -> None:
        real(taken)
        raise Unavailable("The database's disk is full; nothing was stored.", retry_after_s=60)

    body = rows(("e1", {"sex": "a new group"}), ("e2", {"sex": "M"}))
    with monkeypatch.context() as broken:
        broken.setattr(ingest_writer, "_apply", fails)
        with pytest.raises(Unavailable):
            supply(body)
    assert counted() == brute_table([("yes", None, 0.75, "F", "30_50")])
    assert_counts_are_the_rows()
    answer = supply(body)
    assert (answer["moved"], answer["waiting"]) == (1, 1)
    send(event("e2"))
    assert counted() == brute_table([("yes", None, 0.75, sex, "30_50") for sex in ("a new group", "M")])
    assert_counts_are_the_rows()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "supply", "label", "compact"]),
        st.integers(0, 5),
        st.sampled_from([None, "F", "M"]),
        st.sampled_from(["good", "bad"]),
    ),
    max_size=16,
)
_runs = iter(range(10**9))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_order_counts_the_same(steps: Any) -> None:
    """Events, supplies, labels and folds in any order: what a dictionary says, and the raw rows agree."""
    run = next(_runs)
    model = f"any{run}"
    register(model)
    seen: dict[str, list[Any]] = {}
    early: dict[str, Any] = {}
    truths: dict[str, Any] = {}
    for kind, number, sex, truth in steps:
        one = f"{run}:{number}"
        if kind == "send":
            send(event(one, model_id=model, demographic_tags={"sex": sex, "age": 20}))
            if one not in seen:
                seen[one] = [early.pop(one) if one in early else sex, truths.pop(one, None)]
        elif kind == "supply":
            supply(rows((one, {"sex": sex})))
            if one in seen:
                seen[one][0] = sex
            else:
                early[one] = sex
        elif kind == "label":
            label([(one, truth)])
            if one in seen:
                seen[one][1] = truth
            else:
                truths[one] = truth
        else:
            count_keeper.compact(NOW)
    expected = [("yes", truth, 0.75, sex or "unknown", "UNDER_30") for sex, truth in seen.values()]
    found = count_keeper.window_table("acme", model, *day_window(), attributes=["sex", "age"])
    assert found == brute_table(expected)
    if seen:
        assert all(one["equal"] for one in count_keeper.check_counts("acme", model, NOW.date()))
