"""What a pair of thresholds would do to two groups, with intervals and in words."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from fairlens_backend.core.columns import IntArray
from fairlens_backend.core.threshold_pairs import (
    BINS,
    EQUAL_RATES,
    SLACK,
    Criterion,
    FloatArray,
    Selected,
    best_accuracy,
    best_pair,
    decided,
    gap,
    ratio,
    selected_from,
)

Result = dict[str, Any]

ABOVE_ALL: Final = float(np.nextafter(1.0, 2.0))
"""The threshold that nobody reaches: the number after 1, since a score of 1.0 reaches 1.0."""

_LEVEL: Final = 0.95
_RATES: Final = ("selection_rate", "true_positive_rate", "false_positive_rate", "accuracy")
_SPOKEN: Final = {
    "demographic_parity": "selection rates",
    "equal_opportunity": "true positive rates",
    "equalized_odds": "true and false positive rates",
}


def effects(
    scored: Sequence[IntArray],
    groups: Sequence[tuple[str, str]],
    criterion: Criterion,
    tolerance: float,
    between_edges: bool,
    rng: np.random.Generator,
    n_resamples: int,
    n_rechosen: int,
) -> Result:
    """The best pair of thresholds for two groups and what it would do.

    Parameters
    ----------
    scored : counts of either group's rows with a score, shape (2, 3, 10)
    groups : (label, name in sentences) of either
    criterion, tolerance, between_edges : as for `best_pair`
    rng, n_resamples : of the multinomial draws of both groups' rows; 0 for no intervals
    n_rechosen : in how many of the draws thresholds are chosen anew, to see how much choosing flatters the gap

    Returns
    -------
    dict of thresholds, in_part, met_already, trivial, rates, gap, accuracy, accuracy_change, sentence as
    `search_thresholds` describes them
    """
    places = best_pair(scored[0], scored[1], criterion, tolerance, between_edges)
    both = np.stack(scored)
    total = int(both.sum())
    drawn = rng.multinomial(total, both.ravel() / total, size=n_resamples).reshape(n_resamples, *both.shape)
    windows = np.concatenate([both[None], drawn])
    before = [decided(windows[:, i]) for i in (0, 1)]
    after = [selected_from(windows[:, i], places[i]) for i in (0, 1)]
    accuracy_before, accuracy_after = _accuracy(before), _accuracy(after)
    gap_before, gap_after = (float(gap(sides[0], sides[1], criterion)[0]) for sides in (before, after))
    rechosen = windows[1 : 1 + n_rechosen]
    labels = [label for label, _ in groups]
    result: Result = {
        "thresholds": {label: _threshold(place) for label, place in zip(labels, places, strict=True)},
        "in_part": {label: _in_part(place) for label, place in zip(labels, places, strict=True)},
        "met_already": gap_before <= tolerance + SLACK,
        "trivial": _alike(after) is not None,
        "rates": {
            label: {"before": _rates(before[i]), "after": _rates(after[i])} for i, label in enumerate(labels)
        },
        "gap": {
            "before": gap_before,
            "after": gap_after,
            "on_new_rows": _gap_on_new_rows(both, rechosen, criterion, tolerance, between_edges, gap_after),
            "confidence_interval": _gap_interval(after, criterion, gap_after),
        },
        "accuracy": {
            "before": _plain(accuracy_before[0]),
            "after": _plain(accuracy_after[0]),
            "best": _plain(best_accuracy(scored[0], scored[1])),
        },
        "accuracy_change": {
            "value": _plain(accuracy_after[0] - accuracy_before[0]),
            "confidence_interval": _interval(accuracy_after - accuracy_before, _LEVEL),
        },
    }
    return {**result, "sentence": _sentence(result, groups, criterion, tolerance)}


def _accuracy(sides: Sequence[Selected]) -> FloatArray:
    """The accuracy over both groups; NaN without truth."""
    return ratio(sides[0].right + sides[1].right, sides[0].labelled + sides[1].labelled)


def _gap_on_new_rows(
    rows: IntArray, draws: IntArray, criterion: Criterion, tolerance: float, between_edges: bool, value: float
) -> float | None:
    """The gap that new rows would show on average; those that thresholds were chosen on flatter it.

    By how much is seen by choosing thresholds on each draw and looking at the draw and at the rows that it came from
    (Efron 1983). None where no draw has what the criterion needs.

    Parameters
    ----------
    rows, draws : counts, shape (2, 2, 3, 10) and (n, 2, 2, 3, 10): group, decision, truth, score bin
    value : the gap on the rows themselves
    """
    smaller = []
    for draw in draws:
        now = [decided(draw[i]) for i in (0, 1)]
        if any(np.isnan(side.rate(name)) for side in now for name in EQUAL_RATES[criterion]):
            continue
        places = best_pair(draw[0], draw[1], criterion, tolerance, between_edges)
        inside, outside = ([selected_from(n[i], places[i]) for i in (0, 1)] for n in (draw, rows))
        smaller.append(gap(outside[0], outside[1], criterion) - gap(inside[0], inside[1], criterion))
    return value + max(0.0, float(np.mean(smaller))) if smaller else None


def _alike(after: Sequence[Selected]) -> str | None:
    """ "everybody" or "nobody" when that is who would be selected of both groups."""
    rates = {float(side.rate("selection_rate")[0]) for side in after}
    return {1.0: "everybody", 0.0: "nobody"}.get(rates.pop()) if len(rates) == 1 else None


def _rates(side: Selected) -> dict[str, float | None]:
    return {name: _plain(side.rate(name)[0]) for name in _RATES}


def _threshold(place: float) -> float:
    return ABOVE_ALL if place >= BINS else place / BINS


def _in_part(place: float) -> Result | None:
    """The bin of which only a share is selected."""
    lower = int(place)
    if lower == place:
        return None
    return {"bin": [lower / BINS, (lower + 1) / BINS], "share": lower + 1 - place}


def _interval(values: FloatArray, level: float) -> Result | None:
    """The percentile interval of the resampled values, widened to contain the value itself, which is the first."""
    drawn = values[1:][np.isfinite(values[1:])]
    if not len(drawn) or not np.isfinite(values[0]):
        return None
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return {
        "lower": min(float(low), float(values[0])) + 0.0,
        "upper": max(float(high), float(values[0])) + 0.0,
        "level": _LEVEL,
        "method": "percentile",
    }


def _gap_interval(after: Sequence[Selected], criterion: Criterion, value: float) -> Result | None:
    """The image of the signed differences' intervals: a magnitude's own percentiles would exclude "no gap" always."""
    names = EQUAL_RATES[criterion]
    # of two differences each gets half of the 5 %, so that both are covered together
    level = 1 - (1 - _LEVEL) / len(names)
    lows, highs = [0.0], [0.0]
    for name in names:
        interval = _interval(after[0].rate(name) - after[1].rate(name), level)
        if interval is None:
            return None
        low, high = interval["lower"], interval["upper"]
        lows.append(0.0 if low <= 0 <= high else min(abs(low), abs(high)))
        highs.append(max(abs(low), abs(high)))
    return {
        "lower": min(max(lows), value),
        "upper": max(*highs, value),
        "level": _LEVEL,
        "method": "percentile" if len(names) == 1 else "simultaneous",
    }


def _sentence(
    result: Result, groups: Sequence[tuple[str, str]], criterion: Criterion, tolerance: float
) -> str:
    (first, first_name), (second, second_name) = groups
    rates = _SPOKEN[criterion]
    if result["trivial"]:
        who = "everybody" if result["rates"][first]["after"]["selection_rate"] else "nobody"
        opening = (
            f"Of all thresholds that bring the {rates} of {first_name} and {second_name} within"
            f" {_points(tolerance)}, those that select {who} are the best"
        )
    else:
        opening = (
            f"If {first_name} were selected {_from(result['thresholds'][first])} and {second_name}"
            f" {_from(result['thresholds'][second])}, their {rates} would be {_points(result['gap']['after'])} apart"
            f" instead of {100 * result['gap']['before']:.1f}"
        )
    change = result["accuracy_change"]["value"]
    if change is None:
        return f"{opening}; what that does to accuracy is not known."
    before, after = (f"{100 * result['accuracy'][when]:.1f} %" for when in ("before", "after"))
    moved = "stay at" if before == after else f"{'rise' if change > 0 else 'fall'} from {before} to"
    interval = result["accuracy_change"]["confidence_interval"]
    known = ""
    if interval:
        low, high = 100 * interval["lower"], 100 * interval["upper"]
        known = f" (95 % interval of the change {low:+.1f} to {high:+.1f} points)"
    return f"{opening}; accuracy would {moved} {after}{known}."


def _from(threshold: float) -> str:
    return "never" if threshold > 1 else f"from a score of {threshold:.3g}"


def _points(value: float) -> str:
    return f"{100 * value:.1f} percentage points"


def _plain(value: Any) -> float | None:
    """A Python float; None for NaN."""
    return None if np.isnan(value) else float(value) + 0.0
