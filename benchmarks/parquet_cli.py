"""What `fairlens audit FILE.parquet` costs at 10⁵, 10⁶ and 10⁷ rows, against reading the file and asking fairlearn once.

    .venv/bin/python -m benchmarks.parquet_cli [ROWS]

DuckDB writes files of a decision, a truth, a score, two attributes of 2 and 5 groups and two more columns into a
temporary folder. Each audit is a fresh process, start-up included, with 1,000 resamples. The peer reads the same file
into a DataFrame and takes fairlearn's MetricFrame of six metrics for the same three groupings, without any resampling,
at 10⁵ rows. CPU seconds, wall seconds and the largest memory of each process; two threads at most.

Exits with 1 when 10⁷ rows take 5 s of wall time or 1 GB, or more than 1.2 times linear from 10⁵.
"""

import itertools
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

ROOT = Path(__file__).resolve().parent.parent
AIM_S, AIM_BYTES, AIM_LINEAR = 5.0, 10**9, 1.2
REPEATS = 3
WRITE = """
COPY (
    SELECT
        CASE WHEN a < 0.48 THEN 'Women' ELSE 'Men' END AS sex,
        CASE WHEN b < 0.4 THEN 'White' WHEN b < 0.65 THEN 'Black' WHEN b < 0.8 THEN 'Asian'
             WHEN b < 0.92 THEN 'Native' ELSE 'Other' END AS race,
        CASE WHEN s + 0.05 * (a >= 0.48)::INT > 0.5 THEN 'approved' ELSE 'rejected' END AS decision,
        CASE WHEN t < s THEN 'approved' ELSE 'rejected' END AS truth,
        s AS score, i AS id, round(1000 * t) AS income
    FROM (
        SELECT i, (hash(i) % 1000003) / 1000003.0 AS a, (hash(i + 7000000000) % 1000003) / 1000003.0 AS b,
            (hash(i + 14000000000) % 1000003) / 1000003.0 AS s, (hash(i + 21000000000) % 1000003) / 1000003.0 AS t
        FROM range({rows}) AS r(i)
    )
) TO '{path}' (FORMAT parquet)
"""
PEER = """
import sys, duckdb
from fairlearn import metrics as fm
from sklearn.metrics import accuracy_score
rows = duckdb.connect(config={"threads": 2}).execute("SELECT sex, race, decision, truth FROM read_parquet(?)", [sys.argv[1]]).df()
asked = {"selection_rate": fm.selection_rate, "tpr": fm.true_positive_rate, "fpr": fm.false_positive_rate,
         "fnr": fm.false_negative_rate, "tnr": fm.true_negative_rate, "accuracy": accuracy_score}
y, d = ((rows[name] == "approved").astype(int) for name in ("truth", "decision"))
for grouping in (["sex"], ["race"], ["sex", "race"]):
    fm.MetricFrame(metrics=asked, y_true=y, y_pred=d, sensitive_features=rows[grouping]).difference()
"""


@dataclass(frozen=True)
class Cost:
    """Of one process."""

    cpu_s: float
    wall_s: float
    peak_bytes: int
    code: int


def spend(command: list[str]) -> Cost:
    """Run a command; what it cost."""
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * 1024, child.returncode)


def audit(path: Path) -> Cost:
    """The cheapest of some runs of the command line."""
    command = [
        sys.executable, "-m", "fairlens_backend", "audit", str(path), "--decision", "decision", "--truth", "truth",
        "--score", "score", "--protected", "sex,race", "--favourable", "approved", "--format", "json",
    ]  # fmt: skip
    runs = [spend(command) for _ in range(REPEATS)]
    if any(run.code not in (0, 1) for run in runs):
        raise RuntimeError(f"fairlens audit ended with {[run.code for run in runs]}")
    return min(runs, key=lambda run: run.wall_s)


def main() -> int:
    """Print a line for each size."""
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 10**7
    sizes = [size for size in (10**5, 10**6) if size < largest] + [largest]
    costs: dict[int, Cost] = {}
    peer = None
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'rows':>12} {'file MB':>8} {'CPU s':>8} {'wall s':>8} {'peak MB':>8}")
        for size in sizes:
            path = Path(folder) / f"{size}.parquet"
            duckdb.connect(config={"threads": 2}).execute(WRITE.format(rows=size, path=path))
            costs[size] = cost = audit(path)
            print(
                f"{size:12,} {path.stat().st_size / 1e6:8.1f} {cost.cpu_s:8.2f} {cost.wall_s:8.2f} {cost.peak_bytes / 1e6:8.0f}",
                flush=True,
            )
            if size == sizes[0]:
                peer = spend([sys.executable, "-c", PEER, str(path)])
                print(
                    f"{'fairlearn':>12} {'':8} {peer.cpu_s:8.2f} {peer.wall_s:8.2f} {peer.peak_bytes / 1e6:8.0f}   the same file,"
                    f" no intervals: {peer.cpu_s / cost.cpu_s:.1f} times the CPU, {peer.peak_bytes / cost.peak_bytes:.1f} times the memory"
                )
            path.unlink()
    last, first = costs[largest], costs[sizes[0]]
    linear = last.cpu_s / (first.cpu_s * largest / sizes[0])
    checks = (
        (f"{largest:,} rows: wall seconds", last.wall_s, AIM_S),
        (f"{largest:,} rows: CPU seconds", last.cpu_s, AIM_S),
        ("peak GB", last.peak_bytes / 1e9, AIM_BYTES / 1e9),
        (f"times linear from {sizes[0]:,}", linear, AIM_LINEAR),
    )
    for what, got, aim in checks:
        print(f"{'met    ' if got <= aim else 'NOT MET'} {what}: {got:.3f} (aim ≤ {aim})")
    if len(sizes) > 2:
        # start-up hides the slope: what each row beyond the first million costs against each beyond the first 100,000
        slopes = [(costs[b].cpu_s - costs[a].cpu_s) / (b - a) for a, b in itertools.pairwise(sizes)]
        print(f"CPU nanoseconds a further row: {', '.join(f'{1e9 * slope:.0f}' for slope in slopes)}")
    return int(any(got > aim for _, got, aim in checks))


if __name__ == "__main__":
    sys.exit(main())
