"""What a metric on rows is: one that counts cannot give, measured on a bounded sample."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.row_sample import Interval, RowMeasured, RowSample

FloatArray = npt.NDArray[np.float64]

# The 97.5 % point of the standard normal distribution.
Z_95: Final = 1.959963984540054


@dataclass(frozen=True)
class RowSettings:
    """What a metric on rows is measured with.

    Parameters
    ----------
    threshold : the limit of this metric
    reference_groups : the reference group of each attribute
    model : takes a DataFrame like `RowSample.features` and gives one decision, 0 or 1, a row; an estimator's `predict`
        is used where there is one. None when no model is at hand.
    seed : the same sample and seed give the same result
    n_resamples : of the bootstrap
    min_group_size : rows below which a group takes part in no headline value
    """

    threshold: float
    reference_groups: Mapping[str, str] = field(default_factory=dict)
    model: Any = None
    seed: int = 0
    n_resamples: int = 1_000
    min_group_size: int = 30


@dataclass(frozen=True)
class RowMetric:
    """One fairness metric on rows; the fields are those of `Metric`, but for these.

    Parameters
    ----------
    needs : what a sample must carry, of "features", "score", "model"
    compute : (sample, settings) → one record, or one for each protected attribute
    """

    name: str
    number: int
    threshold: float
    breached_when: Literal["above", "below"]
    needs: frozenset[str]
    definition: str
    decides: bool
    compute: Callable[[RowSample, RowSettings], list[RowMeasured]]
    undefined_because: str
    short_name: None = None


def without_spread(value: float, n: int, threshold: float) -> tuple[Interval, float]:
    """Interval and p-value of a share in [0, 1] when all n observations behind it are the same.

    A standard error of 0 would claim certainty. The interval reaches as far as Wilson's for 0 (or all) of n; the
    p-value of "the true value is not below the limit" is Hoeffding's bound.

    Examples
    --------
    >>> without_spread(1.0, 500, 0.85)
    ((0.9923..., 1.0, 'wilson'), 1.0)
    """
    reach = Z_95**2 / (n + Z_95**2)
    p = math.exp(-2 * n * max(0.0, threshold - value) ** 2)
    return (max(0.0, value - reach), min(1.0, value + reach), "wilson"), p


def no_value(name: str, attribute: str | None, status: str, reason: str, **known: Any) -> list[RowMeasured]:
    """The record of a metric that has no value, alone in its list."""
    return [RowMeasured(name, attribute, status=status, reason=reason, **known)]
