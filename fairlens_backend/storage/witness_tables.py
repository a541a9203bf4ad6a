"""The table of heads of other ledgers that this server cosigned. Rows are only ever added."""

from sqlalchemy import LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from fairlens_backend.storage.tables import BIG_ID, NAME, Base


class WitnessedHead(Base):
    """A head of another ledger that was consistent with the one before it."""

    __tablename__ = "witnessed_heads"
    __table_args__ = (UniqueConstraint("origin", "tree_size"),)
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    origin: Mapped[str] = mapped_column(NAME)
    tree_size: Mapped[int] = mapped_column(BIG_ID)
    root: Mapped[bytes] = mapped_column(LargeBinary)
    at: Mapped[str] = mapped_column(String(27))
    note: Mapped[str] = mapped_column(Text)
