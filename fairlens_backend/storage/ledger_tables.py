"""The tables of the ledger of evidence. The database itself refuses to change or delete what is in them.

Every hash of the tree is kept beside the entry that completed it: the subtree at (level, index) is complete with the entry
(index + 1) · 2^level − 1, whose `nodes` holds the hashes that it completed, 32 bytes a level from 0 on. So an append is one
insert and no update, a proof reads O(log n) rows by primary key, and there is no second table that could disagree.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Index, LargeBinary, String, Text, event, text
from sqlalchemy.orm import Mapped, mapped_column

from fairlens_backend.storage.tables import BIG_ID, ID, NAME, Base

APPEND_ONLY: Final = ("ledger_entries", "ledger_heads", "ledger_keys", "ledger_attestations")
"""tables whose rows nobody may change or delete"""
TIME: Final = String(27)
"""a time as the entries and heads spell it, so that text order is time order: 2026-01-02T03:04:05.000000Z"""


class StoredBytes(LargeBinary):
    """Bytes that are read even where somebody has put a text or a number in their place, which SQLite allows: to be named as altered."""

    cache_ok = True

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        """What makes bytes of a column's value."""
        return _as_bytes if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


def _as_bytes(value: Any) -> bytes | None:
    return value if value is None or isinstance(value, bytes) else str(value).encode()


class LedgerEntry(Base):
    """One event. `leaf` is what is hashed; the other columns repeat parts of it, to be searched by."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        Index("ix_ledger_entries_subject", "tenant", "subject", "leaf_index"),
        Index(
            "ix_ledger_entries_record_id",
            "record_id",
            sqlite_where=text("record_id IS NOT NULL"),
            postgresql_where=text("record_id IS NOT NULL"),
        ),
    )
    leaf_index: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=False)
    """place in the sequence of this server's events, from 0, without gaps"""
    at: Mapped[str] = mapped_column(TIME)
    type: Mapped[str] = mapped_column(String(40))
    tenant: Mapped[str] = mapped_column(NAME)
    subject: Mapped[str | None] = mapped_column(NAME)
    """the model that the event is about"""
    record_id: Mapped[str | None] = mapped_column(ID)
    """the record that the event is about"""
    nodes: Mapped[bytes] = mapped_column(StoredBytes)
    leaf: Mapped[bytes] = mapped_column(StoredBytes)
    """the entry's canonical JSON, byte for byte"""


class LedgerHead(Base):
    """A signed statement of what the ledger was at a time."""

    __tablename__ = "ledger_heads"
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    tree_size: Mapped[int] = mapped_column(BIG_ID, index=True)
    at: Mapped[str] = mapped_column(TIME, index=True)
    root: Mapped[bytes] = mapped_column(StoredBytes)
    note: Mapped[str] = mapped_column(Text)
    """the checkpoint as a signed note, byte for byte"""


class LedgerKey(Base):
    """A key that signs heads, from a tree size on until the next key does. Old ones stay for verification."""

    __tablename__ = "ledger_keys"
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(NAME)
    """the key's name in signatures, which is the ledger's origin"""
    public_key: Mapped[str] = mapped_column(String(64), unique=True)
    """32 bytes in hexadecimal"""
    first_size: Mapped[int] = mapped_column(BIG_ID)
    """the size of the tree when it came into use"""
    created_at: Mapped[datetime]


class LedgerSigner(Base):
    """The private half of the key in use, encrypted under the master key; where there is none, LEDGER_KEY is it.

    No evidence, and so not append-only: another master key encrypts it again, and retiring a key destroys it.
    """

    __tablename__ = "ledger_signers"
    public_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    wrapped_key: Mapped[str] = mapped_column(Text)


class LedgerAttestation(Base):
    """What somebody else said of a head: a witness's cosignature, a time-stamp authority's token."""

    __tablename__ = "ledger_attestations"
    id: Mapped[int] = mapped_column(BIG_ID, primary_key=True, autoincrement=True)
    head_id: Mapped[int] = mapped_column(BIG_ID, index=True)
    kind: Mapped[str] = mapped_column(String(20))
    """cosignature or rfc3161"""
    name: Mapped[str] = mapped_column(NAME)
    at: Mapped[str] = mapped_column(TIME)
    content: Mapped[bytes] = mapped_column(StoredBytes)


REFUSAL: Final = "the ledger is append-only"


APPEND_FUNCTION: Final = """CREATE OR REPLACE FUNCTION fairlens_ledger_append(
    lock_name bigint, tail_nodes bytea, new_index bigint, new_at text, new_type text, new_tenant text, new_subject text,
    new_record_id text, new_nodes bytea, new_leaf bytea) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(lock_name);
    INSERT INTO ledger_entries (leaf_index, at, type, tenant, subject, record_id, nodes, leaf)
    SELECT new_index, new_at, new_type, new_tenant, new_subject, new_record_id, new_nodes, new_leaf
    WHERE NOT EXISTS (SELECT 1 FROM ledger_entries WHERE leaf_index = new_index)
    AND NOT EXISTS (SELECT 1 FROM ledger_heads WHERE at > new_at)
    AND (new_index = 0 OR EXISTS (SELECT 1 FROM ledger_entries WHERE leaf_index = new_index - 1 AND nodes = tail_nodes));
    RETURN FOUND;
END $$"""
"""Takes the lock and then looks and inserts, in one journey to the database: a single statement would look before it waits."""


def protection(dialect: str, table: str) -> list[str]:
    """The statements that make a database refuse to change or delete rows of a table, whoever asks.

    Used after `CREATE TABLE` by the migration and by `metadata.create_all` alike.

    Parameters
    ----------
    dialect : "sqlite" or "postgresql"
    """
    if dialect == "postgresql":
        return [
            "CREATE OR REPLACE FUNCTION fairlens_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION USING MESSAGE = '{REFUSAL}: ' || TG_OP || ' on ' || TG_TABLE_NAME || "
            "' is refused', ERRCODE = 'insufficient_privilege'; END $$",
            # A statement's trigger: it refuses also a statement that would hit no row.
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION fairlens_append_only()",
            # ALWAYS: also where session_replication_role would switch triggers off.
            f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only",
            *([APPEND_FUNCTION] if table == LedgerEntry.__tablename__ else []),
        ]
    key = "leaf_index" if table == LedgerEntry.__tablename__ else "id"
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}: {{}} on {table} is refused'); END"
    return [
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse.format('UPDATE')}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse.format('DELETE')}",
        # INSERT OR REPLACE deletes without asking the trigger above.
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {key} = NEW.{key}) {refuse.format('REPLACE')}",
    ]


def grants(role: str) -> list[str]:
    """The statements that give a PostgreSQL role what the application needs, and of the ledger only reading and appending.

    The role that owns the tables runs the migrations; the application connects as this one, which cannot drop a trigger.

    Examples
    --------
    >>> grants('app')[-1]
    'GRANT SELECT, INSERT ON ledger_entries, ledger_heads, ledger_keys, ledger_attestations TO "app"'
    """
    name = '"' + role.replace('"', '""') + '"'
    ledger = ", ".join(APPEND_ONLY)
    return [
        f"GRANT USAGE ON SCHEMA public TO {name}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name}",
        f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {name}",
        f"REVOKE ALL ON {ledger} FROM {name}",
        f"GRANT SELECT, INSERT ON {ledger} TO {name}",
    ]


def _protect(table: Any, connection: Any, **_: Any) -> None:
    for statement in protection(connection.dialect.name, table.name):
        connection.exec_driver_sql(statement)


for _table in (LedgerEntry, LedgerHead, LedgerKey, LedgerAttestation):
    event.listen(_table.__table__, "after_create", _protect)
