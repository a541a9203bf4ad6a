"""Events that could not be taken: an administrator lists them, sends them again, mended or as they were, or deletes them."""

from datetime import datetime
from typing import Any

from fairlens_backend import key_jobs, letter_sealer, prediction_ingest, telemetry
from fairlens_backend.errors import NotFound
from fairlens_backend.prediction_ingest import Sender
from fairlens_backend.storage import dead_letters, pages
from fairlens_backend.storage.event_tables import DeadLetter
from fairlens_backend.storage.session import read_snapshot, unit_of_work


def list_letters(tenant: str, limit: int = 20, cursor: str | None = None) -> dict[str, Any]:
    """Dead letters of a tenant, oldest first: `{"items", "next_cursor"}`. Why by path; never what the event held.

    Raises
    ------
    InvalidInput : a cursor that no page gave
    """
    after = pages.decode_cursor(cursor)
    with read_snapshot():
        rows = dead_letters.page(tenant, limit + 1, after)
    more = len(rows) > limit
    return {
        "items": [_shown(row) for row in rows[:limit]],
        "next_cursor": pages.encode_cursor(rows[limit - 1].id) if more else None,
    }


def replay(sender: Sender, letter_id: int, event: Any, now: datetime) -> dict[str, Any]:
    """Ingest a dead letter's event and delete the letter, with one commit.

    Parameters
    ----------
    event : in the place of the one that was sent; None to try that one again

    Raises
    ------
    NotFound : no such letter in the tenant, or its model is still not registered
    InvalidInput : the event is still not as expected; the letter stays
    """
    with read_snapshot():
        row = dead_letters.find(sender.tenant, letter_id)
        if row is None:
            raise _missing(letter_id)
        sealed = row.encrypted_event
    kept, digest = letter_sealer.open_letter(sealed)
    kept = key_jobs.renewed(sender.tenant, kept)
    event = kept if event is None else event
    # A mended event that has the letter's id, which is a token, is still the event that was sent.
    same = digest is not None and isinstance(event, dict) and event.get("event_id") == kept.get("event_id")
    taken = prediction_ingest.ingest_one(sender, event, letter_id, now, digest if same else None)
    telemetry.log("DEAD_LETTER_REPLAYED", id=letter_id, tenant=sender.tenant, by=sender.name)
    return taken


def delete(sender: Sender, letter_id: int) -> dict[str, Any]:
    """Delete a dead letter for good.

    Raises
    ------
    NotFound : no such letter in the tenant
    """
    with unit_of_work():
        row = dead_letters.find(sender.tenant, letter_id)
        if row is None:
            raise _missing(letter_id)
        shown = _shown(row)
        dead_letters.remove(sender.tenant, letter_id)
    telemetry.log("DEAD_LETTER_DELETED", id=letter_id, tenant=sender.tenant, by=sender.name)
    return shown


def _missing(letter_id: int) -> NotFound:
    return NotFound(f"There is no dead letter {letter_id}.", id=letter_id)


def _shown(row: DeadLetter) -> dict[str, Any]:
    return {
        "id": row.id,
        "model": row.model,
        "received_at": telemetry.timestamp(row.received_at),
        "source": row.source,
        "errors": row.errors,
    }
