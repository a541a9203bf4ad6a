"""How far the evidence files have followed the rows, what damage was found, and who read which alert."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from fairlens_backend.storage.session import current_session
from fairlens_backend.storage.tables import AlertDecryption, EvidenceState

STATE_ID = 1
MAX_DAMAGE_TEXT = 4000


@dataclass(frozen=True)
class Published:
    """The last publish: the record it reached, the length of both files then, and the damage found so far."""

    seq: int = 0
    log_bytes: int = 0
    anchor_bytes: int = 0
    damage: str | None = None


def published() -> Published:
    """The state after the last publish; all zero before the first."""
    row = _row()
    if row is None:
        return Published()
    return Published(row.published_seq, row.log_bytes, row.anchor_bytes, row.damage)


def save_published(state: Published) -> None:
    """Keep the state of a publish that has reached the disk."""
    row = _row()
    if row is None:
        row = EvidenceState(id=STATE_ID)
        current_session().add(row)
    row.published_seq = state.seq
    row.log_bytes = state.log_bytes
    row.anchor_bytes = state.anchor_bytes
    row.damage = state.damage
    current_session().flush()


def add_damage(known: str | None, found: str) -> str:
    """The damage known so far with one more finding; each is told once, and the text stays bounded.

    Examples
    --------
    >>> add_damage("the log was cut", "an anchor was altered")
    'the log was cut; an anchor was altered'
    """
    if known is None:
        return found
    if found in known or len(known) + len(found) > MAX_DAMAGE_TEXT:
        return known
    return f"{known}; {found}"


def add_decryption(record_id: str, tenant: str, username: str, address: str, now: datetime) -> None:
    """Keep who read an alert's text, when and from where."""
    session = current_session()
    session.add(
        AlertDecryption(record_id=record_id, tenant=tenant, username=username, at=now, address=address[:100])
    )
    session.flush()


def decryptions(record_id: str, tenant: str) -> Sequence[AlertDecryption]:
    """Who read the alert's text, the first reader first."""
    wanted = select(AlertDecryption).where(
        AlertDecryption.record_id == record_id, AlertDecryption.tenant == tenant
    )
    return current_session().scalars(wanted.order_by(AlertDecryption.id)).all()


def _row() -> EvidenceState | None:
    # populate_existing: another process may have moved the state since this session first saw it.
    return current_session().get(EvidenceState, STATE_ID, populate_existing=True)
