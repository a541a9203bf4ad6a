"""How often the 95 % intervals of metrics 1, 3, 4, 5, 7 and 13 hold the truth.

    .venv/bin/python -m benchmarks.interval_coverage [RUNS]

Two groups, a declared reference group, a base rate of 0.5, rates from 0.1 to 0.9, sizes from 200 to 20,000 rows, 2,000
tables a line, seeds counted from 1. A cell is the share of tables whose interval holds the population's value.

The interval of a size |d| is the image of the interval of d. Where the true d is not 0 but within two or three of its
standard errors of 0, one of the two ways to miss is closed: the image of an interval that misses d on the far side of
0 still holds |d|. Coverage there is up to 97.5 % by construction, never less than 95 %. Such cells are marked ~ and
held to 97.5 % (and three standard errors of the simulation) instead of 97 %.

Exits with 1 when a cell is outside its range.
"""

import sys
import time
from dataclasses import dataclass

import numpy as np

from benchmarks._populations import draw_table, measure, on_two_processes, rates_of
from fairlens_backend.core.metrics import METRICS_BY_NAME, GroupRates

METRICS = (
    "demographic_parity_difference",
    "equal_opportunity_difference",
    "disparate_impact_ratio",
    "average_odds_difference",
    "predictive_parity_difference",
    "statistical_parity_difference",
)
SIZES = (
    (200, 200), (500, 500), (2_000, 2_000), (20_000, 20_000), (200, 2_000), (500, 20_000), (20_000, 200),
)  # fmt: skip
# (TPR, FPR) of the reference group and of the other; first those without a difference, last one with a small one
RATES = (
    ((0.1, 0.1), (0.1, 0.1)), ((0.5, 0.5), (0.5, 0.5)), ((0.9, 0.9), (0.9, 0.9)), ((0.9, 0.1), (0.9, 0.1)),
    ((0.1, 0.9), (0.1, 0.9)), ((0.7, 0.3), (0.7, 0.3)), ((0.1, 0.1), (0.9, 0.9)), ((0.9, 0.9), (0.1, 0.1)),
    ((0.9, 0.1), (0.1, 0.9)), ((0.9, 0.1), (0.5, 0.5)), ((0.9, 0.5), (0.5, 0.1)), ((0.3, 0.1), (0.7, 0.5)),
    ((0.9, 0.3), (0.5, 0.7)), ((0.5, 0.3), (0.55, 0.35)),
)  # fmt: skip
BASE = 0.5
LOW, HIGH, NEAR_HIGH = 0.93, 0.97, 0.975
# of a gap that is not 0, the standard errors below which its sign may be mistaken
NEAR = 3.0


@dataclass(frozen=True)
class Line:
    """One population, one pair of sizes and its seed."""

    seed: int
    sizes: tuple[int, int]
    rates: tuple[tuple[float, float], tuple[float, float]]
    runs: int


@dataclass(frozen=True)
class Covered:
    """For each metric the share of its intervals that held the truth, and whether the truth is near 0."""

    line: Line
    share: dict[str, float]
    near: dict[str, bool]
    undefined: int


def coverage(line: Line) -> Covered:
    """Draw the tables of a line and count."""
    cells = [rates_of(BASE, *one) for one in line.rates]
    truth = _truth(cells)
    rng = np.random.Generator(np.random.PCG64(line.seed))
    held = dict.fromkeys(METRICS, 0)
    known = dict.fromkeys(METRICS, 0)
    undefined = 0
    for run in range(line.runs):
        found = measure(draw_table(rng, line.sizes, cells), METRICS, seed=run)
        for name, one in found.items():
            if one.interval is None:
                undefined += 1
                continue
            low, high, _ = one.interval
            known[name] += 1
            held[name] += low - 1e-9 <= truth[name] <= high + 1e-9
    share = {name: held[name] / max(1, known[name]) for name in METRICS}
    return Covered(line, share, _near(line), undefined)


def _truth(cells: list[np.ndarray]) -> dict[str, float]:
    n = np.zeros((2, 2, 3))
    n[:, :, :2] = cells
    found = {name: METRICS_BY_NAME[name].compute(GroupRates(n), 0) for name in METRICS}
    return {
        name: float(one.signed if METRICS_BY_NAME[name].breached_when == "outside" else one.value)
        for name, one in found.items()
    }


def _near(line: Line) -> dict[str, bool]:
    """Whether a gap whose size the metric is lies near 0 without being 0."""

    def gap(rate: list[float], among: list[float]) -> bool:
        apart = abs(rate[0] - rate[1])
        error = (
            sum(p * (1 - p) / (n * share) for p, n, share in zip(rate, line.sizes, among, strict=True)) ** 0.5
        )
        return 1e-9 < apart < NEAR * error

    tpr, fpr = ([one[i] for one in line.rates] for i in (0, 1))
    selected = [BASE * t + (1 - BASE) * f for t, f in zip(tpr, fpr, strict=True)]
    precision = [BASE * t / s for t, s in zip(tpr, selected, strict=True)]
    half = [BASE, BASE]
    return {
        "demographic_parity_difference": gap(selected, [1.0, 1.0]),
        "equal_opportunity_difference": gap(tpr, half),
        "disparate_impact_ratio": False,
        "average_odds_difference": gap(tpr, half) or gap(fpr, half),
        "predictive_parity_difference": gap(precision, selected),
        "statistical_parity_difference": False,
    }


def outside(share: float, near: bool, runs: int) -> bool:
    """Whether a coverage is not what it may be."""
    most = NEAR_HIGH + 3 * (0.975 * 0.025 / runs) ** 0.5 if near else HIGH
    return not LOW <= share <= most


def main() -> int:
    """Print a line for each population and the summary."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    began = time.perf_counter()
    pairs = [(sizes, rates) for sizes in SIZES for rates in RATES]
    lines = [Line(seed, sizes, rates, runs) for seed, (sizes, rates) in enumerate(pairs, start=1)]
    numbers = [METRICS_BY_NAME[name].number for name in METRICS]
    print(f"{runs} tables a line, 1,000 resamples each; ~ the gap is near 0, ! outside its range\n")
    print(
        f"{'seed':>4} {'rows':>13} {'TPR, FPR of r':>14} {'of g':>9}  " + "".join(f"{n:>8}" for n in numbers)
    )
    every: dict[str, list[tuple[float, bool]]] = {name: [] for name in METRICS}
    for found in on_two_processes(coverage, lines):
        text = ""
        for name in METRICS:
            share, near = found.share[name], found.near[name]
            every[name].append((share, near))
            text += f"{share:7.3f}" + ("!" if outside(share, near, runs) else "~" if near else " ")
        line = found.line
        sizes, (r, g) = f"{line.sizes[0]}/{line.sizes[1]}", line.rates
        missing = f"  {found.undefined} undefined" if found.undefined else ""
        print(f"{line.seed:4} {sizes:>13} {r[0]:8}, {r[1]:4} {g[0]:5}, {g[1]:3}  {text}{missing}", flush=True)
    failed = 0
    print(
        "\nmetric                             cells    least    mean    most   near 0: cells    most   outside"
    )
    for name in METRICS:
        far = [share for share, near in every[name] if not near]
        close = [share for share, near in every[name] if near]
        bad = sum(outside(share, near, runs) for share, near in every[name])
        failed += bad
        most = f"{max(close):8.3f}" if close else f"{'–':>8}"
        print(
            f"{name:34} {len(far):5} {min(far):8.3f} {np.mean(far):7.3f} {max(far):7.3f}"
            f" {len(close):15} {most} {bad:9}"
        )
    print(f"\n{failed} cells outside their range, {time.perf_counter() - began:.0f} s")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
