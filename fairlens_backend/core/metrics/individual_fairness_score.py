"""Metric 9: whether people who are alike get scores that are alike."""

from typing import Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.gower import GowerSpace
from fairlens_backend.core.metrics._row_metric import (
    FloatArray,
    RowMetric,
    RowSettings,
    no_value,
    without_spread,
)
from fairlens_backend.core.row_sample import RowMeasured, RowSample

IntArray = npt.NDArray[np.int64]

PAIRS: Final = 500
_MIN_PAIRS: Final = 30
# Rounding of the last bits in a difference of equal values.
_SAME: Final = 1e-12


def individual_fairness_score(sample: RowSample, settings: RowSettings) -> list[RowMeasured]:
    """1 − mean of min(1, abs(s − s′) / dist(x, x′)) over 500 pairs of rows with the same outcome.

    The outcome is y, for rows without one ŷ (and both rows of a pair are of the same kind). The distance is Gower's
    over the features that are no protected attribute, with the ranges of the sample, which the interval takes as
    given; two rows at distance 0 count 1 when their scores differ and 0 when not. Pairs that have no feature in common are passed over. Rows are matched at
    random without being used twice until all are used, then again; at 1,000 rows and more the pairs are independent.

    Returns
    -------
    One record without an attribute: value in [0, 1], unitless, 1 when no pair is treated more unlike than it is;
        a percentile interval over the pairs, stretched by the dyadic-robust standard error where they share rows;
        the one-sided bootstrap p-value of "the true value is not below the limit".
        `no_scores` without scores, `insufficient_data` without features or with fewer than 30 pairs.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"x": np.linspace(0, 1, 100)})
    >>> sample = RowSample.draw(rows, decision=[1] * 100, score=rows["x"] / 2)
    >>> round(individual_fairness_score(sample, RowSettings(0.85))[0].value, 12)
    0.5

    Source: Dwork et al., Fairness through awareness (ITCS 2012), the Lipschitz condition; Aronow, Samii and Assenova,
    Cluster-robust variance estimation for dyadic data (Political Analysis 2015); STATISTICS section 2.
    """
    features = sample.plain_features
    scored = np.flatnonzero(~np.isnan(sample.score))
    sizes = {"all": len(scored)}
    if len(scored) == 0:
        return no_value(METRIC.name, None, "no_scores", "No row has a score, so scores cannot be compared.")
    if features.shape[1] == 0:
        reason = "The rows have no features beside the protected attributes, so no two can be called alike."
        return no_value(METRIC.name, None, "insufficient_data", reason, sizes=sizes)
    rng = np.random.Generator(np.random.PCG64(settings.seed))
    kind = np.where(sample.truth >= 0, sample.truth, 2 + sample.decision)[scored]
    i, j = matched_pairs(kind, PAIRS, rng)
    i, j = scored[i], scored[j]
    distance = GowerSpace.of(features).between(i, j)
    comparable = ~np.isnan(distance)
    i, j, distance = i[comparable], j[comparable], distance[comparable]
    if len(i) < _MIN_PAIRS:
        reason = f"{len(i)} pairs of rows with the same outcome can be compared, {_MIN_PAIRS} are needed."
        return no_value(METRIC.name, None, "insufficient_data", reason, sizes=sizes)
    unlike = unlikeness(np.abs(sample.score[i] - sample.score[j]), distance)
    value = 1 - float(unlike.mean())
    if unlike.std() <= _SAME:
        interval, p = without_spread(value, len(i), settings.threshold)
    else:
        drawn = unlike[rng.integers(0, len(i), (settings.n_resamples, len(i)))].mean(axis=1)
        replicates = value + (1 - drawn - value) * _stretch(unlike - unlike.mean(), i, j)
        low, high = np.quantile(replicates, [0.025, 0.975])
        interval = max(0.0, min(float(low), value)), min(1.0, max(float(high), value)), "percentile"
        p = (1 + int((replicates >= settings.threshold).sum())) / (settings.n_resamples + 1)
    sentence = (
        f"Scores of people who are alike agree to {value:.3f} (95 % interval {interval[0]:.3f} to {interval[1]:.3f};"
        f" 1 is full agreement), over {len(i)} pairs with the same outcome; the limit is {settings.threshold:.2f}."
    )
    return [
        RowMeasured(
            METRIC.name,
            None,
            value=value,
            interval=interval,
            p_value=p,
            test="bootstrap against the limit",
            sizes=sizes,
            parts={"pairs": float(len(i)), "identical_pairs": float((distance <= _SAME).sum())},
            sentence=sentence,
        )
    ]


def unlikeness(apart: FloatArray, distance: FloatArray) -> FloatArray:
    """min(1, apart / distance), and at distance 0 whether the scores differ, shape (n_pairs,).

    Examples
    --------
    >>> unlikeness(np.array([0.1, 0.5, 0.1, 0.0]), np.array([0.2, 0.25, 0.0, 0.0])).tolist()
    [0.5, 1.0, 1.0, 0.0]
    """
    result = np.where(apart > _SAME, 1.0, 0.0)
    np.divide(apart, distance, out=result, where=distance > _SAME)
    return np.minimum(result, 1.0)


def matched_pairs(kind: IntArray, n: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Indices of at most n pairs of different rows of the same kind, no row twice while there are others.

    Fewer than n come only from so few rows that 500 rounds do not give them; none when no kind has two rows.
    """
    first: list[IntArray] = []
    second: list[IntArray] = []
    there = 0
    while there < n:
        order = rng.permutation(len(kind))
        order = order[np.argsort(kind[order], kind="stable")]
        starts = np.searchsorted(kind[order], kind[order], side="left")
        place = np.arange(len(kind)) - starts
        # an even place is matched with the next one, where that is of its kind
        at = np.flatnonzero((place[:-1] % 2 == 0) & (place[1:] == place[:-1] + 1))
        if len(at) == 0:
            break
        at = rng.permutation(at)[: n - there]
        first.append(order[at])
        second.append(order[at + 1])
        there += len(at)
    none = np.zeros(0, dtype=np.int64)
    return np.concatenate([none, *first]), np.concatenate([none, *second])


def _stretch(residual: FloatArray, i: IntArray, j: IntArray) -> float:
    """Dyadic-robust over plain standard error, at least 1: pairs that share a row say the same twice."""
    share = (i[:, None] == i) | (i[:, None] == j) | (j[:, None] == i) | (j[:, None] == j)
    variance = float(residual @ share.astype(np.float64) @ residual)
    return float(np.sqrt(max(1.0, variance / float(residual @ residual))))


METRIC = RowMetric(
    name="individual_fairness_score",
    number=9,
    threshold=0.85,
    breached_when="below",
    needs=frozenset({"features", "score"}),
    definition=(
        "1 minus how much more unlike the scores of two people are than the people themselves, on average over"
        f" {PAIRS} pairs of people with the same outcome; likeness is Gower's, over the features that are no protected"
        " attribute."
    ),
    # Reported, and decisive only at a limit that the model's owner sets: the steep scores of an accurate model pass
    # 0.85 also where no group differs, and a fair population would be CRITICAL in most audits.
    decides=False,
    compute=individual_fairness_score,
    undefined_because="No two people with the same outcome have a feature in common.",
)
