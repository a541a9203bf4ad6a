"""Delivers what waits in the outbox: each target for itself, one message after the other, at least once.

    the clock: deliver_due ─► for each target with something due, in a thread of its own:
                              breaker? ─► claim ─► send ─► mark (+ BIAS_ALERT_SENT), until nothing is due or one fails

A crash between the claim and the mark is mended by the claim's end: the message goes out again under its old id.
No transaction is open while a receiver is waited for, and no target waits for another one.
"""

import random
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from fairlens_backend import alert_messages, alert_router, config, telemetry
from fairlens_backend.alert_reader import shown_message
from fairlens_backend.alert_router import Destination
from fairlens_backend.errors import Conflict, FairLensError, NotFound
from fairlens_backend.schemas.alerts import AlertTestRequest
from fairlens_backend.storage import breakers, heartbeats, ledger, outbox, pages
from fairlens_backend.storage.session import current_session, read_snapshot, unit_of_work
from fairlens_backend.webhooks import Delivery

CLOCK = "clock"
LEASE_SLACK_S = 120.0  # finding a name has no timeout of its own
LEASE_TIMEOUTS = 12  # four addresses to connect to, or the ten answers of a mail server
ROUND_S = 10.0  # a target that was waited for so long in a round is left to the next one
AT_ONCE = 8  # targets that are served side by side
SENT = (
    "alert_id",
    "kind",
    "model",
    "model_version",
    "attribute",
    "metric",
    "severity",
    "audit_id",
    "record_id",
)

Sender = Callable[[Destination, Mapping[str, Any], str, datetime], Delivery]


def deliver_due(
    now: datetime, *, limit: int = 100, send: Sender | None = None, rng: random.Random | None = None
) -> dict[str, int]:
    """Deliver what is due, each target's messages oldest first; a slow or absent target holds up no other one.

    Parameters
    ----------
    limit : messages to one target in this round
    send : stands for the channels, in tests

    Returns
    -------
    dict : how many were delivered, put back for later (`retry`), set aside (`dead`), or `lost` to another worker

    Raises
    ------
    RuntimeError : called inside a unit of work, whose transaction would stay open meanwhile
    Unavailable : the database went away; what was claimed is delivered again when its claim ends
    """
    _refuse_open_transaction()
    done = {"delivered": 0, "retry": 0, "dead": 0, "lost": 0}
    with read_snapshot():
        targets = outbox.due_targets(now)
    if not targets:
        return done

    def serve(target: str) -> list[str]:
        return list(_serve(target, now, limit, send or _send, rng or random.SystemRandom()))

    with ThreadPoolExecutor(min(AT_ONCE, len(targets)), thread_name_prefix="fairlens-delivery") as pool:
        for outcomes in pool.map(serve, targets):
            for outcome in outcomes:
                done[outcome] += 1
    return done


def send_test(tenant: str, wanted: AlertTestRequest, by: str, now: datetime) -> dict[str, Any]:
    """Send a test message at once, past the outbox, and say what the receiver answered.

    Returns
    -------
    dict : channel, route_id, target, delivered, outcome, status_code (of the receiver, None when it did not answer),
        reason, elapsed_s, message_id

    Raises
    ------
    NotFound : no such route in the tenant, or the settings do not have the channel
    """
    if wanted.route_id is not None:
        there = alert_router.destination(tenant, f"{alert_router.ROUTE}{wanted.route_id}")
    else:
        there = alert_router.default_destination(wanted.channel or "")
    test_id = f"test_{secrets.token_hex(9)}"
    payload = alert_messages.compose_test(tenant, by, there.channel.name, test_id, now)
    begun = time.monotonic()
    delivery = _send(there, payload, test_id, now)
    telemetry.log("ALERT_TEST_SENT", target=there.key, tenant=tenant, by=by, outcome=delivery.outcome)
    return {
        "channel": there.channel.name,
        "route_id": wanted.route_id,
        "target": there.name,
        "delivered": delivery.delivered,
        "outcome": delivery.outcome,
        "status_code": delivery.status_code,
        "reason": delivery.reason,
        "elapsed_s": round(time.monotonic() - begun, 3),
        "message_id": test_id,
    }


def list_dead(tenant: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """Messages of the tenant that could not be delivered, oldest first: `{"items", "next_cursor"}`.

    Raises
    ------
    InvalidInput : a cursor that no page gave
    """
    after = pages.decode_cursor(cursor)
    with read_snapshot():
        rows = outbox.dead_page(tenant, limit + 1, after)
        items = [shown_message(row) for row in rows[:limit]]
    more = len(rows) > limit
    return {"items": items, "next_cursor": pages.encode_cursor(rows[limit - 1].id) if more else None}


def retry_dead(tenant: str, number: int, by: str, now: datetime) -> dict[str, Any]:
    """Put a dead letter back among what waits; it is due now.

    Raises
    ------
    NotFound : no such dead letter in the tenant
    Conflict : a later message of the same alert has reached the target: this one would tell of the past
    """
    with unit_of_work():
        row = outbox.find_dead(tenant, number)
        if row is None:
            raise _missing(number)
        if outbox.is_overtaken(row):
            raise Conflict(
                f"A later message of {row.order_key} has reached {row.target}; sent now, this one would tell of the past.",
                alert_id=row.order_key,
            )
        outbox.revive(row, now)
        shown = shown_message(row)
    telemetry.log("ALERT_DEAD_LETTER_RETRIED", id=number, tenant=tenant, by=by)
    return shown


def delete_dead(tenant: str, number: int, by: str) -> dict[str, Any]:
    """Delete a dead letter for good.

    Raises
    ------
    NotFound : no such dead letter in the tenant
    """
    with unit_of_work():
        row = outbox.find_dead(tenant, number)
        if row is None:
            raise _missing(number)
        shown = shown_message(row)
        outbox.remove_dead(tenant, number)
    telemetry.log("ALERT_DEAD_LETTER_DELETED", id=number, tenant=tenant, by=by)
    return shown


def note_round(holder: str, now: datetime) -> None:
    """Keep that a round of the clock ended now, in the process `holder`."""
    with unit_of_work():
        heartbeats.beat(CLOCK, holder, now)


def last_round() -> datetime | None:
    """When a round of any process's clock last ended."""
    with read_snapshot():
        return heartbeats.last_beat(CLOCK)


def _serve(target: str, now: datetime, limit: int, send: Sender, rng: random.Random) -> Iterator[str]:
    """One target's round: it ends with the first message that fails, for those behind it would fare no better."""
    waited_s = 0.0
    for _ in range(limit):
        claim = _claim(target, now)
        if claim is None:
            return
        begun = time.monotonic()
        delivery = _deliver(claim, send, now)
        waited_s += max(delivery.elapsed_s, time.monotonic() - begun)
        yield _mark(claim, delivery, now, rng)
        if waited_s > ROUND_S or delivery.outcome == "retry":
            return


def _claim(target: str, now: datetime) -> outbox.Claim | None:
    lease_s = LEASE_SLACK_S + LEASE_TIMEOUTS * config.current().webhook_timeout_s
    with unit_of_work():
        verdict = breakers.ask(target, now)
        claims = [] if verdict == "open" else outbox.claim_due(now, 1, lease_s, target)
        if claims and verdict == "half_open":
            breakers.begin_trial(target, now, lease_s)
    return claims[0] if claims else None


def _deliver(claim: outbox.Claim, send: Sender, now: datetime) -> Delivery:
    try:
        return send(
            alert_router.destination(claim.tenant, claim.target), claim.payload, claim.message_id, now
        )
    except NotFound as error:
        return Delivery(claim.message_id, "failed", error.message, attempts=0)
    except FairLensError as error:
        # A target that cannot be decrypted, a database that is away: neither is the receiver's fault, and both may pass.
        return Delivery(claim.message_id, "retry", error.message, attempts=0)
    except (ValueError, LookupError, TypeError) as error:
        # A message that cannot be made is the same at every try; it must not hold up those behind it.
        telemetry.log_failure("ALERT_MESSAGE_UNMADE", error, message_id=claim.message_id)
        return Delivery(claim.message_id, "failed", "the message could not be made; see the log", attempts=0)


def _send(there: Destination, payload: Mapping[str, Any], message_id: str, now: datetime) -> Delivery:
    return there.channel.deliver(there.target, payload, message_id, now)


def _mark(claim: outbox.Claim, delivery: Delivery, now: datetime, rng: random.Random) -> str:
    settings = config.current()
    with unit_of_work():
        # The breaker first, as a claim takes it, and the ledger last: everybody waits in one order.
        if delivery.outcome == "retry":
            breakers.note_failure(claim.target, delivery.reason, now, delivery.retry_after_s)
        elif breakers.note_success(claim.target):
            outbox.hasten(claim.target, now)
        if delivery.delivered:
            outcome = "delivered"
            if outbox.mark_delivered(claim, now):
                _enter(claim, now)
        else:
            outcome = outbox.mark_failed(
                claim,
                delivery.reason,
                now,
                give_up_s=settings.alert_give_up_h * 3600,
                rng=rng,
                permanent=delivery.outcome == "failed",
                retry_after_s=delivery.retry_after_s,
            )
    telemetry.log(
        f"ALERT_MESSAGE_{outcome.upper()}",
        level={"delivered": "info", "dead": "error"}.get(outcome, "warning"),
        message_id=claim.message_id,
        target=claim.target,
        kind=claim.payload.get("kind"),
        attempts=claim.attempts,
        status=delivery.status_code,
        reason=delivery.reason,
    )
    return outcome


def _enter(claim: outbox.Claim, now: datetime) -> None:
    """The delivery in the ledger: of which alert, by which channel; no person and no address, since it stays for ever."""
    body = {name: claim.payload.get(name) for name in SENT}
    channel = alert_router.channel_of(claim.tenant, claim.target)
    body |= {
        "message_id": claim.message_id,
        "channel": channel.name if channel else None,
        "target": claim.target,
        "attempts": claim.attempts,
        "outcome": "delivered",
    }
    ledger.append_at_end("BIAS_ALERT_SENT", claim.tenant, body, now)


def _refuse_open_transaction() -> None:
    try:
        current_session()
    except RuntimeError:
        return
    raise RuntimeError("deliver_due() inside a unit of work: its transaction would be open during HTTP")


def _missing(number: int) -> NotFound:
    return NotFound(f"There is no dead letter {number}.", id=number)
