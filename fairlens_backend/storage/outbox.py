"""Messages that are written with the record that caused them and delivered afterwards, at least once.

A message is due until it is delivered or dead. Who delivers it claims it for a while, so that of several workers one
has it; a claim whose time is over (its worker died) is free again. All functions work in the caller's unit of work:
claim in one, deliver outside of any, mark in another.

Messages with one order key go to a target one after the other, in the order they were put in: while one waits, those
behind it wait too. One that was set aside holds nobody up.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, not_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased

from fairlens_backend.storage.session import current_session, is_postgresql
from fairlens_backend.storage.tables import OutboxMessage

BACKOFF_BASE_S = 30.0
BACKOFF_CAP_S = 3600.0
RETRY_AFTER_CAP_S = 86400.0  # a receiver may ask for a day, not for ever
MAX_ERROR_LENGTH = 500


@dataclass(frozen=True)
class Claim:
    """One message that its holder may deliver until `claimed_until`; `attempts` counts this one too."""

    id: int
    message_id: str
    tenant: str
    target: str
    payload: dict[str, Any]
    attempts: int
    claimed_until: datetime
    created_at: datetime


def add(
    tenant: str,
    target: str,
    payload: Mapping[str, Any],
    message_id: str,
    now: datetime,
    order_key: str | None = None,
) -> bool:
    """Put a message in, due now, in the unit of work of the record that causes it.

    Parameters
    ----------
    order_key : messages of one key reach a target in the order they were put in; None for no order

    Returns
    -------
    bool : False when a message with this id is there already; nothing is changed then
    """
    insert = postgresql.insert if is_postgresql() else sqlite.insert
    statement = insert(OutboxMessage).values(
        message_id=message_id,
        tenant=tenant,
        target=target,
        payload=dict(payload),
        created_at=now,
        next_attempt_at=now,
        attempts=0,
        order_key=order_key,
    )
    added = current_session().execute(
        statement.on_conflict_do_nothing(index_elements=["message_id"]).returning(OutboxMessage.id)
    )
    return added.scalar() is not None


def due_targets(now: datetime) -> list[str]:
    """The targets for which a message is due, the longest waiting first; asked in a read snapshot, so that idle workers take no write lock."""
    oldest = func.min(OutboxMessage.next_attempt_at)
    wanted = select(OutboxMessage.target).where(_due(now)).group_by(OutboxMessage.target)
    return list(current_session().scalars(wanted.order_by(oldest, OutboxMessage.target)))


def claim_due(now: datetime, limit: int, lease_s: float, target: str | None = None) -> list[Claim]:
    """Take up to `limit` due messages, oldest first, for `lease_s` seconds; no other worker gets them meanwhile.

    Parameters
    ----------
    target : only its messages; None for those of every target
    """
    session = current_session()
    wanted = _due(now) if target is None else and_(_due(now), OutboxMessage.target == target)
    # SQLite has no row locks and needs none: the unit of work holds its write lock.
    found = session.scalars(
        select(OutboxMessage)
        .where(wanted)
        .order_by(OutboxMessage.next_attempt_at, OutboxMessage.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).all()
    until = now + timedelta(seconds=lease_s)
    for message in found:
        message.claimed_until = until
        message.attempts += 1
    session.flush()
    return [
        Claim(
            *(row.id, row.message_id, row.tenant, row.target, dict(row.payload), row.attempts),
            until,
            row.created_at,
        )
        for row in found
    ]


def mark_delivered(claim: Claim, now: datetime) -> bool:
    """Note a delivery. It is a fact, so it counts also when the claim ran out or the message was given up meanwhile.

    Returns
    -------
    bool : False when the message was noted as delivered before
    """
    changed = current_session().execute(
        update(OutboxMessage)
        .where(OutboxMessage.id == claim.id, OutboxMessage.delivered_at.is_(None))
        .values(delivered_at=now, dead_at=None, claimed_until=None, last_error=None)
        .returning(OutboxMessage.id)
    )
    return changed.scalar() is not None


def hasten(target: str, now: datetime) -> None:
    """Make what waits for a target due now: it was away and is back."""
    current_session().execute(
        update(OutboxMessage)
        .where(OutboxMessage.target == target, _waiting(), OutboxMessage.next_attempt_at > now)
        .values(next_attempt_at=now)
    )


def mark_failed(
    claim: Claim,
    reason: str,
    now: datetime,
    *,
    give_up_s: float,
    rng: random.Random,
    permanent: bool = False,
    retry_after_s: float | None = None,
) -> str:
    """Put a message back for later, or set it aside when it was refused for good or waited long enough.

    Parameters
    ----------
    give_up_s : seconds after it was put in from which a failure is the last one
    retry_after_s : seconds that the receiver asked for; it waits at least so long (at most a day)

    Returns
    -------
    str : `retry`, `dead`, or `lost` when the claim had run out and another worker has the message: nothing is changed
    """
    dead = permanent or (now - claim.created_at).total_seconds() >= give_up_s
    wait_s = max(backoff_s(claim.attempts, rng), min(retry_after_s or 0.0, RETRY_AFTER_CAP_S))
    changed = current_session().execute(
        update(OutboxMessage)
        .where(
            OutboxMessage.id == claim.id,
            OutboxMessage.delivered_at.is_(None),
            OutboxMessage.attempts == claim.attempts,
        )
        .values(
            dead_at=now if dead else None,
            next_attempt_at=now + timedelta(seconds=wait_s),
            claimed_until=None,
            last_error=reason[:MAX_ERROR_LENGTH],
        )
        .returning(OutboxMessage.id)
    )
    if changed.scalar() is None:
        return "lost"
    return "dead" if dead else "retry"


def backoff_s(attempts: int, rng: random.Random) -> float:
    """Seconds to wait after so many attempts: anything up to 30 s · 2^(attempts − 1), at most an hour.

    Source: "full jitter", M. Brooker, Exponential Backoff and Jitter, AWS Architecture Blog 2015.
    """
    return rng.uniform(0.0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2.0 ** min(attempts - 1, 30)))


def of_order(order_key: str) -> list[OutboxMessage]:
    """Every message of one key, in the order they were put in."""
    wanted = select(OutboxMessage).where(OutboxMessage.order_key == order_key).order_by(OutboxMessage.id)
    return list(current_session().scalars(wanted))


def dead_page(tenant: str, limit: int, after: int = 0) -> Sequence[OutboxMessage]:
    """At most `limit` of the tenant's messages that were set aside, behind the one with that number, oldest first."""
    wanted = select(OutboxMessage).where(OutboxMessage.id > after, _dead(tenant))
    return current_session().scalars(wanted.order_by(OutboxMessage.id).limit(limit)).all()


def find_dead(tenant: str, number: int) -> OutboxMessage | None:
    """The tenant's message of that number, if it was set aside; held until the transaction ends."""
    wanted = select(OutboxMessage).where(OutboxMessage.id == number, _dead(tenant)).with_for_update()
    return current_session().scalars(wanted).first()


def is_overtaken(message: OutboxMessage) -> bool:
    """Whether a later message of the same order reached the same target."""
    later = select(OutboxMessage.id).where(
        OutboxMessage.order_key == message.order_key,
        OutboxMessage.target == message.target,
        OutboxMessage.id > message.id,
        OutboxMessage.delivered_at.is_not(None),
    )
    return message.order_key is not None and current_session().scalars(later.limit(1)).first() is not None


def revive(message: OutboxMessage, now: datetime) -> None:
    """Make a message that was set aside due again, as if it were put in now."""
    message.dead_at, message.next_attempt_at, message.created_at = None, now, now
    message.attempts, message.last_error, message.claimed_until = 0, None, None
    current_session().flush()


def remove_dead(tenant: str, number: int) -> bool:
    """Delete a message that was set aside; whether it was there."""
    gone = delete(OutboxMessage).where(OutboxMessage.id == number, _dead(tenant))
    return bool(current_session().execute(gone).rowcount)  # type: ignore[attr-defined]


def health(now: datetime) -> dict[str, Any]:
    """Messages that wait, those of them that are due, those set aside, and the age of the oldest that waits (s)."""
    session = current_session()
    pending, oldest = session.execute(
        select(func.count(), func.min(OutboxMessage.created_at)).where(_waiting())
    ).one()
    due = session.scalar(select(func.count()).select_from(OutboxMessage).where(_due(now)))
    dead = session.scalar(
        select(func.count())
        .select_from(OutboxMessage)
        .where(OutboxMessage.delivered_at.is_(None), OutboxMessage.dead_at.is_not(None))
    )
    age_s = None if oldest is None else (now - oldest).total_seconds()
    return {"pending": pending, "due": due, "dead": dead, "oldest_pending_s": age_s}


def _waiting() -> ColumnElement[bool]:
    return and_(OutboxMessage.delivered_at.is_(None), OutboxMessage.dead_at.is_(None))


def _dead(tenant: str) -> ColumnElement[bool]:
    return and_(
        OutboxMessage.tenant == tenant,
        OutboxMessage.delivered_at.is_(None),
        OutboxMessage.dead_at.is_not(None),
    )


def _due(now: datetime) -> ColumnElement[bool]:
    before = aliased(OutboxMessage)
    held_up = (
        select(before.id)
        .where(
            before.order_key == OutboxMessage.order_key,
            before.target == OutboxMessage.target,
            before.id < OutboxMessage.id,
            before.delivered_at.is_(None),
            before.dead_at.is_(None),
        )
        .exists()
    )
    return and_(
        _waiting(),
        OutboxMessage.next_attempt_at <= now,
        or_(OutboxMessage.claimed_until.is_(None), OutboxMessage.claimed_until <= now),
        not_(held_up),
    )
