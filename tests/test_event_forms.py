"""A body in another form than the three is refused whole, and the answer names them; an event that lacks something is a dead letter."""

import json
from typing import Any

import pytest

from fairlens_backend import dead_letter_box, prediction_ingest
from fairlens_backend.errors import InvalidInput, MalformedInput
from tests.ingest_kit import NOW, SENDER, event, register, send

FORMS = "one event, a list of at most 500 events, or columns of at most 10,000"


@pytest.fixture(autouse=True)
def model(database: None) -> None:
    """The model `hiring`."""
    register()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"events": [event("a")]}, "with `events`"),
        ({"model_id": "hiring", "events": [event("a")]}, "with `model_id`, `events`"),
        ({"data": {"events": [event("a")]}, "count": 1}, "with `data`, `count`"),
        ({"Ann Lee": [event("a")]}, "without any field of an event"),
        ({}, "without any field of an event"),
    ],
)
def test_a_list_inside_an_object(body: Any, told: str) -> None:
    """Refused whole: nothing of it could be mended as a letter. A name that may be a person's is not told."""
    with pytest.raises(InvalidInput) as refused:
        send(body)
    assert told in refused.value.message and FORMS in refused.value.message
    assert "Ann" not in str(refused.value.details) and refused.value.details["field"] == "body"
    assert dead_letter_box.list_letters("acme")["items"] == []


@pytest.mark.parametrize("body", [event(...), event("a", prediction=...), {"model_id": "hiring"}])
def test_an_event_that_lacks_something_is_a_dead_letter(body: Any) -> None:
    """It can be mended and sent again."""
    assert len(send(body)["rejected"]) == 1
    assert len(dead_letter_box.list_letters("acme")["items"]) == 1


def test_one_event_a_line() -> None:
    """Not JSON, and what would be is said."""
    lines = "\n".join(json.dumps(event(name)) for name in "ab")
    with pytest.raises(MalformedInput, match="The body is not JSON") as refused:
        prediction_ingest.ingest(SENDER, lines.encode(), NOW)
    assert FORMS in refused.value.message


@pytest.mark.parametrize("body", [b"", b" ", b'{"event_id": "a"'])
def test_a_body_that_ends_too_early(body: bytes) -> None:
    """Nothing at all, or the beginning of something: said in words."""
    for take in (prediction_ingest.ingest, prediction_ingest.add_labels):
        with pytest.raises(MalformedInput, match="empty or cut off"):
            take(SENDER, body, NOW)
