"""Labels that came before their decision: kept as digests until it comes, or until they are too old."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select

from fairlens_backend.storage import driver_sql
from fairlens_backend.storage.event_tables import EarlyLabel
from fairlens_backend.storage.session import current_session

_AT_ONCE = 400


def keep(labels: Sequence[tuple[bytes, bytes]], now: datetime) -> None:
    """Keep labels by the digest of their event's id; the last one of an id counts."""
    received_at = driver_sql.moment(now)
    driver_sql.run_many(
        "INSERT INTO early_labels (digest, label, received_at) VALUES (?, ?, ?) ON CONFLICT (digest)"
        " DO UPDATE SET label = excluded.label, received_at = excluded.received_at",
        [(one, label, received_at) for one, label in dict(labels).items()],
    )


def take(digests: Sequence[bytes]) -> dict[bytes, bytes]:
    """The labels that wait for these events, by the digest of the event's id; they wait no longer."""
    if not driver_sql.rows("SELECT 1 FROM early_labels LIMIT 1"):
        return {}
    found: dict[bytes, bytes] = {}
    for start in range(0, len(digests), _AT_ONCE):
        some = digests[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        found.update(
            driver_sql.rows(f"SELECT digest, label FROM early_labels WHERE digest IN ({marks})", *some)
        )
    driver_sql.run_many("DELETE FROM early_labels WHERE digest = ?", [(one,) for one in found])
    return found


def count() -> int:
    """How many labels wait."""
    return int(current_session().scalar(select(func.count()).select_from(EarlyLabel)) or 0)


def expire(before: datetime) -> int:
    """Drop the labels that came before then; how many."""
    result = current_session().execute(delete(EarlyLabel).where(EarlyLabel.received_at < before))
    return int(result.rowcount)  # type: ignore[attr-defined]
