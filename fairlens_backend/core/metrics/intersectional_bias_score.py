"""Metric 11: how far apart the least and the most often selected crossings of two attributes are."""

import numpy as np

from fairlens_backend.core.metrics._metric import Computed, GroupRates, Metric, extremes


def intersectional_bias_score(rates: GroupRates, reference: int = -1) -> Computed:
    """max SR − min SR over the crossings of two attributes, such as sex × race.

    Parameters
    ----------
    rates : the rates of the crossings
    reference : not used; every crossing is compared with every other

    Returns
    -------
    value in [0, 1], 0 is parity; signed, always NaN; indices of the crossing with the lowest and of the one with the
        highest selection rate. NaN without two crossings that have rows.

    Examples
    --------
    >>> n = np.zeros((4, 2, 3), dtype=int)
    >>> n[:, 1, 2], n[:, 0, 2] = [20, 50, 40, 30], [80, 50, 60, 70]
    >>> float(intersectional_bias_score(GroupRates(n)).value)
    0.3

    Source: Kearns et al., Preventing fairness gerrymandering (ICML 2018), for the idea; STATISTICS section 2.
    """
    low, high, lowest, highest = extremes(rates.selection)
    return Computed(high - low, np.full(low.shape, np.nan), lowest, highest)


METRIC = Metric(
    name="intersectional_bias_score",
    number=11,
    threshold=0.12,
    breached_when="above",
    needs=frozenset({"decision"}),
    definition="Of the groups that two attributes make together: the highest selection rate minus the lowest.",
    decides=True,
    compute=intersectional_bias_score,
    compared="extremes",
    rates=("selection",),
    null="selection_rate",
    scope="crossing",
    undefined_because="Fewer than two crossings have rows.",
)
