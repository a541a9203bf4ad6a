"""When a background job last finished a round, and which process it was."""

from datetime import datetime

from sqlalchemy.dialects import postgresql, sqlite

from fairlens_backend.storage.session import current_session, is_postgresql
from fairlens_backend.storage.tables import Heartbeat


def beat(name: str, holder: str, now: datetime) -> None:
    """Note that a round of the job ended now."""
    insert = postgresql.insert if is_postgresql() else sqlite.insert
    row = {"holder": holder, "beat_at": now}
    statement = insert(Heartbeat).values(name=name, **row)
    current_session().execute(statement.on_conflict_do_update(index_elements=["name"], set_=row))


def last_beat(name: str) -> datetime | None:
    """When a round of the job last ended, in whatever process; None before the first."""
    found = current_session().get(Heartbeat, name, populate_existing=True)
    return None if found is None else found.beat_at
