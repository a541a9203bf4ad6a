"""The metrics of an outcome that is a number, for one attribute."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.core.numeric_comparison import (
    Moments,
    deviations,
    distances,
    ks_p,
    wasserstein_p,
    welch_p,
)
from fairlens_backend.core.severity import Finding, metric_severity

FloatArray = npt.NDArray[np.float64]
Found = dict[str, Any]

NUMERIC_METRICS: Final[Mapping[str, str]] = {
    "mean_score_gap": "The mean score of the group furthest from the reference group, minus the reference group's.",
    "kolmogorov_smirnov_distance": (
        "The largest difference between the shares of the reference group and of the group furthest from it"
        " that score at most some number."
    ),
    "wasserstein_distance": (
        "How far scores would have to be moved on average to make the distribution of the group furthest from the"
        " reference group that group's."
    ),
    "mean_absolute_error_gap": "The mean absolute error of the group furthest from the reference group, minus its.",
    "root_mean_squared_error_gap": (
        "The root mean squared error of the group furthest from the reference group, minus its."
    ),
    "r_squared_gap": "The R² of the group furthest from the reference group, minus its.",
}
"""Definitions by name."""

_GAPS: Final = ("mean_score_gap", "mean_absolute_error_gap", "root_mean_squared_error_gap", "r_squared_gap")
_TESTS: Final = {
    "mean_score_gap": "Welch",
    "mean_absolute_error_gap": "Welch",
    "root_mean_squared_error_gap": "Welch on squared errors",
    "r_squared_gap": "bootstrap",
    "kolmogorov_smirnov_distance": "Kolmogorov–Smirnov",
    "wasserstein_distance": "permutation",
}
_SUBJECT: Final = {
    "mean_score_gap": "The mean score",
    "mean_absolute_error_gap": "The mean absolute error",
    "root_mean_squared_error_gap": "The root mean squared error",
    "r_squared_gap": "R²",
}


@dataclass(frozen=True, eq=False)
class NumericGroup:
    """The rows of one group that have a score, sorted by it; `truth` is NaN where not known."""

    label: str
    score: FloatArray
    truth: FloatArray
    labelled: int
    figures: Moments


def measure(
    attribute: str,
    groups: list[NumericGroup],
    reference: str | None,
    min_group_size: int,
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, Found]:
    """Every metric of one attribute by name, each with the keys of a FairnessMetric, before the tests are adjusted."""
    measured = {}
    for name in NUMERIC_METRICS:
        with_truth = name in _GAPS[1:]
        sizes = {g.label: g.labelled if with_truth else len(g.score) for g in groups if g.label != UNKNOWN}
        one = _blank(name, attribute)
        one["sample_sizes"] = sizes
        measured[name] = one
        large = [g for g in groups if sizes.get(g.label, -1) >= max(2, min_group_size)]
        base = next((g for g in large if g.label == reference), None)
        others = [g for g in large if g is not base]
        if with_truth and not any(group.labelled for group in groups):
            one["status"] = "no_ground_truth"
            one["reason"] = "No row has a known truth, so errors cannot be compared."
        elif base is None or not others:
            rows = "rows with a known truth" if with_truth else "rows with a score"
            one["status"] = "insufficient_data"
            one["reason"] = (
                f"Fewer than two groups of {attribute}, the reference among them, have {min_group_size} {rows}."
            )
        elif name in _GAPS:
            _measure_gap(one, base, others)
        else:
            _measure_distance(one, base, others, n_resamples, rng)
    return measured


def judge(one: Found, p_adjusted: float | None, limits: Mapping[str, float], alpha: float) -> Finding | None:
    """Hold a metric against its limit, where it has both a value and a limit; fills in what follows from it."""
    one["p_adjusted"] = p_adjusted
    one["significant"] = None if p_adjusted is None else p_adjusted <= alpha
    limit = limits.get(one["name"])
    one["threshold"] = limit
    if limit is None or one["value"] is None:
        return None
    finding = Finding(
        one["name"], one["value"], limit, "outside" if one["name"] in _GAPS else "above", one["significant"]
    )
    interval = one["confidence_interval"]
    one["breached"] = finding.breached
    one["confirmed"] = interval["lower"] > limit or (one["name"] in _GAPS and interval["upper"] < -limit)
    one["severity"] = metric_severity(finding)
    return finding


def _measure_gap(one: Found, base: NumericGroup, others: list[NumericGroup]) -> None:
    name = one["name"]
    at = _GAPS.index(name)
    own = float(base.figures.values[at])
    others = [g for g in others if not math.isnan(g.figures.values[at])]
    if math.isnan(own) or not others:
        one["status"] = "undefined"
        one["reason"] = "R² has no value where all truths of a group are the same."
        return
    gaps = np.array([g.figures.values[at] for g in others]) - own
    drawn = (
        np.stack([g.figures.replicates[:, at] for g in others], axis=1) - base.figures.replicates[:, at, None]
    )
    drawn = drawn[~np.isnan(drawn).any(axis=1)]
    # of groups equally far the one that is lower, whatever they are called
    worst = int(np.lexsort((gaps, -np.abs(gaps))).flat[0])
    gap, group = float(gaps[worst]), others[worst]
    spread = drawn.std(axis=0)
    studentised = np.abs(drawn - gaps) / np.where(spread > 0, spread, np.inf)
    largest = studentised.max(axis=1)
    if len(others) == 1:
        low, high = np.quantile(drawn[:, 0], [0.025, 0.975])
        method = "percentile"
    else:
        reach = float(np.quantile(largest, 0.95)) * spread[worst]
        low, high = gap - reach, gap + reach
        method = "simultaneous"
    _put(one, gap, (min(float(low), gap), max(float(high), gap), method), base, group)
    one["signed"] = gap
    if name == "r_squared_gap":
        seen = float((np.abs(gaps) / np.where(spread > 0, spread, np.inf)).max())
        one["p_value"] = (1 + int((largest >= seen).sum())) / (len(largest) + 1)
    else:
        one["p_value"] = welch_p([_compared(name, g) for g in (base, *others)])
    there = float(group.figures.values[at])
    one["parts"] = {"group": there, "reference": own}
    names = f"{one['attribute']}={group.label}", f"{one['attribute']}={base.label}"
    same = written(abs(gap)) == "0"
    how = "the same as" if same else f"{written(abs(gap))} {'higher' if gap > 0 else 'lower'} than"
    one["sentence"] = (
        f"{_SUBJECT[name]} of {names[0]} is {how} that of {names[1]} ({written(there)} against {written(own)}; 95 % interval of"
        f" the difference {written(low)} to {written(high)})."
    )


def _compared(name: str, group: NumericGroup) -> FloatArray:
    """What a gap is a difference of means of."""
    if name == "mean_score_gap":
        return group.score
    error = group.score - group.truth
    error = error[~np.isnan(error)]
    return np.abs(error) if name == "mean_absolute_error_gap" else error**2


def _measure_distance(
    one: Found, base: NumericGroup, others: list[NumericGroup], n_resamples: int, rng: np.random.Generator
) -> None:
    which = 0 if one["name"] == "kolmogorov_smirnov_distance" else 1
    every = [distances(group.score, base.score)[which] for group in others]
    worst = int(np.argmax(every))
    value, group = every[worst], others[worst]
    strayed = deviations(group.score, base.score, n_resamples, rng)[which]
    reach = float(np.quantile(strayed, 1 - 0.05 / len(others)))
    high = min(1.0, value + reach) if which == 0 else value + reach
    method = "bootstrap of deviations" if len(others) == 1 else "simultaneous"
    _put(one, value, (max(0.0, value - reach), high, method), base, group)
    one["p_value"] = min(
        1.0,
        len(others)
        * (
            ks_p(value, len(group.score), len(base.score))
            if which == 0
            else wasserstein_p(group.score, base.score, n_resamples, rng)
        ),
    )
    names = f"{one['attribute']}={group.label}", f"{one['attribute']}={base.label}"
    interval = f"95 % interval {written(max(0.0, value - reach))} to {written(high)}"
    one["sentence"] = (
        f"The shares of {names[0]} and {names[1]} that score at most some number differ by up to {written(value)}"
        f" ({interval})."
        if which == 0
        else f"The scores of {names[0]} would have to be moved by {written(value)} on average to be distributed like"
        f" those of {names[1]} ({interval})."
    )


def _put(
    one: Found, value: float, interval: tuple[float, float, str], base: NumericGroup, group: NumericGroup
) -> None:
    low, high, method = interval
    one["value"] = value
    one["confidence_interval"] = {"lower": low, "upper": high, "level": 0.95, "method": method}
    one["groups_compared"] = [group.label, base.label]
    one["sample_sizes"] = {g.label: one["sample_sizes"][g.label] for g in (group, base)}
    one["test"] = _TESTS[one["name"]]


def _blank(name: str, attribute: str) -> Found:
    fields = (
        "value",
        "signed",
        "threshold",
        "breached",
        "confirmed",
        "confidence_interval",
        "p_value",
        "p_adjusted",
    )
    return {
        "name": name,
        "short_name": None,
        "attribute": attribute,
        **dict.fromkeys(fields),
        "severity": "UNKNOWN",
        "groups_compared": [],
        "sample_sizes": {},
        "test": None,
        "significant": None,
        "status": "ok",
        "reason": None,
        "definition": NUMERIC_METRICS[name],
        "parts": {},
        "sentence": None,
    }


def written(number: float) -> str:
    """Four digits, and of large numbers all before the point: an income is written 185,485 and not 1.855e+05.

    Examples
    --------
    >>> [written(number) for number in (185485.4, -6222.55, 0.03829, 6.0164, 0.0)]
    ['185,485', '−6,223', '0.03829', '6.016', '0']
    """
    text = f"{number:,.0f}" if 1_000 <= abs(number) < 1e15 else f"{number + 0.0:.4g}"
    return text.replace("-", "−") if "e" not in text else text
