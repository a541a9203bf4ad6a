"""Labels not there yet: rates that need the truth, estimated from calibrated scores (STATISTICS sections 1 and 3).

Each row's score s is read as P(y = 1). The rows then have expected counts TP = Σ s and FP = Σ (1−s) over the selected,
FN = Σ s and TN = Σ (1−s) over the others, all of them functions of the count table. Nothing here is a measurement:
every figure says `is_estimate`, and `reliable` is False where labels that did arrive contradict the scores.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from fairlens_backend.core.calibration_check import CalibrationCheck, Verdict, check_calibration
from fairlens_backend.core.columns import SCORE_UNITS, SCORE_UNKNOWN, IntArray
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.inference.intervals import wilson_interval
from fairlens_backend.core.inference.significance import adjust
from fairlens_backend.core.reference_group import known_group, reference_group
from fairlens_backend.errors import InvalidInput

RATES: Final = (
    "true_positive_rate",
    "false_positive_rate",
    "positive_predictive_value",
    "false_omission_rate",
    "accuracy",
    "base_rate",
)
ASSUMPTION: Final = (
    "Within each group, and among the selected and the others alike, the scores are the shares of positives."
)


@dataclass(frozen=True)
class _Cells:
    """Counts of one group by decision and truth, whole or expected."""

    tp: float
    fp: float
    fn: float
    tn: float

    def of(self, rate: str) -> tuple[float, float]:
        """Rows that have the property, and rows, of a rate."""
        tp, fp, fn, tn = self.tp, self.fp, self.fn, self.tn
        return {
            "true_positive_rate": (tp, tp + fn),
            "false_positive_rate": (fp, fp + tn),
            "positive_predictive_value": (tp, tp + fp),
            "false_omission_rate": (fn, fn + tn),
            "accuracy": (tp + tn, tp + fp + fn + tn),
            "base_rate": (tp + fn, tp + fp + fn + tn),
        }[rate]


def expected_cells(n: IntArray, score_units: IntArray) -> _Cells:
    """Expected TP, FP, FN, TN of the scored rows of one group; both arrays of shape (2, 3, 11)."""
    size = n[:, :, :SCORE_UNKNOWN].sum(axis=(1, 2))
    # Units are summed as whole numbers, so the estimate is that of the rows to the last bit of a score.
    positive = [int(units) / SCORE_UNITS for units in score_units[:, :, :SCORE_UNKNOWN].sum(axis=(1, 2))]
    return _Cells(positive[1], float(size[1]) - positive[1], positive[0], float(size[0]) - positive[0])


def estimate_rates(
    table: CountTable, attribute: str, *, min_group_size: int = 30, alpha: float = 0.05
) -> dict[str, dict[str, dict[str, Any]]]:
    """TPR, FPR, PPV, false omission rate, accuracy and base rate of each group from its scores alone.

    The interval is Wilson's on the expected counts. Its width is exactly the sum of two variances: that of drawing
    these rows, Σ s²(ŷ−TPR)², and that of their labels given the scores (Poisson-binomial), Σ s(1−s)(ŷ−TPR)²; together
    TPR(1−TPR) times the expected positives, as s² + s(1−s) = s. So it is never narrower than the interval of
    the labels of the same rows would be, and covers both the rate of the population and the rate that these rows will
    turn out to have, each in more than 95 % of cases. It does not cover a wrong calibration.

    Parameters
    ----------
    table : counts of a window; groups of `attribute`
    min_group_size : scored rows that a group needs
    alpha : level of the calibration check, Holm-adjusted over the groups

    Returns
    -------
    {group: {rate: figure}}, each figure with `value`, `n` (expected rows of the denominator), `interval`
    {lower, upper, level, method} or None, `is_estimate` True, `reliable` (None where no label could check it),
    `status` ("ok", "no_scores", "insufficient_data", "undefined"), `reason`, and `labelled`, the same rate from the
    labelled rows ({value, n, interval}) or None.

    Examples
    --------
    >>> table = CountTable.from_arrays({"sex": ["F"] * 40}, decision=[1] * 20 + [0] * 20, score=[0.9] * 20 + [0.3] * 20)
    >>> rates = estimate_rates(table, "sex")["F"]
    >>> round(rates["true_positive_rate"]["value"], 6), round(rates["true_positive_rate"]["n"], 6)
    (0.75, 24.0)

    Source: confidence-based performance estimation (CBPE): NannyML documentation; Kivimäki, Białek, Kuberski and
    Nurminen, Performance estimation in binary classification using calibrated confidence (2025). Unlike NannyML this
    recalibrates nothing: calibration is checked in each group, and a contradiction is said.
    """
    estimate = estimate_without_labels(table, attribute, min_group_size=min_group_size, alpha=alpha)
    return {group: found["rates"] for group, found in estimate["groups"].items()}


def estimate_without_labels(
    table: CountTable,
    attribute: str,
    *,
    reference: object = None,
    min_group_size: int = 30,
    alpha: float = 0.05,
) -> dict[str, Any]:
    """All estimates of one attribute, with gaps to the reference group, label coverage and the calibration check.

    Parameters
    ----------
    reference : label of the reference group; None for the one with the highest selection rate (STATISTICS section 1)
    table, attribute, min_group_size, alpha : as in `estimate_rates`

    Returns
    -------
    dict with `attribute`, `reference_group`, `is_estimate`, `assumption`, `label_coverage`, `score_coverage`,
    `groups` {group: {n, scored_size, labelled_size, label_coverage, calibration, rates}} and
    `gaps` {rate: {group: {value, interval, is_estimate, reliable, status, reason, labelled}}}, where a gap is the
    group's rate − the reference group's, with Newcombe's interval.
    """
    one = table.marginal([attribute])
    if one.negative:
        raise InvalidInput("a table with negative counts is a change, no window", field="table")
    chosen = reference_group(one, min_group_size=min_group_size)
    against = known_group(one, reference, f"reference_groups.{attribute}") if reference is not None else None
    base = against or (chosen.group if chosen else None)
    labels = [label for (label,) in one.groups]
    checks = [check_calibration(n, units) for n, units in zip(one.n, one.score_units, strict=True)]
    adjusted = adjust([check.p_value for check in checks], "holm")
    groups = {
        label: _group(one.n[i], one.score_units[i], checks[i], adjusted[i], min_group_size, alpha)
        for i, label in enumerate(labels)
    }
    scored = int(one.n[..., :SCORE_UNKNOWN].sum())
    return {
        "attribute": attribute,
        "reference_group": base,
        "is_estimate": True,
        "assumption": ASSUMPTION,
        "label_coverage": one.labelled / one.total if one.total else None,
        "score_coverage": scored / one.total if one.total else None,
        "groups": groups,
        "gaps": {
            rate: {
                label: _gap(groups[label]["rates"][rate], groups[base]["rates"][rate], label, base)
                for label in labels
                if label != base
            }
            for rate in RATES
        }
        if base is not None
        else {},
    }


def _group(
    n: IntArray,
    units: IntArray,
    check: CalibrationCheck,
    p_adjusted: float | None,
    min_group_size: int,
    alpha: float,
) -> dict[str, Any]:
    size, scored = int(n.sum()), int(n[..., :SCORE_UNKNOWN].sum())
    known = n.sum(axis=2)
    labelled = int(known[:, :2].sum())
    verdict: Verdict = "not_checked"
    if p_adjusted is not None:
        verdict = "contradicted" if p_adjusted <= alpha else "consistent"
    status, reason = "ok", None
    if scored == 0:
        status, reason = "no_scores", f"none of {size} rows has a score"
    elif scored < min_group_size:
        status, reason = "insufficient_data", f"{scored} rows with a score, {min_group_size} needed"
    estimated = expected_cells(n, units)
    measured = _Cells(*(float(known[cell]) for cell in ((1, 1), (1, 0), (0, 1), (0, 0))))
    rates: dict[str, Any] = {}
    for rate in RATES:
        figure = _figure(estimated, rate) if status == "ok" else _EMPTY
        rates[rate] = {
            **figure,
            "is_estimate": True,
            "reliable": None if verdict == "not_checked" else verdict == "consistent",
            "status": status if status != "ok" or figure["value"] is not None else "undefined",
            "reason": reason or _doubt(figure, check, verdict, p_adjusted),
            "labelled": _figure(measured, rate) if labelled >= min_group_size else None,
        }
    return {
        "n": size,
        "scored_size": scored,
        "labelled_size": labelled,
        "label_coverage": labelled / size if size else None,
        "calibration": check.to_dict(verdict, p_adjusted),
        "rates": rates,
    }


_EMPTY: Final[Mapping[str, Any]] = {"value": None, "n": None, "interval": None}


def _figure(cells: _Cells, rate: str) -> Mapping[str, Any]:
    having, rows = cells.of(rate)
    if rows <= 0:
        return {**_EMPTY, "n": 0.0}
    having = min(max(having, 0.0), rows)
    # Expected counts are not whole; Wilson's formula does not ask for it.
    limits = wilson_interval(cast(int, having), cast(int, rows))
    interval = None if limits is None else _interval(*limits, "wilson")
    return {"value": having / rows, "n": rows, "interval": interval}


def _interval(lower: float, upper: float, method: str) -> dict[str, Any]:
    return {"lower": float(lower), "upper": float(upper), "level": 0.95, "method": method}


def _doubt(
    figure: Mapping[str, Any], check: CalibrationCheck, verdict: Verdict, p_adjusted: float | None
) -> str | None:
    """Why a figure has no value, or must not be relied on."""
    if figure["value"] is None:
        return "no row is expected in the denominator"
    if verdict != "contradicted":
        return None
    p_not_selected, p_selected = (2.0 if p is None else p for p in check.p_values)
    worst = 1 if p_selected <= p_not_selected else 0
    who = "selected" if worst else "not selected"
    return (
        f"labels contradict the scores: of {check.labelled[worst]} labelled rows that were {who}, "
        f"{check.expected[worst]:.1f} were expected to be positive and {check.observed[worst]} were "
        f"(p = {p_adjusted:.2g})"
    )


def _gap(here: Mapping[str, Any], there: Mapping[str, Any], label: str, base: str) -> dict[str, Any]:
    """The group's figure against the reference group's."""
    at_fault = next(((f, name) for f, name in ((here, label), (there, base)) if f["status"] != "ok"), None)
    doubts = [f"{name}: {f['reason']}" for f, name in ((here, label), (there, base)) if f["reason"]]
    sure = (here["reliable"], there["reliable"])
    both = here["labelled"] is not None and there["labelled"] is not None
    return {
        **(_EMPTY_GAP if at_fault else _difference(here, there)),
        "is_estimate": True,
        "reliable": False if False in sure else (None if None in sure else True),
        "status": at_fault[0]["status"] if at_fault else "ok",
        "reason": "; ".join(doubts) or None,
        "labelled": _difference(here["labelled"], there["labelled"]) if both else None,
    }


_EMPTY_GAP: Final[Mapping[str, Any]] = {"value": None, "interval": None}


def _difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> Mapping[str, Any]:
    """Newcombe's interval (Statistics in Medicine 1998, method 10), from the Wilson limits of both."""
    if a["value"] is None or b["value"] is None:
        return _EMPTY_GAP
    p, q, i, j = a["value"], b["value"], a["interval"], b["interval"]
    lower = p - q - math.hypot(p - i["lower"], j["upper"] - q)
    upper = p - q + math.hypot(i["upper"] - p, q - j["lower"])
    return {"value": p - q, "interval": _interval(lower, upper, "newcombe")}
