"""From a count table to its fairness: metrics for every attribute, slices, tests, severity, sentences."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from fairlens_backend.core.counts import CountTable, IntArray
from fairlens_backend.core.findings import write_sentences
from fairlens_backend.core.inference.significance import adjust, p_value
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.core.measured import Measured
from fairlens_backend.core.metrics import METRICS, Metric
from fairlens_backend.core.policy import DEFAULT_POLICY, Policy
from fairlens_backend.core.reference_group import ReferenceGroup, reference_group
from fairlens_backend.core.severity import (
    ALERTING,
    Finding,
    Severity,
    metric_severity,
    overall_severity,
)
from fairlens_backend.core.slices import demographic_slices
from fairlens_backend.errors import InvalidInput

__all__ = ["DEFAULT_POLICY", "Policy", "assess"]

_NO_TEST: Final = "No test of significance was run: for this metric it needs resampling."
# Of an attribute with hundreds of groups a result names the largest.
_SIZES_LISTED: Final = 50


def assess(
    table: CountTable,
    protected: Sequence[str] | None = None,
    reference_groups: Mapping[str, str] | None = None,
    policy: Policy = DEFAULT_POLICY,
) -> dict[str, Any]:
    """Measure the fairness of a window of decisions.

    A group smaller than `policy.min_group_size`, counted in the rows that a metric uses, takes part in no headline
    value, nor does "unknown", which is no group of people one could compare; both are listed in the slices.

    Parameters
    ----------
    table : the counts of the window; none may be negative
    protected : the attributes to assess; all of the table when None
    reference_groups : declared reference groups by attribute; for the others the group with the highest
        selection rate is taken, and the result says so
    policy : thresholds, alpha, correction, smallest sizes

    Returns
    -------
    dict of plain Python values, no NaN or infinity: sample_size, labelled_size, label_coverage (None without rows),
    protected_attributes, metrics {name: FairnessMetric of the worst attribute}, attributes {attribute: {name:
    FairnessMetric}}, demographic_slices, demographic_slices_left_out, overall_severity, alert, reference_groups,
    settings, sentences.

    A FairnessMetric has name, short_name, attribute, value, signed (None where the metric has no sign), threshold,
    breached, severity, groups_compared [worst, reference], sample_sizes, p_value, p_adjusted, significant, status
    (`ok`, `undefined`, `insufficient_data`, `no_ground_truth`), reason, definition, parts. With a status other than
    `ok` its value, breached and significant are None and its severity is UNKNOWN: no data is never fair.

    Raises
    ------
    InvalidInput
        An attribute is not in the table, a reference group does not occur, or the table has negative counts.

    Examples
    --------
    >>> sex = ["F"] * 100 + ["M"] * 100
    >>> result = assess(CountTable.from_arrays({"sex": sex}, decision=[0] * 80 + [1] * 20 + [0] * 60 + [1] * 40))
    >>> result["metrics"]["disparate_impact_ratio"]["value"], result["overall_severity"]
    (0.5, 'CRITICAL')
    >>> result["sentences"][0]
    'sex=F is selected 0.50 times as often as sex=M (20.0 % against 40.0 %); the limit is 0.80.'

    Source: STATISTICS sections 1 to 4.
    """
    names = tuple(table.attributes if protected is None else protected)
    declared = dict(reference_groups or {})
    _check(table, names, declared)
    tables = {name: table.marginal([name]) for name in names}
    references = {
        name: reference_group(tables[name], declared.get(name), policy.min_group_size) for name in names
    }
    measured = [
        _measure(metric, name, tables[name], references[name], policy) for name in names for metric in METRICS
    ]
    adjusted = adjust([one.p_value for one in measured], policy.correction)
    judged = [_judge(one, p, policy) for one, p in zip(measured, adjusted, strict=True)]
    attributes = {
        name: {one.metric.name: one.to_dict() for one in judged if one.attribute == name} for name in names
    }
    severity = _overall(judged, table.total, policy)
    chosen = {
        name: {"group": reference.group, "chosen": reference.chosen}
        if reference
        else {"group": None, "chosen": None}
        for name, reference in references.items()
    }
    slices, left_out = demographic_slices(table, names, policy.min_group_size)
    return {
        "sample_size": table.total,
        "labelled_size": table.labelled,
        "label_coverage": table.labelled / table.total if table.total else None,
        "protected_attributes": list(names),
        "metrics": {
            metric.name: min((one for one in judged if one.metric is metric), key=Measured.rank).to_dict()
            for metric in METRICS
        },
        "attributes": attributes,
        "demographic_slices": slices,
        "demographic_slices_left_out": left_out,
        "overall_severity": severity,
        "alert": severity in ALERTING,
        "reference_groups": chosen,
        "settings": policy.to_dict(),
        "sentences": write_sentences(tables, attributes, chosen, table.total, policy.to_dict()),
    }


def _check(table: CountTable, names: Sequence[str], declared: Mapping[str, str]) -> None:
    if not names:
        raise InvalidInput(
            "no protected attribute is named; at least one is needed",
            field="protected",
            got=[],
            expected="at least one attribute",
        )
    absent = [name for name in declared if name not in names]
    if absent:
        raise InvalidInput(
            f"a reference group is declared for {', '.join(absent)}; the attributes are {', '.join(names)}",
            field=f"reference_groups.{absent[0]}",
            got=absent,
            expected=f"some of {list(names)}",
        )
    if table.negative:
        raise InvalidInput(
            "the table has negative counts: it is a difference of tables, not a window of rows",
            field="counts",
            got="negative counts",
            expected="counts of at least 0",
        )


def _measure(
    metric: Metric, attribute: str, table: CountTable, reference: ReferenceGroup | None, policy: Policy
) -> Measured:
    n = table.decided
    used = n[:, :, :2] if "truth" in metric.needs else n
    sizes = {
        group: int(size)
        for (group,), size in zip(table.groups, used.sum(axis=(1, 2)), strict=True)
        if group != UNKNOWN
    }
    one = Measured(metric, attribute, policy.threshold(metric.name), "ok", _largest(sizes, sizes))
    obstacle = _obstacle(metric, table, sizes, reference, policy.min_group_size)
    if obstacle:
        return replace(one, status=obstacle[0], reason=obstacle[1])
    large = [i for i, (group,) in enumerate(table.groups) if sizes.get(group, -1) >= policy.min_group_size]
    labels = [table.groups[i][0] for i in large]
    compared_with = labels.index(reference.group) if reference and reference.group in labels else -1
    counts: IntArray = n[large]
    value, signed, worst = metric.compute(counts, compared_with)
    if math.isnan(value):
        name = f"{attribute}={reference.group}" if reference else attribute
        return replace(one, status="undefined", reason=metric.undefined_because.format(reference=name))
    compared = (labels[int(worst)], labels[compared_with]) if worst >= 0 else ()
    p = p_value(counts, metric.null)
    return replace(
        one,
        value=_plain(value),
        signed=_plain(signed),
        compared=compared,
        sizes=_largest(sizes, compared or labels),
        parts={name: _plain(part(counts)) for name, part in metric.parts.items()},
        p_value=p,
        reason=_NO_TEST if p is None else None,
    )


def _largest(sizes: Mapping[str, int], groups: Iterable[str]) -> dict[str, int]:
    """The sizes of the groups, of hundreds of them those of the largest."""
    return {group: sizes[group] for group in sorted(groups, key=lambda group: -sizes[group])[:_SIZES_LISTED]}


def _obstacle(
    metric: Metric,
    table: CountTable,
    sizes: Mapping[str, int],
    reference: ReferenceGroup | None,
    min_group_size: int,
) -> tuple[str, str] | None:
    """Why a metric is not computed, as (status, reason); None when nothing stands against it."""
    (attribute,) = table.attributes
    if table.total == 0:
        return "insufficient_data", "There are no rows."
    rows = "rows"
    if "truth" in metric.needs:
        rows = "rows with a known truth"
        if table.labelled == 0:
            return "no_ground_truth", "No row has a known truth, so error rates cannot be compared."
    large = [group for group, size in sizes.items() if size >= min_group_size]
    if metric.null is None and large:
        return None
    if len(sizes) < 2:
        found = f"only the group {next(iter(sizes))}" if sizes else "no known group"
        return "insufficient_data", f"{attribute} has {found}: there is nothing to compare."
    if len(large) < 2:
        return (
            "insufficient_data",
            f"Fewer than two groups of {attribute} have {min_group_size} {rows}: there is nothing to compare.",
        )
    if reference is None or reference.group not in large:
        name = reference.group if reference else "none"
        return (
            "insufficient_data",
            f"The reference group {name} of {attribute} has {sizes.get(name, 0)} {rows}, {min_group_size} needed.",
        )
    return None


def _judge(one: Measured, p_adjusted: float | None, policy: Policy) -> Measured:
    """Add what the many tests together say of one, and its severity."""
    significant = None if p_adjusted is None else p_adjusted <= policy.alpha
    one = replace(one, p_adjusted=p_adjusted, significant=significant)
    finding = one.finding(decides=True)
    return replace(one, severity=metric_severity(finding)) if finding else one


def _overall(judged: Sequence[Measured], sample_size: int, policy: Policy) -> Severity:
    comparable = any(one.compared for one in judged)
    return overall_severity(_findings(judged), sample_size, policy.min_sample_size, comparable)


def _findings(judged: Sequence[Measured]) -> Iterator[Finding]:
    no_ratio = {
        one.attribute
        for one in judged
        if one.metric.name == "disparate_impact_ratio" and one.status == "undefined"
    }
    for one in judged:
        # Where nobody of the reference group is selected the ratio has no value, and the difference decides in its
        # stead: a gap of 40 points must not pass because it cannot be divided.
        stands_in = one.metric.name == "statistical_parity_difference" and one.attribute in no_ratio
        finding = one.finding(decides=one.metric.decides or stands_in)
        if finding:
            yield finding


def _plain(value: Any) -> float | None:
    """A Python float; None for NaN. Adding 0.0 makes -0.0 plain zero."""
    return None if math.isnan(value) else float(value) + 0.0
