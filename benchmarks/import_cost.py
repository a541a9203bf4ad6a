"""What importing the library costs beyond numpy and pandas, beside fairlearn and, where it is installed, AIF360.

    .venv/bin/python -m benchmarks.import_cost

Each import runs in fresh interpreters, numpy and pandas imported before the clock starts; the least and the median of 7
runs (of the others 3), CPU seconds. Exits with 1 when ours takes half a second or more, or has brought Flask, SQLAlchemy, scikit-learn,
DuckDB or scipy.stats along.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AIM_S = 0.5
UNWANTED = ("flask", "werkzeug", "sqlalchemy", "requests", "sklearn", "duckdb", "scipy.stats", "cryptography")
LIBRARIES = {
    "fairlens_backend.audit": "from fairlens_backend import audit",
    "fairlearn.metrics": "import fairlearn.metrics",
    "aif360.metrics": "import logging; logging.disable(); import aif360.metrics",
}
CLOCK = """
import json, sys, time
import numpy, pandas
before = set(sys.modules)
began = time.process_time()
{statement}
spent = time.process_time() - began
print(json.dumps([spent, sorted(set(sys.modules) - before)]))
"""


def run(statement: str) -> tuple[float, list[str]]:
    """CPU seconds and modules of one import in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", CLOCK.format(statement=statement)],
        capture_output=True, text=True, check=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    spent, modules = json.loads(done.stdout.splitlines()[-1])
    return spent, modules


def main() -> int:
    """Print a line for each library."""
    print(f"{'import':26} {'CPU-s: least':>12} {'median':>8} {'modules':>8}")
    ours, brought = 0.0, [""]
    for name, statement in LIBRARIES.items():
        if importlib.util.find_spec(name.split(".")[0]) is None:
            print(f"{name:26} not installed")
            continue
        runs = [run(statement) for _ in range(7 if name == "fairlens_backend.audit" else 3)]
        least = min(spent for spent, _ in runs)
        median = statistics.median(spent for spent, _ in runs)
        modules = runs[0][1]
        if name == "fairlens_backend.audit":
            ours = median
            brought = [one for one in UNWANTED if any(m == one or m.startswith(f"{one}.") for m in modules)]
        ratio = "" if name == "fairlens_backend.audit" else f"   {median / ours:5.1f} times ours"
        print(f"{name:26} {least:12.3f} {median:8.3f} {len(modules):8}{ratio}")
    print(f"brought along of {', '.join(UNWANTED)}: {', '.join(brought) or 'nothing'}")
    return int(ours >= AIM_S or bool(brought))


if __name__ == "__main__":
    sys.exit(main())
