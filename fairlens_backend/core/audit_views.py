"""Every attribute and every crossing of an audit, on one set of draws."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np

from fairlens_backend.core.audit_view import AuditView
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.drift.cusum import CusumState, cusum_state
from fairlens_backend.core.findings import Namer
from fairlens_backend.core.inference.bootstrap import Draws, draw_tables
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.core.metrics._metric import cases
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.reference_group import reference_group

MAX_JOINT_CELLS: Final = 5_000
"""Up to so many occupied cells one set of draws serves all; beyond, attributes and crossings are drawn each on its own,
which costs what the largest of them costs."""

MAX_CROSSINGS: Final = 45
"""Crossings that are measured, those of ten attributes; of more the first."""


def audit_views(
    table: CountTable,
    names: Sequence[str],
    declared: Mapping[str, str],
    policy: Policy,
    seed: int,
    n_resamples: int,
    history: Mapping[str, Sequence[float | None]],
) -> dict[str, AuditView]:
    """The attributes, then the crossings of two, each by its name; arguments as of `assess`.

    Parameters
    ----------
    table : counts of the attributes `names`
    """
    kept: list[tuple[str, ...]] = [(name,) for name in names]
    kept += list(combinations(names, 2))[:MAX_CROSSINGS]
    marginals = [table.marginal(attributes) for attributes in kept]
    draws: list[Draws | None] = [None] * len(kept)
    if n_resamples and table.total:
        scored = bool(table.n[:, :, :2, :10].any())
        if np.count_nonzero(table.n) <= MAX_JOINT_CELLS:
            draws = [*draw_tables(table, kept, scored=scored, n_resamples=n_resamples, seed=seed)]
        else:
            for i, (attributes, marginal) in enumerate(zip(kept, marginals, strict=True)):
                bins = scored and len(attributes) == 1
                draws[i : i + 1] = draw_tables(
                    marginal, [attributes], scored=bins, n_resamples=n_resamples, seed=(seed, i)
                )
    namer = Namer(
        {attributes[0]: one for attributes, one in zip(kept, marginals, strict=True) if len(attributes) == 1}
    )
    views = {}
    for attributes, marginal, drawn in zip(kept, marginals, draws, strict=True):
        reference, state, past = None, None, 0
        if len(attributes) == 1:
            reference = reference_group(marginal, declared.get(attributes[0]), policy.min_group_size)
            earlier = history.get(attributes[0], ())
            past = sum(value is not None for value in earlier)
            state = _baseline(marginal, earlier, policy.min_group_size)
        view = AuditView(marginal, reference, drawn, policy, namer, state, past)
        views[view.name] = view
    return views


def _baseline(table: CountTable, earlier: Sequence[float | None], min_group_size: int) -> CusumState | None:
    """The CUSUM of the earlier checks; its standard deviation is at least the standard error of this check's gap."""
    if not earlier:
        return None
    known = [i for i, (group,) in enumerate(table.groups) if group != UNKNOWN]
    selected, rows = (np.asarray(part)[known] for part in cases(table.decided, "selection"))
    large = rows >= max(1, min_group_size)
    if large.sum() < 2:
        return cusum_state(earlier)
    rate = selected[large] / rows[large]
    variance = rate * (1 - rate) / rows[large]
    return cusum_state(earlier, math.sqrt(variance[rate.argmin()] + variance[rate.argmax()]))
