"""`fairlens erase`: on the server's own machine, to the end."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from fairlens_backend import cli, count_keeper, eraser
from fairlens_backend.storage import driver_sql, migrate
from fairlens_backend.storage.session import is_postgresql, read_snapshot
from tests.ingest_kit import day_window, event, register, send

MAIL = "ann.lee@example.org"


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine too an erasure ends within its answer; where it must not, a test says so itself."""
    monkeypatch.setattr(eraser, "BUDGET_S", 600.0)


@pytest.fixture(autouse=True)
def rows(settings: Any) -> None:
    """A migrated database with two people's events."""
    migrate.upgrade()
    register()
    send([event(f"a{i}", features={"email": MAIL}) for i in range(3)])
    send([event("b", features={"email": "bob@example.org"})])


def erase(*arguments: str) -> int:
    """The command's exit code."""
    return cli.main(["erase", "--tenant", "acme", *arguments])


def test_by_value_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The value is read from standard input and never written; all its rows go, and the counts stay."""
    before = count_keeper.window_table("acme", "hiring", *day_window()).total
    monkeypatch.setattr("sys.stdin", io.StringIO(MAIL + "\n"))
    assert erase("--field", "email", "--value", "-") == 0
    out = capsys.readouterr()
    done = json.loads(out.out)
    assert done["erased"]["rows"] == 3 and done["state"] == "done" and MAIL not in out.out + out.err
    assert count_keeper.window_table("acme", "hiring", *day_window()).total == before == 4


def test_ids_from_a_file_and_one_by_one_and_compact(tmp_path: Path, capsys: Any) -> None:
    """Ids come a line each; --compact leaves no free page in SQLite's file."""
    path = tmp_path / "ids"
    path.write_text("a0\n\na1\n", encoding="utf-8")
    assert erase("--event-ids", str(path), "--event-id", "b", "--dry-run") == 0
    assert json.loads(capsys.readouterr().out)["erased"]["rows"] == 3
    assert erase("--event-ids", str(path), "--event-id", "b", "--compact") == 0
    assert json.loads(capsys.readouterr().out)["erased"]["rows"] == 3
    if not is_postgresql():
        with read_snapshot():
            assert driver_sql.rows("PRAGMA freelist_count") == [(0,)]
    with read_snapshot():
        assert driver_sql.rows("SELECT count(*) FROM erased_ids") == [(3,)]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--field", "email"],
        ["--event-ids", "/nowhere/ids"],
        ["--token", "t"],
        ["--event-id", "a", "--token", "t"],
    ],
)
def test_wrong_arguments_are_told(arguments: list[str], capsys: Any) -> None:
    """Exit code 2 and a sentence; nothing is erased."""
    assert erase(*arguments) == 2
    out = capsys.readouterr()
    assert out.out == "" and len(out.err) > 20
    with read_snapshot():
        assert driver_sql.rows("SELECT count(*) FROM erasures") == [(0,)]
