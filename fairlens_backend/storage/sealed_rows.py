"""Everything that is kept encrypted by a data key, and everything that holds tokens of personal data: in pages, to be written anew.

A row is written only where it still is what was read: whoever changed it meanwhile is right, and the next pass sees it.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import zstandard
from sqlalchemy import func, select, update

from fairlens_backend.storage import driver_sql, events
from fairlens_backend.storage.alert_tables import AlertRoute
from fairlens_backend.storage.event_details import LEVEL, MAX_UNPACKED
from fairlens_backend.storage.event_tables import DeadLetter
from fairlens_backend.storage.session import current_session
from fairlens_backend.storage.tables import FairnessCheck

COLUMNS: Final[dict[str, tuple[Any, Any]]] = {
    "alert_texts": (FairnessCheck.id, FairnessCheck.encrypted_alert),
    "dead_letters": (DeadLetter.id, DeadLetter.encrypted_event),
    "alert_routes": (AlertRoute.id, AlertRoute.encrypted_target),
}
"""What is encrypted by a data key, by name: the row's number and the token."""
_DETAILS: Final = (
    "FROM event_details JOIN event_batches ON event_batches.id = event_details.batch_id"
    " JOIN count_series ON count_series.id = event_batches.series_id"
    " WHERE count_series.tenant = ? AND event_details.key_version < ?"
)


class Sealed(NamedTuple):
    """A row's number and its token."""

    id: int
    token: str


def other_than(name: str, prefix: str, after: int, limit: int) -> list[Sealed]:
    """Rows behind that number whose token begins otherwise, in order."""
    number, token = COLUMNS[name]
    wanted = select(number, token).where(number > after, token.is_not(None), ~_begins(token, prefix))
    return [Sealed(*row) for row in current_session().execute(wanted.order_by(number).limit(limit))]


def count_other_than(name: str, prefix: str) -> int:
    """How many rows have a token that begins otherwise."""
    number, token = COLUMNS[name]
    wanted = select(func.count(number)).where(token.is_not(None), ~_begins(token, prefix))
    return int(current_session().scalar(wanted) or 0)


def letters_of(tenant: str, after: int, limit: int) -> list[Sealed]:
    """Dead letters of a tenant behind that number, in order."""
    wanted = select(DeadLetter.id, DeadLetter.encrypted_event).where(
        DeadLetter.tenant == tenant, DeadLetter.id > after
    )
    return [Sealed(*row) for row in current_session().execute(wanted.order_by(DeadLetter.id).limit(limit))]


def replace(name: str, old: Sealed, token: str) -> bool:
    """Put a token in the place of the one that was read; False when that is not there any more."""
    number, column = COLUMNS[name]
    changed = update(number.class_).where(number == old.id, column == old.token).values({column.key: token})
    done = current_session().execute(changed.execution_options(synchronize_session=False))
    return bool(done.rowcount)  # type: ignore[attr-defined]


def old_details(tenant: str, version: int, after: int, limit: int) -> list[tuple[int, int, bytes]]:
    """(batch, version, content) of details behind that batch whose tokens are of older keys than `version`."""
    sql = (
        "SELECT event_details.batch_id, event_details.key_version, event_details.content "
        f"{_DETAILS} AND event_details.batch_id > ? ORDER BY event_details.batch_id LIMIT ?"
    )
    return [tuple(row) for row in driver_sql.rows(sql, tenant, version, after, limit)]


def count_old_details(tenant: str, version: int) -> int:
    """How many batches of details have tokens of older keys than `version`."""
    return int(driver_sql.rows(f"SELECT COUNT(*) {_DETAILS}", tenant, version)[0][0])


def replace_details(version: int, changed: Sequence[tuple[int, bytes, bytes]]) -> int:
    """Write contents anew, (batch, as it was read, new), as of this version; how many still were what was read.

    Behind the lock of those who write events: who erases somebody from a content cannot cross this.
    """
    events.lock()
    sql = "UPDATE event_details SET content = ?, key_version = ? WHERE batch_id = ? AND content = ?"
    return sum(driver_sql.run(sql, new, version, batch, old) for batch, old, new in changed)


def text_of(content: bytes) -> str:
    """The JSON of a batch's details."""
    return zstandard.ZstdDecompressor().decompress(content, max_output_size=MAX_UNPACKED).decode()


def content_of(text: str) -> bytes:
    """The details of a batch from their JSON."""
    return zstandard.compress(text.encode(), LEVEL)


def _begins(token: Any, prefix: str) -> Any:
    return token.startswith(prefix, autoescape=True)
