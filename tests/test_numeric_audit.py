"""Decisions that are numbers, as a frame, as a file and on the command line."""

import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from fairlens_backend import audit, cli
from fairlens_backend.audit_plan import plan_audit
from fairlens_backend.file_audit import audit_file
from fairlens_backend.numeric_audit import NumericIntake, numeric_settings


def amounts(path: Path) -> Path:
    """Women get 1,000 and 3,000, men 2,000 and 4,000, in turn: 1,000 apart; one amount is missing."""
    rows = pd.DataFrame({"sex": ["F", "M"] * 200, "grant": [1000, 2000, 3000, 4000] * 100})
    rows = pd.concat([rows.astype(object), pd.DataFrame({"sex": ["F"], "grant": ["n/a"]})])
    rows.to_csv(path, index=False)
    return path


def test_a_number_without_favourable_labels_is_compared(tmp_path, capsys):
    """The gap of the means by hand; a limit of 500 is breached, one of 1,500 is not, and without one nothing is judged."""
    given = [
        "audit",
        str(amounts(tmp_path / "a.csv")),
        "--decision",
        "grant",
        "--protected",
        "sex",
        "--numeric",
    ]
    given += ["--missing", "n/a", "--reference", "sex=M"]
    assert cli.main(given) == 2
    told = capsys.readouterr().out
    assert "The mean score of sex=F is 1,000 lower than that of sex=M (2,000 against 3,000" in told
    assert "No limit was set" in told and "1 of 401 rows have no decision" in told
    for limit, code in ((500, 1), (1500, 0)):
        settings = tmp_path / "settings.json"
        settings.write_text(json.dumps({"thresholds": {"mean_score_gap": limit}}), encoding="utf-8")
        assert cli.main([*given, "--settings", str(settings), "--format", "json"]) == code
        gap = json.loads(capsys.readouterr().out)["attributes"]["sex"]["mean_score_gap"]
        assert gap["signed"] == pytest.approx(-1000) and gap["breached"] is (code == 1)
    assert cli.main([*given, "--format", "html"]) == 2
    assert "bootstrap intervals" in capsys.readouterr().out
    assert cli.main([*given, "--favourable", "1000"]) == 2
    assert "without favourable labels" in capsys.readouterr().err
    assert cli.main(given[:-4]) == 2  # "n/a" is no number where nothing says that it is a gap
    assert "row 401" in capsys.readouterr().err


def test_a_file_of_numbers_is_the_frame_of_them(tmp_path):
    """CSV and Parquet, in pieces or whole, are the same audit as the DataFrame."""
    frame = pd.DataFrame({"sex": ["F", "M", "M"] * 300, "grant": np.arange(900) / 7})
    frame.to_csv(tmp_path / "a.csv", index=False)
    duckdb.sql("SELECT * FROM frame").write_parquet(str(tmp_path / "a.parquet"))
    expected = audit(frame, "grant", protected="sex", favourable=None, n_resamples=200).to_dict()
    plan = plan_audit("grant", protected="sex", n_resamples=200)
    for name in ("a.csv", "a.parquet"):
        numbers = NumericIntake(plan, numeric_settings(None))
        assert audit_file(tmp_path / name, plan, numbers=numbers).to_dict() == expected
    numbers = NumericIntake(plan, numeric_settings(None))
    for start in range(0, 900, 250):
        numbers.add(frame.iloc[start : start + 250])
    assert numbers.conclude().to_dict() == expected
