"""Erasures, and the keyed digests of ids that may not come again.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "erasures",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("asked_by", sa.String(length=20), nullable=False),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("sealed_request", sa.Text(), nullable=True),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("by_user_id", BIG_ID, nullable=True),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("ledger_index", BIG_ID, nullable=True),
        sa.Column("log_cleared", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.create_index("ix_erasures_tenant_id", "erasures", ["tenant", "id"])
    op.create_table(
        "erased_ids",
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_erased_ids")),
    )


def downgrade() -> None:
    """Drop them. Events that were erased could then be sent and taken again."""
    for table in ("erased_ids", "erasures"):
        op.drop_table(table)
