"""Single decisions on their way in: what is taken, what is set aside, and that the counts are those of the rows."""

import itertools
import json
import random
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairlens_backend import count_keeper, security_utils
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput, MalformedInput, NotFound, TooLarge
from fairlens_backend.prediction_ingest import Sender, add_labels, ingest
from fairlens_backend.storage import dead_letters, early_labels, session, tables
from fairlens_backend.storage.session import read_snapshot
from tests.ingest_kit import NOW, SENDER, brute_table, day_window, event, label, register, send


@pytest.fixture(autouse=True)
def model(database: None) -> None:
    """The model `hiring`, registered."""
    register()


def counted(**how: Any) -> CountTable:
    """All counts of the model."""
    return count_keeper.window_table("acme", "hiring", *day_window(), **how)


def letters(tenant: str = "acme") -> list[Any]:
    """All dead letters of a tenant."""
    with read_snapshot():
        return dead_letters.page(tenant, 100)


def test_one_event_is_counted_in_its_minute() -> None:
    """Group, decision, score bin; nothing a minute before or after."""
    answer = send(event())
    assert answer == {"event_ids": ["e1"], "queued": 1, "duplicates": 0, "rejected": []}
    assert counted() == brute_table([("yes", None, 0.75, "F", "30_50")])
    at = NOW.replace(second=0)
    there = [at + timedelta(minutes=k) for k in (-1, 0, 1, 2)]
    sizes = [
        count_keeper.window_table("acme", "hiring", start, end).total
        for start, end in itertools.pairwise(there)
    ]
    assert sizes == [0, 1, 0]


@pytest.mark.parametrize("form", ["one by one", "list", "columns"])
def test_all_forms_count_the_same(form: str) -> None:
    """An event, a list and columns: the same ids and the same table, groups by the model's declarations."""
    rows = [
        ("yes", "good", 0.3, "F", 29),
        ("no", "bad", 1.0, "M", "50"),
        ("no", None, None, "?", None),
        ("yes", None, 0.0, " F ", 30.0),
    ]
    events = [
        event(
            f"e{i}",
            prediction={"label": d} if s is None else {"label": d, "score": s},
            ground_truth=y,
            demographic_tags={"sex": sex},
            features={"age": age, "income": 10},
        )
        for i, (d, y, s, sex, age) in enumerate(rows)
    ]
    if form == "one by one":
        for one in events:
            send(one)
    elif form == "list":
        assert send(events)["event_ids"] == ["e0", "e1", "e2", "e3"]
    else:
        d, y, s, sex, age = (list(column) for column in zip(*rows, strict=True))
        table = {
            "model_id": "hiring",
            "event_id": ["e0", "e1", "e2", "e3"],
            "timestamp": [NOW.timestamp()] * 4,
            "label": d,
            "score": s,
            "ground_truth": y,
            "features": {"age": age, "income": [10] * 4},
            "demographic_tags": {"sex": sex},
        }
        assert send(table)["queued"] == 4
    assert counted() == brute_table(
        [
            ("yes", "good", 0.3, "F", "UNDER_30"),
            ("no", "bad", 1.0, "M", "50_PLUS"),
            ("no", None, None, "unknown", "unknown"),
            ("yes", None, 0.0, "F", "30_50"),
        ]
    )


def test_an_id_counts_once_within_its_tenant() -> None:
    """Again in the batch, in another batch, with another time or label: neither row nor count. Another tenant's is another."""
    assert send([event(), event(), event("e2")])["queued"] == 2
    later = event(timestamp=(NOW - timedelta(days=3)).isoformat(), prediction={"label": "no"})
    answer = send([later, event("e3")])
    assert (answer["event_ids"], answer["queued"], answer["duplicates"]) == (["e1", "e3"], 1, 1)
    assert counted() == brute_table([("yes", None, 0.75, "F", "30_50")] * 3)
    register(tenant="other")
    assert send(event(), Sender("other", "x"))["queued"] == 1


def test_good_events_of_a_mixed_batch_are_kept() -> None:
    """The bad ones are named by index and path, and kept tokenised and encrypted; what they held is in no reason."""
    bad = [
        event("ann@example.org", prediction={"label": "yes", "score": 1.5}),
        event("b2", model_id="a b"),
        event("b3", **{"ann@example.org": 1}),
        event("b4", timestamp="2026-03-02T12:00:00"),
        event("b5", timestamp=(NOW + timedelta(hours=2)).isoformat()),
        event("b6", session_context={"tenant_id": "ann@example.org"}),
        event("b7", session_context={"use_case": "ann@example.org"}),
        event("b8", demographic_tags={"sex": "a\0b"}),
        event("b9", demographic_tags={}, features={"sex": ["F"]}),
        event(...),
        event("b11", model_id="unheard-of"),
        event("b12", prediction=...),
    ]
    answer = send([event("g1"), *bad, event("g2")])
    assert answer["event_ids"] == ["g1", "g2"] and answer["queued"] == 2
    assert [one["index"] for one in answer["rejected"]] == list(range(1, 13))
    fields = [one["errors"][0]["field"] for one in answer["rejected"]]
    assert fields == [
        "prediction.score", "model_id", "event", "timestamp", "timestamp", "session_context.tenant_id",
        "session_context.use_case", "demographic_tags.sex", "features.sex", "event", "model_id", "event",
    ]  # fmt: skip
    kept = letters()
    assert len(kept) == 12 and counted().total == 2
    assert all("ann@" not in f"{one.errors} {one.model} {one.encrypted_event}" for one in kept)
    opened = [security_utils.decrypt_text(one.encrypted_event) for one in kept]
    assert all("ann@" not in one for one in opened)
    assert opened[0].startswith('{"event":{"event_id":"tok_email_')


def test_an_empty_decision_is_none() -> None:
    """Counted, it would be a decision against the person; and of a closed list the choices are named."""
    table = {"model_id": "hiring", "event_id": ["a", "b", "e"], "label": ["yes", "", " \u00a0"]}
    bad = event("d", session_context={"use_case": "war"})
    refused = [send(table), send([event("c", prediction={"label": " "}), bad])]
    errors = [one["errors"][0] for answer in refused for one in answer["rejected"]]
    assert [one["field"] for one in errors] == ["prediction.label"] * 3 + ["session_context.use_case"]
    said = "Expected text that is more than blanks, got text of"
    assert [one["message"] for one in errors[1:3]] == [f"{said} 2 characters", f"{said} 1 character"]
    assert "hiring, lending" in errors[3]["message"] and counted().total == 1


def test_a_bad_value_in_columns_sets_one_row_aside() -> None:
    """The row by its index, as an event that can be mended; the others are counted."""
    table = {
        "model_id": "hiring",
        "event_id": ["a", "b", "c"],
        "label": ["yes", "no", "yes"],
        "score": [0.1, 7, None],
        "demographic_tags": {"sex": ["F", "M", ["x"]], "age": [1, 2, 3]},
    }
    answer = send(table)
    assert answer["event_ids"] == ["a"]
    assert [(one["index"], one["errors"][0]["field"]) for one in answer["rejected"]] == [
        (1, "prediction.score"),
        (2, "demographic_tags.sex"),
    ]
    assert '"score":7' in security_utils.decrypt_text(letters()[0].encrypted_event)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", MalformedInput),
        (b"[", MalformedInput),
        (b"\xff\xfe", MalformedInput),
        (b"[" * 5000, MalformedInput),
        (b"5", InvalidInput),
        (b"[]", InvalidInput),
        (b'{"model_id": "hiring", "event_id": [], "label": []}', InvalidInput),
        (b'{"model_id": "hiring", "event_id": ["a"], "label": ["x", "y"]}', InvalidInput),
        (b'{"model_id": "hiring", "event_id": ["a"], "label": ["x"], "features": {"a": []}}', InvalidInput),
        (b'{"model_id": "a b", "event_id": ["a"], "label": ["x"]}', InvalidInput),
        (b'{"model_id": "hiring", "event_id": ["a"]}', InvalidInput),
        (b'{"model_id": "hiring", "event_id": ["a"], "label": [[1]], "score": 3}', InvalidInput),
        (b'{"event_id": ["a"], "label": [[1]]}', InvalidInput),
        (b'{"model_id": "hiring", "event_id": [5]}', InvalidInput),
        (b'{"model_id": "hiring", "event_id": ["a"], "label": [[1]], "features": [2]}', InvalidInput),
        (b'{"model_id": "hiring", "event_id": ["a"], "label": [[1]], "features": {"x": 2}}', InvalidInput),
        (b'{"model_id": "hiring", "event_id": ["a"], "label": [[1]], "note": [2]}', InvalidInput),
        (b"[" + b",".join([b"{}"] * 501) + b"]", TooLarge),
    ],
)
def test_a_body_that_is_none(body: bytes, error: type[Exception]) -> None:
    """What is no list of events is refused as a whole, and nothing of it is stored."""
    with pytest.raises(error):
        ingest(SENDER, body, NOW)
    assert letters() == [] and counted(attributes=["sex"]).total == 0


def test_a_model_must_be_registered_and_say_what_is_favourable() -> None:
    """Without that no count has a meaning: the request is refused by the model's name; the sender keeps its events."""
    with pytest.raises(NotFound, match="There is no model 'lending'"):
        send(event(model_id="lending"))
    with pytest.raises(NotFound, match="no version 'v9'"):
        send(event(model_version="v9"))
    register("bare", columns=None)
    with pytest.raises(InvalidInput, match=r"columns\.protected"):
        send(event(model_id="bare"))
    assert letters() == []
    assert send(event(model_version=...))["queued"] == 1


def test_old_events_are_taken_and_a_missing_time_is_now() -> None:
    """Of last month, at the limit ahead, as seconds, and without a time."""
    times = [(NOW - timedelta(days=31)).isoformat(), NOW.timestamp() + 3600, NOW.timestamp() - 0.5, ...]
    assert send([event(f"e{i}", timestamp=at) for i, at in enumerate(times)])["queued"] == 4
    last_month = NOW.replace(second=0) - timedelta(days=31)
    assert (
        count_keeper.window_table("acme", "hiring", last_month, last_month + timedelta(minutes=1)).total == 1
    )


def test_labels_late_changed_repeated() -> None:
    """−1 where the decision was and +1 where it goes; a changed label moves it; the same again changes nothing."""
    send([event("e1"), event("e2", prediction={"label": "no"})])
    assert label([("e1", "good"), ("e2", "bad")]) == {"joined": 2, "unchanged": 0, "waiting": 0, "expired": 0}
    assert counted() == brute_table([("yes", "good", 0.75, "F", "30_50"), ("no", "bad", None, "F", "30_50")])
    assert label([("e1", "good")])["unchanged"] == 1
    assert label([("e1", "good"), ("e1", "bad")])["joined"] == 1
    assert counted() == brute_table([("yes", "bad", 0.75, "F", "30_50"), ("no", "bad", None, "F", "30_50")])


def test_a_long_table_and_its_labels() -> None:
    """1,200 decisions in columns are more than one stored batch; their labels, shuffled, find each its own."""
    chance = random.Random(6)
    ids = [f"e{i}" for i in range(1200)]
    sexes, scores = [chance.choice("FM") for _ in ids], [chance.randrange(11) / 10 for _ in ids]
    table = {"model_id": "hiring", "event_id": ids, "label": ["yes"] * 1200, "score": scores}
    assert send({**table, "features": {"sex": sexes, "age": [20] * 1200}})["queued"] == 1200
    truths = [chance.choice(["good", "bad"]) for _ in ids]
    shuffled = chance.sample(range(1200), 1200)
    columns = {"event_id": [ids[i] for i in shuffled], "label": [truths[i] for i in shuffled]}
    assert add_labels(SENDER, json.dumps(columns).encode(), NOW)["joined"] == 1200
    rows = [("yes", y, s, sex, "UNDER_30") for y, s, sex in zip(truths, scores, sexes, strict=True)]
    assert counted() == brute_table(rows)
    assert count_keeper.check_counts("acme", "hiring", NOW.date())[0]["equal"]


def test_a_label_before_its_decision_waits() -> None:
    """Until the decision comes, when it counts above the event's own; another tenant's label is another's."""
    label([("e1", "bad"), ("e3", "good")])
    assert label([("e1", "good")])["waiting"] == 1
    assert label([("e2", "good")], Sender("other", "x"))["waiting"] == 1
    send([event("e1"), event("e2"), event("e3", ground_truth="bad")])
    assert counted() == brute_table(
        [(("yes"), truth, 0.75, "F", "30_50") for truth in ("good", None, "good")]
    )
    with read_snapshot():
        assert early_labels.count() == 1


def test_waiting_labels_and_raw_rows_have_their_time(make_settings: Any) -> None:
    """Purged rows leave their counts; their labels are said to be expired; a label that waited too long is dropped."""
    old = NOW - timedelta(days=91)
    label([("never", "good")], now=NOW - timedelta(days=31))
    send([event("old", timestamp=old.isoformat()), event("new")], now=NOW)
    send([event("older", timestamp=(old - timedelta(days=1)).isoformat())])
    assert count_keeper.purge_raw(NOW) == {"batches": 1, "early_labels": 1}
    whole = count_keeper.window_table("acme", "hiring", *day_window(200))
    assert whole.total == 3
    assert label([("older", "good"), ("new", "good")]) == {
        "joined": 1, "unchanged": 0, "waiting": 0, "expired": 1,
    }  # fmt: skip
    with pytest.raises(count_keeper.Conflict, match="purged"):
        count_keeper.rebuild_counts("acme", "hiring", old.date() - timedelta(days=1))


def test_versions_and_attributes_are_told_apart() -> None:
    """One version alone, all together, one attribute alone."""
    register(version="v2")
    send([event("a"), event("b", model_version="v2"), event("c", demographic_tags={"sex": "M"})])
    assert counted().total == 3 and counted(version="v2").total == 1
    assert counted(attributes=["sex"]).groups == (("F",), ("M",))


def test_counts_are_rebuilt_from_the_rows() -> None:
    """Counts that were damaged are what the rows say again, in every grain; the check sees the difference."""
    send([event(f"e{i}", timestamp=(NOW - timedelta(minutes=37 * i)).isoformat()) for i in range(40)])
    label([(f"e{i}", "good") for i in range(0, 40, 3)])
    count_keeper.compact(NOW)
    before = counted()
    day = date(2026, 3, 2)
    assert [one["equal"] for one in count_keeper.check_counts("acme", "hiring", day)] == [True]
    with session.unit_of_work() as rows:
        rows.query(tables.event_tables.CountBucket).filter_by(grain=60).delete()
        rows.query(tables.event_tables.CountBucket).filter_by(grain=1440).delete()
    assert counted() != before
    assert not count_keeper.check_counts("acme", "hiring", day)[0]["equal"]
    for one in (day, day - timedelta(days=1)):
        assert count_keeper.rebuild_counts("acme", "hiring", one)[0]["cells_changed"] > 0
    assert counted() == before
    assert count_keeper.rebuild_counts("acme", "hiring", day)[0]["cells_changed"] == 0


IDS = st.sampled_from([f"id{i}" for i in range(12)])
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("send"),
            st.lists(
                st.tuples(
                    IDS,
                    st.sampled_from(["yes", "no"]),
                    st.sampled_from([None, "good", "bad"]),
                    st.sampled_from([None, 0.0, 0.3, 0.55, 1.0]),
                    st.sampled_from(["F", "M"]),
                    st.integers(-4000, 59),
                ),
                min_size=1,
                max_size=6,
            ),
        ),
        st.tuples(
            st.just("label"),
            st.lists(st.tuples(IDS, st.sampled_from(["good", "bad"])), min_size=1, max_size=5),
        ),
        st.tuples(st.just("compact"), st.none()),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, cut=st.integers(-4000, 60))
def test_any_interleaving_counts_what_the_rows_say(steps: Any, cut: int) -> None:
    """Ingests, repeated ids, labels early, late and changed, folds: every window's counts are a recount of the events."""
    run = next(RUNS)
    kept: dict[str, list[Any]] = {}
    waiting: dict[str, str] = {}
    model = f"m{run}"
    register(model)
    for kind, what in steps:
        if kind == "send":
            batch = []
            for one, decision, truth, score, sex, ahead in what:
                at = NOW + timedelta(minutes=ahead)
                batch.append(
                    event(
                        f"{run}:{one}",
                        model_id=model,
                        timestamp=at.isoformat(),
                        prediction={"label": decision, "score": score},
                        ground_truth=truth,
                        demographic_tags={"sex": sex, "age": 20},
                    )
                )
                if one not in kept:
                    kept[one] = [at, decision, waiting.pop(one, truth), score, sex]
            send(batch)
        elif kind == "label":
            label([(f"{run}:{one}", value) for one, value in what])
            for one, value in what:
                if one in kept:
                    kept[one][2] = value
                else:
                    waiting[one] = value
        else:
            count_keeper.compact(NOW)
    start, end = day_window()
    edge = NOW.replace(second=0) + timedelta(minutes=cut)
    for low, high in ((start, end), (start, edge), (edge, end)):
        rows = [(d, y, s, sex, "UNDER_30") for at, d, y, s, sex in kept.values() if low <= at < high]
        table = count_keeper.window_table("acme", model, low, high, attributes=["sex", "age"])
        assert table == brute_table(rows)
    with session.unit_of_work():
        pass


def _numbers() -> Any:
    n = 0
    while True:
        n += 1
        yield n


RUNS = _numbers()
