"""A dead letter that was replayed is remembered by its keyed digest, so that the same bad event sent again makes no new one.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; letters that were replayed before are not known."""
    op.create_table(
        "settled_letters",
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "digest"),
    )
    op.create_index("ix_settled_letters_settled_at", "settled_letters", ["settled_at"])


def downgrade() -> None:
    """Drop it. The old event sent again is then a letter again."""
    op.drop_index("ix_settled_letters_settled_at", "settled_letters")
    op.drop_table("settled_letters")
