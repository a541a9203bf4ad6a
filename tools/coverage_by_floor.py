"""Sum coverage.py's JSON by the floors of the house; exit 1 when a floor is under its share.

Use: python tools/coverage_by_floor.py coverage.json
"""

import json
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = "fairlens_backend"
PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
FLOORS = {"roof": 85.0, "doors": 85.0, "desks": 85.0, "cellar": 85.0, "ground": 95.0}  # percent of lines


@cache
def rooms() -> dict[str, str]:
    """The floor of every room, read from the layers that import-linter enforces: one list says where a room stands.

    >>> rooms()["errors"], rooms()["storage"], rooms()["auth"]
    ('ground', 'cellar', 'doors')
    """
    contracts = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract.get("exhaustive"))
    floors = ["roof", "doors", "desks", *["cellar"] * (len(layers) - 4), "ground"]
    return {
        room.strip(" ()\n"): floor
        for floor, layer in zip(floors, layers, strict=True)
        for room in layer.split(":")
    }


def floor_of(path: str) -> str:
    """The floor of a file of the package, by its first room.

    >>> floor_of("fairlens_backend/core/metrics/theil_index.py"), floor_of("fairlens_backend/audit_runner.py")
    ('ground', 'desks')
    """
    parts = Path(path).parts
    return rooms().get(Path(parts[parts.index(PACKAGE) + 1]).stem, "roof")


def shares(report: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Lines covered and lines in all, a floor."""
    sums = {floor: (0, 0) for floor in FLOORS}
    for path, measured in report["files"].items():
        covered, lines = sums[floor_of(path)]
        summary = measured["summary"]
        sums[floor_of(path)] = (covered + summary["covered_lines"], lines + summary["num_statements"])
    return sums


def main(arguments: list[str]) -> int:
    """Print the table; 1 when a floor is under its share."""
    report = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    under = False
    print(f"{'floor':8}{'lines':>7}{'covered':>9}{'needed':>8}")
    for floor, (covered, lines) in shares(report).items():
        share = 100 * covered / lines if lines else 100.0
        low = share < FLOORS[floor]
        under = under or low
        print(f"{floor:8}{lines:7}{share:8.1f}%{FLOORS[floor]:7.0f}%{'  too low' if low else ''}")
        if low:
            for path, measured in sorted(
                report["files"].items(), key=lambda item: -item[1]["summary"]["missing_lines"]
            )[:40]:
                if floor_of(path) == floor and measured["summary"]["percent_covered"] < FLOORS[floor]:
                    print(
                        f"          {measured['summary']['percent_covered']:5.1f}%  {path}, lines {_ranges(measured['missing_lines'])}"
                    )
    return int(under)


def _ranges(lines: list[int]) -> str:
    """Line numbers as runs.

    >>> _ranges([3, 4, 5, 9])
    '3–5, 9'
    """
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][1] + 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    return ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
