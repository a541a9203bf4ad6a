"""Delivery: at least once under one id, in order, each target for itself, and what cannot be delivered is kept aside."""

import hashlib
import hmac
import json
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from fairlens_backend import alert_actions, alert_delivery, alert_router, config
from fairlens_backend.alert_delivery import deliver_due
from fairlens_backend.alert_router import Destination
from fairlens_backend.errors import Conflict, NotFound
from fairlens_backend.schemas.alerts import NewRoute
from fairlens_backend.storage import breakers, outbox
from fairlens_backend.storage.session import current_session, read_snapshot, unit_of_work
from fairlens_backend.webhooks import Delivery
from tests.alert_kit import FAIR, NOW, RATIO, TENANT, UNFAIR, at, observe, the_alert, told
from tests.receiver import Receiver, ids, running_receiver

SECRET = "a secret shared with the receiver"
SETTINGS = {"WEBHOOK_SECRET": SECRET, "WEBHOOK_ALLOW_PRIVATE": "true", "WEBHOOK_TIMEOUT_S": "5"}
NOTHING = {"delivered": 0, "retry": 0, "dead": 0, "lost": 0}


@pytest.fixture
def receiver(make_settings: Callable[..., config.Settings], database: None) -> Iterator[Receiver]:
    """A receiver that the settings name, and an empty database."""
    with running_receiver() as place:
        make_settings(WEBHOOK_URL=place.url, **SETTINGS)
        yield place


def health(now: datetime) -> dict[str, Any]:
    """How the outbox does."""
    with read_snapshot():
        return outbox.health(now)


def away(now: datetime) -> list[dict[str, Any]]:
    """The targets that failed lately."""
    with read_snapshot():
        return breakers.shown(now)


def alarm(number: int = 1, hour: float = 0) -> None:
    """Alerts of so many models, one message each."""
    for place in range(number):
        observe(UNFAIR, hour, model=f"model-{place}")


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def route(url: str, name: str = "second") -> int:
    wanted = NewRoute.model_validate(
        {"name": name, "target": {"channel": "webhook", "url": url, "secret": SECRET}}
    )
    return int(alert_router.add_route(TENANT, wanted, "ann", NOW)["id"])


def ledger_rows() -> list[Any]:
    from fairlens_backend.storage.ledger_tables import LedgerEntry

    with read_snapshot():
        found = current_session().query(LedgerEntry).order_by(LedgerEntry.leaf_index).all()
        return [json.loads(row.leaf) for row in found if row.type == "BIAS_ALERT_SENT"]


def test_the_message_is_signed_and_says_what_a_receiver_needs(receiver: Receiver) -> None:
    """The facts of the alert, the id in header and body, an HMAC over time and body."""
    alarm()
    assert deliver_due(NOW)["delivered"] == 1
    (came,) = receiver.received
    body = json.loads(came.body)
    assert {name: body[name] for name in ("event", "kind", "model", "attribute", "metric", "severity")} == {
        "event": "fairness.alert", "kind": "opened", "model": "model-0", "attribute": "gender", "metric": RATIO, "severity": "HIGH",
    }  # fmt: skip
    assert body["message_id"] == came.headers["x-fairlens-delivery"] == told()[0]["message_id"]
    signed = came.headers["x-fairlens-timestamp"].encode() + b"." + came.body
    wanted = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert came.headers["x-fairlens-signature"] == f"sha256={wanted}"


def test_a_delivery_is_in_the_ledger_once_and_names_no_address(receiver: Receiver) -> None:
    """BIAS_ALERT_SENT with the alert, its figures' record and the target's key; a failed try is no delivery."""
    receiver.script(500, 200)
    alarm()
    deliver_due(NOW)
    assert ledger_rows() == []
    deliver_due(later(30))
    (entry,) = ledger_rows()
    text = json.dumps(entry)
    assert the_message_id() in text and "127.0.0.1" not in text
    wanted = {"alert_id": told()[0]["alert_id"], "model": "model-0", "channel": "webhook", "target": "default:webhook",
              "kind": "opened", "outcome": "delivered", "attempts": 2, "record_id": "rec_0"}  # fmt: skip
    assert {name: entry["body"][name] for name in wanted} == wanted
    assert deliver_due(later(9999)) == NOTHING and len(ledger_rows()) == 1


def the_message_id() -> str:
    (one,) = told()
    return str(one["message_id"])


def test_a_receiver_that_fails_twice_gets_the_same_message_a_third_time(receiver: Receiver) -> None:
    """500, 503, 200: one id, one body, each try no sooner than its wait."""
    receiver.script(500, 503, 200)
    alarm()
    assert deliver_due(NOW)["retry"] == 1
    assert deliver_due(later(30))["retry"] == 1
    assert health(later(30))["pending"] == 1
    assert deliver_due(later(90))["delivered"] == 1
    assert len(set(ids(receiver.received))) == 1 and len({one.body for one in receiver.received}) == 1
    assert deliver_due(later(9999)) == NOTHING


def test_retry_after_is_waited_for_by_all_of_the_target(receiver: Receiver) -> None:
    """A receiver that asks for ten minutes is left alone for ten minutes, by other messages too."""
    receiver.script((429, {"Retry-After": "600"}), 200)
    alarm(3)
    assert deliver_due(NOW)["retry"] == 1
    assert deliver_due(later(599)) == NOTHING and len(receiver.received) == 1
    assert deliver_due(later(600))["delivered"] == 3


def test_a_resolve_does_not_overtake_its_trigger(receiver: Receiver) -> None:
    """While the opening waits for its next try, the end waits behind it; another alert goes on."""
    receiver.script(503, 200)
    observe(UNFAIR, 0), observe(FAIR, 0.001), observe(FAIR, 0.002)
    observe(UNFAIR, 0.003, model="other")
    assert deliver_due(later(20), rng=_Late())["retry"] == 1
    assert deliver_due(later(21), rng=_Late())["delivered"] == 1
    assert deliver_due(later(60), rng=_Late())["delivered"] == 2
    came = [(json.loads(one.body)["kind"], json.loads(one.body)["model"]) for one in receiver.received]
    assert came == [("opened", "loan"), ("opened", "other"), ("opened", "loan"), ("resolved", "loan")]


class _Late(random.Random):
    """Draws the longest wait."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_a_refusal_is_a_dead_letter_and_can_be_sent_again(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    """404 is final; the letter is listed with the reason, sent again under its id, or deleted; no tenant sees another's."""
    receiver.script(404, 404, 200)
    alarm(2)
    assert deliver_due(NOW)["dead"] == 2
    page = alert_delivery.list_dead(TENANT, 1, None)
    assert page["next_cursor"] is not None
    items = page["items"] + alert_delivery.list_dead(TENANT, 5, page["next_cursor"])["items"]
    assert [(one["status"], one["kind"], one["last_error"]) for one in items] == [
        ("dead", "opened", "the receiver answered 404")
    ] * 2
    assert alert_delivery.list_dead("other", 5, None)["items"] == []
    with pytest.raises(NotFound):
        alert_delivery.retry_dead("other", items[0]["id"], "ann", NOW)
    alert_delivery.retry_dead(TENANT, items[0]["id"], "ann", later(60))
    assert deliver_due(later(60))["delivered"] == 1
    assert ids(receiver.received)[0] == ids(receiver.received)[2]
    assert alert_delivery.delete_dead(TENANT, items[1]["id"], "ann")["status"] == "dead"
    assert alert_delivery.list_dead(TENANT, 5, None)["items"] == []
    errors = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {line["event"] for line in errors} == {"ALERT_MESSAGE_DEAD"} and "127.0.0.1" not in str(errors)


def test_a_dead_letter_of_the_past_is_not_sent(receiver: Receiver) -> None:
    """The opening was refused, the end arrived: sent now, the opening would ring for what is over."""
    receiver.script(404, 200)
    observe(UNFAIR, 0)
    deliver_due(NOW)
    observe(FAIR, 1), observe(FAIR, 2)
    deliver_due(at(2))
    (dead,) = alert_delivery.list_dead(TENANT, 5, None)["items"]
    with pytest.raises(Conflict, match="past"):
        alert_delivery.retry_dead(TENANT, dead["id"], "ann", at(3))


def test_what_waits_too_long_is_given_up(receiver: Receiver) -> None:
    """After ALERT_GIVE_UP_H (24 hours) the next failure is the last."""
    receiver.script(500)
    alarm()
    outcomes = [deliver_due(at(hour)) for hour in (0, 1.5, 12, 23.9, 25)]
    assert [(one["retry"], one["dead"]) for one in outcomes] == [(1, 0)] * 4 + [(0, 1)]


def test_a_target_that_is_away_is_left_alone_and_tried_by_one(receiver: Receiver) -> None:
    """Three failures open the breaker for 30 s; then one message tries; its failure doubles the time; success lets all go."""
    receiver.script(500)
    alarm(6)
    for second in (0, 1, 2):
        assert deliver_due(later(second))["retry"] == 1
    assert deliver_due(later(31)) == NOTHING
    (shown,) = away(later(31))
    assert (shown["state"], shown["failures"], shown["target"]) == ("open", 3, "default:webhook")
    assert away(later(33))[0]["state"] == "half_open"
    assert deliver_due(later(33))["retry"] == 1
    assert deliver_due(later(90)) == NOTHING  # 33 + 60
    receiver.received.clear()
    receiver.script(200)
    assert deliver_due(later(93)) == {**NOTHING, "delivered": 6}
    assert away(later(93)) == []


def test_two_workers_send_one_trial_between_them(receiver: Receiver) -> None:
    """While the half-open trial is under way, nobody else sends."""
    receiver.script(500)
    alarm(4)
    for second in (0, 1, 2):
        deliver_due(later(second))
    entered, go_on = threading.Event(), threading.Event()

    def slow(_there: Destination, _payload: Mapping[str, Any], message_id: str, _now: datetime) -> Delivery:
        entered.set()
        assert go_on.wait(20)
        return Delivery(message_id, "delivered", "", 200)

    first = threading.Thread(target=deliver_due, args=(later(40),), kwargs={"send": slow, "limit": 1})
    first.start()
    assert entered.wait(20)
    assert deliver_due(later(40)) == NOTHING
    go_on.set()
    first.join()
    receiver.received.clear()
    receiver.script(200)
    assert deliver_due(later(41))["delivered"] == 3


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.no_cover
def test_a_target_down_for_an_hour_gets_everything_once(receiver: Receiver, seed: int) -> None:
    """30 alerts before and during an hour of 503, their ends too; after the hour all have come, each id once, in order.

    The clock is passed in: a round each 5 seconds for an hour, then until nothing waits.
    """
    rng, receiver.answers, second = random.Random(seed), [(503, {})], 0
    for place in range(10):
        observe(UNFAIR, 0, model=f"m-{place}")
    while second < 3600:
        if second % 360 == 0:
            observe(UNFAIR, second / 3600, model=f"during-{second}")
            observe(FAIR, second / 3600 + 0.01, model=f"m-{second // 360}")
            observe(FAIR, second / 3600 + 0.02, model=f"m-{second // 360}")
        deliver_due(later(second), rng=rng)
        second += 5
    tries = len(receiver.received)
    assert tries < 40  # the breaker spares it: 720 rounds, and a trial each ten minutes at the end
    receiver.received.clear()
    receiver.script(200)
    while health(later(second))["pending"]:
        deliver_due(later(second), rng=rng)
        second += 5
    assert second - 3600 <= 605
    assert sorted(ids(receiver.received)) == sorted(str(one["message_id"]) for one in told())
    turns: dict[str, list[str]] = {}
    for one in receiver.received:
        body = json.loads(one.body)
        turns.setdefault(body["alert_id"], []).append(body["kind"])
    assert sorted(map(tuple, turns.values())) == [("opened",)] * 10 + [("opened", "resolved")] * 10


def test_a_slow_target_does_not_hold_up_the_others(receiver: Receiver) -> None:
    """One target hangs; in the same round the other has got all of its messages before the first answers."""
    with running_receiver() as other:
        first, second = route(receiver.url, "slow"), route(other.url, "quick")
        alarm(5)
        done = threading.Event()

        def wait_for_the_other(_request: object, _connection: object) -> None:
            done.set() if _until(lambda: len(other.received) == 5) else None

        receiver.on_receive = wait_for_the_other
        assert deliver_due(NOW)["delivered"] == 10
        assert done.is_set() and first != second


def _until(met: Callable[[], bool]) -> bool:
    ended = threading.Event()
    for _ in range(200):
        if met():
            return True
        ended.wait(0.02)
    return False


def test_no_transaction_is_open_while_a_receiver_is_waited_for(receiver: Receiver) -> None:
    """Another worker writes during the delivery; delivery inside a unit of work is refused."""
    written: list[bool] = []

    def write(_request: object, _connection: object) -> None:
        alert_delivery.note_round("other:1", NOW)
        written.append(True)

    receiver.on_receive = write
    alarm()
    assert deliver_due(NOW)["delivered"] == 1 and written == [True]
    with unit_of_work(), pytest.raises(RuntimeError, match="inside a unit of work"):
        deliver_due(NOW)


def test_two_workers_deliver_each_message_once(receiver: Receiver) -> None:
    """Both run rounds at once over 30 messages: no message comes twice."""
    alarm(30)
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


def test_what_waits_for_a_deleted_route_is_a_dead_letter(receiver: Receiver) -> None:
    """It is said why; the alert lives on, and later messages go to who is left."""
    with running_receiver() as other:
        number = route(other.url)
        alarm()
        alert_router.delete_route(TENANT, number, "ann")
        assert deliver_due(NOW)["dead"] == 1 and other.received == []
        (dead,) = alert_delivery.list_dead(TENANT, 5, None)["items"]
        assert dead["last_error"] == f"There is no route {number}; it may have been deleted."
        assert dead["target"] == f"route:{number}"


def test_what_waits_for_a_deleted_route_never_goes_to_a_new_one(receiver: Receiver) -> None:
    """A route that is made afterwards has a number of its own: messages, dead letters and the ledger name routes by it."""
    with running_receiver() as other, running_receiver() as third:
        gone = route(other.url)
        alarm()
        alert_router.delete_route(TENANT, gone, "ann")
        made = route(third.url)
        assert made > gone
        assert deliver_due(NOW)["dead"] == 1 and other.received == third.received == []
        alert_router.delete_route(TENANT, made, "ann")
        assert route(third.url) > made


def test_a_message_that_cannot_be_made_holds_up_nobody(receiver: Receiver) -> None:
    """It is a dead letter at once, and those behind it go on."""
    alarm(2)
    first = [True]

    def send(there: Destination, payload: Mapping[str, Any], message_id: str, now: datetime) -> Delivery:
        if first:
            first.clear()
            raise ValueError("a header that nobody can write")
        return alert_delivery._send(there, payload, message_id, now)

    assert deliver_due(NOW, send=send) == {**NOTHING, "dead": 1, "delivered": 1}


def test_without_a_channel_nothing_is_kept(
    make_settings: Callable[..., config.Settings], database: None
) -> None:
    """No address, no message; the alert is in the list all the same, and a later channel hears of its end only."""
    observe(UNFAIR, 0)
    assert told() == [] and deliver_due(NOW) == NOTHING and the_alert().state == "open"
    assert (
        alert_actions.acknowledge(TENANT, the_alert().alert_id, "ann", None, NOW)["state"] == "acknowledged"
    )
    assert told() == []
