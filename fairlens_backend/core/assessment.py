"""From a count table to its fairness: metrics for every attribute and crossing, slices, tests, severity, sentences."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairlens_backend.core.audit_view import CROSS, AuditView
from fairlens_backend.core.audit_views import audit_views
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.findings import write_sentences
from fairlens_backend.core.impact_ratio import impact_ratio_tables
from fairlens_backend.core.judgement import judge, overall
from fairlens_backend.core.measured import ALL_ROWS, Measured, require_row_metric
from fairlens_backend.core.metrics import METRICS, METRICS_BY_NAME, ROW_METRICS, Metric
from fairlens_backend.core.policy import DEFAULT_POLICY, Policy
from fairlens_backend.core.reference_group import ReferenceGroup
from fairlens_backend.core.row_sample import RowMeasured
from fairlens_backend.core.severity import ALERTING
from fairlens_backend.core.slices import demographic_slices
from fairlens_backend.errors import InvalidInput

__all__ = ["ALL_ROWS", "CROSS", "DEFAULT_POLICY", "Policy", "assess", "measure", "measure_all"]

N_RESAMPLES: Final = 1_000
MAX_RESAMPLES: Final = 100_000

History = Mapping[str, Sequence[float | None]]


def assess(
    table: CountTable,
    protected: Sequence[str] | None = None,
    reference_groups: Mapping[str, str] | None = None,
    policy: Policy = DEFAULT_POLICY,
    *,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
    extra: Sequence[RowMeasured] = (),
    all_pairs: bool = False,
    history: History | None = None,
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
    seed : of the resampling; the same table and seed give the same result
    n_resamples : resampled tables for the intervals; 0 for none, and the metrics then say why they have no interval
    extra : metrics that were measured on rows (`core.row_metrics`), judged together with those of the counts
    all_pairs : whether every metric of every two groups is listed too, as `pairs`
    history : for an attribute the values of demographic_parity_difference of earlier audits, oldest first, for the
        temporal drift index; the first 20 are its baseline

    Returns
    -------
    dict of plain Python values, no NaN or infinity: sample_size, labelled_size, label_coverage (None without rows),
    protected_attributes, metrics {name: FairnessMetric of the worst attribute}, attributes {attribute: {name:
    FairnessMetric}}, demographic_slices, demographic_slices_left_out, impact_ratio_tables, overall_severity, alert,
    reference_groups, worst_groups {attribute: {group, pair}} (the least selected group, and the two that are furthest
    apart, None where nothing is compared), settings, resampling {seed, n_resamples}, sentences; with `all_pairs` also
    pairs {attribute: {metric name: [{groups, value}]}}.

    `attributes` has beside the protected ones each crossing of two ("sex × race", with the intersectional bias score
    alone), and "all rows" where a metric of rows compares people.

    A FairnessMetric has name, short_name, attribute (None where there was nothing to measure), value, signed (None
    where the metric has no sign), threshold, breached, confirmed (the whole interval is beyond the threshold),
    confidence_interval {lower, upper, level, method}, severity, groups_compared [worst, other], sample_sizes, test,
    p_value, p_adjusted, significant, status (`ok`, `undefined`, `insufficient_data`, `no_ground_truth`, `no_scores`,
    `no_baseline`), reason, definition, sentence, parts. With a status other than `ok` its value, interval, breached and
    significant are None and its severity is UNKNOWN: no data is never fair.

    Raises
    ------
    InvalidInput
        An attribute is not in the table, a reference group does not occur, the table has negative counts, or an
        argument is out of its range.

    Examples
    --------
    >>> sex = ["F"] * 100 + ["M"] * 100
    >>> result = assess(CountTable.from_arrays({"sex": sex}, decision=[0] * 80 + [1] * 20 + [0] * 60 + [1] * 40))
    >>> result["metrics"]["disparate_impact_ratio"]["value"], result["overall_severity"]
    (0.5, 'CRITICAL')
    >>> assess(CountTable.from_arrays({"sex": sex}, [0, 1] * 100), n_resamples=0)["sentences"][0]
    'sex=M is selected 1.00 times as often as sex=F (50.0 % against 50.0 %); the limit is 0.80.'

    Source: STATISTICS sections 1 to 4.
    """
    names = tuple(table.attributes if protected is None else protected)
    declared = dict(reference_groups or {})
    _check(table, names, declared)
    _check_resampling(seed, n_resamples)
    for row in extra:
        require_row_metric(row)
    table = table.marginal(names)
    views = audit_views(table, names, declared, policy, seed, n_resamples, dict(history or {}))
    measured = _measured(views, names)
    measured += [Measured.of_rows(row, policy.threshold(row.metric_name)) for row in extra]
    judged = judge(measured, policy)
    tables = {name: views[name].table for name in names}
    chosen = {name: _chosen(views[name].reference) for name in names}
    severity = overall(judged, table.total, policy)
    slices, left_out = demographic_slices(table, names, policy.min_group_size)
    result = {
        "sample_size": table.total,
        "labelled_size": table.labelled,
        "label_coverage": table.labelled / table.total if table.total else None,
        "protected_attributes": list(names),
        "metrics": _worst(judged, policy),
        "attributes": _by_attribute([*views], judged),
        "demographic_slices": slices,
        "demographic_slices_left_out": left_out,
        "impact_ratio_tables": impact_ratio_tables(table, names),
        "overall_severity": severity,
        "alert": severity in ALERTING,
        "reference_groups": chosen,
        "worst_groups": _worst_groups(judged),
        "settings": policy.to_dict(),
        "resampling": {"seed": seed, "n_resamples": n_resamples},
        "sentences": write_sentences(tables, judged, chosen, table.total, policy),
    }
    if all_pairs:
        result["pairs"] = {
            name: {
                metric.name: view.pairs(metric)
                for metric in METRICS
                if metric.scope == ("attribute" if name in names else "crossing")
            }
            for name, view in views.items()
        }
    return result


def measure(
    table: CountTable,
    attribute: str,
    metrics: Sequence[Metric],
    reference_groups: Mapping[str, str] | None = None,
    policy: Policy = DEFAULT_POLICY,
    *,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> dict[str, dict[str, Any]]:
    """Some metrics of one attribute: the FairnessMetrics of `assess` with the same table, attribute and seed, before what the
    many tests of an audit together say of one (p_adjusted, significant and severity are left open).

    Raises
    ------
    InvalidInput : as `assess`

    Examples
    --------
    >>> table = CountTable.from_arrays({"sex": ["F"] * 100 + ["M"] * 100}, [0] * 80 + [1] * 20 + [0] * 60 + [1] * 40)
    >>> measure(table, "sex", [METRICS_BY_NAME["disparate_impact_ratio"]])["disparate_impact_ratio"]["value"]
    0.5
    """
    declared = dict(reference_groups or {})
    _check(table, [attribute], declared)
    _check_resampling(seed, n_resamples)
    views = audit_views(table.marginal([attribute]), [attribute], declared, policy, seed, n_resamples, {})
    return {metric.name: views[attribute].measure(metric).to_dict() for metric in metrics}


def measure_all(
    table: CountTable,
    protected: Sequence[str],
    reference_groups: Mapping[str, str],
    policy: Policy,
    *,
    seed: int,
    n_resamples: int,
) -> list[Measured]:
    """The figures of `assess` that a count table gives, in its order, before they are judged together; no history, no rows.

    Raises
    ------
    InvalidInput : as `assess`
    """
    _check(table, protected, reference_groups)
    _check_resampling(seed, n_resamples)
    marginal = table.marginal(protected)
    return _measured(
        audit_views(marginal, protected, reference_groups, policy, seed, n_resamples, {}), protected
    )


def _measured(views: Mapping[str, AuditView], names: Sequence[str]) -> list[Measured]:
    return [
        view.measure(metric)
        for name, view in views.items()
        for metric in METRICS
        if metric.scope == ("attribute" if name in names else "crossing")
    ]


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


def _check_resampling(seed: int, n_resamples: int) -> None:
    for name, value, most in (("seed", seed, 2**63 - 1), ("n_resamples", n_resamples, MAX_RESAMPLES)):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            expected = f"a whole number from 0 to {most}"
            raise InvalidInput(
                f"{name} is {value!r}; expected was {expected}", field=name, got=str(value), expected=expected
            )


def _worst(judged: Sequence[Measured], policy: Policy) -> dict[str, Any]:
    """For each metric the FairnessMetric of the attribute that is worst, or the reason why nothing was measured."""
    found = {}
    for name, metric in METRICS_BY_NAME.items():
        every = [one for one in judged if one.metric.name == name]
        if not every:
            reason = (
                "It is measured on rows with their features, and only counts were given."
                if metric in ROW_METRICS
                else "Only one attribute is assessed, so there is no crossing of two."
            )
            every = [Measured(metric, None, policy.threshold(name), "insufficient_data", {}, reason)]
        found[name] = min(every, key=Measured.rank).to_dict()
    return found


def _by_attribute(names: Sequence[str], judged: Sequence[Measured]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for one in judged:
        if one.attribute is not None:
            found.setdefault(one.attribute, {})[one.metric.name] = one.to_dict()
    return found


def _worst_groups(judged: Sequence[Measured]) -> dict[str, dict[str, Any]]:
    """The least selected group of each attribute and crossing, and the two that are furthest apart."""
    found = {}
    for one in judged:
        if (
            one.metric.name in ("demographic_parity_difference", "intersectional_bias_score")
            and one.attribute
        ):
            pair = list(one.compared)
            found[one.attribute] = {"group": pair[0] if pair else None, "pair": pair or None}
    return found


def _chosen(reference: ReferenceGroup | None) -> dict[str, str | None]:
    return (
        {"group": reference.group, "chosen": reference.chosen}
        if reference
        else {"group": None, "chosen": None}
    )
