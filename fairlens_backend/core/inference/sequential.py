"""Looking again and again: confidence sequences of a difference in rates (STATISTICS section 3).

A test at every look raises false alarms without end; a confidence sequence holds at every look at once.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.errors import InvalidInput

FloatArray = npt.NDArray[np.float64]

BURN_IN: Final = 100
"""Rows that each group needs before the first interval: the theory is a limit, and this is where it is taken to begin."""
INTENDED_SIZE: Final = 5_000
"""Rows of each group at which the interval is tightest for its kind. It is wider before and after, and valid always."""
FORMAT_VERSION: Final = 1


@dataclass(frozen=True, eq=False)
class ConfidenceSequence:
    """Limits of the difference rate_g − rate_r at each look, and whether they left the tolerance band.

    Parameters
    ----------
    estimate, lower, upper : float arrays, shape (..., n_looks); NaN before the burn-in is over
    alarm : bool array, shape (..., n_looks), True from the first look whose interval lies outside the band
    first_alarm : int array, shape (...), index of that look, −1 where there is none
    """

    estimate: FloatArray
    lower: FloatArray
    upper: FloatArray
    alarm: npt.NDArray[np.bool_]
    first_alarm: npt.NDArray[np.int64]


def mixture_precision(alpha: float = 0.05, intended_size: int = INTENDED_SIZE) -> float:
    """ρ², the variance of the normal mixture, for which the boundary is lowest at the intended size.

    ρ² = (−2 ln α + ln(1 − 2 ln α)) / I, with I the information (1 / variance of the difference) of two groups of
    `intended_size` rows at rates of ½. It must not hang on the data that the sequence then judges.

    Examples
    --------
    >>> round(mixture_precision(0.05, 5_000) * 10_000, 4)
    7.9362

    Source: Waudby-Smith et al. (Annals of Statistics 2024), the choice of ρ for a time t*, in units of information.
    """
    if not 0 < alpha < 1 or intended_size < 1:
        raise InvalidInput(
            f"alpha is {alpha} and intended_size {intended_size}; between 0 and 1, and at least 1, were expected",
            field="alpha" if not 0 < alpha < 1 else "intended_size",
            got=str(alpha if not 0 < alpha < 1 else intended_size),
            expected="0 < alpha < 1, intended_size ≥ 1",
        )
    spent = -2 * math.log(alpha)
    return (spent + math.log1p(spent)) / (2 * intended_size)


def confidence_sequence(
    n_g: npt.ArrayLike,
    k_g: npt.ArrayLike,
    n_r: npt.ArrayLike,
    k_r: npt.ArrayLike,
    *,
    alpha: float = 0.05,
    band: float = 0.0,
    intended_size: int = INTENDED_SIZE,
    burn_in: int = BURN_IN,
    running_intersection: bool = False,
) -> ConfidenceSequence:
    """The asymptotic confidence sequence of rate_g − rate_r from cumulative counts.

    With V the variance of the difference d and I = 1 / V its information, I·d is a Brownian motion with drift looked
    at in the times I, whatever the sizes of batches and groups, as long as they do not hang on the outcomes
    (the covariance of d at two looks is V of the later). Robbins' normal mixture then gives the interval

        d ± (1 / I) · sqrt((I·ρ² + 1) / ρ² · ln((I·ρ² + 1) / α²)),

    the Lyapunov form of the paper with I in place of t / σ². For equal and constant shares of the groups it is the
    paper's sequence for a difference in means (its inverse-probability scores with the groups' means as regressions).

    V is the larger of two estimates, each with one row added to either outcome: of unequal rates, and of one common
    rate. The first alone is too small whenever a small group happens to have few of a rare outcome, and raises false
    alarms (in 7 % of streams at a rate of 0.01 and a share of 2 %); with the larger the limit is the same where
    rates are equal, and otherwise the interval is a little wide.

    Parameters
    ----------
    n_g, k_g : rows of the group since the baseline, and those with the property; shape (..., n_looks)
    n_r, k_r : the same of the reference group
    alpha : share of streams whose sequence ever misses the true difference, at most, in the limit
    band : tolerated size of the difference, 0 to 1; an alarm is an interval outside [−band, band]
    intended_size : rows of each group at which the interval is tightest; a choice made before the data
    burn_in : rows that both groups need before the first interval
    running_intersection : take from each interval what an earlier one excluded. Valid for a constant difference only;
        where the intervals contradict one another, which says that it was not constant, lower > upper.

    Returns
    -------
    ConfidenceSequence. One pair of groups spends alpha: who watches several divides it among them.

    Examples
    --------
    >>> looks = np.arange(1, 4) * 1_000
    >>> sequence = confidence_sequence(looks, 0.3 * looks, looks, 0.5 * looks, band=0.1)
    >>> sequence.lower.round(3).tolist(), sequence.upper.round(3).tolist()
    ([-0.273, -0.248, -0.239], [-0.127, -0.152, -0.161])
    >>> sequence.alarm.tolist(), int(sequence.first_alarm)
    ([True, True, True], 0)

    Source: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and asymptotic
    confidence sequences (Annals of Statistics 2024); Robbins (Annals of Mathematical Statistics 1970).
    """
    if not 0 <= band <= 1:
        raise InvalidInput(
            f"band is {band}; 0 to 1 was expected", field="band", got=str(band), expected="0 to 1"
        )
    rho2 = mixture_precision(alpha, intended_size)
    counts = [np.asarray(part, dtype=np.float64) for part in (n_g, k_g, n_r, k_r)]
    n_a, k_a, n_b, k_b = np.broadcast_arrays(*counts)
    if not ((k_a >= 0) & (k_a <= n_a) & (k_b >= 0) & (k_b <= n_b)).all():
        raise InvalidInput(
            "some look has more rows with the property than rows, or fewer than none",
            field="counts",
            expected="0 ≤ k ≤ n",
        )
    started = (n_a >= max(1, burn_in)) & (n_b >= max(1, burn_in))
    rows_a, rows_b = np.maximum(n_a, 1), np.maximum(n_b, 1)
    estimate = np.where(started, k_a / rows_a - k_b / rows_b, np.nan)
    information = 1 / _variance(rows_a, k_a, rows_b, k_b)
    mixed = information * rho2 + 1
    half = np.sqrt(mixed / rho2 * np.log(mixed / alpha**2)) / information
    lower, upper = estimate - half, estimate + half
    if running_intersection:
        lower = np.fmax.accumulate(lower, axis=-1)
        upper = np.fmin.accumulate(upper, axis=-1)
    # NaN compares as False: no alarm before the first interval
    outside = (lower > band) | (upper < -band)
    alarm = np.logical_or.accumulate(outside, axis=-1)
    first = np.where(outside.any(axis=-1), outside.argmax(axis=-1), -1).astype(np.int64)
    return ConfidenceSequence(estimate, lower, upper, alarm, first)


def _variance(n_a: FloatArray, k_a: FloatArray, n_b: FloatArray, k_b: FloatArray) -> FloatArray:
    """Of the difference of two rates: never 0, and the larger of that of unequal and of equal rates."""
    p_a, p_b = (k_a + 1) / (n_a + 2), (k_b + 1) / (n_b + 2)
    common = (k_a + k_b + 1) / (n_a + n_b + 2)
    unequal = p_a * (1 - p_a) / n_a + p_b * (1 - p_b) / n_b
    return np.asarray(np.maximum(unequal, common * (1 - common) * (1 / n_a + 1 / n_b)), dtype=np.float64)


@dataclass(frozen=True)
class SequentialWatch:
    """The confidence sequence of one pair of groups as a stream arrives: its state is its cumulative counts.

    The pair, the band and alpha are fixed at the baseline; a new baseline is a new watch. A pair picked because it
    looks worst on the same rows is not covered by alpha.

    Parameters
    ----------
    n_g, k_g, n_r, k_r : cumulative counts since the baseline, as in `confidence_sequence`
    looks : how often it was looked at
    first_alarm : index of the first look with an alarm, None without one; an alarm stays

    Examples
    --------
    >>> watch = SequentialWatch(band=0.1)
    >>> for _ in range(2):
    ...     watch = watch.add(n_g=600, k_g=180, n_r=600, k_r=300)
    >>> watch.alarm, watch.first_alarm, SequentialWatch.from_dict(watch.to_dict()) == watch
    (True, 1, True)

    Source: as `confidence_sequence`.
    """

    alpha: float = 0.05
    band: float = 0.0
    intended_size: int = INTENDED_SIZE
    burn_in: int = BURN_IN
    n_g: int = 0
    k_g: int = 0
    n_r: int = 0
    k_r: int = 0
    looks: int = 0
    first_alarm: int | None = None

    @property
    def alarm(self) -> bool:
        """Whether the interval ever lay outside the band."""
        return self.first_alarm is not None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Limits of the difference now; None before the burn-in is over."""
        now = self._now()
        lower, upper = float(now.lower[0]), float(now.upper[0])
        return None if math.isnan(lower) else (lower, upper)

    def add(self, *, n_g: int, k_g: int, n_r: int, k_r: int) -> "SequentialWatch":
        """The watch after one more look, at the counts of the rows that are new."""
        seen = replace(
            self,
            n_g=self.n_g + int(n_g),
            k_g=self.k_g + int(k_g),
            n_r=self.n_r + int(n_r),
            k_r=self.k_r + int(k_r),
            looks=self.looks + 1,
        )
        if not seen.alarm and bool(seen._now().alarm[0]):
            return replace(seen, first_alarm=seen.looks - 1)
        return seen

    def _now(self) -> ConfidenceSequence:
        return confidence_sequence(
            [self.n_g],
            [self.k_g],
            [self.n_r],
            [self.k_r],
            alpha=self.alpha,
            band=self.band,
            intended_size=self.intended_size,
            burn_in=self.burn_in,
        )

    def summary(self) -> dict[str, Any]:
        """What a result says of it: value, interval, alarm, first_alarm, looks, status and reason."""
        interval = self.interval
        missing = None
        if interval is None:
            missing = f"{min(self.n_g, self.n_r)} rows in the smaller group since the baseline, {self.burn_in} needed"
        return {
            "value": None if interval is None else self.k_g / self.n_g - self.k_r / self.n_r,
            "confidence_sequence": None
            if interval is None
            else {
                "lower": max(-1.0, interval[0]),
                "upper": min(1.0, interval[1]),
                "level": 1 - self.alpha,
                "method": "asymptotic_confidence_sequence",
            },
            "band": self.band,
            "alarm": self.alarm,
            "first_alarm": self.first_alarm,
            "looks": self.looks,
            "sample_sizes": {"group": self.n_g, "reference": self.n_r},
            "status": "ok" if missing is None else "insufficient_data",
            "reason": missing,
        }

    def to_dict(self) -> dict[str, Any]:
        """The state, JSON-ready."""
        return {"version": FORMAT_VERSION, **vars(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SequentialWatch":
        """The watch that `to_dict` wrote; `InvalidInput` when it is not one."""
        state = {name: value for name, value in data.items() if name != "version"}
        try:
            if data.get("version") != FORMAT_VERSION:
                raise ValueError(f"version {data.get('version')}, {FORMAT_VERSION} expected")
            watch = cls(**state)
            watch._now()
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"not the state of a confidence sequence: {error}",
                field="sequential",
                expected="what to_dict wrote",
            ) from error
        return watch
