"""Alembic's door: which tables there should be, and over which connection they are made."""

from typing import Any

from alembic import context

from fairlens_backend import config
from fairlens_backend.storage import migrate, tables


def render_item(kind: str, item: Any, _autogen_context: Any) -> str | bool:
    """Write our own column types as SQLAlchemy's, so that old migrations do not depend on tables.py."""
    return "sa.DateTime(timezone=True)" if isinstance(item, tables.UtcDateTime) else False


OPTIONS: dict[str, Any] = {
    "target_metadata": tables.Base.metadata,
    "compare_type": True,
    "render_as_batch": True,  # SQLite alters a table by copying it
    "render_item": render_item,
}

if context.is_offline_mode():
    context.configure(url=config.current().sqlalchemy_url, literal_binds=True, **OPTIONS)
    with context.begin_transaction():
        context.run_migrations()
else:
    with migrate.connection() as connection:
        # One transaction for all, on SQLite too: else another process that starts meanwhile goes on from a step in between.
        context.configure(connection=connection, transactional_ddl=True, **OPTIONS)
        with context.begin_transaction():
            migrate.lock(connection)
            context.run_migrations()
            migrate.grant(connection)
