"""What a metric is, and the rates of groups that metrics compare."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.drift.cusum import CusumState

Counts = npt.NDArray[np.integer[Any]] | npt.NDArray[np.floating[Any]]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

BreachedWhen = Literal["above", "below", "outside"]
Needs = Literal["decision", "truth", "score", "history"]
Scope = Literal["attribute", "crossing"]
Compared = Literal["reference", "extremes", "people"]
RateName = Literal["selection", "true_positive", "false_positive", "false_negative", "precision"]
Null = Literal[
    "selection_rate",
    "true_positive_rate",
    "false_positive_rate",
    "true_and_false_positive_rate",
    "precision",
    "calibration",
]

# Two groups whose distances differ by less are equally far: the rest is rounding of the last bits.
TIE: Final = 1e-12


class Computed(NamedTuple):
    """What a metric says of a batch of tables, each of the batch shape; NaN is undefined, index −1 is none."""

    value: FloatArray
    signed: FloatArray
    worst: IntArray
    other: IntArray


def ratio(part: Counts, whole: Counts) -> FloatArray:
    """Part over whole, NaN where the whole is not above 0."""
    top, bottom = np.broadcast_arrays(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    result = np.full_like(top, np.nan)
    np.divide(top, bottom, out=result, where=bottom > 0)
    return result


def cases(n: Counts, rate: RateName) -> tuple[Counts, Counts]:
    """The rows that a rate counts and those it counts them among, each of shape (..., n_groups).

    Parameters
    ----------
    n : counts, shape (..., n_groups, 2, 3), by decision and truth (2 = not known)
    """
    tp, fp, fn = n[..., 1, 1], n[..., 1, 0], n[..., 0, 1]
    if rate == "selection":
        selected = tp + fp + n[..., 1, 2]
        return selected, selected + fn + n[..., 0, 0] + n[..., 0, 2]
    if rate == "false_positive":
        return fp, fp + n[..., 0, 0]
    if rate == "precision":
        return tp, tp + fp
    return (tp if rate == "true_positive" else fn), tp + fn


class GroupRates:
    """The rates of the groups of a table, or of a batch of tables, each computed once and shared by all metrics.

    Parameters
    ----------
    n : counts, shape (..., n_groups, 2, 3), by decision and truth (2 = not known)
    scored : labelled rows by truth and score bin, shape (..., n_groups, 2, 10); None where nobody needs them
    history : the CUSUM of the checks before this one; None where there is no baseline

    Each rate has shape (..., n_groups), and NaN for a group without the rows that it is a share of.

    Examples
    --------
    >>> GroupRates(np.array([[[60, 20, 0], [10, 30, 0]]])).true_positive
    array([0.6])
    """

    def __init__(
        self, n: npt.ArrayLike, scored: npt.ArrayLike | None = None, history: CusumState | None = None
    ) -> None:
        self.n: Counts = np.asarray(n)
        self.scored: Counts | None = None if scored is None else np.asarray(scored)
        self.history = history

    @cached_property
    def selection(self) -> FloatArray:
        """P(ŷ=1 | g)."""
        return ratio(*cases(self.n, "selection"))

    @cached_property
    def true_positive(self) -> FloatArray:
        """P(ŷ=1 | y=1, g)."""
        return ratio(*cases(self.n, "true_positive"))

    @cached_property
    def false_positive(self) -> FloatArray:
        """P(ŷ=1 | y=0, g)."""
        return ratio(*cases(self.n, "false_positive"))

    @cached_property
    def false_negative(self) -> FloatArray:
        """P(ŷ=0 | y=1, g)."""
        return ratio(*cases(self.n, "false_negative"))

    @cached_property
    def precision(self) -> FloatArray:
        """P(y=1 | ŷ=1, g)."""
        return ratio(*cases(self.n, "precision"))


def selection_rates(n: Counts) -> FloatArray:
    """P(ŷ=1 | g), shape (..., n_groups); NaN for a group without rows."""
    return GroupRates(n).selection


@dataclass(frozen=True)
class Metric:
    """One fairness metric on counts.

    Parameters
    ----------
    name : the name in results and settings
    number : its number in STATISTICS section 2
    threshold : the default limit, unitless
    breached_when : on which side of the limit it breaches; "outside" is beyond ± the limit
    needs : what a row must carry, of "decision", "truth" and "score"; "history" is the checks before this one
    definition : one sentence for a reader of the result
    undefined_because : why there can be no value, a sentence with {reference} for the reference group
    decides : whether a breach counts for the overall severity (metrics 1–12 do; 13–17 restate them)
    compute : (rates, reference) → Computed; reference is the index of the reference group, −1 when there is none
    short_name : its key in the `/api` answers; None for those that have none
    compared : "reference" each group with the reference group, "extremes" the two groups furthest apart, "people" no groups
    rates : the rates whose gaps it is made of, for its interval; empty where its interval is not made so
    scale : whether it is a difference or a ratio of rates
    combine : of several rates, whether the largest gap is taken or the mean of their sizes in one group
    null : which rates are equal under its test of equality; None when it is not a comparison of rates
    scope : "attribute" the groups of one attribute, "crossing" those of two
    parts : further figures of the metric by name, each a function of the rates with results of the batch shape
    """

    name: str
    number: int
    threshold: float
    breached_when: BreachedWhen
    needs: frozenset[Needs]
    definition: str
    undefined_because: str
    decides: bool
    compute: Callable[[GroupRates, int], Computed]
    short_name: str | None = None
    compared: Compared = "reference"
    rates: tuple[RateName, ...] = ()
    scale: Literal["difference", "ratio"] = "difference"
    combine: Literal["largest", "mean"] = "largest"
    null: Null | None = None
    scope: Scope = "attribute"
    parts: Mapping[str, Callable[[GroupRates], FloatArray]] = field(default_factory=dict)


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


def largest_gap(gaps: FloatArray, reference: int) -> Computed:
    """The gap of the group furthest from the reference group; `value` is its size, `signed` the gap."""
    worst = furthest(np.abs(gaps), gaps)
    signed = pick(gaps, worst)
    return Computed(np.abs(signed), signed, worst, np.where(worst < 0, -1, reference))


def extremes(rates: FloatArray) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
    """The lowest and the highest rate and the groups that have them; NaN and −1 without two groups that have a rate."""
    batch = rates.shape[:-1]
    if rates.shape[-1] == 0:
        nothing, nobody = np.full(batch, np.nan), np.full(batch, -1, dtype=np.int64)
        return nothing, nothing, nobody, nobody
    known = ~np.isnan(rates)
    two = known.sum(axis=-1) >= 2
    low = np.where(known, rates, np.inf)
    high = np.where(known, rates, -np.inf)
    lowest = np.where(two, low.argmin(axis=-1), -1)
    # of equal rates another group than the lowest, so that a pair is named
    highest = np.where(two, rates.shape[-1] - 1 - high[..., ::-1].argmax(axis=-1), -1)
    return pick(rates, lowest), pick(rates, highest), lowest, highest


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
