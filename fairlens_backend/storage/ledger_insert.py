"""How entries of the ledger come into its table: the first only where the ledger still ends as it was seen, the others behind it."""

from collections.abc import Sequence
from typing import Any, Final

from fairlens_backend.storage import drivers
from fairlens_backend.storage.session import driver_connection, is_postgresql

LEDGER_LOCK: Final = 7003
COLUMNS: Final = ("leaf_index", "at", "type", "tenant", "subject", "record_id", "nodes", "leaf")
_MARKS: Final = ", ".join(f"${place + 1}" for place in range(2 + len(COLUMNS)))
_APPEND_POSTGRESQL: Final = f"SELECT fairlens_ledger_append({_MARKS})".encode()
_APPEND_SQLITE: Final = (
    f"INSERT INTO ledger_entries ({', '.join(COLUMNS)}) SELECT {', '.join('?' * len(COLUMNS))} "
    "WHERE NOT EXISTS (SELECT 1 FROM ledger_entries WHERE leaf_index = ?) "
    "AND NOT EXISTS (SELECT 1 FROM ledger_heads WHERE at > ?) "
    "AND (? = 0 OR EXISTS (SELECT 1 FROM ledger_entries WHERE leaf_index = ? AND nodes = ?))"
)


def insert_after(tail_nodes: bytes, row: tuple[Any, ...], *, is_all: bool) -> bool:
    """Insert the entry if the one before it is the ledger's last and no head is later than the entry; whether it was inserted.

    Parameters
    ----------
    tail_nodes : the `nodes` of the entry before it, as it was seen; of no use for the first
    row : the values of `COLUMNS`
    is_all : whether nothing follows in this unit of work: where nothing came before either, it is a transaction of its own
    """
    driver = driver_connection(begin=not is_all)
    if is_postgresql():
        return drivers.first_value(driver, _APPEND_POSTGRESQL, (LEDGER_LOCK, tail_nodes, *row)) == b"t"
    values = (*row, row[0], row[1], row[0], row[0] - 1, tail_nodes)
    return bool(driver.execute(_APPEND_SQLITE, values).rowcount == 1)


def insert_all(made: Sequence[tuple[Any, ...]]) -> None:
    """Insert entries behind one that `insert_after` has inserted: their places are theirs alone."""
    if not made:
        return
    driver = driver_connection()
    columns = ", ".join(COLUMNS)
    if is_postgresql():
        copied = f"COPY ledger_entries ({columns}) FROM STDIN (FORMAT BINARY)"
        with driver.cursor() as cursor, cursor.copy(copied) as copy:
            copy.set_types(("int8", *["text"] * 5, "bytea", "bytea"))
            for row in made:
                copy.write_row(row)
    else:
        marks = ", ".join("?" * len(COLUMNS))
        driver.executemany(f"INSERT INTO ledger_entries ({columns}) VALUES ({marks})", made)
