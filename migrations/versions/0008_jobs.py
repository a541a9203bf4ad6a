"""Background jobs, the comparison of counts with raw rows, sums that are carried on, names without an account.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
NAME = sa.String(length=200)
EPOCH = "1970-01-01 00:00:00.000000"


def upgrade() -> None:
    """Make the tables; every day that was counted so far is compared soon."""
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("arguments", sa.JSON(), nullable=False),
        sa.Column("created_by", NAME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("idempotency_key", NAME, nullable=True),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("ready_at", TIME, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("checkpoint", sa.JSON(), nullable=True),
        sa.Column("token", sa.String(length=64), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_jobs")),
        sa.UniqueConstraint(
            "tenant", "name", "idempotency_key", name=op.f("uq_jobs_tenant_name_idempotency_key")
        ),
    )
    op.create_index("ix_jobs_name_ready_at", "jobs", ["name", "ready_at"])
    op.create_index("ix_jobs_tenant_state_job_id", "jobs", ["tenant", "state", "job_id"])
    op.create_index("ix_jobs_state_finished_at", "jobs", ["state", "finished_at"])
    op.create_table(
        "counted_days",
        sa.Column("series_id", BIG_ID, autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_check_at", TIME, nullable=False),
        sa.Column("earliest_check_at", TIME, nullable=False),
        sa.Column("checked_at", TIME, nullable=True),
        sa.Column("counted", BIG_ID, nullable=True),
        sa.Column("raw_rows", BIG_ID, nullable=True),
        sa.Column("cells_wrong", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["series_id"],
            ["count_series.id"],
            name=op.f("fk_counted_days_series_id_count_series"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("series_id", "day", name=op.f("pk_counted_days")),
    )
    op.create_index("ix_counted_days_next_check_at", "counted_days", ["next_check_at"])
    op.create_index("ix_counted_days_cells_wrong", "counted_days", ["cells_wrong"])
    op.execute(
        "INSERT INTO counted_days (series_id, day, next_check_at, earliest_check_at)"
        f" SELECT series_id, start_minute / 1440, '{EPOCH}', '{EPOCH}' FROM count_buckets WHERE grain = 1440"
    )
    op.create_table(
        "tallies",
        sa.Column("name", NAME, nullable=False),
        sa.Column("n", BIG_ID, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tallies")),
    )
    op.create_table(
        "login_strangers",
        sa.Column("digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("failed_logins", sa.Integer(), nullable=False),
        sa.Column("last_failure_at", TIME, nullable=True),
        sa.Column("locked_until", TIME, nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_login_strangers")),
    )
    op.create_index(op.f("ix_login_strangers_last_failure_at"), "login_strangers", ["last_failure_at"])


def downgrade() -> None:
    """Drop them; their indexes go with them."""
    for table in ("login_strangers", "tallies", "counted_days", "jobs"):
        op.drop_table(table)
