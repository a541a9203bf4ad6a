"""What an event says beside its decision, tokenised; what tenants want done with personal data; attributes that came early.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
NAME = sa.String(length=200)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "event_details",
        sa.Column("batch_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("key_version", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["event_batches.id"],
            name=op.f("fk_event_details_batch_id_event_batches"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_event_details")),
    )
    op.create_table(
        "tenant_privacy",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("switches", sa.JSON(), nullable=False),
        sa.Column("token_key_version", sa.Integer(), nullable=False),
        sa.Column("updated_by", sa.String(length=64), nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_tenant_privacy")),
    )
    op.create_table(
        "early_attributes",
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_early_attributes")),
    )
    op.create_index(op.f("ix_early_attributes_received_at"), "early_attributes", ["received_at"])
    op.create_table(
        "count_horizon",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("minutes_from", BIG_ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_horizon")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("count_horizon")
    op.drop_index(op.f("ix_early_attributes_received_at"), table_name="early_attributes")
    op.drop_table("early_attributes")
    op.drop_table("tenant_privacy")
    op.drop_table("event_details")
