"""Metric 17: whether a person is decided on like those who are most like them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from fairlens_backend.core.gower import GowerSpace
from fairlens_backend.core.metrics._row_metric import (
    Z_95,
    FloatArray,
    RowMetric,
    RowSettings,
    no_value,
    without_spread,
)
from fairlens_backend.core.row_sample import Interval, RowMeasured, RowSample

NEIGHBOURS: Final = 5
MAX_ROWS: Final = 5_000
_MIN_ROWS: Final = 30
# Distances that differ by less are equal: the rest is rounding.
_TIE: Final = 1e-9


def consistency(sample: RowSample, settings: RowSettings) -> list[RowMeasured]:
    """1 − mean abs(ŷ_i − mean ŷ of the 5 nearest neighbours), on the first 5,000 rows of the sample.

    Near is by Gower's distance over the features that are no protected attribute. A row is not its own neighbour.
    Rows tied for the last places share them, so that the order of the rows changes nothing.

    Returns
    -------
    One record without an attribute: value in [0, 1], unitless, 1 when everyone is decided on like their neighbours;
        an interval from the influence function, in which a row counts both for itself and as a neighbour;
        the one-sided p-value of "the true value is not below the limit" from the same (the multiplier bootstrap of
        the influence values, whose distribution is normal). `insufficient_data` without features or with fewer
        than 30 rows that have a feature in common with 5 others.

    Notes
    -----
    AIF360 counts each row among its own 5 neighbours, which can only raise the figure: where the distances coincide
    and none are tied, its value is 1 − 0.8·(1 − c) for our c with 4 neighbours. It takes Euclidean distances of the
    features as they are, protected ones included.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"town": ["A"] * 50 + ["B"] * 50})
    >>> sample = RowSample.draw(rows, decision=[0] * 50 + [1] * 50)
    >>> consistency(sample, RowSettings(0.85))[0].value
    1.0

    Source: Zemel et al., Learning fair representations (ICML 2013); STATISTICS section 2.
    """
    few = sample.first(MAX_ROWS)
    features = few.plain_features
    if features.shape[1] == 0:
        reason = "The rows have no features beside the protected attributes, so no row has neighbours."
        return no_value(METRIC.name, None, "insufficient_data", reason, sizes={"all": len(few)})
    near = agreement_of_neighbours(GowerSpace.of(features), few.decision.astype(np.float64))
    rows = len(near.influence)
    if rows < _MIN_ROWS:
        reason = f"{rows} rows have {NEIGHBOURS} neighbours to compare them with, {_MIN_ROWS} are needed."
        return no_value(METRIC.name, None, "insufficient_data", reason, sizes={"all": rows})
    error = float(near.influence.std(ddof=1)) / rows**0.5
    interval: Interval
    if error > _TIE:
        low, high = near.value - Z_95 * error, near.value + Z_95 * error
        interval = max(0.0, low), min(1.0, high), "influence function"
        p = float(ndtr((near.value - settings.threshold) / error))
    else:
        interval, p = without_spread(near.value, rows, settings.threshold)
    sentence = (
        f"Decisions agree to {near.value:.3f} with those on the {NEIGHBOURS} most similar of {rows} people"
        f" (95 % interval {interval[0]:.3f} to {interval[1]:.3f}; 1 is full agreement);"
        f" the limit is {settings.threshold:.2f}."
    )
    return [
        RowMeasured(
            METRIC.name,
            None,
            value=near.value,
            interval=interval,
            p_value=p,
            test="multiplier bootstrap against the limit",
            sizes={"all": rows},
            parts={"standard_error": error, "neighbours": float(NEIGHBOURS)},
            sentence=sentence,
        )
    ]


@dataclass(frozen=True, eq=False)
class Agreement:
    """The value over all rows that have neighbours, and what each of these rows contributes to its error."""

    value: float
    influence: FloatArray


def agreement_of_neighbours(space: GowerSpace, decision: FloatArray, k: int = NEIGHBOURS) -> Agreement:
    """Compare each decision with the mean of the k nearest.

    Parameters
    ----------
    decision : shape (n_rows,), each 0 or 1

    Returns
    -------
    influence has mean 0, one value for each row that has k neighbours; value is NaN when none has.
    """
    rows = len(decision)
    if rows <= k:
        return Agreement(float("nan"), np.zeros(0))
    around = np.full(rows, np.nan)
    # how often, and against what, each row stands as a neighbour: see the derivative below
    seen, seen_mean = np.zeros(rows), np.zeros(rows)
    for block, distance in space.to_all():
        here = np.arange(block.start, block.stop)
        distance[here - block.start, here] = np.inf
        last = np.partition(distance, k - 1, axis=1)[:, k - 1, None]
        has = np.isfinite(last[:, 0])
        nearer = distance < last - _TIE
        tied = (distance <= last + _TIE) ^ nearer
        places = nearer.sum(axis=1)
        share = (k - places) / np.maximum(tied.sum(axis=1), 1)
        weight = np.where(tied, share[:, None], nearer) / k
        mean = weight @ decision
        around[block] = np.where(has, mean, np.nan)
        slope = np.where(has, 1 - 2 * decision[block], 0.0)
        seen += slope @ weight
        seen_mean += (slope * np.where(has, mean, 0.0)) @ weight
    has_any: npt.NDArray[np.bool_] = ~np.isnan(around)
    # for decisions of 0 and 1, abs(a − b) = a + b − 2ab is linear in the neighbours' mean b
    apart = decision + around - 2 * decision * around
    if not has_any.any():
        return Agreement(float("nan"), np.zeros(0))
    value = 1 - float(apart[has_any].mean())
    own = apart - (1 - value)
    as_neighbour = decision * seen - seen_mean
    return Agreement(value, -(own + as_neighbour)[has_any])


METRIC = RowMetric(
    name="consistency",
    number=17,
    threshold=0.85,
    breached_when="below",
    needs=frozenset({"features"}),
    definition=(
        f"1 minus how far the decision on a person is from the mean decision on the {NEIGHBOURS} people most like them,"
        f" on average over at most {MAX_ROWS} people; likeness is Gower's, over the features that are no protected"
        " attribute."
    ),
    decides=False,
    compute=consistency,
    undefined_because="No person has a feature in common with others.",
)
