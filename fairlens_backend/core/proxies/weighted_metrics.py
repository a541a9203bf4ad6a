"""The ordinary metrics, computed on expected counts."""

import math
from collections.abc import Sequence
from typing import Any

from fairlens_backend.core.metrics import METRICS, GroupRates, Metric
from fairlens_backend.core.proxies.membership import FloatArray
from fairlens_backend.core.proxies.resampling import number, percentile_interval, weighted_rate

PROXY_METRICS: tuple[Metric, ...] = tuple(
    metric
    for metric in METRICS
    if metric.scope == "attribute" and metric.compared != "people" and metric.needs <= {"decision", "truth"}
)
"""The metrics that compare groups by decisions and outcomes: those that expected counts can answer."""


def weighted_metric(
    metric: Metric,
    labels: Sequence[str],
    n: FloatArray,
    draws: FloatArray,
    large: Sequence[int],
    base: int | None,
) -> dict[str, Any]:
    """The ordinary metric on the expected counts of the groups that are large enough."""
    nothing: dict[str, Any] = {"value": None, "signed": None, "interval": None, "groups_compared": []}
    if len(large) < 2 or base is None or base not in large:
        why = "fewer than two groups, or no reference group, with enough expected rows"
        return {**nothing, "status": "insufficient_data", "reason": why}
    if "truth" in metric.needs and n[large][..., :2].sum() <= 1e-6:
        return {**nothing, "status": "no_ground_truth", "reason": "no row has a known outcome"}
    at = large.index(base)
    found = metric.compute(GroupRates(n[large]), at)
    value, signed = float(found.value), float(found.signed)
    if math.isnan(value):
        reason = metric.undefined_because.format(reference=labels[base])
        return {**nothing, "status": "undefined", "reason": reason}
    compared = [labels[large[int(i)]] for i in (found.worst, found.other) if int(i) >= 0]
    interval = _metric_interval(metric, n[large], draws[:, large], at, value, signed)
    return {
        "value": value,
        "signed": number(signed),
        "interval": interval,
        "groups_compared": compared,
        "status": "ok",
        "reason": None if interval else "its interval is that of its pairs and rates, given there",
    }


def _metric_interval(
    metric: Metric, n: FloatArray, draws: FloatArray, base: int, value: float, signed: float
) -> dict[str, Any] | None:
    """The image of the signed gap's percentiles, so that it can say "no difference"; None where there is no such gap.

    A plain percentile interval of a maximum excludes "no difference" on data without any.
    """
    if not len(draws):
        return None
    found = metric.compute(GroupRates(draws), base)
    if metric.scale == "ratio" and metric.compared == "reference" and len(n) == 2:
        return percentile_interval(found.value)
    if (
        metric.compared == "extremes"
        and metric.scale == "difference"
        and len(n) == 2
        and metric.rates == ("selection",)
    ):
        gaps = weighted_rate(draws, "selection_rate")[0]
        limits = percentile_interval(gaps[:, 0] - gaps[:, 1])
    elif (
        not math.isnan(signed)
        and math.isclose(abs(signed), abs(value), abs_tol=1e-9)
        and len(metric.rates) == 1
    ):
        limits = percentile_interval(found.signed)
    else:
        return None
    if limits is None:
        return None
    low, high = limits["lower"], limits["upper"]
    if metric.breached_when == "outside":
        return {**limits, "lower": min(low, value), "upper": max(high, value)}
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return {**limits, "lower": min(nearest, value), "upper": max(abs(low), abs(high), value)}
