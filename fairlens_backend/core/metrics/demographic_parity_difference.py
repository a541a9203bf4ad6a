"""Metric 1: how far apart the least and the most often selected groups are."""

import numpy as np

from fairlens_backend.core.metrics._metric import Computed, GroupRates, Metric, extremes


def demographic_parity_difference(rates: GroupRates, reference: int = -1) -> Computed:
    """max SR − min SR over all groups that have rows.

    Parameters
    ----------
    rates : the rates of the groups
    reference : not used; every group is compared with every other

    Returns
    -------
    value in [0, 1], 0 is parity; signed, always NaN; indices of the group with the lowest and of the one with the
        highest selection rate. NaN without two groups that have rows.

    Examples
    --------
    >>> n = np.zeros((2, 2, 3), dtype=int)
    >>> n[0, 1, 2], n[0, 0, 2] = 25, 75
    >>> n[1, 1, 2], n[1, 0, 2] = 50, 50
    >>> float(demographic_parity_difference(GroupRates(n)).value)
    0.25

    Source: Dwork et al., Fairness through awareness (ITCS 2012); STATISTICS section 2.
    """
    low, high, lowest, highest = extremes(rates.selection)
    return Computed(high - low, np.full(low.shape, np.nan), lowest, highest)


METRIC = Metric(
    name="demographic_parity_difference",
    number=1,
    threshold=0.10,
    breached_when="above",
    needs=frozenset({"decision"}),
    definition="The highest selection rate of any group minus the lowest.",
    decides=True,
    compute=demographic_parity_difference,
    compared="extremes",
    rates=("selection",),
    null="selection_rate",
    undefined_because="Fewer than two groups have rows.",
)
