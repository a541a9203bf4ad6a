"""Bodies: columns, rows, compression, and cutting them."""

from __future__ import annotations

import json
import random

from fairlens_sdk._plain import as_null
from fairlens_sdk._wire import (
    EVENTS,
    Identity,
    LabelItem,
    Parcel,
    compressed,
    halves,
    is_compressed,
    join_records,
    loaded,
    pack_events,
    pack_labels,
    single,
)

WHO = Identity("loan", "1", "lending", None)
AT = 1_700_000_000_000_000_000


def event(i: int, **features: object) -> tuple[object, ...]:
    return (f"id-{i}", AT + i * 1_000_000, features, i % 2, i / 10, None, None, {"sex": "F"})


def test_events_of_one_shape_are_columns() -> None:
    """Columns cost the server half; a column that nobody gave is left out, a null in one means not given."""
    (parcel,) = pack_events([event(0, a=1, b="x"), event(1, b="y", a=2)], WHO, as_null)
    assert json.loads(parcel.body) == {
        "model_id": "loan",
        "model_version": "1",
        "use_case": "lending",
        "event_id": ["id-0", "id-1"],
        "timestamp": ["2023-11-14T22:13:20.000000Z", "2023-11-14T22:13:20.001000Z"],
        "label": [0, 1],
        "score": [0.0, 0.1],
        "features": {"a": [1, 2], "b": ["x", "y"]},
        "demographic_tags": {"sex": ["F", "F"]},
    }


def test_events_of_two_shapes_are_rows() -> None:
    """A feature that one event lacks is not a null of that event."""
    (parcel,) = pack_events([event(0, a=1), event(1, b=2)], WHO, as_null)
    rows = json.loads(parcel.body)
    assert [row["features"] for row in rows] == [{"a": 1}, {"b": 2}]
    assert rows[0]["session_context"] == {"use_case": "lending"}


def test_bodies_above_a_kilobyte_are_gzip() -> None:
    """Small ones are not worth it."""
    small = compressed(b"[" + b" " * 1022 + b"]")
    large = compressed(b"[" + b" " * 1023 + b"]")
    assert not is_compressed(small)
    assert is_compressed(large)
    assert loaded(Parcel(EVENTS, 0, large)) == []


def test_cutting_a_parcel_in_halves_keeps_every_event_once() -> None:
    """Down to single events, for columns, rows and labels: the same ids, values beside their ids."""
    shapes = (
        [event(i, a=i, b=[i]) for i in range(9)],
        [event(i, **{f"f{i % 3}": i}) for i in range(9)],
    )
    parcels = [pack_events(events, WHO, as_null)[0] for events in shapes]
    parcels.append(pack_labels([LabelItem(f"id-{i}", i) for i in range(9)], as_null))
    for whole in parcels:
        parts = [whole]
        random.Random(1).shuffle(parts)
        while any(part.count > 1 for part in parts):
            parts = [half for part in parts for half in (halves(part) if part.count > 1 else [part])]
        assert [part.count for part in parts] == [1] * 9
        for i, part in enumerate(parts):
            body = loaded(part)
            if isinstance(body, list):
                assert body[0]["event_id"] == f"id-{i}"
                assert body[0]["features"] == {f"f{i % 3}": i}
            elif "labels" in body:
                assert body == {"labels": [{"event_id": f"id-{i}", "label": i}]}
            else:
                assert (body["event_id"], body["features"]) == ([f"id-{i}"], {"a": [i], "b": [[i]]})
        assert single(whole, [4]) == [loaded(parts[4])]


def test_single_records_join_to_one_body() -> None:
    """What `durable` wrote one by one goes as one request."""
    parcel = join_records("event", [b'{"event_id":"a"}', b'{"event_id":"b"}'])
    assert (parcel.count, loaded(parcel)) == (2, [{"event_id": "a"}, {"event_id": "b"}])
    assert loaded(join_records("label", [b'{"event_id":"a","label":1}'])) == {
        "labels": [{"event_id": "a", "label": 1}]
    }
