"""The catalogue of metrics: formula, direction, range, needs, source, and what a value means in words."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from fairlens_backend.core.metrics import METRICS_BY_NAME
from fairlens_backend.core.severity import is_breached
from fairlens_backend.errors import InvalidInput, NotFound

__all__ = ["CATALOGUE", "Entry", "describe", "entry", "list_metrics"]

Direction = Literal["below", "above", "outside"]


@dataclass(frozen=True)
class Entry:
    """One metric for a reader.

    Parameters
    ----------
    formula : in the symbols of STATISTICS section 2: SR, TPR, FPR, FNR, PPV of a group g and the reference group r
    low, high : the range of the value; infinity where there is no end
    parity : the value that says "no difference"
    breached_when : on which side of the limit it breaches
    threshold : the default limit; None where the metric is only reported
    meaning : a sentence about a value: {value} as it is, {points} in percentage points without its sign, {rest} one
        minus the value, {more} "more" or "less" by its sign
    """

    name: str
    number: int
    formula: str
    low: float
    high: float
    parity: float
    breached_when: Direction
    threshold: float | None
    needs: tuple[str, ...]
    definition: str
    source: str
    meaning: str


_ABOVE: Final = "above"
_POINTS: Final = (0.0, 1.0, 0.0)
_RATIO: Final = (0.0, math.inf, 1.0)
_HARDT: Final = "Hardt, Price and Srebro, Equality of opportunity in supervised learning (NeurIPS 2016)"

CATALOGUE: Final[Mapping[str, Entry]] = {
    one.name: one
    for one in (
        Entry(
            "demographic_parity_difference", 1, "max_g SR − min_g SR", *_POINTS, _ABOVE, 0.10, ("decision",),
            "The highest selection rate of any group minus the lowest.",
            "Calders and Verwer (DMKD 2010); Agarwal et al., fairlearn",
            "The groups selected most and least often are {points} percentage points apart",
        ),
        Entry(
            "equalized_odds_difference", 2, "max(max_g TPR − min_g TPR, max_g FPR − min_g FPR)", *_POINTS, _ABOVE,
            0.08, ("decision", "truth"),
            "The larger of the gap between groups in true positive rate and the gap in false positive rate.", _HARDT,
            "Among people with the same true outcome, the groups selected most and least often are {points} percentage points apart",
        ),
        Entry(
            "equal_opportunity_difference", 3, "|TPR_g − TPR_r|, g furthest from r", *_POINTS, _ABOVE, 0.05,
            ("decision", "truth"), "The gap in true positive rate between the group furthest away and the reference group.",
            _HARDT,
            "Among people whose true outcome is favourable, a group's selection rate is {points} percentage points from the reference group's",
        ),
        Entry(
            "disparate_impact_ratio", 4, "min over g ≠ r of SR_g / SR_r", *_RATIO, "below", 0.80, ("decision",),
            "The lowest selection rate of any other group divided by the selection rate of the reference group.",
            "EEOC Uniform Guidelines, 29 CFR 1607.4(D), the four-fifths rule",
            "The group that is worst off is selected {value} times as often as the reference group",
        ),
        Entry(
            "average_odds_difference", 5, "½(|FPR_g − FPR_r| + |TPR_g − TPR_r|), the same g for both", *_POINTS,
            _ABOVE, 0.07, ("decision", "truth"),
            "The mean of the gaps in false and in true positive rate to the reference group; opposite gaps do not cancel.",
            "Bellamy et al., AI Fairness 360 (2018)",
            "Among people with the same true outcome, a group's selection rate is on average {points} percentage points from the reference group's",
        ),
        Entry(
            "statistical_parity_subgroup_lift", 6, "max_g SR / min_g SR", 1.0, math.inf, 1.0, _ABOVE, 1.25,
            ("decision",), "The highest selection rate of any group divided by the lowest.",
            "The four-fifths rule of 29 CFR 1607.4(D), turned over (1 / 0.80)",
            "The group selected most often is selected {value} times as often as the one selected least often",
        ),
        Entry(
            "predictive_parity_difference", 7, "|PPV_g − PPV_r|, g furthest from r", *_POINTS, _ABOVE, 0.08,
            ("decision", "truth"), "The gap in precision between the group furthest away and the reference group.",
            "Chouldechova, Fair prediction with disparate impact (Big Data 2017)",
            "Among selected people, the share whose true outcome is favourable is {points} percentage points from the reference group's",
        ),
        Entry(
            "calibration_gap", 8, "mean over score bins of |P(y=1|bin,g) − P(y=1|bin,r)|, weighted by the smaller n",
            *_POINTS, _ABOVE, 0.05, ("score", "truth"),
            "How far apart, at equal scores, the outcomes of a group and of the reference group are.",
            "Pleiss et al., On fairness and calibration (NeurIPS 2017)",
            "At equal scores the share of favourable true outcomes is on average {points} percentage points from the reference group's",
        ),
        Entry(
            "individual_fairness_score", 9, "1 − mean over pairs of min(1, |s − s′| / dist(x, x′)), Gower distance",
            0.0, 1.0, 1.0, "below", 0.85, ("features", "score"),
            "How far the scores of two people differ for how far the people do, over sampled pairs.",
            "Dwork et al., Fairness through awareness (ITCS 2012)",
            "Two people's scores differ on average by {rest} times as much as the people do",
        ),
        Entry(
            "counterfactual_fairness", 10, "|P(ŷ=1 | do(A=r)) − P(ŷ=1 | do(A=g))|", *_POINTS, _ABOVE, 0.06,
            ("features", "decision"),
            "How much the share of favourable decisions changes when only the protected attribute is set to another group.",
            "Kusner et al., Counterfactual fairness (NeurIPS 2017); Robins et al. (JASA 1994) for the adjusted form",
            "Setting everyone's group to another changes the share of favourable decisions by {points} percentage points",
        ),
        Entry(
            "intersectional_bias_score", 11, "max SR − min SR over the crossings of two attributes", *_POINTS, _ABOVE,
            0.12, ("decision",),
            "The highest selection rate of any crossing of two attributes minus the lowest.",
            "Buolamwini and Gebru, Gender shades (FAT* 2018); Foulds et al. (ICDE 2020)",
            "The crossings of two attributes selected most and least often are {points} percentage points apart",
        ),
        Entry(
            "temporal_drift_index", 12, "max(C⁺, C⁻), C± = max(0, C± ± z − ½) over the history of metric 1", 0.0,
            math.inf, 0.0, _ABOVE, 5.0, ("history",),
            "How far the demographic parity difference has moved from its baseline, summed over the checks.",
            "Page, Continuous inspection schemes (Biometrika 1954); Montgomery, Statistical quality control, ch. 9",
            "Since the baseline the demographic parity difference has moved by {value} standard deviations in sum, beyond the slack",
        ),
        Entry(
            "statistical_parity_difference", 13, "SR_g − SR_r, g furthest from r", -1.0, 1.0, 0.0, "outside", 0.10,
            ("decision",), "The selection rate of the group furthest away minus that of the reference group.",
            "Calders and Verwer (DMKD 2010); Bellamy et al., AI Fairness 360 (2018)",
            "A group is selected {points} percentage points {more} often than the reference group",
        ),
        Entry(
            "theil_index", 14, "mean of (b/µ)·ln(b/µ), b = ŷ − y + 1, µ = mean b", *_RATIO[:2], 0.0, _ABOVE, 0.20,
            ("decision", "truth"), "How unevenly the benefit of the decisions is spread over all people.",
            "Speicher et al. (KDD 2018), generalized entropy GE(1)",
            "The inequality of the benefit of the decisions over all people is {value}; 0 is an even spread",
        ),
        Entry(
            "false_positive_rate_difference", 15, "FPR_g − FPR_r, g furthest from r", -1.0, 1.0, 0.0, "outside", 0.08,
            ("decision", "truth"), "The false positive rate of the group furthest away minus that of the reference group.",
            "Chouldechova, Fair prediction with disparate impact (Big Data 2017)",
            "Among people whose true outcome is not favourable, a group is selected {points} percentage points {more} often than the reference group",
        ),
        Entry(
            "false_negative_rate_difference", 15, "FNR_g − FNR_r, g furthest from r", -1.0, 1.0, 0.0, "outside", 0.08,
            ("decision", "truth"), "The false negative rate of the group furthest away minus that of the reference group.",
            "Chouldechova, Fair prediction with disparate impact (Big Data 2017)",
            "Among people whose true outcome is favourable, a group is refused {points} percentage points {more} often than the reference group",
        ),
        Entry(
            "impact_ratio", 16, "SR_g / max_g SR, for scores the share above the overall median", 0.0, 1.0, 1.0,
            "below", None, ("decision",),
            "Each group's selection rate divided by that of the group selected most often.",
            "New York City Local Law 144 of 2021, 6 RCNY § 5-300",
            "The group is selected {value} times as often as the group selected most often",
        ),
        Entry(
            "consistency", 17, "1 − mean |ŷ_i − mean ŷ of the 5 nearest neighbours|", 0.0, 1.0, 1.0, "below", 0.85,
            ("features", "decision"), "How often a person gets the decision that the five most similar people get.",
            "Zemel et al., Learning fair representations (ICML 2013)",
            "A person's decision differs on average by {rest} from those of the five most similar people",
        ),
    )
}  # fmt: skip
"""Metrics 1 to 17 in the order of STATISTICS section 2."""


def entry(name: str) -> Entry:
    """The metric of this name or short name, with the definition and the limit that the engine itself uses.

    Raises
    ------
    NotFound : there is no such metric; the message lists those there are

    Examples
    --------
    >>> entry("dir").formula
    'min over g ≠ r of SR_g / SR_r'
    """
    short = {metric.short_name: metric.name for metric in METRICS_BY_NAME.values()}
    found = CATALOGUE.get(name) or CATALOGUE.get(short.get(name, ""))
    if found is None:
        raise NotFound(f"There is no metric {name[:80]!r}; there are {', '.join(CATALOGUE)}.", name=name[:80])
    return found


def list_metrics() -> list[dict[str, Any]]:
    """Every metric as `describe` gives it."""
    return [describe(name) for name in CATALOGUE]


def describe(name: str, value: float | None = None) -> dict[str, Any]:
    """One metric as plain values, and what `value` would mean.

    Returns
    -------
    dict with name, short_name (None where it has none), number, formula, definition, range [low, high] (None for no
    end), parity, direction, default_threshold, needs, source; with a value also value, breached and meaning

    Raises
    ------
    NotFound : there is no such metric
    InvalidInput : the value is outside the metric's range

    Examples
    --------
    >>> describe("disparate_impact_ratio", 0.72)["meaning"]
    'The group that is worst off is selected 0.72 times as often as the reference group. The limit is 0.8: it is breached.'
    """
    one = entry(name)
    metric = METRICS_BY_NAME.get(one.name)
    threshold = metric.threshold if metric and one.threshold is not None else one.threshold
    described: dict[str, Any] = {
        "name": one.name,
        "short_name": metric.short_name if metric else None,
        "number": one.number,
        "definition": metric.definition if metric else one.definition,
        "formula": one.formula,
        "range": [end if math.isfinite(end) else None for end in (one.low, one.high)],
        "parity": one.parity,
        "direction": _direction(one),
        "default_threshold": threshold,
        "needs": sorted(metric.needs) if metric else list(one.needs),
        "source": one.source,
    }
    if value is None:
        return described
    if not math.isfinite(value) or not one.low <= value <= one.high:
        expected = f"{one.low:g} to {one.high:g}" if math.isfinite(one.high) else f"{one.low:g} or more"
        raise InvalidInput(
            f"value is {value:g}; {one.name} is {expected}",
            field="value",
            got=f"{value:g}",
            expected=expected,
        )
    breached = None if threshold is None else is_breached(value, threshold, one.breached_when)
    text = one.meaning.format(
        value=f"{value:g}",
        points=f"{abs(value) * 100:.4g}",
        rest=f"{1 - value:.4g}",
        more="more" if value > 0 else "less",
    )
    if breached is None:
        verdict = "The metric is reported and has no limit."
    else:
        sign = "±" if one.breached_when == "outside" else ""
        verdict = f"The limit is {sign}{threshold:g}: it is {'breached' if breached else 'kept'}."
    return {**described, "value": value, "breached": breached, "meaning": f"{text}. {verdict}"}


def _direction(one: Entry) -> str:
    if one.threshold is None:
        return f"closer to {one.parity:g} is more equal"
    breach = {
        "below": "below the limit",
        "above": "above the limit",
        "outside": "beyond the limit on either side",
    }
    return f"closer to {one.parity:g} is more equal; breached {breach[one.breached_when]}"
