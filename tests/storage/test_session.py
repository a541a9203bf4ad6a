"""How connections to SQLite are set up while other processes do the same."""

import sqlite3
from pathlib import Path

import pytest

from fairlens_backend.storage import engines


class LockedAtFirst(sqlite3.Connection):
    """A connection whose switch to WAL is refused a number of times, as SQLite refuses one of two at once."""

    refusals = 0
    refused = 0

    def execute(self, sql: str, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
        if "journal_mode" in sql and self.refused < self.refusals:
            self.refused += 1
            raise sqlite3.OperationalError("database is locked")
        return super().execute(sql, *arguments)  # type: ignore[arg-type]


def opened(file: Path, refusals: int) -> LockedAtFirst:
    connection = sqlite3.connect(file, factory=LockedAtFirst)
    connection.refusals = refusals
    return connection


def test_a_switch_to_wal_that_is_refused_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that open a new database at once all come up, in WAL."""
    monkeypatch.setattr(engines, "WAL_RETRY_S", 0.0)
    connection = opened(tmp_path / "new.db", refusals=3)
    engines._set_up_sqlite(60.0, connection, None)
    assert connection.refused == 3
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    connection.close()


def test_a_switch_to_wal_is_not_tried_for_ever(tmp_path: Path) -> None:
    """After DATABASE_BUSY_TIMEOUT_MS the refusal is told."""
    connection = opened(tmp_path / "new.db", refusals=1_000_000)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        engines._set_up_sqlite(0.0, connection, None)
    assert connection.refused == 1
    connection.close()
