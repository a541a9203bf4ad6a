"""One signed delivery: what is sent, how answers are judged. The signature is computed here with hmac alone."""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from fairlens_backend import config
from fairlens_backend.webhooks import Delivery, send_webhook, verify_signature
from tests.receiver import Receiver, ids, running_receiver

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STAMP = "1767323045"  # date -u -d 2026-01-02T03:04:05 +%s
SECRET = "a secret shared with the receiver"


@pytest.fixture
def receiver(make_settings: Callable[..., config.Settings]) -> Iterator[Receiver]:
    """A receiver that the settings name; loopback is allowed."""
    with running_receiver() as place:
        make_settings(
            WEBHOOK_URL=place.url,
            WEBHOOK_SECRET=SECRET,
            WEBHOOK_ALLOW_PRIVATE="true",
            WEBHOOK_TIMEOUT_S="5",
        )
        yield place


def send_once(**given: object) -> Delivery:
    return send_webhook({"event": "test"}, **{"message_id": "m-1", "now": NOW, **given})  # type: ignore[arg-type]


def signature(stamp: str, body: bytes) -> str:
    return "sha256=" + hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


def test_the_body_is_canonical_and_signed_with_its_time(receiver: Receiver) -> None:
    """Keys sorted, no spaces, UTF-8; the signature covers timestamp, a dot and the body."""
    sent = send_webhook({"b": 1.5, "a": "é", "c": None}, message_id="m-7", now=NOW)
    assert sent.delivered and sent.status_code == 200 and sent.attempts == 1
    (came,) = receiver.received
    assert came.path == "/hook"
    assert came.body == '{"a":"é","b":1.5,"c":null}'.encode()
    assert came.headers["x-fairlens-timestamp"] == STAMP
    assert came.headers["x-fairlens-signature"] == signature(STAMP, came.body)
    assert came.headers["x-fairlens-delivery"] == "m-7"
    assert came.headers["content-type"] == "application/json"
    assert came.headers["user-agent"].startswith("FairLens")
    assert came.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert verify_signature(came.body, came.headers, SECRET, NOW)


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"now": NOW + timedelta(seconds=300)}, True),
        ({"now": NOW + timedelta(seconds=301)}, False),
        ({"now": NOW - timedelta(seconds=301)}, False),
        ({"tolerance_s": 10, "now": NOW + timedelta(seconds=11)}, False),
        ({"body": b'{"a":2}'}, False),
        ({"secret": "another"}, False),
        ({"headers": {}}, False),
        ({"headers": {"X-FairLens-Timestamp": "1767323046", "X-FairLens-Signature": signature(STAMP, b'{"a":1}')}}, False),
        ({"headers": {"X-FairLens-Timestamp": "٣", "X-FairLens-Signature": "é"}}, False),
        ({"headers": {"X-FairLens-Timestamp": "9" * 400, "X-FairLens-Signature": "sha256="}}, False),
    ],
)  # fmt: skip
def test_a_receiver_can_tell_an_altered_or_old_message(change: dict[str, object], valid: bool) -> None:
    """Body, timestamp and secret all count, and so does the age on either side."""
    given = {
        "body": b'{"a":1}',
        "headers": {"x-fairlens-TIMESTAMP": STAMP, "X-FAIRLENS-signature": signature(STAMP, b'{"a":1}')},
        "secret": SECRET,
        "now": NOW,
    }
    assert verify_signature(**{**given, **change}) is valid  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "delivered"), (202, "delivered"), (204, "delivered"), (301, "failed"), (400, "failed"), (401, "failed"),
     (404, "failed"), (408, "retry"), (410, "failed"), (425, "retry"), (429, "retry"), (500, "retry"), (503, "retry")],
)  # fmt: skip
def test_a_status_means_delivered_later_or_never(receiver: Receiver, status: int, outcome: str) -> None:
    """2xx is delivered; 408, 425, 429 and 5xx may succeed later; all else will not. One try each with an id."""
    receiver.script(status)
    sent = send_once()
    assert (sent.outcome, sent.status_code, len(receiver.received)) == (outcome, status, 1)


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    """A receiver that sends elsewhere gets nothing there, and the message fails for good, with the reason."""
    with running_receiver() as other:
        receiver.script((307, {"Location": other.url}))
        sent = send_once()
        assert sent.outcome == "failed" and "redirects are not followed" in sent.reason
        assert len(receiver.received) == 1 and other.received == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("Fri, 02 Jan 2026 03:05:05 GMT", 60.0), ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0), ("soon", None), ("-5", None),
     ("9999999999", 86400.0), ("9" * 400, 86400.0), ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0)],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_or_as_a_date(
    receiver: Receiver, header: str, seconds: float | None
) -> None:
    """RFC 9110: a number of seconds or a date, at most a day; anything else is as if it were not there."""
    receiver.script((503, {"Retry-After": header}))
    assert send_once().retry_after_s == seconds


def test_a_slow_receiver_is_given_up(receiver: Receiver) -> None:
    """No answer within the timeout is for later; the message names the receiver and no path."""
    release = threading.Event()
    receiver.on_receive = lambda _request, _connection: release.wait(10) and None
    sent = send_once(timeout_s=0.2)
    release.set()
    assert sent.outcome == "retry" and sent.status_code is None
    assert sent.reason == "127.0.0.1 did not answer within 0.2 s"
    assert sent.elapsed_s < 5


def test_an_answer_in_drops_is_given_up_too(receiver: Receiver) -> None:
    """Each drop comes in time, the whole does not: the limit is on the exchange, not on a single read."""
    ended = threading.Event()

    def drip(_request: object, connection: object) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")  # type: ignore[attr-defined]
        try:
            while not ended.wait(0.05):
                connection.sendall(b"X: y\r\n")  # type: ignore[attr-defined]
        except OSError:
            return

    receiver.on_receive = drip
    sent = send_once(timeout_s=0.3)
    ended.set()
    assert sent.outcome == "retry" and "did not answer within 0.3 s" in sent.reason
    assert 0.2 < sent.elapsed_s < 4  # urllib3 alone would read a hundred header lines, 5 s


def test_nobody_there_is_for_later(settings: config.Settings) -> None:
    """A refused connection and a name without address may be mended by the receiver."""
    with running_receiver() as gone:
        url = gone.url
    given = {"secret": SECRET, "allow_private": True}
    assert send_once(url=url, **given).outcome == "retry"

    def nowhere(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    sent = send_once(url="http://hooks.example/x", resolve=nowhere, **given)
    assert (sent.outcome, sent.reason) == ("retry", "hooks.example does not resolve")


def test_the_simple_call_tries_three_times(receiver: Receiver) -> None:
    """`send_webhook(payload)`: address and secret from the settings, one id for all tries, waits under 1 and 2 s."""
    receiver.script(500, 500, 200)
    waits: list[float] = []
    sent = send_webhook({"event": "test"}, sleep=waits.append)
    assert sent.delivered and sent.attempts == 3
    assert len(waits) == 2 and 0 <= waits[0] <= 1 and 0 <= waits[1] <= 2
    assert ids(receiver.received) == [sent.message_id] * 3
    for came in receiver.received:
        assert came.headers["x-fairlens-signature"] == signature(
            came.headers["x-fairlens-timestamp"], came.body
        )


def test_the_simple_call_gives_up_and_honours_retry_after(receiver: Receiver) -> None:
    """Three failures are one result; a wait that was asked for is kept, one over 30 s ends the call."""
    waits: list[float] = []
    receiver.script((429, {"Retry-After": "7"}), 500, 502)
    sent = send_webhook({"event": "test"}, sleep=waits.append)
    assert (sent.outcome, sent.status_code, sent.attempts, waits[0]) == ("retry", 502, 3, 7.0)
    receiver.received.clear()
    receiver.script((503, {"Retry-After": "31"}), 200)
    assert send_webhook({"event": "test"}, sleep=waits.append).retry_after_s == 31.0
    assert len(receiver.received) == 1 and len(waits) == 2


def test_the_simple_call_does_not_repeat_what_failed_for_good(receiver: Receiver) -> None:
    """A 400 stays a 400."""
    receiver.script(400)
    assert send_webhook({"event": "test"}, sleep=lambda _s: None).attempts == 1
    assert len(receiver.received) == 1


def test_without_address_or_secret_nothing_is_sent(receiver: Receiver) -> None:
    """The result names the setting: an unsigned message would teach receivers to take unsigned ones."""
    assert send_once(url="").reason == "WEBHOOK_URL is not set"
    assert send_once(secret="").reason == "WEBHOOK_SECRET is not set"
    assert receiver.received == []


def test_a_payload_that_is_not_json_fails_for_good(receiver: Receiver) -> None:
    """NaN has no canonical form."""
    sent = send_webhook({"dir": float("nan")}, message_id="m", now=NOW)
    assert sent.outcome == "failed" and "not JSON" in sent.reason and receiver.received == []


def test_the_environment_proxy_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve the name again, past the check."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert send_once().delivered


def test_json_survives_the_way(receiver: Receiver) -> None:
    """What arrives parses to what was sent."""
    payload = {
        "event": "x",
        "metrics": {"dir": 0.1 + 0.2, "spd": -1e-9, "eod": None},
        "sentences": ['a\n"b"'],
    }
    send_webhook(payload, message_id="m", now=NOW)
    assert json.loads(receiver.received[0].body) == payload
