"""Metric 3: how far apart groups are in being selected when the true outcome is favourable."""

from fairlens_backend.core.metrics._metric import (
    Computed,
    GroupRates,
    Metric,
    differences,
    largest_gap,
)


def equal_opportunity_difference(rates: GroupRates, reference: int) -> Computed:
    """The gap TPR_g − TPR_r of the group g whose true positive rate is furthest from the reference group's.

    Parameters
    ----------
    rates : the rates of the groups; rows without truth play no part
    reference : index of r

    Returns
    -------
    value in [0, 1], the size of the gap, 0 is parity; signed in [−1, 1], the gap; index of the worst group and of r.
        NaN when the reference group or every other group has no rows with a favourable truth.

    Examples
    --------
    >>> import numpy as np
    >>> n = np.zeros((2, 2, 3), dtype=int)
    >>> n[0, 1, 1], n[0, 0, 1] = 25, 75
    >>> n[1, 1, 1], n[1, 0, 1] = 50, 50
    >>> value, signed, *_ = equal_opportunity_difference(GroupRates(n), reference=1)
    >>> float(value), float(signed)
    (0.25, -0.25)

    Source: Hardt, Price and Srebro, Equality of opportunity in supervised learning (NeurIPS 2016);
    STATISTICS section 2.
    """
    return largest_gap(differences(rates.true_positive, reference), reference)


METRIC = Metric(
    name="equal_opportunity_difference",
    short_name="eod",
    number=3,
    threshold=0.05,
    breached_when="above",
    needs=frozenset({"decision", "truth"}),
    definition=(
        "Among rows whose true outcome is favourable: the size of the gap in selection rate between the reference"
        " group and the group furthest from it."
    ),
    decides=True,
    compute=equal_opportunity_difference,
    rates=("true_positive",),
    null="true_positive_rate",
    undefined_because="{reference} or every other group has no row whose true outcome is favourable.",
)
