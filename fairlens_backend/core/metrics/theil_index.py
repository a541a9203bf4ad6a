"""Metric 14: how unevenly the benefit of being decided on well is spread over people."""

import numpy as np

from fairlens_backend.core.metrics._metric import Computed, FloatArray, GroupRates, IntArray, Metric, ratio


def theil_index(rates: GroupRates, reference: int = -1) -> Computed:
    """Generalized entropy GE(1) of the benefits b = ŷ − y + 1 over all rows with a known truth.

    Parameters
    ----------
    rates : the rates of the groups
    reference : not used; the index compares people, not groups

    Returns
    -------
    value in [0, ∞), unitless, 0 when all benefits are equal; signed, always NaN; indices, always −1.
        NaN without labelled rows, or when every benefit is 0.

    Examples
    --------
    >>> n = np.zeros((1, 2, 3), dtype=int)
    >>> n[0, 0, 0] = n[0, 0, 1] = 50  # half the benefits are 1, half are 0
    >>> round(float(theil_index(GroupRates(n)).value), 12) == round(float(np.log(2)), 12)
    True

    Source: Speicher et al., A unified approach to quantifying algorithmic unfairness (KDD 2018);
    STATISTICS section 2.
    """
    people = _people(rates).sum(axis=-2)
    mean = ratio((people * _BENEFITS).sum(axis=-1), people.sum(axis=-1))
    relative = ratio(np.broadcast_to(_BENEFITS, people.shape), mean[..., None])
    value = ratio((people * _x_log_x(relative)).sum(axis=-1), people.sum(axis=-1))
    none: IntArray = np.full(value.shape, -1, dtype=np.int64)
    # Jensen: never below 0, but rounding can be
    return Computed(np.maximum(value, 0.0), np.full(value.shape, np.nan), none, none)


def between_groups(rates: GroupRates) -> FloatArray:
    """The part of the Theil index that stays when each person gets their group's mean benefit, shape (...).

    Examples
    --------
    >>> n = np.zeros((2, 2, 3), dtype=int)
    >>> n[0, 0, 0] = 50  # every benefit 1
    >>> n[1, 0, 1] = 50  # every benefit 0: all inequality is between the groups
    >>> bool(abs(between_groups(GroupRates(n)) - np.log(2)) < 1e-12)
    True

    Source: Shorrocks, The class of additively decomposable inequality measures (Econometrica 1980).
    """
    people = _people(rates)
    size = people.sum(axis=-1)
    benefit = (people * _BENEFITS).sum(axis=-1)
    mean = ratio(benefit.sum(axis=-1), size.sum(axis=-1))
    relative = ratio(ratio(benefit, size), mean[..., None])
    # a group without labelled rows has no mean and no weight
    spread = np.where(size > 0, size * _x_log_x(relative), 0.0).sum(axis=-1)
    return np.maximum(ratio(spread, size.sum(axis=-1)), 0.0)


_BENEFITS: FloatArray = np.array([0.0, 1.0, 2.0])


def _people(rates: GroupRates) -> FloatArray:
    """Labelled rows by group and benefit 0, 1, 2, shape (..., n_groups, 3)."""
    counts = np.asarray(rates.n, dtype=np.float64)
    equal = counts[..., 0, 0] + counts[..., 1, 1]
    return np.stack([counts[..., 0, 1], equal, counts[..., 1, 0]], axis=-1)


def _x_log_x(x: FloatArray) -> FloatArray:
    """x·ln x with 0·ln 0 = 0."""
    return x * np.log(x, out=np.zeros_like(x), where=(x > 0) | np.isnan(x))


METRIC = Metric(
    name="theil_index",
    short_name="theil",
    number=14,
    threshold=0.20,
    breached_when="above",
    needs=frozenset({"decision", "truth"}),
    definition=(
        "The inequality between people of the benefit (2 for a favourable decision against an unfavourable truth,"
        " 1 for a decision that agrees with the truth, 0 for an unfavourable decision against a favourable truth),"
        " as generalized entropy GE(1)."
    ),
    decides=False,
    compute=theil_index,
    compared="people",
    undefined_because="Every decision is unfavourable against a favourable truth, so the mean benefit is 0.",
    parts={"between_groups": between_groups},
)
