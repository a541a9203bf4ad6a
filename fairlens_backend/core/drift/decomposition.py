"""Mix or rates? How much of a gap comes from who was decided on and how much from how they were treated."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.drift.strata import Asked, FloatArray, Rate, ask, draws, kitagawa, overall

Result = dict[str, Any]

_LEVEL: Final = 0.95
# Under this many percentage points a change is rounded to none in a sentence.
_NO_POINTS: Final = 0.05


def decompose_change(
    before: CountTable,
    after: CountTable,
    *,
    attribute: str,
    stratum: str | Sequence[str],
    groups: tuple[str, str],
    rate: Rate = "selection_rate",
    seed: int = 0,
    n_resamples: int = 1_000,
) -> Result:
    """Split the change of a gap between two audits into mix (who was decided on) and rates (how they were treated).

    A group's rate is R = Σ_k w_k·r_k over strata k with shares w and rates r. From period 1 to 2, with Δ for the
    change and a bar for the mean of both periods, ΔR = Σ (r̄_k − R̄)·Δw_k [mix] + Σ w̄_k·Δr_k [rates], exactly and
    without a rest: the shares sum to 1, so R̄, their mean rate, takes nothing away from the sum, and a stratum that
    grows counts as a gain just where its rate is above the average. Each part of the gap is that of the group less
    that of the reference. A stratum that a group has in one period only has there the rate of the other one, so
    it is mix alone: nobody in it was treated differently. (Any other rate would be invented; this choice too
    adds up exactly, since its share is 0.)

    Parameters
    ----------
    before, after : counts with at least the attribute and the strata, none negative
    attribute, groups : whose gap: (group, reference); the gap is rate(group) − rate(reference)
    stratum : one attribute that makes the strata, or several for their crossing; at most 1,000 strata
    rate : the shares are those among the rate's own rows: for the true positive rate those with y = 1
    seed, n_resamples : of the multinomial bootstrap over the rows of each table; 0 for no intervals

    Returns
    -------
    dict of plain values
        attribute, stratum (list), rate, groups_compared [group, reference], n {group: {before, after}} (rows of
        the rate), status (`ok`, `no_ground_truth`, `undefined`), reason;
        gap {before, after, change, mix, rates}, by_group {group: the same of its rate}, and strata, the greatest
        contribution |mix + rates| to the gap's change first: [{stratum, name, total, mix, rates, by_group {group:
        {mix, rates, share {before, after}, rate {before, after}}}}]; a rate without rows is None.
        change, mix, rates and total are {value, confidence_interval}, the interval {lower, upper, level, method
        "percentile"} or None; inside by_group of a stratum they are numbers. sentence.
        With another status than `ok` gap, by_group and sentence are None and strata is empty.

    Raises
    ------
    InvalidInput
        An attribute or group does not occur, the stratum is the attribute itself, a table is negative.

    Examples
    --------
    >>> rows = {"sex": ["F", "F", "F", "F", "M", "M"], "region": ["N", "N", "S", "S", "N", "S"]}
    >>> before = CountTable.from_arrays(rows, decision=[1, 1, 0, 0, 1, 1])
    >>> after = CountTable.from_arrays(rows, decision=[1, 0, 0, 0, 1, 1])
    >>> found = decompose_change(before, after, attribute="sex", stratum="region", groups=("F", "M"), n_resamples=0)
    >>> found["gap"]["change"]["value"], found["gap"]["rates"]["value"], found["strata"][0]["name"]
    (-0.25, -0.25, 'region=N')

    Source: Kitagawa, Components of a difference between two rates (JASA 1955); Das Gupta, Standardization and
    decomposition of rates (U.S. Bureau of the Census, P23-186, 1993), chapter 5.
    """
    asked = ask((before, after), attribute, stratum, groups, rate)
    rng = np.random.Generator(np.random.PCG64(seed))
    first, second = (draws(table, asked, rng, n_resamples) for table in (before, after))
    sides = {"before": first, "after": second}
    sizes = {
        group: {side: int(cells[0, i].sum()) for side, cells in sides.items()}
        for i, group in enumerate(asked.groups)
    }
    result = _opening(asked, sizes)
    obstacle = _obstacle(asked, sizes)
    if obstacle:
        return {**result, **obstacle}
    mix, rates = kitagawa(first, second)
    by_group = {}
    for i, group in enumerate(asked.groups):
        ends = {side: overall(cells[:, i]) for side, cells in sides.items()}
        by_group[group] = _split(ends, mix[:, i], rates[:, i])
    ends = {side: overall(cells[:, 0]) - overall(cells[:, 1]) for side, cells in sides.items()}
    gap_mix, gap_rates = mix[:, 0] - mix[:, 1], rates[:, 0] - rates[:, 1]
    strata = [
        {
            **_stratum(asked, k, gap_mix[:, k], gap_rates[:, k]),
            "by_group": {
                group: {
                    "mix": float(mix[0, i, k]) + 0.0,
                    "rates": float(rates[0, i, k]) + 0.0,
                    **_ends({side: cells[0, i] for side, cells in sides.items()}, k),
                }
                for i, group in enumerate(asked.groups)
            },
        }
        for k in range(len(asked.labels))
    ]
    result |= {"gap": _split(ends, gap_mix, gap_rates), "by_group": by_group, "strata": _sorted(strata)}
    return {**result, "sentence": _change_sentence(asked, result["gap"], result["strata"])}


def decompose_gap(
    table: CountTable,
    *,
    attribute: str,
    stratum: str | Sequence[str],
    groups: tuple[str, str],
    rate: Rate = "selection_rate",
    seed: int = 0,
    n_resamples: int = 1_000,
) -> Result:
    """Split the gap between two groups within one window into mix (they are in other strata) and rates.

    The formula is that of `decompose_change`, from the reference to the group instead of from before to after: a
    stratum that only one of them has is mix alone.

    Returns
    -------
    dict as of `decompose_change`, with n {group: rows}, gap {value {value, confidence_interval}, mix, rates},
    by_group {group: its rate}, and strata [{stratum, name, total, mix, rates, share {group: …}, rate {group: …}}].

    Examples
    --------
    >>> rows = {"sex": ["F", "F", "F", "M", "M", "M"], "faculty": ["A", "A", "B", "A", "B", "B"]}
    >>> table = CountTable.from_arrays(rows, decision=[0, 0, 1, 0, 1, 1])
    >>> found = decompose_gap(table, attribute="sex", stratum="faculty", groups=("F", "M"), n_resamples=0)
    >>> round(found["gap"]["mix"]["value"], 4), found["gap"]["rates"]["value"]
    (-0.3333, 0.0)

    Source: Kitagawa (JASA 1955); Bickel, Hammel, O'Connell, Sex bias in graduate admissions (Science 1975).
    """
    asked = ask((table,), attribute, stratum, groups, rate)
    cells = draws(table, asked, np.random.Generator(np.random.PCG64(seed)), n_resamples)
    sizes = {group: int(cells[0, i].sum()) for i, group in enumerate(asked.groups)}
    result = _opening(asked, sizes)
    obstacle = _obstacle(asked, {group: {"window": size} for group, size in sizes.items()})
    if obstacle:
        return {**result, **obstacle}
    mix, rates = kitagawa(cells[:, 1], cells[:, 0])
    of_group, of_reference = overall(cells[:, 0]), overall(cells[:, 1])
    gap = {
        "value": _figure(of_group - of_reference),
        "mix": _figure(mix.sum(axis=-1)),
        "rates": _figure(rates.sum(axis=-1)),
    }
    sides = {group: cells[0, i] for i, group in enumerate(asked.groups)}
    strata = [
        {**_stratum(asked, k, mix[:, k], rates[:, k]), **_ends(sides, k)} for k in range(len(asked.labels))
    ]
    by_group = dict(zip(asked.groups, (float(of_group[0]), float(of_reference[0])), strict=True))
    result |= {"gap": gap, "by_group": by_group, "strata": _sorted(strata)}
    return {**result, "sentence": _gap_sentence(asked, gap, result["strata"])}


def _opening(asked: Asked, sizes: Mapping[str, Any]) -> Result:
    """What a result says in any case."""
    return {
        "attribute": asked.attribute,
        "stratum": list(asked.strata),
        "rate": asked.rate,
        "groups_compared": list(asked.groups),
        "n": dict(sizes),
        "status": "ok",
        "reason": None,
        "gap": None,
        "by_group": None,
        "strata": [],
        "sentence": None,
    }


def _obstacle(asked: Asked, sizes: Mapping[str, Mapping[str, int]]) -> Result | None:
    """Why nothing can be split; None when nothing stands against it."""
    empty = [(group, side) for group, ends in sizes.items() for side, size in ends.items() if not size]
    if not empty:
        return None
    if not asked.labelled and asked.rate != "selection_rate":
        reason = f"No row has a known truth, so the {asked.wording.name} of no group is known."
        return {"status": "no_ground_truth", "reason": reason}
    group, side = empty[0]
    when = {"before": " before", "after": " after"}.get(side, "")
    reason = (
        f"{asked.attribute}={group} has no {asked.wording.rows}{when}, so it has no {asked.wording.name}."
    )
    return {"status": "undefined", "reason": reason}


def _split(ends: Mapping[str, FloatArray], mix: FloatArray, rates: FloatArray) -> Result:
    return {
        **{side: float(values[0]) for side, values in ends.items()},
        "change": _figure(ends["after"] - ends["before"]),
        "mix": _figure(mix.sum(axis=-1)),
        "rates": _figure(rates.sum(axis=-1)),
    }


def _stratum(asked: Asked, k: int, mix: FloatArray, rates: FloatArray) -> Result:
    return {
        "stratum": dict(zip(asked.strata, asked.labels[k], strict=True)),
        "name": asked.name(k),
        "total": _figure(mix + rates),
        "mix": _figure(mix),
        "rates": _figure(rates),
    }


def _ends(sides: Mapping[str, FloatArray], k: int) -> Result:
    """Share and rate of stratum k on each side; cells of shape (n_strata, 2)."""
    sizes = {side: float(cells[k].sum()) for side, cells in sides.items()}
    return {
        "share": {side: sizes[side] / float(cells.sum()) for side, cells in sides.items()},
        "rate": {
            side: float(cells[k, 1]) / sizes[side] if sizes[side] else None for side, cells in sides.items()
        },
    }


def _sorted(strata: list[Result]) -> list[Result]:
    return sorted(strata, key=lambda one: (-abs(one["total"]["value"]), one["name"]))


def _figure(values: FloatArray) -> Result:
    """The value (first) with the percentile interval of the resampled ones, widened to contain it."""
    value = float(values[0]) + 0.0
    drawn = values[1:][np.isfinite(values[1:])]
    interval = None
    if len(drawn):
        low, high = np.quantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
        interval = {
            "lower": min(float(low), value) + 0.0,
            "upper": max(float(high), value) + 0.0,
            "level": _LEVEL,
            "method": "percentile",
        }
    return {"value": value, "confidence_interval": interval}


def _change_sentence(asked: Asked, gap: Result, strata: Sequence[Result]) -> str:
    group, reference = (f"{asked.attribute}={label}" for label in asked.groups)
    before, after = 100 * gap["before"], 100 * gap["after"]
    opening = f"The gap in {asked.wording.name} between {group} and {reference}"
    if abs(after - before) < _NO_POINTS:
        return f"{opening} stayed at {before:+.1f} percentage points" + _although(asked, gap)
    if before * after < 0:
        moved = f"{opening} turned from {before:+.1f} to {after:+.1f} percentage points."
        verb, sign = "it turned", np.sign(after - before)
    else:
        verb = "the gap grew" if abs(after) > abs(before) else "the gap shrank"
        moved = f"{opening} went from {before:+.1f} to {after:+.1f} percentage points."
        sign = np.sign(after - before)
    return (
        f"{moved} Of the {abs(after - before):.1f} points by which {verb},"
        f" {_shares(asked, gap, float(sign))}{_most(strata, float(sign), abs(gap['change']['value']))}."
    )


def _gap_sentence(asked: Asked, gap: Result, strata: Sequence[Result]) -> str:
    group, reference = (f"{asked.attribute}={label}" for label in asked.groups)
    value = gap["value"]["value"]
    if abs(100 * value) < _NO_POINTS:
        opening = f"{group} and {reference} do not differ in {asked.wording.name}"
        return opening + _although(asked, gap)
    sign = float(np.sign(value))
    return (
        f"The {asked.wording.name} of {group} is {abs(100 * value):.1f} percentage points"
        f" {'above' if value > 0 else 'below'} that of {reference}; of these"
        f" {_shares(asked, gap, sign)}{_most(strata, sign, abs(value))}."
    )


def _shares(asked: Asked, gap: Result, sign: float) -> str:
    """Both parts in points of the direction that is spoken of; one that works against it is negative."""
    rates, mix = (sign * 100 * gap[part]["value"] + 0.0 for part in ("rates", "mix"))
    return f"{rates:.1f} come from {asked.wording.rates} and {mix:.1f} from {asked.wording.mix}"


def _although(asked: Asked, gap: Result) -> str:
    """Two large parts that cancel are worth a word."""
    if abs(100 * gap["rates"]["value"]) < _NO_POINTS:
        return "."
    return f", although parts cancel: {_shares(asked, gap, 1.0)}."


def _most(strata: Sequence[Result], sign: float, size: float) -> str:
    top = sign * strata[0]["total"]["value"]
    if len(strata) < 2 or top <= size / 2:
        return ""
    return f"; most of it in {strata[0]['name']}"
