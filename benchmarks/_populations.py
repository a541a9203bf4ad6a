"""Populations whose rates are known, and count tables drawn from them."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.audit_views import audit_views
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.measured import Measured
from fairlens_backend.core.metrics import METRICS_BY_NAME
from fairlens_backend.core.policy import DEFAULT_POLICY, Policy

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

REFERENCE = "r"
NO_SCORE = 10


def rates_of(base: float, tpr: float, fpr: float) -> FloatArray:
    """Probabilities of the cells (ŷ, y), shape (2, 2), of a group with these rates."""
    return np.array([[(1 - base) * (1 - fpr), base * (1 - tpr)], [(1 - base) * fpr, base * tpr]])


def labels(groups: int) -> list[str]:
    """The reference group first: "r", "g01", "g02" …"""
    return [REFERENCE, *(f"g{i:02}" for i in range(1, groups))]


def draw_group(rng: np.random.Generator, size: int, cells: FloatArray) -> IntArray:
    """Counts of one group of `size` rows without scores, shape (2, 3, 11)."""
    n = np.zeros((2, 3, 11), dtype=np.int64)
    n[:, :2, NO_SCORE] = rng.multinomial(size, cells.ravel()).reshape(2, 2)
    return n


def draw_table(rng: np.random.Generator, sizes: Sequence[int], cells: Sequence[FloatArray]) -> CountTable:
    """One window of rows of the attribute "a", a group for each size."""
    n = np.stack([draw_group(rng, size, one) for size, one in zip(sizes, cells, strict=True)])
    return CountTable(("a",), tuple((label,) for label in labels(len(sizes))), n, np.zeros_like(n))


def measure(
    table: CountTable,
    metrics: Sequence[str],
    seed: int,
    n_resamples: int = 1_000,
    policy: Policy = DEFAULT_POLICY,
) -> dict[str, Measured]:
    """What `assess` measures of these metrics and this attribute, without the rest of a result."""
    views = audit_views(table, ["a"], {"a": REFERENCE}, policy, seed, n_resamples, {})
    return {name: views["a"].measure(METRICS_BY_NAME[name]) for name in metrics}


def on_two_processes(work: Callable[[Any], Any], items: Sequence[Any]) -> Any:
    """`work` of each item, in order, on two processes."""
    with ProcessPoolExecutor(2) as pool:
        yield from pool.map(work, items)
