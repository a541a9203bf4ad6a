"""Rows of events that could not be taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select

from fairlens_backend.storage.event_tables import DeadLetter
from fairlens_backend.storage.session import current_session


@dataclass(frozen=True)
class NewLetter:
    """An event that could not be taken, encrypted, with the reasons by path."""

    tenant: str
    model: str | None
    source: str
    errors: list[dict[str, Any]]
    encrypted_event: str


def add(letters: Sequence[NewLetter], now: datetime) -> None:
    """Keep them."""
    if letters:
        rows = [{**vars(letter), "received_at": now} for letter in letters]
        current_session().execute(insert(DeadLetter), rows)


def page(tenant: str, limit: int, after: int = 0) -> list[DeadLetter]:
    """At most `limit` of the tenant's letters behind the one with that id, oldest first."""
    wanted = select(DeadLetter).where(DeadLetter.tenant == tenant, DeadLetter.id > after)
    return list(current_session().scalars(wanted.order_by(DeadLetter.id).limit(limit)))


def find(tenant: str, letter_id: int) -> DeadLetter | None:
    """The tenant's letter of that id."""
    wanted = select(DeadLetter).where(DeadLetter.tenant == tenant, DeadLetter.id == letter_id)
    return current_session().scalars(wanted).first()


def remove(tenant: str, letter_id: int) -> bool:
    """Delete a letter; whether it was there."""
    gone = delete(DeadLetter).where(DeadLetter.tenant == tenant, DeadLetter.id == letter_id)
    return bool(current_session().execute(gone).rowcount)  # type: ignore[attr-defined]


def any_before(before: datetime) -> bool:
    """Whether there is a letter that came before then; needs no lock."""
    wanted = select(DeadLetter.received_at).order_by(DeadLetter.id).limit(1)
    oldest = current_session().scalars(wanted).first()
    return oldest is not None and oldest < before


def expire(before: datetime, limit: int) -> int:
    """Delete at most `limit` of the oldest letters, of all tenants, that came before then; how many."""
    oldest = select(DeadLetter.id, DeadLetter.received_at).order_by(DeadLetter.id).limit(limit)
    old = [row.id for row in current_session().execute(oldest) if row.received_at < before]
    if old:
        current_session().execute(delete(DeadLetter).where(DeadLetter.id.in_(old)))
    return len(old)
