"""The server's own keys, each wrapped by the master key.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
NAME = sa.String(length=200)


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "wrapped_keys",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("kind", NAME, nullable=False),
        sa.Column("owner", NAME, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("wrapped_key", sa.Text(), nullable=True),
        sa.Column("created_by", NAME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wrapped_keys")),
        sa.UniqueConstraint("kind", "owner", "version", name=op.f("uq_wrapped_keys_kind_owner_version")),
    )


def downgrade() -> None:
    """Drop it. Keys after the first are gone with it: rotate back by logging in anew, and never after a change of master key."""
    op.drop_table("wrapped_keys")
