"""Metric 16: the tables of impact ratios that New York City's Local Law 144 asks for."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.labels import UNKNOWN

MIN_SHARE: Final = 0.02
"""A category with less of the rows may be left out of the ratios (6 RCNY § 5-301(d))."""

CATEGORIES_LISTED: Final = 300
"""Most categories of a table; of more the largest are listed."""

_BINS: Final = 10


def impact_ratio_tables(table: CountTable, protected: Sequence[str]) -> list[dict[str, Any]]:
    """A table for every attribute and for every crossing of two.

    Parameters
    ----------
    table : counts of at least the protected attributes

    Returns
    -------
    list of {attributes, rows, unknown, categories_left_out, highest_selection_rate, median, highest_scoring_rate,
    categories}.
        unknown : rows whose category is not known; they are in no category
        categories : [{attributes {attribute: group}, rows, share, status, selected, selection_rate, impact_ratio,
            scored, scoring_rate, scoring_rate_bounds, scoring_impact_ratio}], the largest first. The ratio is a
            category's rate over the highest rate of any category with at least 2 % of the rows; of one with fewer it
            is None and its status `under_2_percent`. A share is of the rows whose category is known.
        median : {estimate, lower, upper, width}, the median score of all rows whose category is known, and the bin it
            lies in: the counts tell no more. None without scores, as are the figures of scores.
        scoring_rate : share of a category's scores above the median, the bin of the median being divided in proportion;
            the bounds are the shares without that bin and with all of it

    Examples
    --------
    >>> sex = ["F"] * 50 + ["M"] * 50
    >>> (only,) = impact_ratio_tables(CountTable.from_arrays({"sex": sex}, [1] * 20 + [0] * 30 + [1] * 40 + [0] * 10), ["sex"])
    >>> [(one["attributes"]["sex"], one["impact_ratio"]) for one in only["categories"]]
    [('F', 0.5), ('M', 1.0)]

    Source: New York City Local Law 144 of 2021; Rules of the City of New York, title 6, § 5-300 and § 5-301;
    STATISTICS section 2.
    """
    views = [(name,) for name in protected] + list(combinations(protected, 2))
    return [_table(table.marginal(view)) for view in views]


def _table(table: CountTable) -> dict[str, Any]:
    known = [i for i, group in enumerate(table.groups) if UNKNOWN not in group]
    n = table.n[known]
    rows = n.sum(axis=(1, 2, 3))
    selected = n[:, 1].sum(axis=(1, 2))
    bins = n[..., :_BINS].sum(axis=(1, 2))
    total = int(rows.sum())
    median = _median(bins.sum(axis=0))
    large = rows >= MIN_SHARE * total
    scored = bins.sum(axis=1)
    above = _above(bins, median) if median else np.zeros((len(known), 3))
    best = _highest(selected, rows, large)
    best_score = _highest(above[:, 1], scored, large) if median else None
    order = sorted(range(len(known)), key=lambda i: (-int(rows[i]), table.groups[known[i]]))
    categories = []
    for i in order[:CATEGORIES_LISTED]:
        rate = _rate(selected[i], rows[i])
        low, scoring, high = (_rate(part, scored[i]) if median else None for part in above[i])
        categories.append(
            {
                "attributes": dict(zip(table.attributes, table.groups[known[i]], strict=True)),
                "rows": int(rows[i]),
                "share": int(rows[i]) / total,
                "status": "ok" if large[i] else "under_2_percent",
                "selected": int(selected[i]),
                "selection_rate": rate,
                "impact_ratio": rate / best if large[i] and rate is not None and best else None,
                "scored": int(scored[i]),
                "scoring_rate": scoring,
                "scoring_rate_bounds": [low, high] if scoring is not None else None,
                "scoring_impact_ratio": scoring / best_score
                if large[i] and scoring is not None and best_score
                else None,
            }
        )
    return {
        "attributes": list(table.attributes),
        "rows": table.total,
        "unknown": table.total - total,
        "categories_left_out": max(0, len(known) - CATEGORIES_LISTED),
        "highest_selection_rate": best,
        "median": median,
        "highest_scoring_rate": best_score,
        "categories": categories,
    }


def _median(bins: Any) -> dict[str, float] | None:
    """The bin that holds the middle score, and the middle by proportion within it; None without scores."""
    half = int(bins.sum()) / 2
    if not half:
        return None
    below = np.cumsum(bins)
    at = int(np.argmax(below >= half))
    inside = (half - (int(below[at]) - int(bins[at]))) / int(bins[at])
    width = 1 / _BINS
    return {"estimate": (at + inside) * width, "lower": at / _BINS, "upper": (at + 1) / _BINS, "width": width}


def _above(bins: Any, median: dict[str, float]) -> Any:
    """Scores above the median by group: without its bin, with its part of it, with all of it; shape (n_groups, 3)."""
    at = round(median["lower"] * _BINS)
    beyond, inside = bins[:, at + 1 :].sum(axis=1), bins[:, at]
    part = 1 - (median["estimate"] - median["lower"]) / median["width"]
    return np.stack([beyond, beyond + part * inside, beyond + inside], axis=1)


def _highest(part: Any, whole: Any, large: Any) -> float | None:
    rates = [_rate(p, w) for p, w, enough in zip(part, whole, large, strict=True) if enough]
    return max((rate for rate in rates if rate is not None), default=None)


def _rate(part: Any, whole: Any) -> float | None:
    return float(part) / int(whole) if whole else None
