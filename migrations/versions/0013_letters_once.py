"""Dead letters are known by a keyed digest, so that an event that is sent and refused again is one letter.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the digest; letters of before have none."""
    op.add_column("dead_letters", sa.Column("digest", sa.LargeBinary(length=16), nullable=True))
    op.create_index("ix_dead_letters_tenant_digest", "dead_letters", ["tenant", "digest"], unique=True)


def downgrade() -> None:
    """Drop it. An event that is refused again is then another letter."""
    op.drop_index("ix_dead_letters_tenant_digest", "dead_letters")
    op.drop_column("dead_letters", "digest")
