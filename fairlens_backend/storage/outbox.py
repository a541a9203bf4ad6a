"""Messages that are written with the record that caused them and delivered afterwards, at least once.

A message is due until it is delivered or dead. Who delivers it claims it for a while, so that of several workers one
has it; a claim whose time is over (its worker died) is free again. All functions work in the caller's unit of work:
claim in one, deliver outside of any, mark in another.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

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


def add(tenant: str, target: str, payload: Mapping[str, Any], message_id: str, now: datetime) -> bool:
    """Put a message in, due now, in the unit of work of the record that causes it.

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
    )
    added = current_session().execute(
        statement.on_conflict_do_nothing(index_elements=["message_id"]).returning(OutboxMessage.id)
    )
    return added.scalar() is not None


def any_due(now: datetime) -> bool:
    """Whether there is something to claim; asked in a read snapshot, so that idle workers take no write lock."""
    return current_session().execute(select(OutboxMessage.id).where(_due(now)).limit(1)).first() is not None


def claim_due(now: datetime, limit: int, lease_s: float) -> list[Claim]:
    """Take up to `limit` due messages, oldest first, for `lease_s` seconds; no other worker gets them meanwhile."""
    session = current_session()
    # SQLite has no row locks and needs none: the unit of work holds its write lock.
    found = session.scalars(
        select(OutboxMessage)
        .where(_due(now))
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
        Claim(row.id, row.message_id, row.tenant, row.target, dict(row.payload), row.attempts, until)
        for row in found
    ]


def mark_delivered(claim: Claim, now: datetime) -> None:
    """Note a delivery. It is a fact, so it counts also when the claim ran out or the message was given up meanwhile."""
    current_session().execute(
        update(OutboxMessage)
        .where(OutboxMessage.id == claim.id, OutboxMessage.delivered_at.is_(None))
        .values(delivered_at=now, dead_at=None, claimed_until=None, last_error=None)
    )


def mark_failed(
    claim: Claim,
    reason: str,
    now: datetime,
    *,
    max_attempts: int,
    rng: random.Random,
    permanent: bool = False,
    retry_after_s: float | None = None,
) -> str:
    """Put a message back for later, or set it aside when it was refused for good or tried often enough.

    Parameters
    ----------
    retry_after_s : seconds that the receiver asked for; it waits at least so long (at most a day)

    Returns
    -------
    str : `retry`, `dead`, or `lost` when the claim had run out and another worker has the message: nothing is changed
    """
    dead = permanent or claim.attempts >= max_attempts
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


def health(now: datetime) -> dict[str, Any]:
    """Messages that wait, those of them that are due, those set aside, and the age of the oldest that waits (s)."""
    session = current_session()
    waiting = and_(OutboxMessage.delivered_at.is_(None), OutboxMessage.dead_at.is_(None))
    pending, oldest = session.execute(
        select(func.count(), func.min(OutboxMessage.created_at)).where(waiting)
    ).one()
    due = session.scalar(select(func.count()).select_from(OutboxMessage).where(_due(now)))
    dead = session.scalar(
        select(func.count())
        .select_from(OutboxMessage)
        .where(OutboxMessage.delivered_at.is_(None), OutboxMessage.dead_at.is_not(None))
    )
    age_s = None if oldest is None else (now - oldest).total_seconds()
    return {"pending": pending, "due": due, "dead": dead, "oldest_pending_s": age_s}


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(
        OutboxMessage.delivered_at.is_(None),
        OutboxMessage.dead_at.is_(None),
        OutboxMessage.next_attempt_at <= now,
        or_(OutboxMessage.claimed_until.is_(None), OutboxMessage.claimed_until <= now),
    )
