"""Outcomes that are numbers with no favourable label: how far groups are apart in their scores and in their errors."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fairlens_backend.core.columns import checked_numbers, require_length
from fairlens_backend.core.inference.significance import Correction, adjust
from fairlens_backend.core.labels import UNKNOWN, canonical_label, canonical_labels
from fairlens_backend.core.numeric_comparison import MOMENTS, moments
from fairlens_backend.core.numeric_metrics import NUMERIC_METRICS, Found, NumericGroup, judge, measure
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.severity import ALERTING, SEVERITIES, overall_severity
from fairlens_backend.errors import InvalidInput

__all__ = ["NUMERIC_METRICS", "assess_numeric"]

FloatArray = npt.NDArray[np.float64]

# STATISTICS section 1
_MIN_SHARE: Final = 0.02
_RESAMPLED_OF_ALL: Final = 20_000
_RESAMPLED_OF_MANY: Final = 200
# Every figure of numbers has its interval from resamples, and fewer have no percentiles.
_LEAST_RESAMPLES: Final = 100
_MOST_RESAMPLES: Final = 100_000


def assess_numeric(
    score: Any,
    protected: Mapping[str, Any],
    truth: Any = None,
    reference_groups: Mapping[str, str] | None = None,
    *,
    thresholds: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    correction: Correction = "bh",
    min_group_size: int = 30,
    min_sample_size: int = 100,
    seed: int = 0,
    n_resamples: int = 1_000,
) -> dict[str, Any]:
    """Compare groups in an outcome that is a number.

    Gaps are signed, group − reference, and their intervals those of the signed gap; the two distances have no sign.
    Intervals: percentile bootstrap of the gap with two groups, simultaneous (max-T) over all groups with more; of the
    distances, the observed one ± the 95 % point of how far a bootstrap strays, at least 0. Tests: Welch over all
    groups for the mean, the absolute and the squared errors; the studentised bootstrap for R²; Kolmogorov–Smirnov and
    a permutation test for the furthest group, times the number of groups compared with the reference. Groups
    smaller than `min_group_size` and "unknown" are listed, not compared.

    Parameters
    ----------
    score : shape (n_rows,), numbers; NaN for none
    protected : for each attribute its labels, shape (n_rows,)
    truth : shape (n_rows,), numbers on the scale of the scores; NaN for not known; None when nothing is known
    reference_groups : by attribute; for the others the group with the highest mean score
    thresholds : limits by metric name, on the scale of the scores; without a limit nothing breaches
    alpha, correction, min_group_size, min_sample_size : as in `Policy`

    Returns
    -------
    dict of plain Python values with sample_size (rows with a score), missing_scores, labelled_size, label_coverage,
    protected_attributes, metrics {metric: FairnessMetric of the worst attribute}, attributes {attribute: {metric:
    FairnessMetric}}, demographic_slices, demographic_slices_left_out, reference_groups, overall_severity (UNKNOWN without
    limits), alert, settings, sentences. A FairnessMetric has the keys of `assess`'s.

    Raises
    ------
    InvalidInput
        Lengths differ, a value is no number, a declared group or a metric with a limit does not exist, or a setting is
        out of its range.

    Examples
    --------
    >>> rows = assess_numeric([1.0, 2.0] * 50 + [2.0, 3.0] * 50, {"sex": ["F"] * 100 + ["M"] * 100})
    >>> rows["attributes"]["sex"]["mean_score_gap"]["signed"]
    -1.0

    Source: STATISTICS sections 1 and 3; `core.numeric_comparison` for each figure's own.
    """
    limits, declared = dict(thresholds or {}), dict(reference_groups or {})
    for place, given, known in (
        ("thresholds", limits, NUMERIC_METRICS),
        ("reference_groups", declared, protected),
    ):
        for name in given:
            if name not in known:
                raise _not_there(f"{place}.{name}", name, list(known))
    Policy({}, alpha, correction, min_group_size, min_sample_size)  # refuses what is out of its range
    _check_numbers(limits, seed, n_resamples)
    expected = "a number"
    values = checked_numbers(score, "score", expected, lambda v: ~np.isinf(v))
    truths = np.full(len(values), np.nan)
    if truth is not None:
        truths = checked_numbers(truth, "truth", expected, lambda v: ~np.isinf(v))
        require_length("truth", len(truths), len(values))
    scored = ~np.isnan(values)
    rng = np.random.Generator(np.random.PCG64(seed))
    attributes: dict[str, dict[str, Found]] = {}
    references: dict[str, Found] = {}
    slices: list[Found] = []
    for attribute, given in protected.items():
        codes, labels = canonical_labels(given)
        require_length(f"protected.{attribute}", len(codes), len(values))
        groups = _groups(codes[scored], labels, values[scored], truths[scored], n_resamples, rng)
        reference = _reference(groups, attribute, declared.get(attribute), min_group_size)
        chosen = "declared" if attribute in declared else "highest mean score"
        references[attribute] = {"group": reference, "chosen": chosen if reference else None}
        attributes[attribute] = measure(attribute, groups, reference, min_group_size, n_resamples, rng)
        slices += [_slice(attribute, group, int(scored.sum()), min_group_size) for group in groups]
    every = [one for metrics in attributes.values() for one in metrics.values()]
    adjusted = adjust([one["p_value"] for one in every], correction)
    findings = [
        finding for one, p in zip(every, adjusted, strict=True) if (finding := judge(one, p, limits, alpha))
    ]
    sample_size = int(scored.sum())
    severity = overall_severity(findings, sample_size, min_sample_size, bool(findings))
    labelled = int((scored & ~np.isnan(truths)).sum())
    return {
        "sample_size": sample_size,
        "missing_scores": len(values) - sample_size,
        "labelled_size": labelled,
        "label_coverage": labelled / sample_size if sample_size else None,
        "protected_attributes": list(protected),
        "metrics": {
            name: _worst([of[name] for of in attributes.values()]) for name in NUMERIC_METRICS if attributes
        },
        "attributes": attributes,
        "demographic_slices": slices,
        "demographic_slices_left_out": 0,
        "reference_groups": references,
        "overall_severity": severity,
        "alert": severity in ALERTING,
        "settings": {
            "thresholds": limits,
            "alpha": alpha,
            "correction": correction,
            "min_group_size": min_group_size,
            "min_sample_size": min_sample_size,
        },
        "sentences": list(dict.fromkeys(one["sentence"] or one["reason"] for one in every)),
    }


def _check_numbers(limits: Mapping[str, Any], seed: Any, n_resamples: Any) -> None:
    """Refuse limits, seeds and numbers of resamples that cannot be."""
    for name, limit in limits.items():
        number = isinstance(limit, int | float) and not isinstance(limit, bool)
        if not number or not 0 < limit < np.inf:
            raise _out_of_range(f"thresholds.{name}", limit, "a number above 0")
    for name, given, (least, most) in (
        ("seed", seed, (0, 2**63 - 1)),
        ("n_resamples", n_resamples, (_LEAST_RESAMPLES, _MOST_RESAMPLES)),
    ):
        if isinstance(given, bool) or not isinstance(given, int) or not least <= given <= most:
            raise _out_of_range(name, given, f"a whole number from {least} to {most}")


def _out_of_range(field: str, got: object, expected: str) -> InvalidInput:
    return InvalidInput(
        f"{field} is {got!r}; expected was {expected}", field=field, got=str(got), expected=expected
    )


def _groups(
    codes: npt.NDArray[np.intp],
    labels: list[str],
    score: FloatArray,
    truth: FloatArray,
    n_resamples: int,
    rng: np.random.Generator,
) -> list[NumericGroup]:
    """The groups that occur, by name."""
    by_label: dict[str, npt.NDArray[np.bool_]] = {}
    for code in np.unique(codes):
        label = labels[code] if code >= 0 else UNKNOWN
        by_label[label] = by_label.get(label, False) | (codes == code)
    groups = []
    # hundreds of groups share what a few would be given, so that the time has a bound
    most = max(_RESAMPLED_OF_MANY, _RESAMPLED_OF_ALL // max(1, len(by_label)))
    for label, here in sorted(by_label.items()):
        order = np.argsort(score[here], kind="stable")
        own, known = score[here][order], truth[here][order]
        labelled = int((~np.isnan(known)).sum())
        groups.append(NumericGroup(label, own, known, labelled, moments(own, known, n_resamples, rng, most)))
    return groups


def _reference(
    groups: list[NumericGroup], attribute: str, declared: object, min_group_size: int
) -> str | None:
    known = [group for group in groups if group.label != UNKNOWN]
    if declared is not None:
        label = canonical_label(declared)
        if label not in [group.label for group in known]:
            raise _not_there(f"reference_groups.{attribute}", declared, [group.label for group in known])
        return label
    total = sum(len(group.score) for group in groups)
    for enough in (_MIN_SHARE * total, min_group_size):
        known = [group for group in known if len(group.score) >= enough] or known
    best = min(known, key=lambda g: (-g.figures.values[0], -len(g.score), g.label), default=None)
    return best.label if best else None


def _worst(found: list[Found]) -> Found:
    """The attribute with the worst severity, of equal ones that with the greatest value."""
    return min(found, key=lambda one: (SEVERITIES.index(one["severity"]), -abs(one["value"] or 0.0)))


def _slice(attribute: str, group: NumericGroup, total: int, min_group_size: int) -> Found:
    """One group with its figures, each with the percentile interval of its bootstrap."""
    size = len(group.score)
    rates: Found = {}
    for at, name in enumerate(MOMENTS):
        value, drawn = float(group.figures.values[at]), group.figures.replicates[:, at]
        drawn = drawn[~np.isnan(drawn)]
        n = size if name == "mean_score" else group.labelled
        interval = None
        if not np.isnan(value) and len(drawn) and n > 1:
            low, high = np.quantile(drawn, [0.025, 0.975])
            interval = {
                "lower": min(float(low), value),
                "upper": max(float(high), value),
                "level": 0.95,
                "method": "percentile",
            }
        rates[name] = {"value": None if np.isnan(value) else value, "confidence_interval": interval, "n": n}
    return {
        "attributes": {attribute: group.label},
        "size": size,
        "labelled_size": group.labelled,
        "share": size / total if total else None,
        "status": "ok" if size >= min_group_size else "insufficient_data",
        "rates": rates,
    }


def _not_there(field: str, got: object, there: list[str]) -> InvalidInput:
    shown = ", ".join(there[:20]) or "none"
    return InvalidInput(
        f"{field}: there is no {got!r}; there are: {shown}",
        field=field,
        got=str(got),
        expected=f"one of: {shown}",
    )
