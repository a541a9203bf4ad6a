"""Numbers by which a row is told elsewhere for ever, as an account's in the ledger: no later row may have it too.

PostgreSQL's sequences give none twice. SQLite gives the last row's again once that row is deleted, so what was deleted is kept here.
"""

from typing import Any, Final

from sqlalchemy import func, select

from fairlens_backend.storage import tallies
from fairlens_backend.storage.session import current_session, is_postgresql
from fairlens_backend.storage.tables import Base

_GONE: Final = "last deleted of "


def fresh(table: type[Base]) -> int | None:
    """The number of a row that is to be inserted; None where the database has one that was never given."""
    if is_postgresql():
        return None
    column: Any = table.__table__.c.id
    highest = current_session().scalar(select(func.max(column))) or 0
    return max(highest, tallies.read_tally(_GONE + table.__tablename__)) + 1


def note_deleted(table: type[Base], number: int) -> None:
    """Remember that a row of this number was there."""
    name = _GONE + table.__tablename__
    if not is_postgresql() and tallies.read_tally(name) < number:
        tallies.write_tally(name, number)
