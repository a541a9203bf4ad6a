"""Distances between two samples of numbers, how certain they are, and tests that they are 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import fdtrc, kolmogorov

FloatArray = npt.NDArray[np.float64]

GRID_POINTS: Final = 512
RESAMPLED_ROWS: Final = 2_000
_EXACT_STEPS: Final = 20_000_000
MOMENTS: Final = ("mean_score", "mean_absolute_error", "root_mean_squared_error", "r_squared")


def distances(a: FloatArray, b: FloatArray) -> tuple[float, float]:
    """Kolmogorov–Smirnov and 1-Wasserstein distance of two sorted samples, neither empty.

    Examples
    --------
    >>> distances(np.array([0.0, 1.0]), np.array([0.0, 3.0]))
    (0.5, 1.0)

    Source: Kolmogorov 1933; Smirnov 1939; Vallender (1973) for the distance as an area between distributions.
    """
    every = np.sort(np.concatenate([a, b]), kind="stable")
    apart = np.abs(
        np.searchsorted(a, every, side="right") / len(a) - np.searchsorted(b, every, side="right") / len(b)
    )
    return float(apart.max()), float(apart[:-1] @ np.diff(every))


def ks_p(distance: float, n: int, m: int) -> float:
    """p-value of "both samples come from one distribution"; ties make it larger than it need be.

    Exact, as the share of the ways to mix the samples in which they come as far apart, up to some thousand rows
    (n + m times the smaller is at most 20 million); beyond, Kolmogorov's limit with Stephens' correction.

    Examples
    --------
    >>> round(ks_p(1.0, 3, 3), 12)  # 2 of the 20 ways to mix three and three
    0.1

    Source: Hodges, The significance probability of the Smirnov two-sample test (Arkiv för Matematik 1958); Stephens,
    Use of the Kolmogorov–Smirnov statistics without extensive tables (JRSS B 1970).
    """
    n, m = min(n, m), max(n, m)
    if (n + m) * n > _EXACT_STEPS:
        root = (n * m / (n + m)) ** 0.5
        return float(kolmogorov((root + 0.12 + 0.11 / root) * distance))
    reached = round(distance * n * m)
    i = np.arange(n + 1)
    # the probability that a random path to (i, taken − i) has come as far from the diagonal
    far = np.full(n + 1, float(reached == 0))
    for taken in range(1, n + m + 1):
        far[1:] = (i[1:] * far[:-1] + (taken - i[1:]) * far[1:]) / taken
        far[np.abs(i * m - (taken - i) * n) >= reached] = 1.0
    return float(far[n])


def wasserstein_p(a: FloatArray, b: FloatArray, n_resamples: int, rng: np.random.Generator) -> float:
    """p-value of "both samples come from one distribution" by permutation, on at most 512 points of both."""
    points = _points([a, b])
    share = _counts(a, points), _counts(b, points)
    pool = share[0] + share[1]
    drawn = rng.multivariate_hypergeometric(pool, len(a), size=n_resamples, method="marginals")
    width = np.diff(points)

    def area(of_a: npt.NDArray[np.int64]) -> FloatArray:
        apart = np.cumsum(of_a / len(a) - (pool - of_a) / len(b), axis=-1)
        total: FloatArray = np.abs(apart[..., :-1]) @ width
        return total

    # a hair: the same permutation can come out lower by rounding
    reached = area(drawn) >= area(share[0]) * (1 - 1e-9)
    return (1 + int(reached.sum())) / (n_resamples + 1)


def welch_p(samples: Sequence[FloatArray]) -> float:
    """p-value of "the mean is the same in every group", variances unequal; Welch's t-test for two groups.

    Parameters
    ----------
    samples : at least two, each of at least two values

    Examples
    --------
    >>> round(welch_p([np.array([1.0, 2, 3, 4]), np.array([3.0, 4, 5, 9])]), 6)
    0.12768

    Source: Welch, On the comparison of several mean values (Biometrika 1951).
    """
    n = np.array([len(sample) for sample in samples], dtype=np.float64)
    mean = np.array([sample.mean() for sample in samples])
    variance = np.array([sample.var(ddof=1) for sample in samples])
    pooled = float(((n - 1) * variance).sum() / (n - 1).sum())
    scale = max(pooled, float(np.square(mean).max()) * 1e-24)
    if scale == 0 or (pooled == 0 and np.ptp(mean) == 0):
        return 1.0
    # a group whose values are all the same has some variance too
    weight = n / np.maximum(variance, scale * 1e-9)
    total = weight.sum()
    k = len(n)
    centre = (weight * mean).sum() / total
    between = (weight * (mean - centre) ** 2).sum() / (k - 1)
    lost = (((1 - weight / total) ** 2) / (n - 1)).sum()
    statistic = between / (1 + 2 * (k - 2) / (k**2 - 1) * lost)
    return float(fdtrc(k - 1, (k**2 - 1) / (3 * lost), statistic))


def deviations(
    a: FloatArray, b: FloatArray, n_resamples: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """How far a bootstrap's distributions stray from the samples', in each of the two distances.

    With F* − F of either sample, on at most 512 points: the largest difference of the two, and the area between them.
    By the triangle inequality the true distance is within that of the observed one, so that its quantile gives an
    interval that holds also where the true distance is 0, where a percentile interval fails.

    Parameters
    ----------
    a, b : sorted

    Returns
    -------
    two arrays of shape (n_resamples,), for Kolmogorov–Smirnov and Wasserstein
    """
    points = _points([a, b])

    def strayed(sample: FloatArray) -> FloatArray:
        share = _counts(sample, points) / len(sample)
        drawn = rng.multinomial(len(sample), share, size=n_resamples) / len(sample)
        return np.cumsum(drawn - share, axis=1)

    apart = np.abs(strayed(a) - strayed(b))
    return apart.max(axis=1), apart[:, :-1] @ np.diff(points)


def _points(samples: Sequence[FloatArray]) -> FloatArray:
    """Every value that occurs, or of more than 512 quantiles of all, with the least and the greatest."""
    every = np.unique(np.concatenate(samples))
    if len(every) <= GRID_POINTS:
        return every
    pooled = np.sort(np.concatenate(samples))
    at = np.linspace(0, len(pooled) - 1, GRID_POINTS).astype(np.intp)
    return np.unique(pooled[at])


def _counts(sample: FloatArray, points: FloatArray) -> npt.NDArray[np.int64]:
    """How many values of a sorted sample are above one point and at most the next, shape (n_points,)."""
    return np.diff(np.searchsorted(sample, points, side="right"), prepend=0).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Moments:
    """Figures of one group, named in MOMENTS, and a bootstrap's.

    Parameters
    ----------
    values : shape (4,); NaN where there is no truth, and R² also where all truths are the same
    replicates : shape (n_resamples, 4)
    """

    values: FloatArray
    replicates: FloatArray


def moments(
    score: FloatArray,
    truth: FloatArray,
    n_resamples: int,
    rng: np.random.Generator,
    most: int = RESAMPLED_ROWS,
) -> Moments:
    """Mean score, and against the truth MAE, RMSE and R², of one group, with bootstrap replicates.

    The errors are those of the rows with a truth, the mean that of all. R² is 1 − SSE/SST of the group's own truths.
    Of more than `most` rows (at most 2,000) so many are taken at random and resampled, and the replicates drawn
    together by √(taken / n), as the error shrinks with the rows.

    Parameters
    ----------
    score : shape (n_rows,)
    truth : shape (n_rows,), NaN for not known

    Source: Efron and Tibshirani, An introduction to the bootstrap (1993); Politis, Romano and Wolf, Subsampling (1999).
    """
    centre = float(score.mean())
    known = ~np.isnan(truth)
    middle = float(truth[known].mean()) if known.any() else 0.0
    error = np.where(known, score - truth, 0.0)
    away = np.where(known, truth - middle, 0.0)
    # sums over rows of these give every figure; centred, so that large numbers keep their digits
    columns = np.stack(
        [np.ones(len(score)), score - centre, known, np.abs(error), error**2, away, away**2], axis=1
    )

    def figures(sums: FloatArray) -> FloatArray:
        rows, off, labelled, absolute, squared, first, second = np.moveaxis(sums, -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = second - first**2 / labelled
            r_squared = np.where(spread > 1e-12 * second, 1 - squared / spread, np.nan)
            mse = squared / labelled
            return np.stack([centre + off / rows, absolute / labelled, np.sqrt(mse), r_squared], axis=-1)

    values = figures(columns.sum(axis=0))
    used = columns
    most = min(most, RESAMPLED_ROWS)
    if len(columns) > most:
        used = columns[rng.choice(len(columns), most, replace=False)]
    size = len(used)
    drawn = rng.integers(0, size, (n_resamples, size)) + size * np.arange(n_resamples)[:, None]
    times = np.bincount(drawn.ravel(), minlength=n_resamples * size).reshape(n_resamples, size)
    strayed = figures(times.astype(np.float64) @ used) - figures(used.sum(axis=0))
    return Moments(values, values + strayed * (size / len(columns)) ** 0.5)
