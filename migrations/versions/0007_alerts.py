"""Alerts and their lives, routes and channels.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
NAME = sa.String(length=200)
ID = sa.String(length=64)
ATTRIBUTE = sa.String(length=500)
ALIVE = sa.text("state <> 'resolved'")


def upgrade() -> None:
    """Make the tables, and the order of messages of one alert."""
    op.create_table(
        "alerts",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("alert_id", ID, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("model_version", NAME, nullable=False),
        sa.Column("attribute", ATTRIBUTE, nullable=False),
        sa.Column("metric", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("peak", sa.String(length=20), nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("first_opened_at", TIME, nullable=False),
        sa.Column("silenced_until", TIME, nullable=True),
        sa.Column("remind_at", TIME, nullable=True),
        sa.Column("resolved_at", TIME, nullable=True),
        sa.Column("times_opened", sa.Integer(), nullable=False),
        sa.Column("breaches", BIG_ID, nullable=False),
        sa.Column("late_windows", BIG_ID, nullable=False),
        sa.Column("audit_id", ID, nullable=False),
        sa.Column("record_id", ID, nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("announced_at", TIME, nullable=True),
        sa.Column("targets", sa.JSON(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("alert_id", name=op.f("uq_alerts_alert_id")),
    )
    series = ["tenant", "model", "attribute", "metric"]
    op.create_index(
        "uq_alerts_alive", "alerts", series, unique=True, sqlite_where=ALIVE, postgresql_where=ALIVE
    )
    op.create_index("ix_alerts_series", "alerts", [*series, "id"])
    op.create_index("ix_alerts_remind_at", "alerts", ["remind_at"])
    op.create_index("ix_alerts_silenced_until", "alerts", ["silenced_until"])
    op.create_table(
        "alert_events",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("alert_id", ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("by", NAME, nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"],
            ["alerts.alert_id"],
            name=op.f("fk_alert_events_alert_id_alerts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_events")),
    )
    op.create_index(op.f("ix_alert_events_alert_id"), "alert_events", ["alert_id"])
    op.create_table(
        "alert_watches",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("model", NAME, nullable=False),
        sa.Column("attribute", ATTRIBUTE, nullable=False),
        sa.Column("newest_at", TIME, nullable=True),
        sa.Column("recent", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "model", "attribute", name=op.f("pk_alert_watches")),
    )
    op.create_table(
        "alert_routes",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("name", NAME, nullable=False),
        sa.Column("channel", sa.String(length=20), nullable=False),
        sa.Column("severities", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("encrypted_target", sa.Text(), nullable=False),
        sa.Column("created_by", NAME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_routes")),
    )
    op.create_index(op.f("ix_alert_routes_tenant"), "alert_routes", ["tenant"])
    op.create_table(
        "delivery_breakers",
        sa.Column("target", NAME, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("open_until", TIME, nullable=True),
        sa.Column("trips", sa.Integer(), nullable=False),
        sa.Column("last_reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("target", name=op.f("pk_delivery_breakers")),
    )
    op.add_column("outbox", sa.Column("order_key", ID, nullable=True))
    op.create_index("ix_outbox_order_key", "outbox", ["order_key", "target", "id"])
    # What waits for the one webhook of before is for the default route of the channel webhook now.
    op.execute("UPDATE outbox SET target = 'default:webhook' WHERE target = 'webhook'")


def downgrade() -> None:
    """Drop them; their indexes go with them."""
    op.execute("UPDATE outbox SET target = 'webhook' WHERE target = 'default:webhook'")
    op.drop_index("ix_outbox_order_key", "outbox")
    with op.batch_alter_table("outbox") as table:
        table.drop_column("order_key")
    for name in ("delivery_breakers", "alert_routes", "alert_watches", "alert_events", "alerts"):
        op.drop_table(name)
