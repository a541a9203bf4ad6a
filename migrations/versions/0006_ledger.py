"""The ledger of evidence: entries, tree nodes, signed heads, and triggers that refuse to change them.

On PostgreSQL the application should not connect as the role that owns the tables, since an owner can drop a trigger. Name
the role that it does connect as in DATABASE_APP_ROLE: every run of the migrations then gives that role what it needs and, of
the ledger, SELECT and INSERT only (`storage.ledger_tables.grants`; called in `env.py`, so that tables of later migrations
are covered too). By hand:

    CREATE ROLE fairlens_app LOGIN PASSWORD '…';
    DATABASE_URL=postgresql+psycopg://owner:…@host/fairlens DATABASE_APP_ROLE=fairlens_app make migrate
    DATABASE_URL=postgresql+psycopg://fairlens_app:…@host/fairlens    # of the server

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

from fairlens_backend.storage.ledger_tables import APPEND_ONLY, protection

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.String(length=27)
NAME = sa.String(length=200)
WITH_RECORD = sa.text("record_id IS NOT NULL")


def upgrade() -> None:
    """Make the tables, and what refuses to change them."""
    op.create_table(
        "ledger_entries",
        sa.Column("leaf_index", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("subject", NAME, nullable=True),
        sa.Column("record_id", sa.String(length=64), nullable=True),
        sa.Column("nodes", sa.LargeBinary(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("leaf_index", name=op.f("pk_ledger_entries")),
    )
    op.create_index("ix_ledger_entries_subject", "ledger_entries", ["tenant", "subject", "leaf_index"])
    op.create_index(
        "ix_ledger_entries_record_id",
        "ledger_entries",
        ["record_id"],
        sqlite_where=WITH_RECORD,
        postgresql_where=WITH_RECORD,
    )
    op.create_table(
        "ledger_heads",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tree_size", BIG_ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_heads")),
    )
    op.create_index(op.f("ix_ledger_heads_tree_size"), "ledger_heads", ["tree_size"])
    op.create_index(op.f("ix_ledger_heads_at"), "ledger_heads", ["at"])
    op.create_table(
        "ledger_keys",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("public_key", sa.String(length=64), nullable=False),
        sa.Column("first_size", BIG_ID, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_keys")),
        sa.UniqueConstraint("public_key", name=op.f("uq_ledger_keys_public_key")),
    )
    op.create_table(
        "ledger_signers",
        sa.Column("public_key", sa.String(length=64), nullable=False),
        sa.Column("wrapped_key", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("public_key", name=op.f("pk_ledger_signers")),
    )
    op.create_table(
        "ledger_attestations",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("head_id", BIG_ID, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_attestations")),
    )
    op.create_index(op.f("ix_ledger_attestations_head_id"), "ledger_attestations", ["head_id"])
    for table in APPEND_ONLY:
        for statement in protection(op.get_context().dialect.name, table):
            op.execute(statement)


def downgrade() -> None:
    """Drop them; their triggers go with them."""
    for table in (*reversed(APPEND_ONLY), "ledger_signers"):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION fairlens_append_only()")
        op.execute("DROP FUNCTION fairlens_ledger_append")
