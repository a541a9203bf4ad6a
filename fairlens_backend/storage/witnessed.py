"""The heads of other ledgers that this server cosigned."""

from sqlalchemy import select

from fairlens_backend.storage.session import current_session, lock_for_append
from fairlens_backend.storage.witness_tables import WitnessedHead

WITNESS_LOCK = 7004


def lock() -> None:
    """Let one transaction at a time witness."""
    lock_for_append(WITNESS_LOCK)


def latest(origin: str) -> WitnessedHead | None:
    """The largest head of a ledger that was cosigned; None when none was."""
    wanted = select(WitnessedHead).where(WitnessedHead.origin == origin)
    return current_session().scalars(wanted.order_by(WitnessedHead.tree_size.desc()).limit(1)).one_or_none()


def add(origin: str, tree_size: int, root: bytes, at: str, note: str) -> None:
    """Keep a head that is cosigned now."""
    current_session().add(WitnessedHead(origin=origin, tree_size=tree_size, root=root, at=at, note=note))
    current_session().flush()
