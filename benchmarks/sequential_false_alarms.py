"""How often a stream without a difference ever alarms: the confidence sequence against the raw p-value at every look.

    .venv/bin/python -m benchmarks.sequential_false_alarms [RUNS]

2,880 looks (30 days of one each quarter of an hour), batches of 50 to 500 rows, 1,000 runs a line, seeds counted from
1. The second table is power and the edge of the band: a difference at the edge must not alarm, one beyond it must.
Exits with 1 when a line without a difference alarms in more than 5 % of its runs.
"""

import sys
import time

import numpy as np
from scipy.special import erfc

from fairlens_backend.core.inference.sequential import confidence_sequence

LOOKS = 2_880
ALPHA = 0.05
PIECE = 250  # runs held in memory at once


def stream(rng: np.random.Generator, p_g: float, p_r: float, share: float, runs: int) -> list[np.ndarray]:
    """Cumulative n_g, k_g, n_r, k_r, each of shape (runs, LOOKS)."""
    batch = rng.integers(50, 501, size=(runs, LOOKS))
    n_g = rng.binomial(batch, share)
    n_r = batch - n_g
    return [part.cumsum(axis=1) for part in (n_g, rng.binomial(n_g, p_g), n_r, rng.binomial(n_r, p_r))]


def raw_p_alarms(n_g: np.ndarray, k_g: np.ndarray, n_r: np.ndarray, k_r: np.ndarray) -> np.ndarray:
    """Whether the two-proportion test was ever under alpha, both groups having 30 rows; shape (runs,)."""
    common = (k_g + k_r) / (n_g + n_r)
    variance = common * (1 - common) * (1 / np.maximum(n_g, 1) + 1 / np.maximum(n_r, 1))
    difference = k_g / np.maximum(n_g, 1) - k_r / np.maximum(n_r, 1)
    z = np.abs(difference) / np.sqrt(np.where(variance > 0, variance, np.inf))
    return ((erfc(z / np.sqrt(2)) < ALPHA) & (n_g >= 30) & (n_r >= 30)).any(axis=1)


def line(
    seed: int, p_g: float, p_r: float, share: float, band: float, runs: int
) -> tuple[float, float, float, float]:
    """Share of alarms of the sequence, of raw p-values cumulative and of each batch, median look of the first alarm, seconds of the sequence."""
    rng = np.random.Generator(np.random.PCG64(seed))
    first, raw, batches, seconds = [], [], [], 0.0
    for start in range(0, runs, PIECE):
        counts = stream(rng, p_g, p_r, share, min(PIECE, runs - start))
        began = time.process_time()
        first.append(confidence_sequence(*counts, alpha=ALPHA, band=band).first_alarm)
        seconds += time.process_time() - began
        raw.append(raw_p_alarms(*counts))
        batches.append(raw_p_alarms(*(np.diff(part, axis=1, prepend=0) for part in counts)))
    firsts = np.concatenate(first)
    found = firsts[firsts >= 0]
    median = float(np.median(found)) if len(found) else float("nan")
    return (
        float((firsts >= 0).mean()),
        float(np.concatenate(raw).mean()),
        float(np.concatenate(batches).mean()),
        median,
        seconds,
    )


def main() -> int:
    """Print both tables."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    worst = 0.0
    print(f"{runs} runs a line, {LOOKS} looks, alpha {ALPHA}\n")
    print(
        "no difference     rate  share of group   ever alarms: sequence   raw p-value, cumulative   of each batch   CPU-s of the sequence"
    )
    seed = 0
    for p in (0.01, 0.1, 0.3, 0.5, 0.9):
        for share in (0.5, 0.1, 0.02):
            seed += 1
            ours, raw, batches, _, seconds = line(seed, p, p, share, 0.0, runs)
            worst = max(worst, ours)
            print(
                f"seed {seed:3}          {p:5} {share:15} {ours:23.3f} {raw:25.3f} {batches:15.3f} {seconds:23.2f}",
                flush=True,
            )
    print("\nband 0.1        rates         share   ever alarms: sequence   median look of the first alarm")
    for p_g, p_r in ((0.3, 0.4), (0.1, 0.2), (0.6, 0.5), (0.27, 0.4), (0.25, 0.4), (0.2, 0.4)):
        for share in (0.5, 0.1):
            seed += 1
            ours, _, _, median, _ = line(seed, p_g, p_r, share, 0.1, runs)
            if abs(abs(p_g - p_r) - 0.1) < 1e-9:
                worst = max(worst, ours)
            print(f"seed {seed:3}   {p_g:5} – {p_r:4} {share:10} {ours:23.3f} {median:26.0f}", flush=True)
    print(f"\nlargest share of false alarms: {worst:.3f}")
    return int(worst > ALPHA)


if __name__ == "__main__":
    sys.exit(main())
