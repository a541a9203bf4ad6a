"""Accounts, models, checks with their evidence, alerts: every table of the first surface.

Revision ID: 0001
Revises: nothing, it is the first
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make every table of the first surface."""
    op.create_table(
        "alert_decryptions",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("record_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("username", sa.String(length=200), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("address", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_decryptions")),
    )
    op.create_index(op.f("ix_alert_decryptions_record_id"), "alert_decryptions", ["record_id"], unique=False)
    op.create_index(op.f("ix_alert_decryptions_tenant"), "alert_decryptions", ["tenant"], unique=False)

    op.create_table(
        "api_keys",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("prefix", sa.String(length=20), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_used_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )
    op.create_index(op.f("ix_api_keys_tenant"), "api_keys", ["tenant"], unique=False)

    op.create_table(
        "audits",
        sa.Column("audit_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audits")),
    )
    op.create_index(op.f("ix_audits_tenant"), "audits", ["tenant"], unique=False)

    op.create_table(
        "data_keys",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("wrapped_key", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_keys")),
    )
    op.create_table(
        "evidence_state",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("published_seq", BIG_ID, nullable=False),
        sa.Column("log_bytes", BIG_ID, nullable=False),
        sa.Column("anchor_bytes", BIG_ID, nullable=False),
        sa.Column("damage", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence_state")),
    )
    op.create_table(
        "fairness_checks",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("seq", BIG_ID, nullable=False),
        sa.Column("record_id", sa.String(length=64), nullable=False),
        sa.Column("timestamp", TIME, nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("model_version", sa.String(length=200), nullable=False),
        sa.Column("audit_id", sa.String(length=64), nullable=False),
        sa.Column("sample_size", BIG_ID, nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("alert", sa.Boolean(), nullable=False),
        sa.Column("dir", sa.Float(), nullable=True),
        sa.Column("spd", sa.Float(), nullable=True),
        sa.Column("eod", sa.Float(), nullable=True),
        sa.Column("aod", sa.Float(), nullable=True),
        sa.Column("theil", sa.Float(), nullable=True),
        sa.Column("drift_level", sa.Float(), nullable=True),
        sa.Column("female_rate", sa.Float(), nullable=True),
        sa.Column("male_rate", sa.Float(), nullable=True),
        sa.Column("alert_text_sha256", sa.String(length=64), nullable=True),
        sa.Column("audit_sha256", sa.String(length=64), nullable=False),
        sa.Column("prev_hash", sa.String(length=64), nullable=False),
        sa.Column("hash_value", sa.String(length=64), nullable=False),
        sa.Column("encrypted_alert", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fairness_checks")),
        sa.UniqueConstraint("audit_id", name=op.f("uq_fairness_checks_audit_id")),
        sa.UniqueConstraint("record_id", name=op.f("uq_fairness_checks_record_id")),
        sa.UniqueConstraint("seq", name=op.f("uq_fairness_checks_seq")),
    )
    op.create_index(op.f("ix_fairness_checks_hash_value"), "fairness_checks", ["hash_value"], unique=False)
    op.create_index(op.f("ix_fairness_checks_tenant"), "fairness_checks", ["tenant"], unique=False)
    op.create_index(
        "ix_fairness_checks_tenant_model_id", "fairness_checks", ["tenant", "model", "id"], unique=False
    )

    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("beat_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_heartbeats")),
    )
    op.create_table(
        "models",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=200), nullable=False),
        sa.Column("declarations", sa.JSON(), nullable=False),
        sa.Column("artefact_path", sa.Text(), nullable=True),
        sa.Column("artefact_sha256", sa.String(length=64), nullable=True),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("tenant", "name", "version", name=op.f("uq_models_tenant_name_version")),
    )
    op.create_index(op.f("ix_models_tenant"), "models", ["tenant"], unique=False)

    op.create_table(
        "outbox",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("next_attempt_at", TIME, nullable=False),
        sa.Column("claimed_until", TIME, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered_at", TIME, nullable=True),
        sa.Column("dead_at", TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("message_id", name=op.f("uq_outbox_message_id")),
    )
    op.create_index("ix_outbox_due", "outbox", ["delivered_at", "dead_at", "next_attempt_at"], unique=False)

    op.create_table(
        "users",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(length=200), nullable=False),
        sa.Column("username", sa.String(length=200), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("failed_logins", sa.Integer(), nullable=False),
        sa.Column("last_failure_at", TIME, nullable=True),
        sa.Column("locked_until", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
    op.create_index(op.f("ix_users_tenant"), "users", ["tenant"], unique=False)

    op.create_table(
        "refresh_tokens",
        sa.Column("jti", sa.String(length=64), nullable=False),
        sa.Column("family", sa.String(length=64), nullable=False),
        sa.Column("user_id", BIG_ID, nullable=False),
        sa.Column("issued_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("used_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_refresh_tokens_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("jti", name=op.f("pk_refresh_tokens")),
    )
    op.create_index(op.f("ix_refresh_tokens_family"), "refresh_tokens", ["family"], unique=False)
    op.create_index(op.f("ix_refresh_tokens_user_id"), "refresh_tokens", ["user_id"], unique=False)


def downgrade() -> None:
    """Drop them, those first that point to others; indexes go with their table."""
    op.drop_table("refresh_tokens")
    op.drop_table("users")
    op.drop_table("outbox")
    op.drop_table("models")
    op.drop_table("heartbeats")
    op.drop_table("fairness_checks")
    op.drop_table("evidence_state")
    op.drop_table("data_keys")
    op.drop_table("audits")
    op.drop_table("api_keys")
    op.drop_table("alert_decryptions")
