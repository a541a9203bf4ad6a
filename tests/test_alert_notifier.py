"""Alerts: what they say, that none is lost, and that no transaction waits for a receiver."""

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from fairlens_backend import alert_notifier, config
from fairlens_backend.alert_notifier import compose_alert_text, deliver_due, delivery_health, notify
from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.storage.session import current_session, read_snapshot, unit_of_work
from fairlens_backend.storage.tables import Heartbeat, OutboxMessage
from fairlens_backend.webhooks import Delivery
from tests.receiver import Receiver, ids, running_receiver

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "a secret shared with the receiver"
SETTINGS = {"WEBHOOK_SECRET": SECRET, "WEBHOOK_ALLOW_PRIVATE": "true", "WEBHOOK_MAX_ATTEMPTS": "3"}


@pytest.fixture
def receiver(make_settings: Callable[..., config.Settings], database: None) -> Iterator[Receiver]:
    """A receiver that the settings name, and an empty database."""
    with running_receiver() as place:
        make_settings(WEBHOOK_URL=place.url, **SETTINGS)
        yield place


def check(record_id: str = "rec_1") -> dict[str, Any]:
    return {
        "record_id": record_id, "audit_id": "aud_1", "tenant": "acme", "model": "loan_model", "model_version": "2",
        "severity": "CRITICAL", "alert": True, "sample_size": 1000, "dir": 0.5, "spd": -0.2, "eod": None, "aod": None,
        "theil": None, "female_rate": 0.2, "male_rate": 0.4, "sentences": ["Female is selected 0.50 times as often as Male."],
    }  # fmt: skip


def announce(*record_ids: str, now: datetime = NOW) -> None:
    with unit_of_work():
        for record_id in record_ids:
            notify("acme", check(record_id), "the text", now)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_the_message_says_what_a_receiver_needs(receiver: Receiver) -> None:
    """Exactly these fields, signed; the encrypted text goes out as a digest only."""
    with unit_of_work():
        message_id = notify("acme", check(), "the text", NOW)
    assert deliver_due(NOW) == {"delivered": 1, "retry": 0, "dead": 0, "lost": 0}
    (came,) = receiver.received
    assert json.loads(came.body) == {
        "event": "fairness.alert",
        "message_id": message_id,
        "record_id": "rec_1",
        "audit_id": "aud_1",
        "tenant": "acme",
        "model": "loan_model",
        "model_version": "2",
        "severity": "CRITICAL",
        "metrics": {"dir": 0.5, "spd": -0.2, "eod": None, "aod": None, "theil": None},
        "sentences": ["Female is selected 0.50 times as often as Male."],
        "sample_size": 1000,
        "timestamp": "2026-01-02T03:04:05.000000Z",
        "what_to_do": list(alert_notifier.WHAT_TO_DO["CRITICAL"]),
        "verify_url": "/api/verify_alert/rec_1",
        "alert_text_sha256": hashlib.sha256(b"the text").hexdigest(),
    }
    signed = came.headers["x-fairlens-timestamp"].encode() + b"." + came.body
    wanted = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert came.headers["x-fairlens-signature"] == f"sha256={wanted}"
    assert came.headers["x-fairlens-delivery"] == message_id


@pytest.mark.usefixtures("database")
def test_without_a_webhook_nothing_is_kept() -> None:
    """No address: no message, no id, and a round that does nothing."""
    with unit_of_work():
        assert notify("acme", check(), "the text", NOW) is None
    assert delivery_health(NOW)["pending"] == 0
    assert deliver_due(NOW) == {"delivered": 0, "retry": 0, "dead": 0, "lost": 0}


def test_a_record_is_announced_once(receiver: Receiver) -> None:
    """The id follows from tenant and record; announcing again changes nothing."""
    with unit_of_work():
        first = notify("acme", check(), "the text", NOW)
        assert notify("acme", check(), "the text", later(5)) == first
        assert notify("other", check(), "the text", NOW) != first
    assert deliver_due(later(9))["delivered"] == 2 and len(set(ids(receiver.received))) == 2


def test_a_message_shares_the_fate_of_its_record(receiver: Receiver) -> None:
    """A record that is rolled back is not announced."""
    with pytest.raises(ZeroDivisionError), unit_of_work():
        notify("acme", check(), "the text", NOW)
        raise ZeroDivisionError
    assert deliver_due(NOW)["delivered"] == 0 and receiver.received == []


def test_a_receiver_that_fails_twice_gets_the_same_message_a_third_time(receiver: Receiver) -> None:
    """500, 503, 200: one id, one body; each try no sooner than its wait, which is 30 s, then 60 s at most."""
    receiver.script(500, 503, 200)
    announce("rec_1")
    assert deliver_due(NOW)["retry"] == 1
    assert deliver_due(later(30))["retry"] == 1
    assert delivery_health(later(30))["pending"] == 1
    assert deliver_due(later(90))["delivered"] == 1
    assert len(set(ids(receiver.received))) == 1 and len({one.body for one in receiver.received}) == 1
    assert len({one.headers["x-fairlens-signature"] for one in receiver.received}) == 3
    assert deliver_due(later(9999))["delivered"] == 0


def test_retry_after_is_waited_for(receiver: Receiver) -> None:
    """A receiver that asks for ten minutes is left alone for ten minutes."""
    receiver.script((429, {"Retry-After": "600"}), 200)
    announce("rec_1")
    assert deliver_due(NOW)["retry"] == 1
    assert deliver_due(later(599)) == {"delivered": 0, "retry": 0, "dead": 0, "lost": 0}
    assert deliver_due(later(600))["delivered"] == 1


def test_what_cannot_be_delivered_is_set_aside_and_said(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """After the third try (the setting), or at once when refused; the log has an error with the reason, no address."""
    receiver.script(500)
    announce("rec_1")
    outcomes = [deliver_due(later(seconds)) for seconds in (0, 7200, 14400, 21600)]
    assert [(one["retry"], one["dead"]) for one in outcomes] == [(1, 0), (1, 0), (0, 1), (0, 0)]
    receiver.received.clear()
    receiver.script(410)
    announce("rec_2", now=later(30000))
    assert deliver_due(later(30000))["dead"] == 1
    assert delivery_health(later(30000)) == {"pending": 0, "due": 0, "dead": 2, "oldest_pending_s": None}
    lines = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert [(line["event"], line["attempts"], line["reason"]) for line in lines] == [
        ("WEBHOOK_DEAD", 3, "the receiver answered 500"),
        ("WEBHOOK_DEAD", 1, "the receiver answered 410"),
    ]


def test_a_round_ends_at_a_receiver_that_is_away(receiver: Receiver) -> None:
    """One message waits in vain; the others stay due, unclaimed, and go when it is back."""
    announce("rec_1", "rec_2", "rec_3")
    tried: list[str] = []

    def away(_payload: object, *, message_id: str, now: datetime) -> Delivery:
        tried.append(message_id)
        return Delivery(message_id, "retry", "does not answer")

    assert deliver_due(NOW, send=away)["retry"] == 1 and len(tried) == 1
    assert delivery_health(NOW)["due"] == 2
    assert deliver_due(NOW)["delivered"] == 2
    assert deliver_due(later(30))["delivered"] == 1


def test_a_round_is_bounded(receiver: Receiver) -> None:
    """At most `limit` messages, and no more once receivers have been waited for over 10 s."""
    announce(*(f"rec_{number}" for number in range(6)))
    assert deliver_due(NOW, limit=2)["delivered"] == 2
    slow = lambda _payload, **given: Delivery(given["message_id"], "delivered", "", 200, elapsed_s=6.0)  # noqa: E731
    assert deliver_due(NOW, send=slow)["delivered"] == 2


def test_no_transaction_is_open_while_a_receiver_is_waited_for(receiver: Receiver) -> None:
    """Another worker writes during the delivery; delivery inside a unit of work is refused."""
    written: list[bool] = []

    def write(_request: object, _connection: object) -> None:
        alert_notifier.note_round("other:1", NOW)
        written.append(True)

    receiver.on_receive = write
    announce("rec_1")
    assert deliver_due(NOW)["delivered"] == 1 and written == [True]
    with unit_of_work(), pytest.raises(RuntimeError, match="inside a unit of work"):
        deliver_due(NOW)


def test_two_workers_deliver_each_message_once(receiver: Receiver) -> None:
    """Both run rounds at once over 30 messages: no message comes twice."""
    announce(*(f"rec_{number}" for number in range(30)))
    done: list[int] = []
    start = threading.Barrier(2)

    def work() -> None:
        start.wait()
        while count := deliver_due(NOW, limit=5)["delivered"]:
            done.append(count)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 30 and len(receiver.received) == 30 and len(set(ids(receiver.received))) == 30


CHILD = """
import json, os, signal, sys
from datetime import datetime, timedelta
from fairlens_backend import config
from fairlens_backend.alert_notifier import deliver_due, notify
from fairlens_backend.storage import heartbeats
from fairlens_backend.storage.session import unit_of_work
from fairlens_backend.webhooks import send_webhook

given = json.loads(sys.argv[1])
config.use(config.load_settings(given["settings"]))
now = datetime.fromisoformat(given["now"])

def end_at(point):
    if given["point"] == point:
        os.kill(os.getpid(), signal.SIGKILL)

def send(payload, **rest):
    delivery = send_webhook(payload, **rest)
    end_at("after the answer")
    return delivery

for number in range(2):
    record_id = f"rec_{given['round']}_{number}"
    with unit_of_work():
        heartbeats.beat(record_id, "stands for the record", now)
        notify("acme", {**given["check"], "record_id": record_id}, "the text", now)
        if number == 1:
            end_at("before the commit")
end_at("after the commit")
deliver_due(now, send=send)
"""
POINTS = ("before the commit", "after the commit", "at the receiver", "after the answer")


def test_a_killed_process_loses_nothing(receiver: Receiver) -> None:
    """Ten processes are killed at four points: each record that was kept is announced, none that was not.

    A kill repeats at most the one message that was under way, under its id.
    """
    settings = config.current()
    environment = {
        name: str(getattr(settings, name.lower()))
        for name in ("DATA_DIR", "DATABASE_URL", "JWT_SECRET", "FERNET_KEY", "ADMIN_PASSWORD", "WEBHOOK_URL", "LOG_LEVEL")
    }  # fmt: skip
    child: list[subprocess.Popen[bytes]] = []
    for number in range(10):
        point = POINTS[number % len(POINTS)]
        now = NOW + timedelta(hours=number)
        given = {"settings": {**environment, **SETTINGS}, "now": now.isoformat(), "point": point, "round": number, "check": check()}  # fmt: skip
        if point == "at the receiver":
            receiver.on_receive = lambda _request, _connection: os.kill(child[-1].pid, signal.SIGKILL)
        child.append(
            subprocess.Popen(
                [sys.executable, "-c", CHILD, json.dumps(given)],
                cwd=config.PROJECT_ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(config.PROJECT_ROOT)},
            )
        )
        assert child[-1].wait(60) == -signal.SIGKILL, point
        receiver.on_receive = None
    assert delivery_health(NOW + timedelta(hours=12))["pending"] > 0
    while deliver_due(NOW + timedelta(hours=12))["delivered"]:
        pass
    with read_snapshot():
        kept = set(current_session().scalars(select(Heartbeat.name)))
        messages = current_session().scalars(select(OutboxMessage)).all()
    # Three of ten rounds (0, 4, 8) end before the second record's commit.
    assert len(kept) == 17 and all(message.delivered_at for message in messages)
    bodies = {
        one.headers["x-fairlens-delivery"]: json.loads(one.body)["record_id"] for one in receiver.received
    }
    assert set(bodies.values()) == kept and len(bodies) == 17
    repeats = sum(count - 1 for count in Counter(ids(receiver.received)).values())
    assert 1 <= repeats <= 10


def test_the_text_tells_a_person_what_was_found_and_what_to_do() -> None:
    """Model, version, record, groups, value, limit, sizes, steps. By hand: 20 of 100 against 40 of 100 is 0.5."""
    table = CountTable.from_arrays(
        {"gender": ["Female"] * 100 + ["Male"] * 100}, decision=[0] * 80 + [1] * 20 + [0] * 60 + [1] * 40
    )
    text = compose_alert_text(assess(table), "loan_model", "2", "rec_1", NOW)
    lines = text.splitlines()
    assert lines[0] == "CRITICAL: model loan_model (version 2) treats groups differently beyond its limits."
    assert lines[1] == (
        "Checked at 2026-01-02T03:04:05.000000Z on 200 decisions, 0 of them with a known outcome. Record rec_1."
    )
    assert (
        "- disparate impact ratio of gender: 0.5000, limit 0.8; "
        "Female (100 decisions) compared with Male (100 decisions)"
    ) in lines
    assert any(line.startswith("- Female is selected 0.50 times as often as Male") for line in lines)
    assert "1. Do not let this model decide alone until a person has looked at these figures." in lines
    assert lines[-1] == "Evidence: GET /api/verify_alert/rec_1"


def test_a_long_alert_is_cut_with_the_number_left_out() -> None:
    """Twenty findings are read, the others are counted; a limit passed by chance is no breach in the list."""
    metric = {"name": "disparate_impact_ratio", "value": 0.7, "threshold": 0.8, "breached": True, "significant": False,
              "groups_compared": ["b", "a"], "sample_sizes": {}}  # fmt: skip
    assessment = {"overall_severity": "MEDIUM", "sample_size": 9, "labelled_size": 3,
                  "sentences": [f"finding {number}" for number in range(25)], "attributes": {"x": {"m": metric}}}  # fmt: skip
    text = compose_alert_text(assessment, "m", "1", "r", NOW)
    assert "- finding 19\n- 5 more in the audit." in text and "finding 20" not in text
    assert "disparate impact" not in text
    assert "1. Look at the audit before the model's next training." in text


def test_theil_stands_without_groups() -> None:
    """A metric that compares no two groups is listed with its value and limit alone."""
    metric = {"name": "theil_index", "value": 0.3, "threshold": 0.2, "breached": True, "significant": True,
              "groups_compared": [], "sample_sizes": {"a": 5}}  # fmt: skip
    assessment = {"overall_severity": "HIGH", "sample_size": 9, "labelled_size": 3, "sentences": [], "attributes": {"x": {"m": metric}}}  # fmt: skip
    assert "- theil index of x: 0.3000, limit 0.2\n" in compose_alert_text(assessment, "m", "1", "r", NOW)
