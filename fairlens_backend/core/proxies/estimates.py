"""Weighted estimates of rates and metrics of groups known by proxy only, beside their sharp bounds (STATISTICS section 6)."""

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from fairlens_backend.core.labels import canonical_label
from fairlens_backend.core.proxies.bounds import (
    MIN_STRATUM_SIZE,
    RATE_CELLS,
    Pooling,
    RateBounds,
    rate_bounds,
)
from fairlens_backend.core.proxies.membership import FloatArray
from fairlens_backend.core.proxies.resampling import (
    interval_dict,
    number,
    percentile_interval,
    resampled,
    weighted_rate,
)
from fairlens_backend.core.proxies.soft_counts import SoftCounts
from fairlens_backend.core.proxies.weighted_metrics import PROXY_METRICS, weighted_metric
from fairlens_backend.core.reference_group import MIN_SHARE
from fairlens_backend.errors import InvalidInput

BIAS_CONDITION: Final = (
    "The weighted estimate is right when, among people with the same proxy, the decision does not go with the group. "
    "Otherwise a group's rate is off by −E[cov(group, decision | proxy)] / P(group)."
)
BOUNDS_MEANING: Final = (
    "Every rate within the bounds is possible given the decisions and the share of each group in each stratum of the "
    "proxy; the probabilities of the proxy are taken to be right on average in each stratum."
)
QUALITY_MEANING: Final = (
    "Share of the uncertainty (entropy) about a row's group that the proxy takes away: 0 none of it, 1 all."
)


def estimate_with_proxies(
    soft: SoftCounts,
    *,
    reference: object = None,
    min_group_size: int = 30,
    min_stratum_size: int = MIN_STRATUM_SIZE,
    n_resamples: int = 1_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Rates, gaps and metrics of groups known by proxy: weighted estimates with intervals, and sharp bounds.

    The estimates are the ordinary rates and metrics on expected counts. Intervals are percentiles of `n_resamples`
    multinomial draws of the cells (stratum × 0.1 of membership × ŷ × y), each with the mean membership of its rows; they
    say what sampling does, not what a wrong proxy does. That of bounds goes from the 2.5 % point of the lower one to
    the 97.5 % point of the upper one.

    Parameters
    ----------
    reference : label of the reference group; None for the one with the highest weighted selection rate among those
        with 2 % of the expected rows
    min_group_size : expected rows that a group needs to be compared
    min_stratum_size : as in `rate_bounds`
    n_resamples, seed : of the bootstrap; the same counts and seed give the same result

    Returns
    -------
    dict with `attribute`, `is_proxy` True, `proxy_quality`, `proxy_quality_definition`, `bias_condition`,
    `bounds_meaning`, `n`, `strata`, `reference_group`, and

    - `groups` {group: {expected_size, share, status, reason, rates {rate: {value, n, interval, bounds, status}}}}
    - `pairs` {group: {rate: {difference, ratio}}}, each {value, interval, bounds}, against the reference group
    - `metrics` {name: {value, signed, threshold, interval, groups_compared, is_proxy, proxy_quality, status, reason}}

    `bounds` are {lower, upper, interval}; undefined is None. There are no p-values: expected counts are no counts.

    Raises
    ------
    InvalidInput
        The counts are a change (below zero), or the reference is no group of the proxy.

    Examples
    --------
    >>> soft = SoftCounts.from_arrays("sex", ["F", "M"], [[0.8, 0.2]] * 50 + [[0.2, 0.8]] * 50, [1] * 20 + [0] * 45 + [1] * 35)
    >>> found = estimate_with_proxies(soft, n_resamples=100)
    >>> found["reference_group"], round(found["metrics"]["disparate_impact_ratio"]["value"], 3)
    ('M', 0.719)
    >>> found["metrics"]["disparate_impact_ratio"]["is_proxy"]
    True

    Source: Chen, Kallus, Mao, Svacha and Udell, Fairness under unawareness (FAT* 2019), the weighted estimator;
    Kallus, Mao and Zhou (Management Science 2022), the bounds.
    """
    if soft.negative:
        raise InvalidInput("counts below zero are a change, no window", field="soft_counts")
    n = soft.expected()
    sizes = n.sum(axis=(1, 2))
    large = [g for g in range(len(soft.groups)) if sizes[g] >= min_group_size]
    base = _reference(soft.groups, n, large, reference)
    pooling = Pooling.of(soft, min_stratum_size)
    bounds = {rate: rate_bounds(soft, rate, min_stratum_size=min_stratum_size) for rate in RATE_CELLS}
    draws, drawn_bounds = resampled(soft, pooling, n_resamples, seed)
    rates = {rate: weighted_rate(n, rate) for rate in RATE_CELLS}
    drawn_rates = {rate: weighted_rate(draws, rate) for rate in RATE_CELLS}
    quality = soft.proxy_quality
    groups: dict[str, Any] = {}
    for g, label in enumerate(soft.groups):
        enough = g in large
        groups[label] = {
            "expected_size": float(sizes[g]),
            "share": float(sizes[g] / soft.total) if soft.total else None,
            "status": "ok" if enough else "insufficient_data",
            "reason": None if enough else f"{sizes[g]:.1f} rows expected, {min_group_size} needed",
            "rates": {
                rate: {
                    "value": number(rates[rate][0][g]),
                    "n": float(rates[rate][1][g]),
                    "interval": percentile_interval(drawn_rates[rate][0][:, g]),
                    "bounds": _bounds(
                        bounds[rate].lower[g],
                        bounds[rate].upper[g],
                        drawn_bounds[rate].lower[:, g],
                        drawn_bounds[rate].upper[:, g],
                    ),
                    "status": _rate_status(rate, n[g], rates[rate][0][g]),
                }
                for rate in RATE_CELLS
            },
        }
    pairs = {
        soft.groups[g]: {
            rate: _pair(rates[rate][0], drawn_rates[rate][0], bounds[rate], drawn_bounds[rate], g, base, rate)
            for rate in RATE_CELLS
        }
        for g in large
        if base is not None and g != base and base in large
    }
    return {
        "attribute": soft.attribute,
        "is_proxy": True,
        "proxy_quality": quality,
        "proxy_quality_definition": QUALITY_MEANING,
        "bias_condition": BIAS_CONDITION,
        "bounds_meaning": BOUNDS_MEANING,
        "n": soft.total,
        "strata": len(pooling.starts),
        "reference_group": None if base is None else soft.groups[base],
        "groups": groups,
        "pairs": pairs,
        "metrics": {
            metric.name: {
                **weighted_metric(metric, soft.groups, n, draws, large, base),
                "threshold": metric.threshold,
                "is_proxy": True,
                "proxy_quality": quality,
            }
            for metric in PROXY_METRICS
        },
    }


def _reference(groups: Sequence[str], n: FloatArray, large: Sequence[int], declared: object) -> int | None:
    if declared is not None:
        label = canonical_label(declared)
        if label is None or label not in groups:
            raise InvalidInput(
                f"no group {declared!r}; the proxy knows {', '.join(groups)}",
                field="reference",
                got=str(declared),
                expected=f"one of {list(groups)}",
            )
        return list(groups).index(label)
    sizes = n.sum(axis=(1, 2))
    candidates = [g for g in large if sizes[g] >= MIN_SHARE * sizes.sum()] or list(large)
    if not candidates:
        return None
    rates = n[:, 1].sum(axis=1) / np.maximum(sizes, 1e-300)
    return min(candidates, key=lambda g: (-rates[g], -sizes[g], groups[g]))


def _rate_status(rate: str, n: FloatArray, value: float) -> str:
    if not math.isnan(value):
        return "ok"
    return "no_ground_truth" if rate != "selection_rate" and n[:, :2].sum() <= 1e-6 else "undefined"


def _pair(
    rates: FloatArray,
    drawn: FloatArray,
    bounds: RateBounds,
    drawn_bounds: RateBounds,
    g: int,
    base: int,
    rate: str,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "difference": {
            "value": number(rates[g] - rates[base]),
            "interval": percentile_interval(drawn[:, g] - drawn[:, base]),
            "bounds": _bounds(*bounds.difference(g, base), *drawn_bounds.difference(g, base)),
        }
    }
    if rate == "selection_rate":
        positive = drawn[:, base] > 0
        found["ratio"] = {
            "value": number(rates[g] / rates[base]) if rates[base] > 0 else None,
            "interval": percentile_interval(drawn[positive, g] / drawn[positive, base])
            if positive.all()
            else None,
            "bounds": _bounds(*bounds.ratio(g, base), *drawn_bounds.ratio(g, base)),
        }
    return found


def _bounds(lower: Any, upper: Any, drawn_lower: FloatArray, drawn_upper: FloatArray) -> dict[str, Any]:
    limits = None
    if len(drawn_lower) and not (np.isnan(drawn_lower).any() or np.isnan(drawn_upper).any()):
        low, high = np.quantile(drawn_lower, 0.025), np.quantile(drawn_upper, 0.975)
        limits = interval_dict(min(low, float(lower)), max(high, float(upper)))
    return {"lower": number(lower), "upper": number(upper), "interval": limits}
