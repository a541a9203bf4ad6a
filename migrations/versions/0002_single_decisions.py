"""Single decisions: raw batches, their ids, their counts in minutes, hours and days, labels that wait, dead letters.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
NAME = sa.String(length=200)


def upgrade() -> None:
    """Make the tables of single decisions."""
    op.create_table(
        "ingest_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("next_batch", BIG_ID, nullable=False),
        sa.Column("next_run", BIG_ID, nullable=False),
        sa.Column("raw_from_minute", BIG_ID, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ingest_state")),
    )
    op.create_table(
        "count_series",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("version", NAME, nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_series")),
        sa.UniqueConstraint(
            "tenant",
            "model",
            "version",
            "attributes",
            name=op.f("uq_count_series_tenant_model_version_attributes"),
        ),
    )
    op.create_table(
        "count_groups",
        sa.Column("series_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"], ["count_series.id"], name=op.f("fk_count_groups_series_id_count_series")
        ),
        sa.PrimaryKeyConstraint("series_id", "number", name=op.f("pk_count_groups")),
    )
    op.create_table(
        "event_batches",
        sa.Column("id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("series_id", BIG_ID, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("first_minute", BIG_ID, nullable=False),
        sa.Column("last_minute", BIG_ID, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("numbers", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"], ["count_series.id"], name=op.f("fk_event_batches_series_id_count_series")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_batches")),
    )
    op.create_index(op.f("ix_event_batches_last_minute"), "event_batches", ["last_minute"])
    op.create_index("ix_event_batches_series_id_last_minute", "event_batches", ["series_id", "last_minute"])
    op.create_table(
        "event_cells",
        sa.Column("batch_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("cells", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["event_batches.id"],
            name=op.f("fk_event_cells_batch_id_event_batches"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_event_cells")),
    )
    op.create_table(
        "event_id_runs",
        sa.Column("id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("n", BIG_ID, nullable=False),
        sa.Column("last_batch", BIG_ID, nullable=False),
        sa.Column("prints", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_id_runs")),
    )
    op.create_table(
        "event_id_pages",
        sa.Column("id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("entries", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_id_pages")),
    )
    op.create_table(
        "count_deltas",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("series_id", BIG_ID, nullable=False),
        sa.Column("first_minute", BIG_ID, nullable=False),
        sa.Column("last_minute", BIG_ID, nullable=False),
        sa.Column("entries", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"], ["count_series.id"], name=op.f("fk_count_deltas_series_id_count_series")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_deltas")),
    )
    op.create_index("ix_count_deltas_series_id_last_minute", "count_deltas", ["series_id", "last_minute"])
    op.create_table(
        "count_buckets",
        sa.Column("series_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("grain", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start_minute", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("entries", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"], ["count_series.id"], name=op.f("fk_count_buckets_series_id_count_series")
        ),
        sa.PrimaryKeyConstraint("series_id", "grain", "start_minute", name=op.f("pk_count_buckets")),
    )
    op.create_table(
        "early_labels",
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("label", sa.LargeBinary(length=16), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_early_labels")),
    )
    op.create_index(op.f("ix_early_labels_received_at"), "early_labels", ["received_at"])
    op.create_table(
        "dead_letters",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("model", sa.String(length=100), nullable=True),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("errors", sa.JSON(), nullable=False),
        sa.Column("encrypted_event", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letters")),
    )
    op.create_index("ix_dead_letters_tenant_id", "dead_letters", ["tenant", "id"])


def downgrade() -> None:
    """Drop them, those first that point to others; indexes go with their table."""
    op.drop_table("dead_letters")
    op.drop_table("early_labels")
    op.drop_table("count_buckets")
    op.drop_table("count_deltas")
    op.drop_table("event_id_pages")
    op.drop_table("event_id_runs")
    op.drop_table("event_cells")
    op.drop_table("event_batches")
    op.drop_table("count_groups")
    op.drop_table("count_series")
    op.drop_table("ingest_state")
