"""Failed logins of names that have no account: the same columns that a user's row has, by a digest of the name.

In the database and not in Redis or a process, as those of accounts are: a wait that one worker knows and another does not,
or that ends with a restart, would tell which names have an account.
"""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from fairlens_backend.storage.job_tables import Stranger
from fairlens_backend.storage.session import current_session, is_postgresql


def find(digest: bytes) -> Stranger | None:
    """What is remembered of a name."""
    return current_session().get(Stranger, digest, populate_existing=True)


def lock(digest: bytes) -> Stranger:
    """The row of a name, made where there is none, with no other writer of it until this unit of work ends."""
    session = current_session()
    insert = postgresql.insert if is_postgresql() else sqlite.insert
    session.execute(insert(Stranger).values(digest=digest, failed_logins=0).on_conflict_do_nothing())
    wanted = select(Stranger).where(Stranger.digest == digest).with_for_update()
    return session.scalars(wanted.execution_options(populate_existing=True)).one()


def forget_before(at: datetime) -> None:
    """Forget names whose last failure was before a time."""
    current_session().execute(delete(Stranger).where(Stranger.last_failure_at < at))
