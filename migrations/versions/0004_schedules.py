"""When models are audited, by which settings, and which windows were.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
NAME = sa.String(length=200)


def upgrade() -> None:
    """Make the tables, and say of the audits that are there whose they are."""
    _mark_audits()
    op.create_table(
        "schedules",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("by_default", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("cron", sa.String(length=200), nullable=True),
        sa.Column("time_zone", sa.String(length=100), nullable=True),
        sa.Column("window_minutes", sa.Integer(), nullable=True),
        sa.Column("protected_attributes", sa.JSON(), nullable=True),
        sa.Column("version", NAME, nullable=True),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.Column("sample_rows", sa.Integer(), nullable=True),
        sa.Column("reaudit_share", sa.Float(), nullable=True),
        sa.Column("reaudit_decisions", BIG_ID, nullable=True),
        sa.Column("reaudit_days", sa.Float(), nullable=True),
        sa.Column("changed_by", NAME, nullable=False),
        sa.Column("changed_at", TIME, nullable=False),
        sa.Column("planned_until", TIME, nullable=False),
        sa.Column("next_due_at", TIME, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("holder", NAME, nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("fence", BIG_ID, nullable=False),
        sa.Column("last_window_end", TIME, nullable=True),
        sa.Column("last_data_end", TIME, nullable=True),
        sa.Column("had_data", sa.Boolean(), nullable=False),
        sa.Column("last_audit_id", sa.String(length=64), nullable=True),
        sa.Column("last_audit_at", TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("tenant", "model", name=op.f("uq_schedules_tenant_model")),
    )
    op.create_index("ix_schedules_due", "schedules", ["enabled", "next_due_at"])
    _make_windows()
    op.create_table(
        "count_changes",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("series_id", BIG_ID, nullable=False),
        sa.Column("minutes", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["series_id"], ["count_series.id"], name=op.f("fk_count_changes_series_id_count_series")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_count_changes")),
    )
    op.create_index(op.f("ix_count_changes_series_id"), "count_changes", ["series_id"])
    op.create_table(
        "sequential_series",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("version", NAME, nullable=False),
        sa.Column("attribute", NAME, nullable=False),
        sa.Column("metric", sa.String(length=80), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sequential_series")),
        sa.UniqueConstraint(
            *("tenant", "model", "version", "attribute", "metric"),
            name="uq_sequential_series_series",
        ),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("sequential_series", "count_changes", "audit_windows", "schedules"):
        op.drop_table(table)
    op.drop_index("ix_audits_counted", "audits")
    op.drop_column("audits", "submitted")
    op.drop_column("audits", "model")


def _mark_audits() -> None:
    op.add_column("audits", sa.Column("model", NAME, nullable=False, server_default=""))
    op.add_column("audits", sa.Column("submitted", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_audits_counted", "audits", ["tenant", "model", "submitted", "created_at"])
    op.execute(
        "UPDATE audits SET model = (SELECT model FROM fairness_checks WHERE fairness_checks.audit_id = audits.audit_id)"
        " WHERE audit_id IN (SELECT audit_id FROM fairness_checks)"
    )
    has, lacks = ("counts -> '{}' IS NOT NULL", "counts -> '{}' IS NULL")
    if op.get_bind().dialect.name == "sqlite":
        has, lacks = (
            "json_type(counts, '$.{}') IS NOT NULL",
            "json_type(counts, '$.{}') IS NULL",
        )
    op.execute(
        sa.text(
            f"UPDATE audits SET submitted = :yes WHERE {has.format('attributes')} AND {lacks.format('audits')}"
        ).bindparams(sa.bindparam("yes", True, sa.Boolean()))
    )


def _make_windows() -> None:
    op.create_table(
        "audit_windows",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("version", NAME, nullable=False),
        sa.Column("window_start", TIME, nullable=False),
        sa.Column("window_end", TIME, nullable=False),
        sa.Column("own_start", TIME, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("newest", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("n_windows", BIG_ID, nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("audit_id", sa.String(length=64), nullable=True),
        sa.Column("sample_size", BIG_ID, nullable=False),
        sa.Column("labelled_size", BIG_ID, nullable=False),
        sa.Column("holder", NAME, nullable=False),
        sa.Column("done_at", TIME, nullable=False),
        sa.Column("check_at", TIME, nullable=True),
        sa.Column("check_from", TIME, nullable=False),
        sa.Column("changes", BIG_ID, nullable=False),
        sa.Column("looked", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_windows")),
        sa.UniqueConstraint("audit_id", name=op.f("uq_audit_windows_audit_id")),
        sa.UniqueConstraint(
            *("tenant", "model", "version", "window_start", "window_end", "revision"),
            name="uq_audit_windows_window",
        ),
    )
    op.create_index("ix_audit_windows_end", "audit_windows", ["tenant", "model", "window_end"])
    op.create_index("ix_audit_windows_check", "audit_windows", ["check_at"])
