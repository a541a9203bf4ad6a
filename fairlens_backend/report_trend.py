"""A model's fairness over a range: one point a period from the period's summed counts, and what the detectors say of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from scipy.special import ndtri

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.drift.breakpoints import breakpoints
from fairlens_backend.core.drift.cusum_run import alarm_episodes, run_cusum, take_baseline
from fairlens_backend.core.drift.drift_settings import DEFAULT_SETTINGS
from fairlens_backend.core.drift.series import BreachedWhen, Check, Series, variance_of_interval
from fairlens_backend.core.drift.trend import current_trend
from fairlens_backend.core.inference.intervals import difference_interval, ratio_interval
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.core.policy import Policy
from fairlens_backend.report_basis import Basis
from fairlens_backend.telemetry import timestamp

RATIO: Final = "disparate_impact_ratio"
GAP: Final = "equal_opportunity_difference"
_ALPHA: Final = 0.05
_DIRECTION: Final[Mapping[str, BreachedWhen]] = {RATIO: "below", GAP: "above"}

Point = dict[str, Any]


def trend(
    basis: Basis, model: str, references: Mapping[str, str | None], policy: Policy
) -> list[dict[str, Any]]:
    """For each attribute the series of the disparate impact ratio and of the equal opportunity difference.

    A period's point is computed from the sum of its count tables, not as the mean of its audits: the mean of the ratios of
    small windows is not the ratio of the whole.

    Returns
    -------
    list of {attribute, metric, threshold, breached_when, reference, grain_hours, points [{time, start, value, lower, upper, n,
    group, status, reason, breached, confirmed}], n_points, n_undefined, breakpoints [{time, mean_before, mean_after, worsening}],
    cusum {status, reason, mean, sigma, n_checks, alarms}, trend (as `core.drift.trend.current_trend`)}.
    """
    return [
        _series(basis, model, attribute, metric, references.get(attribute), policy)
        for attribute in basis.table.attributes
        for metric in (RATIO, GAP)
    ]


def period_point(table: CountTable, metric: str, reference: str | None, least: int) -> Point:
    """One metric of one attribute from the counts of a period.

    The group is the one that is furthest from the reference on the side that breaches; its interval is Wilson's limits put
    together (MOVER for the ratio, Newcombe for the difference), at a level of 1 − 0.05/k for the k groups compared.

    Parameters
    ----------
    table : of one attribute
    least : rows that a group needs, of those that the metric uses
    """
    rates = {group: _rate(table, place, metric) for place, (group,) in enumerate(table.groups)}
    rates.pop(UNKNOWN, None)
    large = {group: pair for group, pair in rates.items() if pair[1] >= least}
    n = sum(size for _, size in large.values())
    blank: Point = {"value": None, "lower": None, "upper": None, "n": n, "group": None}
    if reference not in large or len(large) < 2:
        return {**blank, "status": "insufficient_data", "reason": _too_few(metric, reference, rates, least)}
    selected, size = large.pop(reference)
    if metric == RATIO and not selected:
        return {
            **blank,
            "status": "undefined",
            "reason": f"Nobody of the reference group {reference} was selected.",
        }
    base = selected / size
    if metric == RATIO:
        worst = min(large, key=lambda group: (large[group][0] / large[group][1], group))
    else:
        worst = max(large, key=lambda group: (abs(large[group][0] / large[group][1] - base), group))
    z = float(ndtri(1 - _ALPHA / (2 * len(large))))
    found = (ratio_interval if metric == RATIO else difference_interval)(*large[worst], selected, size, z)
    rate = large[worst][0] / large[worst][1]
    value = rate / base if metric == RATIO else abs(rate - base)
    low, high = found or (value, value)
    if metric == GAP:
        low, high = (0.0, max(-low, high)) if low <= 0 <= high else sorted((abs(low), abs(high)))
    return {
        "value": value,
        "lower": low,
        "upper": high,
        "n": large[worst][1] + size,
        "group": worst,
        "status": "ok",
        "reason": None,
    }


def _rate(table: CountTable, place: int, metric: str) -> tuple[int, int]:
    """Favourable decisions and rows: of all rows, or of those whose true outcome is favourable."""
    cells = table.decided[place]
    if metric == GAP:
        cells = cells[:, 1:2]
    return int(cells[1].sum()), int(cells.sum())


def _too_few(metric: str, reference: str | None, rates: Mapping[str, tuple[int, int]], least: int) -> str:
    rows = "decisions with a favourable true outcome" if metric == GAP else "decisions"
    if reference is None:
        return "There is no reference group."
    has = rates.get(reference, (0, 0))[1]
    if has < least:
        return f"The reference group {reference} has {has} {rows}, {least} needed."
    return f"No other group has {least} {rows}."


def _series(
    basis: Basis, model: str, attribute: str, metric: str, reference: str | None, policy: Policy
) -> dict[str, Any]:
    threshold, when = policy.threshold(metric), _DIRECTION[metric]
    points, checks = [], []
    for period, table in basis.periods.items():
        point = period_point(table.marginal([attribute]), metric, reference, policy.min_group_size)
        end, start = basis.period_end(period), basis.period_end(period - 1)
        points.append({"time": timestamp(end), "start": timestamp(start), **point})
        variance = variance_of_interval(point["value"], point)
        checks.append(
            Check(end, point["value"], variance, point["n"], point["status"], point["reason"], start)
        )
    series = Series(model, attribute, metric, threshold, when, checks)
    for point in points:
        point["breached"] = None if point["value"] is None else series.is_beyond(point["value"])
        far = point["upper"] if when == "below" else point["lower"]
        point["confirmed"] = None if far is None else series.is_beyond(far)
    return {
        "attribute": attribute,
        "metric": metric,
        "threshold": threshold,
        "breached_when": when,
        "reference": reference,
        "grain_hours": basis.grain_h,
        "n_points": len(points),
        "n_undefined": sum(point["value"] is None for point in points),
        "points": points,
        "breakpoints": _breakpoints(series),
        "cusum": _cusum(series),
        "trend": current_trend(series),
    }


def _breakpoints(series: Series) -> list[dict[str, Any]]:
    """Where PELT finds a new level, with the mean of the stretch before and of the one that begins there."""
    known = series.known
    values = [float(check.value or 0.0) for check in known]
    places = breakpoints(values)
    ends = [0, *places, len(values)]
    found = []
    for before, place, after in zip(ends, places, ends[2:], strict=False):
        old = sum(values[before:place]) / (place - before)
        new = sum(values[place:after]) / (after - place)
        begins: datetime = known[place].start or known[place].time
        found.append(
            {
                "time": timestamp(begins),
                "mean_before": old,
                "mean_after": new,
                "worsening": series.room(new) < series.room(old),
            }
        )
    return found


def _cusum(series: Series) -> dict[str, Any]:
    base = take_baseline(series, DEFAULT_SETTINGS, None)
    blank: dict[str, Any] = {"mean": None, "sigma": None, "n_checks": 0, "alarms": []}
    if isinstance(base, str):
        return {"status": "insufficient_data", "reason": base, **blank}
    run = run_cusum(series, base, DEFAULT_SETTINGS)
    alarms = [
        {**one, **{name: _stamp(one[name]) for name in ("time", "since", "until")}}
        for one in alarm_episodes(series, run, DEFAULT_SETTINGS.h)
    ]
    return {
        "status": "ok",
        "reason": None,
        "mean": base.mean,
        "sigma": base.sigma,
        "n_checks": len(base.checks),
        "alarms": alarms,
    }


def _stamp(text: str | None) -> str | None:
    return None if text is None else timestamp(datetime.fromisoformat(text))
