"""PostgreSQL keeps the arrays of decisions, ids and counts as they are: uncompressed, and in the row where they fit.

A late label reads and writes a few bytes of hundreds of them. Compressed and cut into pieces beside the row, as PostgreSQL
does from 2 KB on, the same labels took half as long again. What was written before is read as well, and moves when it changes.

Revision ID: 0014
Revises: 0013
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

COLUMNS = {
    "event_batches": "numbers",
    "event_cells": "cells",
    "event_id_pages": "entries",
    "event_id_runs": "prints",
    "count_deltas": "entries",
}
SMALL = ("event_cells", "event_id_pages", "count_deltas")
WHOLE_PAGE = 8160


def upgrade() -> None:
    """Set how they are stored; SQLite has nothing of the kind."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, column in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")
    for table in SMALL:
        op.execute(f"ALTER TABLE {table} SET (toast_tuple_target = {WHOLE_PAGE})")


def downgrade() -> None:
    """Leave it to PostgreSQL again."""
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, column in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTENDED")
    for table in SMALL:
        op.execute(f"ALTER TABLE {table} RESET (toast_tuple_target)")
