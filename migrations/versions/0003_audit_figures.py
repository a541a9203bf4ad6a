"""The figures of audits as rows, so that series over time are read from an index.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
NAME = sa.String(length=200)


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "audit_figures",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("audit_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("model_version", NAME, nullable=False),
        sa.Column("attribute", NAME, nullable=False),
        sa.Column("metric", sa.String(length=80), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("window_start", TIME, nullable=True),
        sa.Column("apart", sa.Boolean(), nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("lower", sa.Float(), nullable=True),
        sa.Column("upper", sa.Float(), nullable=True),
        sa.Column("standard_error", sa.Float(), nullable=True),
        sa.Column("n", BIG_ID, nullable=False),
        sa.Column("threshold", sa.Float(), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["audit_id"],
            ["audits.audit_id"],
            name=op.f("fk_audit_figures_audit_id_audits"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_figures")),
    )
    op.create_index(op.f("ix_audit_figures_audit_id"), "audit_figures", ["audit_id"])
    op.create_index(
        "ix_audit_figures_series",
        "audit_figures",
        ["tenant", "model", "attribute", "metric", "apart", "known", "at", "id", "value"],
    )


def downgrade() -> None:
    """Drop it; its indexes go with it."""
    op.drop_table("audit_figures")
