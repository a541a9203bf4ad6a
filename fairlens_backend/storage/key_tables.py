"""The table of the server's own keys, each wrapped by the master key."""

from datetime import datetime

from sqlalchemy import Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from fairlens_backend.storage.tables import BIG_ID, NAME, Base


class WrappedKey(Base):
    """A key by its kind, its owner and its version: of tokens of login, of a tenant's personal tokens, the derivation root.

    The first version of the former two is no key of its own: JWT_SECRET, or one derived from the root. Its row, where there
    is one, says when it came to its end.
    """

    __tablename__ = "wrapped_keys"
    __table_args__ = (UniqueConstraint("kind", "owner", "version"),)
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(NAME)
    owner: Mapped[str] = mapped_column(NAME)
    """the tenant whose key it is; empty for those of the server"""
    version: Mapped[int]
    wrapped_key: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(NAME)
    created_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    """when it ceases to open anything; none for a key in use"""
