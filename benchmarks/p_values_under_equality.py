"""How often p-values are small where nothing differs: for every test, at 5 % and at 1 %.

    .venv/bin/python -m benchmarks.p_values_under_equality [RUNS]

Groups with the same rates, 200 to 20,000 rows in all, two groups (equal and 9:1), three, five and ten, those under 30
rows left out as in every audit; scores that mean the same in every group; 4,000 tables a line, seeds counted from 1.
Metrics 9, 14 and 17, which compare no groups, are tested against a limit that is the true value (of 9 and 17 the mean
of as many other samples); metric 10 where groups differ in what they are judged by and not in how. A share may be above
its level by four standard errors of the simulation; the largest is
of lines in which at least a quarter of the tables could be tested. Exits with 1 when one is further above.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks._populations import draw_table, labels, measure, on_two_processes, rates_of
from fairlens_backend.core.counts import SCORE_UNITS, CountTable
from fairlens_backend.core.metrics import METRICS, METRICS_BY_NAME, GroupRates
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.row_metrics import measure_rows
from fairlens_backend.core.row_sample import RowSample

LEVELS = (0.05, 0.01)
SIZES = (200, 500, 2_000, 20_000)
SHARES = ((0.5, 0.5), (0.9, 0.1), (0.5, 0.3, 0.2), (0.4, 0.25, 0.15, 0.12, 0.08), (0.1,) * 10)
# base rate, TPR, FPR
RATES = ((0.5, 0.5, 0.5), (0.5, 0.9, 0.1), (0.3, 0.7, 0.2), (0.5, 0.1, 0.1), (0.2, 0.5, 0.1))
# for each null hypothesis the first metric that tests it
NULLS = {metric.null: metric.name for metric in reversed(METRICS) if metric.null}
ROW_METRICS = ("individual_fairness_score", "counterfactual_fairness", "consistency")
ROWS = 1_000


@dataclass(frozen=True)
class Line:
    """Equal groups: their sizes, their rates, and the seed."""

    seed: int
    rows: int
    shares: tuple[float, ...]
    rates: tuple[float, float, float]
    runs: int


def scored_table(rng: np.random.Generator, line: Line) -> CountTable:
    """Rows whose truth, decision and score do not depend on the group; a score of bin b is right (b + ½)/10 of the time."""
    base, tpr, fpr = line.rates
    size = rng.multinomial(line.rows, line.shares)
    middle = (np.arange(10) + 0.5) / 10
    weight = middle ** (base * 4) * (1 - middle) ** ((1 - base) * 4)
    in_bin = rng.multinomial(size, weight / weight.sum())
    positive = rng.binomial(in_bin, middle)
    n = np.zeros((len(size), 2, 3, 11), dtype=np.int64)
    for y, among, rate in ((1, positive, tpr), (0, in_bin - positive, fpr)):
        n[:, 1, y, :10] = rng.binomial(among, rate)
        n[:, 0, y, :10] = among - n[:, 1, y, :10]
    units = np.rint(n * np.append(middle, 0) * SCORE_UNITS).astype(np.int64)
    return CountTable(("a",), tuple((label,) for label in labels(len(size))), n, units)


def small_p_values(line: Line) -> tuple[Line, dict[str, tuple[int, list[int]]]]:
    """For each null hypothesis how many p-values there were, and how many at most at each level."""
    rng = np.random.Generator(np.random.PCG64(line.seed))
    found: dict[str, tuple[int, list[int]]] = {null: (0, [0] * len(LEVELS)) for null in NULLS}
    for _ in range(line.runs):
        measured = measure(scored_table(rng, line), tuple(NULLS.values()), seed=0, n_resamples=0)
        for null, name in NULLS.items():
            p = measured[name].p_value
            if p is not None:
                known, small = found[null]
                found[null] = known + 1, [k + (p <= a) for k, a in zip(small, LEVELS, strict=True)]
    return line, found


def theil_p_values(task: tuple[int, int]) -> list[float]:
    """p-values of "the Theil index is not above its limit" where it is at the limit."""
    seed, runs = task
    rng = np.random.Generator(np.random.PCG64(seed))
    cells = [rates_of(0.4, 0.7, 0.2)] * 2
    n = np.zeros((2, 2, 3))
    n[:, :, :2] = cells
    true = float(METRICS_BY_NAME["theil_index"].compute(GroupRates(n), 0).value)
    policy = Policy(thresholds={"theil_index": true})
    found = []
    for run in range(runs):
        table = draw_table(rng, (500, 500), cells)
        p = measure(table, ["theil_index"], seed=run, policy=policy)["theil_index"].p_value
        assert p is not None
        found.append(p)
    return found


def row_sample(seed: int, run: int) -> RowSample:
    """Groups differ in what they are judged by, not in how they are judged."""
    rng = np.random.Generator(np.random.PCG64([seed, run]))
    x, z = rng.random(ROWS), rng.normal(size=ROWS)
    group = np.where(rng.random(ROWS) < 0.3 + 0.4 * x, "r", "g")
    score = 1 / (1 + np.exp(-(2 * x - 1 + z)))
    decision = (rng.random(ROWS) < score).astype(int)
    return RowSample.draw(pd.DataFrame({"x": x, "z": z}), decision, None, score, {"a": group}, seed=run)


def row_p_values(task: tuple[int, int, dict[str, float]]) -> dict[str, list[tuple[float, float]]]:
    """Value and p-value of metrics 9, 10 and 17 of some samples."""
    seed, runs, limits = task
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ROW_METRICS}
    for run in range(runs):
        for one in measure_rows(row_sample(seed, run), limits, {"a": "r"}, seed=run):
            assert one.value is not None and one.p_value is not None
            found[one.metric_name].append((one.value, one.p_value))
    return found


def other_p_values(runs: int) -> dict[str, list[float]]:
    """p-values of the tests that are no tests of a count table: metric 14, and 9, 10 and 17."""
    halves = [runs // 4 + 1] * 2
    tested = {
        "theil_index": [
            p
            for part in on_two_processes(theil_p_values, [*zip((20_001, 20_002), halves, strict=True)])
            for p in part
        ]
    }
    few = max(2, runs // 20)
    first = [*on_two_processes(row_p_values, [(10_001, few, {}), (10_002, few, {})])]
    means = {
        name: float(np.mean([value for part in first for value, _ in part[name]])) for name in ROW_METRICS
    }
    limits = {name: means[name] for name in ("individual_fairness_score", "consistency")}
    second = on_two_processes(row_p_values, [(10_003, few, limits), (10_004, few, limits)])
    parts = [*second]
    return tested | {name: [p for part in parts for _, p in part[name]] for name in ROW_METRICS}


def over(small: int, known: int, level: float) -> bool:
    """Whether more p-values are small than four standard errors explain."""
    return known > 0 and small / known > level + 4 * (level * (1 - level) / known) ** 0.5


def main() -> int:
    """Print the largest shares for each test and where they were found."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 4_000
    began = time.perf_counter()
    wanted = [(rows, shares, rates) for rows in SIZES for shares in SHARES for rates in RATES]
    lines = [Line(seed, *one, runs) for seed, one in enumerate(wanted, start=1)]
    total = {null: np.zeros(3) for null in NULLS}
    worst = {(null, a): (0.0, lines[0]) for null in NULLS for a in range(2)}
    failed = []
    for line, found in on_two_processes(small_p_values, lines):
        for null, (known, small) in found.items():
            total[null] += [known, *small]
            for a, level in enumerate(LEVELS):
                if known >= runs / 4 and small[a] / known > worst[null, a][0]:
                    worst[null, a] = small[a] / known, line
                if over(small[a], known, level):
                    failed.append((null, level, small[a] / known, line))
    print(f"{runs} tables a line, {len(lines)} lines, seeds 1 to {len(lines)}\n")
    print(
        f"{'null hypothesis':30} {'p ≤ 0.05: mean':>15} {'largest':>8} {'p ≤ 0.01: mean':>16} {'largest':>8}   where"
    )
    for null in NULLS:
        known, *small = total[null]
        line = worst[null, 0][1]
        print(
            f"{null:30} {small[0] / known:15.4f} {worst[null, 0][0]:8.4f} {small[1] / known:16.4f} {worst[null, 1][0]:8.4f}"
            f"   n={line.rows}, shares {line.shares}, rates {line.rates}"
        )
    for name, values in other_p_values(runs).items():
        p = np.array(values)
        print(
            f"{name:30} {np.mean(p <= 0.05):15.4f} {'':8} {np.mean(p <= 0.01):16.4f}   {'':8} {len(p)} samples of {ROWS:,} rows"
        )
        failed += [
            (name, a, float(np.mean(p <= a)), None) for a in LEVELS if over(int((p <= a).sum()), len(p), a)
        ]
    print()
    for null, level, share, line in failed:
        print(f"above nominal: {null} at {level}: {share:.4f}   {line}")
    print(f"{len(failed)} shares above nominal, {time.perf_counter() - began:.0f} s")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
