"""What a metric is, and the rates that metrics compare."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.integer[Any]] | npt.NDArray[np.floating[Any]]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Computed = tuple[FloatArray, FloatArray, IntArray]

BreachedWhen = Literal["above", "below", "outside"]
Null = Literal["selection_rate", "true_positive_rate", "true_and_false_positive_rate"]

# Two groups whose distances differ by less are equally far: the rest is rounding of the last bits.
TIE = 1e-12


@dataclass(frozen=True)
class Metric:
    """One fairness metric on counts.

    Parameters
    ----------
    name : the name in results and settings
    short_name : its key in the `/api` answers
    number : its number in STATISTICS section 2
    threshold : the default limit, unitless
    breached_when : on which side of the limit it breaches; "outside" is beyond ± the limit
    needs : what a row must carry, of "decision" and "truth"
    definition : one sentence for a reader of the result
    decides : whether a breach counts for the overall severity (metrics 1–12 do; 13–17 restate them)
    compute : (n, reference) → (value, signed, worst group).
        n : counts, shape (..., n_groups, 2, 3), by decision and truth (2 = not known);
        reference : index of the reference group, −1 when there is none.
        All three results have the batch shape `...`; NaN is undefined (or, for `signed`, not there), and the index
        of the worst group is −1 where there is none.
    null : which rates are equal under its test of equality; None when it is not a comparison of rates
    undefined_because : why there can be no value, a sentence with {reference} for the reference group
    parts : further figures of the metric by name, each a function of n with results of the batch shape
    """

    name: str
    short_name: str
    number: int
    threshold: float
    breached_when: BreachedWhen
    needs: frozenset[str]
    definition: str
    decides: bool
    compute: Callable[[Counts, int], Computed]
    null: Null | None
    undefined_because: str
    parts: Mapping[str, Callable[[Counts], FloatArray]] = field(default_factory=dict)


def ratio(part: Counts, whole: Counts) -> FloatArray:
    """Part over whole, NaN where the whole is not above 0."""
    top, bottom = np.broadcast_arrays(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    result = np.full(top.shape, np.nan)
    np.divide(top, bottom, out=result, where=bottom > 0)
    return result


def selection_rates(n: Counts) -> FloatArray:
    """P(ŷ=1 | g), shape (..., n_groups); NaN for a group without rows."""
    return ratio(n[..., 1, :].sum(axis=-1), n.sum(axis=(-2, -1)))


def true_positive_rates(n: Counts) -> FloatArray:
    """P(ŷ=1 | y=1, g), shape (..., n_groups); NaN for a group without such rows."""
    return ratio(n[..., 1, 1], n[..., :, 1].sum(axis=-1))


def false_positive_rates(n: Counts) -> FloatArray:
    """P(ŷ=1 | y=0, g), shape (..., n_groups); NaN for a group without such rows."""
    return ratio(n[..., 1, 0], n[..., :, 0].sum(axis=-1))


def differences(rates: FloatArray, reference: int) -> FloatArray:
    """Each group's rate minus the reference group's, NaN for the reference itself, shape (..., n_groups)."""
    return _against(rates - _reference_rate(rates, reference), reference)


def ratios(rates: FloatArray, reference: int) -> FloatArray:
    """Each group's rate over the reference group's, NaN for the reference itself and where that one's is 0."""
    return _against(ratio(rates, _reference_rate(rates, reference)), reference)


def _reference_rate(rates: FloatArray, reference: int) -> FloatArray:
    """Shape (..., 1); NaN when there is no reference."""
    if reference < 0:
        return np.full((*rates.shape[:-1], 1), np.nan)
    return rates[..., reference : reference + 1]


def _against(compared: FloatArray, reference: int) -> FloatArray:
    """Take the reference out of its own comparison."""
    if reference >= 0:
        compared[..., reference] = np.nan
    return compared


def furthest(distance: FloatArray, signed: FloatArray) -> IntArray:
    """Index of the group at the greatest distance, −1 where no group has one.

    Of groups equally far the one with the lowest `signed` is taken, the one that is worse off, so that the answer
    does not hang on how groups are called; then the first.

    Parameters
    ----------
    distance, signed : shape (..., n_groups), NaN where undefined
    """
    if distance.shape[-1] == 0:
        return np.full(distance.shape[:-1], -1, dtype=np.int64)
    far = np.where(np.isnan(distance), -np.inf, distance)
    best = far.max(axis=-1, keepdims=True)
    index = np.where((far >= best - TIE) & np.isfinite(far), signed, np.inf).argmin(axis=-1)
    return np.where(np.isfinite(best[..., 0]), index, -1).astype(np.int64)


def pick(values: FloatArray, index: IntArray) -> FloatArray:
    """The value at each index along the last axis, NaN where the index is −1."""
    if values.shape[-1] == 0:
        return np.full(index.shape, np.nan)
    taken = np.take_along_axis(values, np.maximum(index, 0)[..., None], axis=-1)[..., 0]
    return np.where(index < 0, np.nan, taken)
