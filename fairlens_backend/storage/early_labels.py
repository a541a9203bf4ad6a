"""Labels that came before their decision: kept as digests until it comes, or until they are too old."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, insert, select

from fairlens_backend.storage.event_tables import EarlyLabel
from fairlens_backend.storage.session import current_session

_AT_ONCE = 400


def keep(labels: Sequence[tuple[bytes, bytes]], now: datetime) -> None:
    """Keep labels by the digest of their event's id; the last one of an id counts."""
    latest = dict(labels)
    take(list(latest))
    rows = [{"digest": one, "label": label, "received_at": now} for one, label in latest.items()]
    if rows:
        current_session().execute(insert(EarlyLabel), rows)


def take(digests: Sequence[bytes]) -> dict[bytes, bytes]:
    """The labels that wait for these events, by the digest of the event's id; they wait no longer."""
    session = current_session()
    if session.scalars(select(EarlyLabel.received_at).limit(1)).first() is None:
        return {}
    found: dict[bytes, bytes] = {}
    for start in range(0, len(digests), _AT_ONCE):
        some = EarlyLabel.digest.in_(digests[start : start + _AT_ONCE])
        rows = session.execute(select(EarlyLabel.digest, EarlyLabel.label).where(some)).all()
        if rows:
            found.update((row.digest, row.label) for row in rows)
            session.execute(delete(EarlyLabel).where(some))
    return found


def count() -> int:
    """How many labels wait."""
    return int(current_session().scalar(select(func.count()).select_from(EarlyLabel)) or 0)


def expire(before: datetime) -> int:
    """Drop the labels that came before then; how many."""
    result = current_session().execute(delete(EarlyLabel).where(EarlyLabel.received_at < before))
    return int(result.rowcount)  # type: ignore[attr-defined]
