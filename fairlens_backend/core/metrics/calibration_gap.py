"""Metric 8: how differently one and the same score turns out in different groups."""

from typing import Final

import numpy as np

from fairlens_backend.core.metrics._metric import (
    Computed,
    Counts,
    FloatArray,
    GroupRates,
    Metric,
    furthest,
    pick,
    ratio,
)

MIN_IN_BIN: Final = 10
"""Labelled rows that both groups need in a score bin for it to be compared."""


def calibration_gap(rates: GroupRates, reference: int) -> Computed:
    """The mean over score bins of |P(y=1 | bin, g) − P(y=1 | bin, r)|, for the group g where this is greatest.

    A bin counts when both groups have 10 labelled rows in it, and is weighted by the smaller of the two numbers.

    Parameters
    ----------
    rates : the rates of the groups, with `rates.scored`
    reference : index of r

    Returns
    -------
    value in [0, 1], 0 is parity; signed in [−1, 1], the same mean of the signed gaps, which may be 0 where the value
        is not; index of the worst group and of r. NaN when no group shares a bin with the reference group.

    Examples
    --------
    >>> scored = np.zeros((2, 2, 10), dtype=int)
    >>> scored[:, :, 7] = [[40, 60], [20, 80]]
    >>> round(float(calibration_gap(GroupRates(np.zeros((2, 2, 3)), scored), reference=1).value), 12)
    0.2

    Source: Pleiss et al., On fairness and calibration (NeurIPS 2017); STATISTICS section 2.
    """
    batch = rates.n.shape[:-3]
    if rates.scored is None or reference < 0:
        nothing, nobody = np.full(batch, np.nan), np.full(batch, -1, dtype=np.int64)
        return Computed(nothing, nothing, nobody, nobody)
    gaps, weights = bin_gaps(rates.scored, reference)
    whole = weights.sum(axis=-1)
    value = ratio((weights * np.abs(gaps)).sum(axis=-1), whole)
    signed = ratio((weights * gaps).sum(axis=-1), whole)
    worst = furthest(value, signed)
    return Computed(pick(value, worst), pick(signed, worst), worst, np.where(worst < 0, -1, reference))


def bin_gaps(scored: Counts, reference: int) -> tuple[FloatArray, FloatArray]:
    """Gaps in P(y=1 | bin) to the reference group and the weights of the bins, each of shape (..., n_groups, 10).

    A bin that is not compared, and every bin of the reference group, has the gap and the weight 0.
    """
    n = scored[..., 0, :] + scored[..., 1, :]
    share = scored[..., 1, :] / np.maximum(n, 1)
    weights = np.minimum(n, n[..., reference : reference + 1, :]).astype(np.float64)
    weights[weights < MIN_IN_BIN] = 0
    weights[..., reference, :] = 0
    return np.where(weights > 0, share - share[..., reference : reference + 1, :], 0.0), weights


METRIC = Metric(
    name="calibration_gap",
    number=8,
    threshold=0.05,
    breached_when="above",
    needs=frozenset({"score", "truth"}),
    definition=(
        "Between rows with nearly the same score: the size of the gap in the share whose true outcome is favourable"
        " between the reference group and the group furthest from it, on average over ten bins of the score."
    ),
    decides=True,
    compute=calibration_gap,
    null="calibration",
    undefined_because=f"No bin of the score has {MIN_IN_BIN} rows with a known truth both of {{reference}} and of another group.",
)
