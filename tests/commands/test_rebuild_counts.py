"""`fairlens rebuild-counts`: what differs is said day by day and put right; purged days are said, never called right."""

from datetime import timedelta
from typing import Any

import pytest

from fairlens_backend import cli, count_keeper
from fairlens_backend.storage import session
from fairlens_backend.storage.event_tables import CountBucket
from tests.ingest_kit import NOW, event, register, send

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(autouse=True)
def decisions(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty decisions, one every 37 minutes back from noon of the 2nd of March, so that 19 are of that day; all folded."""
    # The fixture makes the tables without Alembic.
    monkeypatch.setattr("fairlens_backend.server_health.require_schema", lambda: None)
    register()
    send([event(f"e{i}", timestamp=(NOW - timedelta(minutes=37 * i)).isoformat()) for i in range(40)])
    count_keeper.compact(NOW)


def run(*more: str) -> int:
    return cli.main(["rebuild-counts", "--model", "hiring", "--tenant", "acme", *more])


def lose(grain: int) -> None:
    """Damage the counts."""
    with session.unit_of_work() as rows:
        rows.query(CountBucket).filter_by(grain=grain).delete()


def test_right_counts_are_said_to_be_right(capsys: Any) -> None:
    """All days without a limit: 12:30 back by 37 minutes gives 21 decisions since midnight and 19 the day before."""
    assert run("--check") == 0
    said = capsys.readouterr().out
    assert "2 days compared, 40 decisions" in said and "cell by cell" in said
    assert run("--day", "2026-03-02", "--check") == 0
    assert "1 day compared, 21 decisions" in capsys.readouterr().out


@pytest.mark.parametrize("grain", [1, 60, 1440])
def test_what_differs_is_found_said_and_mended(capsys: Any, grain: int) -> None:
    """Whichever grain is damaged, a rebuild brings the table back; the check alone writes nothing."""
    window = (
        NOW.replace(minute=0, second=0) - timedelta(days=3),
        NOW.replace(minute=0, second=0) + timedelta(days=2),
    )
    before = count_keeper.window_table("acme", "hiring", *window)
    lose(grain)
    checked = run("--check")
    assert checked == (1 if grain == 1440 else 0)  # a whole day is read from its own count
    if grain == 1440:
        assert "2026-03-02  v1 by sex, age: 0 counted, 21 rows (-21)" in capsys.readouterr().out
        assert run("--check") == 1
    assert run() == 0
    said = capsys.readouterr().out
    if grain == 1440:
        assert (
            "0 counted before, 21 now" in said and "2 days differed and are now as the raw rows say" in said
        )
    assert run("--check") == 0
    assert count_keeper.window_table("acme", "hiring", *window) == before


def test_days_are_chosen(capsys: Any) -> None:
    """From and to include their ends; a day outside is not touched."""
    lose(1440)
    assert run("--from", "2026-03-02", "--to", "2026-03-02") == 0
    assert "1 day counted anew" in capsys.readouterr().out
    assert run("--check") == 1
    assert "1 day differ" in capsys.readouterr().out
    assert run("--from", "2026-03-03") == 2
    assert "Nothing was counted in the days asked for" in capsys.readouterr().out


def test_purged_days_are_said(capsys: Any) -> None:
    """Counts are all that is left of them: they are neither compared nor touched, and alone they are no success."""
    count_keeper.purge_raw(NOW + timedelta(days=90, hours=-18))  # rows until 18:30 of the first day
    assert run() == 0
    said = capsys.readouterr().out
    assert "1 day counted anew" in said and "1 day left as they are (2026-03-01)" in said
    assert run("--day", "2026-03-01", "--check") == 2
    assert "raw rows of then are purged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--day", "2026-03-02", "--from", "2026-03-01"], "--day is one day"),
        (["--from", "2026-03-02", "--to", "2026-03-01"], "is after --to"),
        (["--model", "ghost"], "Nothing of the model 'ghost' was counted"),
        (["--tenant", "other"], "Nothing of the model 'hiring' was counted"),
    ],
)
def test_wrong_arguments_exit_with_2(capsys: Any, arguments: list[str], message: str) -> None:
    """Standard error says which and why."""
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_a_day_that_is_none_is_named(capsys: Any) -> None:
    """With the form that is expected."""
    with pytest.raises(SystemExit):
        run("--day", "yesterday")
    assert "'yesterday' is no day, as in 2026-03-01" in capsys.readouterr().err
