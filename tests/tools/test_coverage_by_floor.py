"""Coverage is asked of each floor, so that a well tested ground cannot hide an untested door."""

import json
from pathlib import Path

import pytest

from tools.coverage_by_floor import floor_of, main


def report(tmp_path: Path, **lines: tuple[int, int]) -> str:
    """A coverage report of files given as name=(covered, all); two underscores stand for a folder."""
    files = {
        f"fairlens_backend/{name.replace('__', '/')}.py": {
            "summary": {
                "covered_lines": covered,
                "num_statements": total,
                "missing_lines": total - covered,
                "percent_covered": 100 * covered / total,
            },
            "missing_lines": list(range(1, total - covered + 1)),
        }
        for name, (covered, total) in lines.items()
    }
    path = tmp_path / "coverage.json"
    path.write_text(json.dumps({"files": files}), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("path", "floor"),
    [
        ("fairlens_backend/core/metrics/theil_index.py", "ground"),
        ("fairlens_backend/schemas/_base.py", "ground"),
        ("fairlens_backend/storage/session.py", "cellar"),
        ("fairlens_backend/audit_runner.py", "desks"),
        ("fairlens_backend/alert_manager.py", "desks"),
        ("fairlens_backend/model_scorer.py", "cellar"),
        ("fairlens_backend/blueprints/admin.py", "doors"),
        ("fairlens_backend/app.py", "roof"),
    ],
)
def test_a_file_stands_on_the_floor_of_its_first_room(path: str, floor: str) -> None:
    """The folder or flat file directly below the package decides."""
    assert floor_of(path) == floor


def test_lines_are_summed_over_a_floor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """90 of 100 and 100 of 100 lines are 95 % of the ground: enough, though one file alone is not."""
    assert main([report(tmp_path, errors=(90, 100), core__counts=(100, 100))]) == 0
    assert "95.0%" in capsys.readouterr().out


def test_a_floor_under_its_share_fails_and_names_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """84 of 100 lines of a door fail, though the ground is full; the lines that no test ran are named as runs."""
    assert main([report(tmp_path, errors=(900, 900), auth=(84, 100))]) == 1
    printed = capsys.readouterr().out
    assert "too low" in printed
    assert "fairlens_backend/auth.py, lines 1–16" in printed
