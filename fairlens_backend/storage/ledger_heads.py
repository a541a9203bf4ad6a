"""Signed heads of the ledger, the keys that signed them, and what others said of them. All are only ever added to."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import delete, select

from fairlens_backend.storage.ledger_tables import LedgerAttestation, LedgerHead, LedgerKey, LedgerSigner
from fairlens_backend.storage.session import current_session


def add(tree_size: int, at: str, root: bytes, note: str) -> LedgerHead:
    """Keep a signed head."""
    row = LedgerHead(tree_size=tree_size, at=at, root=root, note=note)
    current_session().add(row)
    current_session().flush()
    return row


def newest() -> LedgerHead | None:
    """The head that was signed last; None before the first."""
    return current_session().scalars(select(LedgerHead).order_by(LedgerHead.id.desc()).limit(1)).one_or_none()


def first_covering(tree_size: int) -> LedgerHead | None:
    """The first head of a tree of at least this size, which stays the same while the ledger grows; None before it is signed."""
    wanted = select(LedgerHead).where(LedgerHead.tree_size >= tree_size)
    return (
        current_session().scalars(wanted.order_by(LedgerHead.tree_size, LedgerHead.id).limit(1)).one_or_none()
    )


def between(first_id: int, last_id: int, limit: int) -> Sequence[LedgerHead]:
    """The heads with these ids, in the order in which they were signed."""
    wanted = select(LedgerHead).where(LedgerHead.id >= first_id, LedgerHead.id <= last_id)
    return current_session().scalars(wanted.order_by(LedgerHead.id).limit(limit)).all()


def all_keys() -> Sequence[LedgerKey]:
    """Every key that ever signed, in the order in which they came into use."""
    return current_session().scalars(select(LedgerKey).order_by(LedgerKey.id)).all()


def key_in_use() -> LedgerKey | None:
    """The key that signs now; None before the first."""
    return current_session().scalars(select(LedgerKey).order_by(LedgerKey.id.desc()).limit(1)).one_or_none()


def add_key(name: str, public_key: str, first_size: int, now: datetime) -> LedgerKey:
    """Keep a public key; from here on it signs."""
    row = LedgerKey(name=name, public_key=public_key, first_size=first_size, created_at=now)
    current_session().add(row)
    current_session().flush()
    return row


def wrapped_key(public_key: str) -> str | None:
    """The private half of a key as it is kept, or None where it is not kept here."""
    return current_session().scalar(
        select(LedgerSigner.wrapped_key).where(LedgerSigner.public_key == public_key)
    )


def signers() -> Sequence[LedgerSigner]:
    """The private half of the key in use, where it is kept here."""
    return current_session().scalars(select(LedgerSigner).execution_options(populate_existing=True)).all()


def replace_wrapped_key(public_key: str, wrapped: str | None) -> None:
    """Keep the private half of this key and of no other one; None keeps none at all."""
    session = current_session()
    session.execute(delete(LedgerSigner))
    if wrapped is not None:
        session.add(LedgerSigner(public_key=public_key, wrapped_key=wrapped))
    session.flush()


def add_attestation(head_id: int, kind: str, name: str, at: str, content: bytes) -> None:
    """Keep what somebody else said of a head."""
    current_session().add(LedgerAttestation(head_id=head_id, kind=kind, name=name, at=at, content=content))
    current_session().flush()


def attestations(head_id: int) -> Sequence[LedgerAttestation]:
    """What others said of a head, in the order in which it came."""
    wanted = select(LedgerAttestation).where(LedgerAttestation.head_id == head_id)
    return current_session().scalars(wanted.order_by(LedgerAttestation.id)).all()


def attested() -> set[int]:
    """The ids of the heads that somebody else spoke of."""
    return set(current_session().scalars(select(LedgerAttestation.head_id).distinct()))


def outline(first_size: int, last_size: int) -> Iterator[tuple[int, int, str]]:
    """(id, tree size, time) of the heads of trees from one size to another, both included, in the order of signing."""
    wanted = select(LedgerHead.id, LedgerHead.tree_size, LedgerHead.at).where(
        LedgerHead.tree_size.between(first_size, last_size)
    )
    for row in current_session().execute(wanted.order_by(LedgerHead.tree_size, LedgerHead.id)):
        yield row[0], row[1], row[2]


def by_id(row_id: int) -> LedgerHead:
    """One head."""
    return current_session().get_one(LedgerHead, row_id)


def last_attested(kind: str, name: str) -> tuple[str, int] | None:
    """When somebody spoke last, and of a tree of which size; None when never."""
    wanted = (
        select(LedgerAttestation.at, LedgerHead.tree_size)
        .join(LedgerHead, LedgerHead.id == LedgerAttestation.head_id)
        .where(LedgerAttestation.kind == kind, LedgerAttestation.name == name)
    )
    row = current_session().execute(wanted.order_by(LedgerAttestation.id.desc()).limit(1)).first()
    return None if row is None else (row[0], row[1])
