"""How often an audit of a population without any difference is HIGH or CRITICAL, and an interval excludes "no difference".

    .venv/bin/python -m benchmarks.false_alarms [RUNS]

First table: 1,000 rows of two attributes (two and five groups) that say nothing about decision, truth or score, each
audit whole (every count-based metric, both attributes and their crossing, 1,000 resamples); the same through the
library with rows (metrics 9, 10 and 17) for a tenth of the runs. At most 5 % may be HIGH or CRITICAL. Beside it the
share in which the naive reading (any metric past its limit) would have raised an alarm. Metric 9 compares people and
not groups: it is past its limit wherever the score moves by more than 0.15 over the range of what people are compared
by, so with rows a steep score alarms though no group is treated differently.

Second table: three to ten equal groups; the share of tables whose interval of a metric excludes "no difference", at
most 5 % (and three standard errors of the simulation).

1,000 tables a line, seeds counted from 1. Exits with 1 when a share is above.
"""

import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from benchmarks._populations import draw_table, measure, on_two_processes, rates_of
from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.library import audit

ROWS = 1_000
ATTRIBUTES = {"sex": (0.5, 0.5), "race": (0.4, 0.25, 0.15, 0.12, 0.08)}
# what decides on the people
POPULATIONS = ("decided by score", "decided at random", "few selected", "many selected", "no truth, no score")
ROW_POPULATIONS = ("gentle score", "gentle score, at random", "decided by score")
ALPHA = 0.05
EQUAL = 1e-9
GAPS = {
    "demographic_parity_difference": 0.0,
    "equalized_odds_difference": 0.0,
    "equal_opportunity_difference": 0.0,
    "disparate_impact_ratio": 1.0,
    "average_odds_difference": 0.0,
    "statistical_parity_subgroup_lift": 1.0,
    "predictive_parity_difference": 0.0,
    "statistical_parity_difference": 0.0,
    "false_positive_rate_difference": 0.0,
    "false_negative_rate_difference": 0.0,
}


def people(rng: np.random.Generator, population: str) -> pd.DataFrame:
    """Rows whose protected attributes are drawn apart from everything else."""
    frame = {name: rng.choice(len(share), ROWS, p=share).astype(str) for name, share in ATTRIBUTES.items()}
    x = rng.random(ROWS)
    score = 0.45 + 0.1 * x if population.startswith("gentle") else 0.15 + 0.7 * x
    limit = {"few selected": 0.72, "many selected": 0.3}.get(population, 0.5)
    decision = rng.integers(0, 2, ROWS) if population.endswith("at random") else (score > limit).astype(int)
    truth = (rng.random(ROWS) < score).astype(int)
    return pd.DataFrame({**frame, "x": x, "score": score, "decision": decision, "truth": truth})


@dataclass(frozen=True)
class Audited:
    """What audits of one population said."""

    severities: tuple[str, ...]
    naive: int


def of_counts(task: tuple[int, str, int]) -> Audited:
    """Whole audits of count tables."""
    seed, population, runs = task
    rng = np.random.Generator(np.random.PCG64(seed))
    severities, naive = [], 0
    for run in range(runs):
        frame = people(rng, population)
        known = population != "no truth, no score"
        table = CountTable.from_arrays(
            {name: frame[name] for name in ATTRIBUTES},
            frame.decision,
            frame.truth if known else None,
            frame.score if known else None,
        )
        result = assess(table, seed=run)
        severities.append(result["overall_severity"])
        naive += past_any_limit(result)
    return Audited(tuple(severities), naive)


def of_rows(task: tuple[int, str, int]) -> Audited:
    """Whole audits of data frames, with the metrics on rows."""
    seed, population, runs = task
    rng = np.random.Generator(np.random.PCG64(seed))
    severities, naive = [], 0
    for run in range(runs):
        frame = people(rng, population)
        result = audit(
            frame, "decision", "truth", "score", list(ATTRIBUTES), features=["x"], seed=run
        ).to_dict()
        severities.append(result["overall_severity"])
        naive += past_any_limit(result)
    return Audited(tuple(severities), naive)


def past_any_limit(result: dict[str, Any]) -> bool:
    """Whether some metric is past its limit, significant or not; 14 and 17 measure no difference between groups."""
    return any(
        one["breached"]
        for name, one in result["metrics"].items()
        if name not in ("theil_index", "consistency")
    )


@dataclass(frozen=True)
class Line:
    """Equal groups of a size each, and the seed."""

    seed: int
    sizes: tuple[int, ...]
    rates: tuple[float, float, float]
    runs: int


def excluding(line: Line) -> tuple[Line, dict[str, float]]:
    """For each metric the share of tables whose interval leaves out "no difference"."""
    rng = np.random.Generator(np.random.PCG64(line.seed))
    cells = [rates_of(*line.rates)] * len(line.sizes)
    out = dict.fromkeys(GAPS, 0)
    for run in range(line.runs):
        found = measure(draw_table(rng, line.sizes, cells), tuple(GAPS), seed=run)
        for name, none in GAPS.items():
            interval = found[name].interval
            if interval is not None:
                out[name] += not interval[0] - EQUAL <= none <= interval[1] + EQUAL
    return line, {name: k / line.runs for name, k in out.items()}


def main() -> int:
    """Print both tables."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    began = time.perf_counter()
    failed = 0
    print(f"{ROWS:,} rows, attributes of 2 and 5 groups, no difference\n")
    print(
        f"{'seed':>4} {'population':35} {'audits':>7} {'HIGH or CRITICAL':>17} {'MEDIUM':>7} {'LOW':>6} {'PASS':>6} {'past any limit':>15}"
    )
    few = max(1, runs // 10)
    tasks = [(seed, one, runs) for seed, one in enumerate(POPULATIONS, start=1)]
    row_tasks = [(seed, one, few) for seed, one in enumerate(ROW_POPULATIONS, start=11)]
    for work, given, note in ((of_counts, tasks, ""), (of_rows, row_tasks, ", with rows")):
        for (seed, population, n), found in zip(given, on_two_processes(work, given), strict=True):
            share = {s: found.severities.count(s) / n for s in ("HIGH", "CRITICAL", "MEDIUM", "LOW", "PASS")}
            alarms = share["HIGH"] + share["CRITICAL"]
            failed += alarms > ALPHA
            print(
                f"{seed:4} {population + note:35} {n:7} {alarms:17.4f} {share['MEDIUM']:7.3f} {share['LOW']:6.3f}"
                f" {share['PASS']:6.3f} {found.naive / n:15.3f}",
                flush=True,
            )
    sizes = [(200,) * 3, (1_000, 500, 100), (200,) * 5, (2_000,) * 5, (1_000, 400, 200, 100, 60), (300,) * 10]
    rates = [(0.5, 0.5, 0.5), (0.5, 0.9, 0.1), (0.4, 0.3, 0.1)]
    lines = [
        Line(100 + i, *one, runs) for i, one in enumerate(((s, r) for s in sizes for r in rates), start=1)
    ]
    most = ALPHA + 3 * (ALPHA * (1 - ALPHA) / runs) ** 0.5
    print(f'\nequal groups: share of intervals without "no difference", {runs} tables a line')
    worst = dict.fromkeys(GAPS, 0.0)
    means = dict.fromkeys(GAPS, 0.0)
    for line, share in on_two_processes(excluding, lines):
        print(
            f"{line.seed:4} {line.sizes!s:32} {line.rates!s:16} "
            + " ".join(f"{share[name]:.3f}" for name in GAPS),
            flush=True,
        )
        for name in GAPS:
            worst[name] = max(worst[name], share[name])
            means[name] += share[name] / len(lines)
    print("\nmetric                               mean  largest")
    for name in GAPS:
        failed += worst[name] > most
        print(f"{name:34} {means[name]:6.3f} {worst[name]:8.3f}{'  above' if worst[name] > most else ''}")
    print(f"\n{failed} shares above 5 %, {time.perf_counter() - began:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
