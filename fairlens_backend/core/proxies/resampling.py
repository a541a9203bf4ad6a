"""Draws of the cells of soft counts, and what percentiles of them say."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from fairlens_backend.core.proxies.bounds import RATE_CELLS, Pooling, RateBounds, bounds_of
from fairlens_backend.core.proxies.membership import MEMBERSHIP_UNITS, FloatArray
from fairlens_backend.core.proxies.soft_counts import SoftCounts

_PER_PIECE: Final = 2_000_000


def weighted_rate(n: FloatArray, rate: str) -> tuple[FloatArray, FloatArray]:
    """The rate, NaN where undefined, and its denominator, both of shape (..., n_groups)."""
    counted, further, _ = RATE_CELLS[rate]
    part = np.asarray(sum(n[..., d, y] for d, y in counted), dtype=np.float64)
    whole = part + np.asarray(sum(n[..., d, y] for d, y in further), dtype=np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 1e-6), whole


def resampled(
    soft: SoftCounts, pooling: Pooling, n_resamples: int, seed: int
) -> tuple[FloatArray, Mapping[str, RateBounds]]:
    """Expected counts, shape (n_resamples, n_groups, 2, 3), and bounds, each (n_resamples, n_groups), of drawn tables."""
    n, membership = soft.n.astype(np.float64), soft.membership_units / MEMBERSHIP_UNITS
    groups, total = len(soft.groups), soft.total
    if n_resamples < 1 or total == 0:
        none = np.zeros((0, groups))
        return np.zeros((0, groups, 2, 3)), dict.fromkeys(RATE_CELLS, RateBounds(none, none))
    mean = np.divide(
        membership,
        n[:, None],
        out=np.zeros_like(membership),
        where=np.broadcast_to(n[:, None] > 0, membership.shape),
    )
    tables, found = [], []
    for drawn in _draws(n, groups, total, n_resamples, seed):
        members = drawn[:, :, None] * mean
        tables.append(members.sum(axis=1))
        pooled = pooling.sums(drawn, 1), pooling.sums(members, 1)
        found.append({rate: bounds_of(*pooled, rate) for rate in RATE_CELLS})
    joined = {
        rate: RateBounds(
            np.concatenate([piece[rate].lower for piece in found]),
            np.concatenate([piece[rate].upper for piece in found]),
        )
        for rate in RATE_CELLS
    }
    return np.concatenate(tables), joined


def _draws(n: FloatArray, groups: int, total: int, n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """Multinomial draws of the cells, shape (piece, n_strata, 2, 3), in pieces of bounded memory."""
    rng = np.random.Generator(np.random.PCG64(seed))
    chances = n.ravel() / n.sum()
    piece = max(1, _PER_PIECE // (n.size * max(1, groups)))
    for start in range(0, n_resamples, piece):
        count = min(piece, n_resamples - start)
        yield rng.multinomial(total, chances, size=count).reshape(count, *n.shape).astype(np.float64)


def percentile_interval(drawn: FloatArray) -> dict[str, Any] | None:
    """Percentiles of the draws in which it is defined; None where it is so in fewer than 95 % of them."""
    known = drawn[~np.isnan(drawn)]
    if not len(known) or len(known) < 0.95 * len(drawn):
        return None
    return interval_dict(*np.quantile(known, (0.025, 0.975)))


def interval_dict(lower: float, upper: float) -> dict[str, Any]:
    """Limits as results give them."""
    return {"lower": float(lower), "upper": float(upper), "level": 0.95, "method": "percentile"}


def number(value: Any) -> float | None:
    """A Python float, None for NaN and infinity."""
    number = float(value)
    return number if math.isfinite(number) else None
