"""What a caller sees: ids, counters, refusals, and never an exception."""

from __future__ import annotations

import math
import random
import signal
import time
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
import pytest
from scripted_server import QuickClock, closed_port

from fairlens_sdk import FairLensClient, NotPlain

Connect = Any
Server = Any


def test_an_id_is_a_uuid_of_version_7_and_later_ids_are_larger(server: Server, connect: Connect) -> None:
    """Time-ordered ids keep the server's index growing at one end; RFC 9562 lays the bits out."""
    client = connect(server, clock=None, disabled=True)
    ids = []
    for _ in range(200):
        ids.append(client.log_prediction({}, 1))
        before = time.time_ns()
        while time.time_ns() - before < 1_000:
            pass
    found = [uuid.UUID(one) for one in ids]
    assert {one.version for one in found} == {7}
    assert {one.variant for one in found} == {uuid.RFC_4122}
    assert ids == sorted(ids)
    assert abs((found[0].int >> 80) / 1000 - time.time()) < 60


def test_two_clients_with_one_seed_and_clock_draw_the_same_ids_and_others_do_not(connect: Connect) -> None:
    """The seed is injectable; by default it is the system's."""
    make = lambda **more: connect("http://127.0.0.1:9", disabled=True, **more)  # noqa: E731
    one, two = make(rng=random.Random(5)), make(rng=random.Random(5))
    assert one.log_prediction({}, 1) == two.log_prediction({}, 1)
    assert make().log_prediction({}, 1) != make().log_prediction({}, 1)


def test_an_event_arrives_as_the_wire_says(server: Server, connect: Connect) -> None:
    """A single event is a PredictionEvent in a list, with the key in its header."""
    client = connect(server, strict=True)
    at = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    event_id = client.log_prediction(
        {"income": 51_000, "notes": ["a", "b"]},
        {"label": "approved", "score": 0.7, "threshold": 0.5},
        ground_truth=1,
        demographic_tags={"sex": "F"},
        timestamp=at,
    )
    assert client.flush()
    (request,) = server.requests
    assert request.path == "/v1/predictions/ingest"
    assert request.headers["x-api-key"] == "key-1"
    assert request.body == [
        {
            "event_id": event_id,
            "model_id": "loan_model",
            "model_version": "3",
            "timestamp": "2026-03-01T10:00:00.000000Z",
            "features": {"income": 51_000, "notes": ["a", "b"]},
            "prediction": {"label": "approved", "score": 0.7, "threshold": 0.5},
            "ground_truth": 1,
            "demographic_tags": {"sex": "F"},
            "session_context": {"tenant_id": "bank", "use_case": "lending"},
        }
    ]


def test_a_label_goes_to_its_own_address(server: Server, connect: Connect) -> None:
    """Labels come weeks later, by event_id."""
    client = connect(server)
    client.log_ground_truth("event-1", np.int64(0))
    assert client.flush()
    assert [(one.path, one.body) for one in server.requests] == [
        ("/v1/predictions/ground_truth", {"labels": [{"event_id": "event-1", "label": 0}]})
    ]


def test_what_the_caller_changes_after_the_call_is_not_sent(server: Server, connect: Connect) -> None:
    """Mappings, nested lists and arrays are copied in the call."""
    client = connect(server, flush_interval_s=3_600, clock=None)
    features: dict[str, Any] = {
        "a": 1,
        "list": [1, {"b": 2}],
        "array": np.array([1.5, 2.5]),
        "zero": np.array(3),
    }
    tags = {"sex": "F"}
    prediction = {"label": 1}
    client.log_prediction(features, prediction, demographic_tags=tags)
    features["a"] = 9
    features["list"][1]["b"] = 9
    features["array"][0] = 9
    features["zero"][...] = 9
    tags["sex"] = prediction["label"] = "changed"  # type: ignore[assignment]
    assert client.flush()
    (event,) = server.requests[0].body
    assert event["features"] == {"a": 1, "list": [1, {"b": 2}], "array": [1.5, 2.5], "zero": 3}
    assert (event["demographic_tags"], event["prediction"]) == ({"sex": "F"}, {"label": 1})


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (np.float32(0.5), 0.5),
        (np.float64(0.25), 0.25),
        (np.int8(-3), -3),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.datetime64("2026-01-02"), "2026-01-02"),
        (Decimal("1.5"), 1.5),
        (Colour.RED, "red"),
        (datetime(2026, 1, 2), "2026-01-02T00:00:00"),
        ((1, 2), [1, 2]),
        (float("nan"), None),
        (math.inf, None),
        (np.float64("nan"), None),
        (np.datetime64("NaT", "D"), None),
        (b"raw", None),
        (object(), None),
        ("lone \ud800 surrogate", "lone ? surrogate"),
    ],
)
def test_values_arrive_as_json_or_as_null(server: Server, connect: Connect, value: Any, sent: Any) -> None:
    """numpy, dates and decimals are converted; what JSON cannot carry is null, and its event still counts."""
    client = connect(server)
    client.log_prediction({"value": value, "other": 1}, 1)
    client.log_prediction({"value": value, "other": 2}, 1)
    assert client.flush()
    body = server.requests[0].body
    assert body["features"] == {"value": [sent, sent], "other": [1, 2]}
    assert client.stats().sent == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"features": {"a": math.nan}, "prediction": 1},
        {"features": {"a": object()}, "prediction": 1},
        {"features": {"a": [{"b": b"x"}]}, "prediction": 1},
        {"features": {}, "prediction": None},
        {"features": {}, "prediction": {"score": 0.5}},
        {"features": {}, "prediction": {"label": 1, "score": "high"}},
        {"features": {}, "prediction": {"label": 1, "probability": 0.5}},
        {"features": {}, "prediction": [1, 2]},
        {"features": {}, "prediction": 1, "timestamp": object()},
        {"features": 3, "prediction": 1},
    ],
)
def test_a_mistake_raises_when_strict_and_never_otherwise(
    connect: Connect, arguments: dict[str, Any]
) -> None:
    """`strict` is for tests; in production the model's path meets no exception."""
    strict = connect("http://127.0.0.1:9", strict=True)
    with pytest.raises((ValueError, TypeError, KeyError)):
        strict.log_prediction(**arguments)
    assert strict.stats().accepted == 0
    lenient = connect("http://127.0.0.1:9")
    assert uuid.UUID(lenient.log_prediction(**arguments)).version == 7
    stats = lenient.stats()
    assert stats.accepted + stats.dropped.get("invalid", 0) == 1


def test_objects_that_fail_in_every_way_do_not_reach_the_caller(server: Server, connect: Connect) -> None:
    """A mapping that raises, a value that raises when it is looked at, nesting without end."""

    class Raises:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None  # type: ignore[assignment]

    endless: list[Any] = []
    endless.append(endless)
    client = connect(server)
    for features in (Raises(), {"a": Raises()}, {"a": endless}, {"a": 10**5000}, {1: 2, None: 3}):
        client.log_prediction(features, 1)  # type: ignore[arg-type]
    client.log_ground_truth(None, 1)  # type: ignore[arg-type]
    client.log_ground_truth("x", Raises())
    client.log_predictions_batch(3)  # type: ignore[arg-type]
    good = client.log_prediction({"a": 1}, 1)
    assert client.flush()
    assert good in server.kept
    stats = client.stats()
    assert stats.accepted == stats.sent == len(server.kept)
    assert stats.lost == 0


def test_five_hundred_a_call_and_no_more(server: Server, connect: Connect) -> None:
    """A batch call takes 500; strict says so, otherwise the rest is counted."""
    client = connect(server)
    events = [{"features": {"a": i}, "prediction": i % 2} for i in range(501)]
    ids = client.log_predictions_batch(events)
    assert len(ids) == 500
    assert client.flush()
    assert server.kept == set(ids)
    assert client.stats().dropped == {"invalid": 1}
    with pytest.raises(NotPlain):
        connect(server, strict=True).log_predictions_batch(events)


def test_a_wrong_event_of_a_batch_costs_no_other(server: Server, connect: Connect) -> None:
    """Ids stand at the places of their events; what is dropped is counted one by one."""
    client = connect(server)
    good: dict[str, Any] = {"features": {"a": 1}, "prediction": 1}
    ids = client.log_predictions_batch([good, {"features": {}, "predicted": 1}, 5, good])  # type: ignore[list-item]
    client.log_predictions_batch([good] * 503)
    assert client.flush()
    assert len(set(ids)) == 4 and {ids[0], ids[3]} < server.kept and len(server.kept) == 502
    assert client.stats().dropped == {"invalid": 2 + 3}


def test_a_full_queue_refuses_and_counts(connect: Connect) -> None:
    """Events and bytes are bounded; what is refused was never accepted."""
    url = f"http://127.0.0.1:{closed_port()}"
    by_number = connect(url, queue_max_events=10, flush_interval_s=3_600, clock=None)
    by_size = connect(url, memory_max_bytes=65_536, flush_interval_s=3_600, clock=None)
    for i in range(50):
        by_number.log_prediction({"a": i}, 1)
        by_size.log_prediction({"text": "x" * 10_000}, 1)
    assert (by_number.stats().accepted, by_number.stats().dropped) == (10, {"queue_full": 40})
    # 49,152 bytes are the queue's share, an event is over 10,400 of them.
    assert (by_size.stats().accepted, by_size.stats().dropped) == (4, {"queue_full": 46})


def test_disabled_does_nothing_but_ids(server: Server, connect: Connect) -> None:
    """No thread, no file, no request."""
    client = connect(server, disabled=True)
    assert uuid.UUID(client.log_prediction({"a": object()}, None)).version == 7
    client.log_ground_truth("x", 1)
    assert client.flush()
    assert server.requests == []
    assert client.stats().accepted == 0


def test_after_close_calls_are_counted_and_harmless(server: Server, connect: Connect) -> None:
    """`close` may be called twice; the context manager closes."""
    with connect(server) as client:
        first = client.log_prediction({"a": 1}, 1)
    client.close()
    client.log_prediction({"a": 2}, 1)
    assert server.kept == {first}
    assert client.stats().dropped == {"closed": 1}
    assert client.flush(timeout_s=0)


def test_a_signal_handler_may_log_while_a_call_is_under_way(server: Server, connect: Connect) -> None:
    """The queue's lock is re-entrant: a handler interrupts the thread that holds it."""
    client = connect(server)
    inside: list[str] = []
    before = signal.signal(signal.SIGALRM, lambda *_: inside.append(client.log_prediction({"in": 1}, 1)))
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        outside = [client.log_prediction({"in": 0}, 0) for _ in range(5_000)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert inside
    assert client.flush()
    assert server.kept == {*inside, *outside}


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "ftp://host"},
        {"endpoint": "not a url"},
        {"api_key": "a\nb"},
        {"model_id": "two words"},
        {"model_id": ""},
        {"use_case": "gambling"},
        {"batch_size": 501},
        {"flush_interval_s": 0},
        {"spool_max_bytes": 0, "durable": True},
        {"memory_max_bytes": 10},
    ],
)
def test_a_setting_that_cannot_work_is_said_at_once(wrong: dict[str, Any]) -> None:
    """The constructor is no part of the model's path: it names the setting. The key is never repeated."""
    given: dict[str, Any] = {
        "endpoint": "http://h",
        "api_key": "k",
        "model_id": "m",
        "model_version": "1",
        **wrong,
    }
    with pytest.raises(ValueError) as told:
        FairLensClient(**given)
    name = next(iter(wrong))
    assert name in str(told.value)
    assert "a\nb" not in str(told.value)


def test_the_clock_is_the_callers() -> None:
    """A stamp comes from the injected clock."""
    clock = QuickClock()
    client = FairLensClient("http://127.0.0.1:9", "k", "m", "1", clock=clock, disabled=True)
    assert uuid.UUID(client.log_prediction({}, 1)).int >> 80 == clock.time_ns() // 1_000_000
