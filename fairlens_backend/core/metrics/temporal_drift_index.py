"""Metric 12: how far the gap in selection rates has moved away from its baseline, check by check."""

import numpy as np

from fairlens_backend.core.drift.cusum import H
from fairlens_backend.core.metrics._metric import Computed, GroupRates, Metric, extremes


def temporal_drift_index(rates: GroupRates, reference: int = -1) -> Computed:
    """The larger one-sided CUSUM of metric 1 after this check.

    Parameters
    ----------
    rates : the rates of the groups, with the CUSUM of the checks before as `rates.history`
    reference : not used; metric 1 compares every group with every other

    Returns
    -------
    value in [0, ∞), in standard deviations of the baseline, 0 is no drift; signed: positive where the gap has grown,
        negative where it has shrunk; indices as of metric 1. NaN without a baseline or without two groups.

    Examples
    --------
    >>> from fairlens_backend.core.drift.cusum import CusumState
    >>> n = np.zeros((2, 2, 3), dtype=int)
    >>> n[:, 1, 2], n[:, 0, 2] = [30, 50], [70, 50]
    >>> before = CusumState(mean=0.05, sigma=0.05, high=1.0)
    >>> round(float(temporal_drift_index(GroupRates(n, history=before)).value), 12)
    3.5

    Source: Page, Continuous inspection schemes (Biometrika 1954); STATISTICS sections 2 and 5.
    """
    low, high, lowest, highest = extremes(rates.selection)
    if rates.history is None:
        nothing, nobody = np.full(low.shape, np.nan), np.full(low.shape, -1, dtype=np.int64)
        return Computed(nothing, nothing, nobody, nobody)
    up, down = rates.history.sides(high - low)
    value = np.maximum(up, down)
    return Computed(value, np.where(up >= down, value, -value), lowest, highest)


METRIC = Metric(
    name="temporal_drift_index",
    number=12,
    threshold=H,
    breached_when="above",
    needs=frozenset({"decision", "history"}),
    definition=(
        "How far the highest selection rate minus the lowest has moved from its baseline: the larger one-sided CUSUM"
        " over the checks, in standard deviations of the baseline."
    ),
    decides=True,
    compute=temporal_drift_index,
    compared="extremes",
    undefined_because="Fewer than two groups have rows.",
)
