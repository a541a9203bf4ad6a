"""Metric 6: how many times as often the most often selected group is selected as the least often selected one."""

import numpy as np

from fairlens_backend.core.metrics._metric import Computed, GroupRates, Metric, extremes, ratio


def statistical_parity_subgroup_lift(rates: GroupRates, reference: int = -1) -> Computed:
    """max SR / min SR over all groups that have rows.

    Parameters
    ----------
    rates : the rates of the groups
    reference : not used; every group is compared with every other

    Returns
    -------
    value in [1, ∞), unitless, 1 is parity; signed, always NaN: a ratio has no sign; indices of the group with the
        lowest and of the one with the highest selection rate. NaN when nobody of a group was selected: there is then
        no rate to divide by, and metrics 1 and 4 tell the gap.

    Examples
    --------
    >>> n = np.zeros((2, 2, 3), dtype=int)
    >>> n[0, 1, 2], n[0, 0, 2] = 25, 75
    >>> n[1, 1, 2], n[1, 0, 2] = 50, 50
    >>> float(statistical_parity_subgroup_lift(GroupRates(n)).value)
    2.0

    Source: STATISTICS section 2; the inverse of the four-fifths rule's ratio, over all groups.
    """
    low, high, lowest, highest = extremes(rates.selection)
    value = ratio(high, low)
    absent = np.isnan(value)
    return Computed(
        value, np.full(value.shape, np.nan), np.where(absent, -1, lowest), np.where(absent, -1, highest)
    )


METRIC = Metric(
    name="statistical_parity_subgroup_lift",
    number=6,
    threshold=1.25,
    breached_when="above",
    needs=frozenset({"decision"}),
    definition="The highest selection rate of any group divided by the lowest.",
    decides=True,
    compute=statistical_parity_subgroup_lift,
    compared="extremes",
    rates=("selection",),
    scale="ratio",
    null="selection_rate",
    undefined_because="A group got no favourable decision at all, so there is no rate to divide by.",
)
