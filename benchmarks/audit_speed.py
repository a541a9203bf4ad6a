"""What an audit costs: from counts, from arrays, from a DataFrame, against fairlearn's MetricFrame in the same run.

    .venv/bin/python -m benchmarks.audit_speed

Two attributes of 2 and 5 groups and their crossing, decision, truth and score; 1,000 resamples on both sides. fairlearn
is given six metrics that it has, for the same three groupings, and few resamples: its cost for 1,000 is extrapolated
from the slope, since the run would take more than an hour. Seconds are CPU seconds of this process, the least and the
median of some runs; the machine may be shared. One thread.

Exits with 1 when a figure misses its aim.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import SCORE_UNITS, CountTable
from fairlens_backend.library import audit

ROWS = 100_000
RESAMPLES = 1_000
FAIRLEARN_RESAMPLES = (1, 3)
RACES, SHARES = ["A", "B", "C", "D", "E"], [0.4, 0.25, 0.15, 0.12, 0.08]
FEATURES = ["income", "years", "region", "debt"]


def frame(rows: int, seed: int = 1) -> pd.DataFrame:
    """Rows of a scored decision; nothing about the groups matters for the cost but their number."""
    rng = np.random.Generator(np.random.PCG64(seed))
    score = rng.beta(2, 2, rows)
    return pd.DataFrame(
        {
            "sex": rng.choice(["Women", "Men"], rows),
            "race": rng.choice(RACES, rows, p=SHARES),
            "decision": (score + rng.normal(0, 0.1, rows) > 0.5).astype(int),
            "truth": (rng.random(rows) < score).astype(int),
            "score": score,
            "income": np.round(rng.lognormal(10, 0.5, rows)),
            "years": rng.integers(0, 40, rows),
            "region": rng.choice(["north", "south", "east", "west"], rows),
            "debt": rng.random(rows),
        }
    )


def table_of(rows: pd.DataFrame) -> CountTable:
    """Arrays to counts."""
    return CountTable.from_arrays(
        {"sex": rows["sex"].to_numpy(), "race": rows["race"].to_numpy()},
        rows["decision"].to_numpy(),
        rows["truth"].to_numpy(),
        rows["score"].to_numpy(),
    )


def of_size(like: CountTable, rows: int) -> CountTable:
    """A table of any number of rows with the proportions of another; its scores lie in the middle of their bins."""
    rng = np.random.Generator(np.random.PCG64(rows))
    share = like.n / like.total
    n = rng.multinomial(rows, share.ravel() / share.sum()).reshape(share.shape)
    middle = np.append((np.arange(10) + 0.5) / 10, 0.0)
    # whole units a row: a product of floats would not be exact beyond 2**53
    units = n * np.rint(middle * SCORE_UNITS).astype(np.int64)
    return CountTable(like.attributes, like.groups, n, units)


def timed(work: Callable[[], Any], times: int) -> tuple[float, float, float]:
    """Least and median CPU seconds, median wall seconds, after a run to warm up."""
    work()
    cpu, wall = [], []
    for _ in range(times):
        began, clock = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - began)
        wall.append(time.perf_counter() - clock)
    return min(cpu), statistics.median(cpu), statistics.median(wall)


def fairlearn_seconds(rows: pd.DataFrame, grouping: list[str]) -> tuple[float, float]:
    """CPU seconds of MetricFrame without resampling, and of each resample."""
    from fairlearn import metrics as fm
    from sklearn.metrics import accuracy_score

    asked = {
        "selection_rate": fm.selection_rate,
        "true_positive_rate": fm.true_positive_rate,
        "false_positive_rate": fm.false_positive_rate,
        "false_negative_rate": fm.false_negative_rate,
        "true_negative_rate": fm.true_negative_rate,
        "accuracy": accuracy_score,
    }

    def run(n_boot: int) -> float:
        began = time.process_time()
        found = fm.MetricFrame(
            metrics=asked,
            y_true=rows["truth"],
            y_pred=rows["decision"],
            sensitive_features=rows[grouping],
            **({"n_boot": n_boot, "ci_quantiles": [0.025, 0.975], "random_state": 0} if n_boot else {}),
        )
        found.difference()
        found.ratio()
        if n_boot:
            found.difference_ci()
            found.ratio_ci()
        return time.process_time() - began

    plain = run(0)
    few, more = (run(n) for n in FAIRLEARN_RESAMPLES)
    return plain, (more - few) / (FAIRLEARN_RESAMPLES[1] - FAIRLEARN_RESAMPLES[0])


def main() -> int:
    """Print the tables."""
    missed = []

    def met(what: str, got: float, aim: float, unit: str = "s", least: bool = False) -> None:
        good = got >= aim if least else got <= aim
        missed.extend([] if good else [what])
        print(
            f"  {'met    ' if good else 'NOT MET'} {what}: {got:,.3f} {unit} (aim {'≥' if least else '≤'} {aim:,} {unit})"
        )

    rows = frame(ROWS)
    base = table_of(rows)
    print("counts to full result, 1,000 resamples       CPU: least   median    wall")
    least: dict[int, float] = {}
    for size in (10**3, 10**4, 10**5, 10**6, 10**7, 10**8, 10**9):
        table = table_of(frame(size)) if size <= 10**5 else of_size(base, size)
        low, mid, wall = timed(lambda table=table: assess(table, n_resamples=RESAMPLES), 9)  # type: ignore[misc]
        least[size] = low
        cells = int((table.n > 0).sum())
        print(
            f"  {size:>13,} rows, {cells:3} cells {low * 1e3:19.1f} {mid * 1e3:8.1f} {wall * 1e3:7.1f} ms",
            flush=True,
        )
    met("counts to full result, slowest size", max(least.values()), 0.060)
    met("10⁹ rows against 10⁵", least[10**9] / least[10**5], 1.2, "times")

    print(f"\nfrom {ROWS:,} rows                            CPU: least   median    wall")
    doors: dict[str, tuple[float, Callable[[], Any], int]] = {
        "arrays to counts": (0.0, lambda: table_of(rows), 9),
        "arrays to full result, count-based": (0.150, lambda: assess(table_of(rows)), 9),
        "DataFrame through audit(), count-based": (
            0.0,
            lambda: audit(rows, "decision", "truth", "score", ["sex", "race"]),
            7,
        ),
        "DataFrame through audit(), with 9, 10 and 17": (
            2.0,
            lambda: audit(rows, "decision", "truth", "score", ["sex", "race"], features=FEATURES),
            3,
        ),
    }
    seconds = {}
    for name, (_, work, times) in doors.items():
        seconds[name], mid, wall = timed(work, times)
        print(f"  {name:45} {seconds[name] * 1e3:9.1f} {mid * 1e3:8.1f} {wall * 1e3:7.1f} ms", flush=True)
    for name, (aim, _, _) in doors.items():
        if aim:
            met(name, seconds[name], aim)

    print(f"\nfairlearn's MetricFrame, six metrics, {ROWS:,} rows, CPU seconds")
    total = 0.0
    for grouping in (["sex"], ["race"], ["sex", "race"]):
        plain, each = fairlearn_seconds(rows, grouping)
        total += plain + RESAMPLES * each
        print(
            f"  {' × '.join(grouping):12} without resampling {plain:6.2f}, each resample {each:6.3f},"
            f" so {RESAMPLES:,} of them {RESAMPLES * each:8.0f}",
            flush=True,
        )
    ours = seconds["arrays to full result, count-based"]
    print(f"  all three {total:,.0f} s, extrapolated from {FAIRLEARN_RESAMPLES} resamples; ours {ours:.3f} s")
    met("times faster than fairlearn, CPU", total / ours, 10_000, "times", least=True)
    print(f"\nmissed: {', '.join(missed) or 'nothing'}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
