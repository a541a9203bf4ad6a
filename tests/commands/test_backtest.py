"""`fairlens backtest`: options and files become settings; tables and JSON say the same; no history exits with 2."""

import json
from pathlib import Path
from typing import Any

import pytest

from fairlens_backend import cli
from tests.ingest_kit import register
from tests.test_backtester import send_hour

pytestmark = pytest.mark.usefixtures("database")

RANGE = ["--from", "2026-02-26", "--to", "2026-02-27T06:00:00Z", "--metrics", "dir,spd"]


@pytest.fixture(autouse=True)
def decisions(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """30 hours of 100 decisions."""
    # The fixture makes the tables without Alembic.
    monkeypatch.setattr("fairlens_backend.server_health.require_schema", lambda: None)
    register(columns={"decision": "hired", "protected": ["sex"]}, group_definitions={})
    for number in range(30):
        send_hour(number, 50)


def run(*more: str) -> int:
    return cli.main(["backtest", "--model", "hiring", "--tenant", "acme", *more])


def test_the_table_says_what_was_used_and_what_came(capsys: Any) -> None:
    """Source, windows, a table a series with every detector, and what a lead is."""
    assert run(*RANGE) == 0
    said = capsys.readouterr().out
    assert "30 hours counted anew from the stored counts, with 3,000 decisions" in said
    assert said.count("early warning") >= 2 and "disparate_impact_ratio by sex (limit 0.8, 30 checks)" in said
    assert "negative when it came later" in said


def test_options_and_files_become_settings(capsys: Any, tmp_path: Path) -> None:
    """One by one over the file; the second file is tried beside them; JSON has all of it."""
    (tmp_path / "one.json").write_text('{"alpha": 0.01, "drift": {"h": 4.0, "window": 10}}')
    (tmp_path / "two.json").write_text('{"thresholds": {"disparate_impact_ratio": 0.9}}')
    given = ["--settings", str(tmp_path / "one.json"), "--compare", str(tmp_path / "two.json")]
    more = ["--h", "3.5", "--threshold", "spd=0.2", "--nothing-changed", "--detectors", "cusum,threshold"]
    assert run(*RANGE, *given, *more, "--format", "json", "--output", str(tmp_path / "out.json")) == 0
    assert capsys.readouterr().out == ""
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["settings"]["policy"]["alpha"] == 0.01
    assert found["settings"]["policy"]["thresholds"]["statistical_parity_difference"] == 0.2
    assert (found["settings"]["drift"]["h"], found["settings"]["drift"]["window"]) == (3.5, 10)
    assert set(found["series"][0]["detectors"]) == {"cusum", "threshold"}
    assert found["totals"]["threshold"]["false_alarms"] == found["totals"]["threshold"]["n_alarms"]
    second = found["comparison"]["second"]["settings"]["policy"]["thresholds"]
    assert second["disparate_impact_ratio"] == 0.9


def test_no_history_exits_with_2(capsys: Any) -> None:
    """And says so, rather than that nothing alarmed."""
    assert run("--from", "2025-01-01", "--to", "2025-01-02") == 2
    assert "no alarm is no good news" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "dir"], "COLUMN=VALUE was expected"),
        (["--threshold", "dir=low"], "--threshold of dir is 'low'"),
        (["--threshold", "beauty=0.5"], "beauty"),
        (["--k", "-1"], "settings.drift.k: Input should be greater than 0"),
        (["--detectors", "luck"], "detectors.0"),
        (["--baseline-from", "2026-02-26"], "belong together"),
        (["--nothing-changed", "--drift-began", "2026-02-26"], "exclude each other"),
        (["--drift-began", "noon"], "'noon' is no time"),
        (["--compare", "none.json"], "none.json cannot be read"),
        (["--attribute", "hair"], "attributes are sex"),
        (["--model", "ghost"], "ghost"),
    ],
)
def test_what_is_wrong_exits_with_2_and_a_sentence(capsys: Any, arguments: list[str], message: str) -> None:
    """On standard error, by name."""
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err
