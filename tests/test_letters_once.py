"""An event that is refused and sent again is one dead letter."""

import json
from datetime import timedelta
from typing import Any

import pytest

from fairlens_backend import dead_letter_box, event_retention
from fairlens_backend.errors import InvalidInput
from fairlens_backend.prediction_ingest import Sender
from fairlens_backend.storage import dead_letters
from fairlens_backend.storage.session import read_snapshot
from tests.ingest_kit import NOW, SENDER, event, register, send

OTHER = Sender("other", "key:fl_2")
BAD = {"label": "yes", "score": 7}


@pytest.fixture(autouse=True)
def model(database: None) -> None:
    """The model `hiring` of two tenants."""
    register()
    register(tenant="other")


def letters(tenant: str = "acme") -> list[dict[str, Any]]:
    """The tenant's dead letters."""
    return list(dead_letter_box.list_letters(tenant, 100)["items"])


def test_a_batch_that_is_sent_again_leaves_one_letter_an_event() -> None:
    """The answer names the event each time; the letter is the first one, of that time and sender; nor does one batch double it."""
    batch = [
        event("good"),
        event("bad", prediction=BAD),
        event("worse", model_id="nobody"),
        event("bad", prediction=BAD),
    ]
    first = send(batch)
    assert [one["index"] for one in first["rejected"]] == [1, 2, 3]
    before = letters()
    assert len(before) == 2
    again = send(batch, Sender("acme", "another"), NOW + timedelta(hours=1))
    assert again["rejected"] == first["rejected"] and again["duplicates"] == 1
    assert letters() == before


def test_another_reason_content_or_tenant_is_another_letter() -> None:
    """Only what is the same in all of it is the same letter."""
    send([event("bad", prediction=BAD)])
    send([event("bad", prediction={"label": "yes", "score": 8})])
    send([event("bad", prediction=BAD, session_context={"tenant_id": "x"})])
    send([event("bad2", prediction=BAD)])
    send([event("bad", prediction=BAD)], OTHER)
    assert (len(letters()), len(letters("other"))) == (4, 1)


def test_without_an_id_nobody_can_tell_two_events_apart() -> None:
    """So both are kept: they may be two decisions."""
    send([event(..., prediction=BAD)])
    send([event(..., prediction=BAD)])
    assert len(letters()) == 2


def test_rows_and_columns_of_one_event_are_one_letter() -> None:
    """A client that falls back from columns to rows, or writes its keys in another order, doubles nothing."""
    table = {"model_id": "hiring", "event_id": ["bad"], "label": ["yes"], "score": [7.0]}
    send(table)
    rows = {"prediction": {"score": 7.0, "label": "yes"}, "event_id": "bad", "model_id": "hiring"}
    send([rows])
    send([dict(reversed(rows.items()))])
    assert len(letters()) == 1


def test_a_letter_that_was_replayed_does_not_come_again() -> None:
    """Its event is counted, so the old batch sent again makes none; the answer names the refused event all the same. Refused for
    another reason, or of another tenant, it is a letter."""
    batch = [event("bad", prediction=BAD), event("worse", prediction=BAD)]
    first = send(batch)
    dead_letter_box.replay(SENDER, letters()[0]["id"], event("bad"), NOW)
    again = send(batch, now=NOW + timedelta(days=1))
    assert again["rejected"] == first["rejected"] and len(letters()) == 1
    send(batch, OTHER)
    send([event("bad", prediction={"label": "yes", "score": 8})])
    assert (len(letters()), len(letters("other"))) == (2, 2)
    # Remembered for as long as letters are.
    event_retention.purge(NOW + timedelta(days=400))
    send(batch)
    assert len(letters()) == 2


def test_a_letter_that_stays_is_not_remembered_as_replayed() -> None:
    """A replay that is refused anew settles nothing."""
    send([event("bad", prediction=BAD)])
    with pytest.raises(InvalidInput):
        dead_letter_box.replay(SENDER, letters()[0]["id"], None, NOW)
    dead_letter_box.delete(SENDER, letters()[0]["id"])
    send([event("bad", prediction=BAD)])
    assert len(letters()) == 1


def test_a_letter_that_was_deleted_can_come_again() -> None:
    """It is forgotten, digest and all."""
    send([event("bad", prediction=BAD)])
    dead_letter_box.delete(SENDER, letters()[0]["id"])
    send([event("bad", prediction=BAD)])
    assert len(letters()) == 1


def test_the_digest_tells_nothing() -> None:
    """It is keyed: without the server's key no guess of an event can be tried, and two tenants' do not tell of each other."""
    send([event("bad", prediction=BAD)])
    with read_snapshot():
        (row,) = dead_letters.page("acme", 10)
        assert row.digest is not None and len(row.digest) == 16
        shown = json.dumps(dead_letter_box.list_letters("acme"))
    assert row.digest.hex() not in shown


def test_a_thousand_letters_are_looked_up_in_pieces() -> None:
    """More than fit one statement, twice: as many letters as events."""
    n = 900
    table = {
        "model_id": "hiring",
        "event_id": [f"e{i}" for i in range(n)],
        "label": ["yes"] * n,
        "score": [7] * n,
    }
    for _ in range(2):
        assert len(send(table)["rejected"]) == n
    with read_snapshot():
        assert len(dead_letters.page("acme", 2000)) == n
