"""Numbers that are carried on from one look at the rows to the next, in the caller's unit of work."""

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from fairlens_backend.storage.job_tables import Tally
from fairlens_backend.storage.session import current_session, is_postgresql


def read_tally(name: str) -> int:
    """The number of that name; 0 before the first."""
    return current_session().scalar(select(Tally.n).where(Tally.name == name)) or 0


def write_tally(name: str, n: int) -> None:
    """Put a number in the place of the one before."""
    insert = postgresql.insert if is_postgresql() else sqlite.insert
    statement = insert(Tally).values(name=name, n=n)
    current_session().execute(statement.on_conflict_do_update(index_elements=["name"], set_={"n": n}))


def tallies(prefix: str) -> dict[str, int]:
    """The numbers whose names begin so, by the rest of their names."""
    found = select(Tally.name, Tally.n).where(Tally.name.startswith(prefix, autoescape=True))
    return {name.removeprefix(prefix): n for name, n in current_session().execute(found)}
