"""Rows of events that could not be taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, insert, select, tuple_

from fairlens_backend.storage.event_tables import DeadLetter, SettledLetter
from fairlens_backend.storage.session import current_session

_AT_ONCE: Final = 400


@dataclass(frozen=True)
class NewLetter:
    """An event that could not be taken, encrypted, with the reasons by path; of those with the same digest the first is kept."""

    tenant: str
    model: str | None
    source: str
    errors: list[dict[str, Any]]
    encrypted_event: str
    digest: bytes | None = None


def add(letters: Sequence[NewLetter], now: datetime) -> None:
    """Keep those that are not there already, and whose event was not taken since; behind the writers' lock."""
    known = _known(letters)
    rows = []
    for letter in letters:
        if letter.digest is None or (letter.tenant, letter.digest) not in known:
            rows.append({**vars(letter), "received_at": now})
            known.add((letter.tenant, letter.digest))
    if rows:
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


def settle(tenant: str, letter_id: int, now: datetime) -> bool:
    """Delete a letter whose event is taken, and know it if that comes again as it was; whether it was there."""
    session = current_session()
    row = find(tenant, letter_id)
    if row is not None and row.digest is not None:
        session.merge(SettledLetter(tenant=tenant, digest=row.digest, settled_at=now))
    return remove(tenant, letter_id)


def any_before(before: datetime) -> bool:
    """Whether there is a letter that came, or was settled, before then; needs no lock."""
    wanted = select(DeadLetter.received_at).order_by(DeadLetter.id).limit(1)
    settled = select(SettledLetter.settled_at).order_by(SettledLetter.settled_at).limit(1)
    oldest = [current_session().scalars(one).first() for one in (wanted, settled)]
    return any(one is not None and one < before for one in oldest)


def expire(before: datetime, limit: int) -> int:
    """Delete at most `limit` of the oldest letters, of all tenants, that came before then, and forget those settled before; how
    many letters."""
    oldest = select(DeadLetter.id, DeadLetter.received_at).order_by(DeadLetter.id).limit(limit)
    old = [row.id for row in current_session().execute(oldest) if row.received_at < before]
    if old:
        current_session().execute(delete(DeadLetter).where(DeadLetter.id.in_(old)))
    current_session().execute(delete(SettledLetter).where(SettledLetter.settled_at < before))
    return len(old)


def _known(letters: Sequence[NewLetter]) -> set[tuple[str, bytes | None]]:
    """Tenant and digest of those of the letters that are there, or were settled."""
    wanted = [(letter.tenant, letter.digest) for letter in letters if letter.digest is not None]
    found: set[tuple[str, bytes | None]] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        for table in (DeadLetter, SettledLetter):
            some = tuple_(table.tenant, table.digest).in_(wanted[start : start + _AT_ONCE])
            rows = current_session().execute(select(table.tenant, table.digest).where(some))
            found.update((row.tenant, row.digest) for row in rows)
    return found
