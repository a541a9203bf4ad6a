"""A dry run of other settings over stored audits: how often would this policy have alerted?"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, NamedTuple

from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.metrics import METRICS_BY_NAME
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.rerating import Figure, Verdict, rated
from fairlens_backend.core.severity import ALERTING, SEVERITIES, Severity
from fairlens_backend.errors import InvalidInput

Basis = Literal["counts", "figures"]

# These come from rows or from history (STATISTICS section 2, numbers 9, 10, 12 and 17), which no count table has.
_NOT_FROM_COUNTS: Final = frozenset(
    {"individual_fairness_score", "counterfactual_fairness", "temporal_drift_index", "consistency"}
)
_SAME: Final = 1e-12
# of an audit that does not say how often
_THEIL: Final = "theil_index"
_RESAMPLES: Final = 1_000


class StoredAudit(NamedTuple):
    """One audit as it was kept: what `assess` returned, with its ids, and `CountTable.to_dict()` where kept."""

    result: Mapping[str, Any]
    counts: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class _Replayed:
    audit_id: str | None
    timestamp: str | None
    before: Severity
    after: Severity
    basis: Basis
    due_to: str | None
    breached: list[dict[str, Any]]
    remark: str | None

    def entry(self) -> dict[str, Any]:
        return {"audit_id": self.audit_id, "audit_timestamp": self.timestamp, "basis": self.basis}


def replay(audits: Iterable[StoredAudit | tuple[Any, Any]], policy: Policy) -> dict[str, Any]:
    """Judge stored audits again by other settings. Nothing is written and nobody is alerted.

    Where the count table was kept the audit is assessed anew from it (`basis` "counts"), so that every setting
    applies. A reference group that was declared then is declared now; one that was chosen is chosen again. Figures
    that no count table gives (metrics on rows, drift, p-values by resampling) are taken as they were stored, and
    rated anew with the rest. Where no table was kept the stored figures are rated anew (`basis` "figures"):
    thresholds, alpha, correction and `min_sample_size` apply in full, `min_group_size` only where it lets in and
    shuts out the same groups as the one in force then; else it stays as it was, and `remarks` says so.

    Parameters
    ----------
    audits : pairs (result, counts); read once, in any order
    policy : the settings to try

    Returns
    -------
    dict of plain values
        n_audits, n_alerts, alert_share (None without audits), severities {severity: number}, n_confirmed (alerts
        with a breach whose whole interval lies beyond the limit), first_alert (the earliest of `alerts`) or None;
        before {n_alerts, severities}: the same as stored;
        alerts: [{audit_id, audit_timestamp, basis, severity, confirmed, metrics [{name, attribute, value,
        threshold, severity, confirmed}]}], by time, the metrics that breach significantly, worst first;
        changed: [{audit_id, audit_timestamp, basis, before, after, alert_before, alert_after, due_to}], by time.
        `due_to` is "settings"; "engine" when today's engine judges so by the old settings too; "both";
        n_recomputed, n_rerated: audits by basis; skipped: [{audit_id, reason}], which count nowhere else;
        remarks: [{audit_id, remark}]; settings: the policy; sentence.

    Examples
    --------
    >>> sex = ["F"] * 100 + ["M"] * 100
    >>> table = CountTable.from_arrays({"sex": sex}, decision=[0] * 55 + [1] * 45 + [0] * 40 + [1] * 60)
    >>> stored = StoredAudit({"audit_id": "a1", **assess(table)}, table.to_dict())
    >>> stored.result["overall_severity"]
    'HIGH'
    >>> replay([stored], Policy(thresholds={"disparate_impact_ratio": 0.7}))["sentence"]
    'By these settings 0 of 1 audits would have alerted; 1 did.'

    Source: STATISTICS section 4.
    """
    replayed: list[_Replayed] = []
    skipped: list[dict[str, Any]] = []
    for result, counts in audits:
        try:
            replayed.append(_replay_one(result, counts, policy))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            audit_id = result.get("audit_id") if isinstance(result, Mapping) else None
            reason = f"the stored audit is not complete ({type(error).__name__}: {error})"
            skipped.append({"audit_id": audit_id, "reason": reason})
    replayed.sort(key=lambda one: (one.timestamp is None, one.timestamp or "", one.audit_id or ""))
    alerts = [
        {
            **one.entry(),
            "severity": one.after,
            "confirmed": any(metric["confirmed"] for metric in one.breached),
            "metrics": one.breached,
        }
        for one in replayed
        if one.after in ALERTING
    ]
    n_before = sum(one.before in ALERTING for one in replayed)
    return {
        "n_audits": len(replayed),
        "n_alerts": len(alerts),
        "alert_share": len(alerts) / len(replayed) if replayed else None,
        "n_confirmed": sum(alert["confirmed"] for alert in alerts),
        "severities": _tally(one.after for one in replayed),
        "before": {"n_alerts": n_before, "severities": _tally(one.before for one in replayed)},
        "first_alert": alerts[0] if alerts else None,
        "alerts": alerts,
        "changed": [
            {
                **one.entry(),
                "before": one.before,
                "after": one.after,
                "alert_before": one.before in ALERTING,
                "alert_after": one.after in ALERTING,
                "due_to": one.due_to,
            }
            for one in replayed
            if one.before != one.after
        ],
        "n_recomputed": sum(one.basis == "counts" for one in replayed),
        "n_rerated": sum(one.basis == "figures" for one in replayed),
        "skipped": skipped,
        "remarks": [{"audit_id": one.audit_id, "remark": one.remark} for one in replayed if one.remark],
        "settings": policy.to_dict(),
        "sentence": (
            f"By these settings {len(alerts)} of {len(replayed)} audits would have alerted; {n_before} did."
            if replayed
            else "There are no stored audits to try these settings on."
        ),
    }


def _tally(severities: Iterable[Severity]) -> dict[str, int]:
    found = Counter(severities)
    return {severity: found[severity] for severity in SEVERITIES}


def _replay_one(result: Mapping[str, Any], counts: Mapping[str, Any] | None, policy: Policy) -> _Replayed:
    before: Severity = result["overall_severity"]
    remark = None
    basis: Basis = "figures"
    due_to = "settings"
    judged: Verdict | None = None
    if counts is not None:
        try:
            table = CountTable.from_dict(counts)
            judged = _from_counts(result, table, policy)
            basis = "counts"
            if judged[0] != before:
                due_to = _cause(before, judged[0], result, table)
        except InvalidInput as error:
            judged = None
            remark = f"Its counts could not be assessed, so its stored figures were rated: {error.message}"
    if judged is None:
        remark = " ".join(filter(None, [remark, _not_applied(result, policy)])) or None
        judged = rated(list(_stored(result)), result["sample_size"], policy)
    after, breached = judged
    return _Replayed(
        result.get("audit_id"),
        result.get("audit_timestamp"),
        before,
        after,
        basis,
        None if after == before else due_to,
        breached,
        remark,
    )


def _from_counts(result: Mapping[str, Any], table: CountTable, policy: Policy) -> Verdict:
    """Assess the table anew, with the stored figures that it cannot give."""
    declared = {
        attribute: chosen["group"]
        for attribute, chosen in result.get("reference_groups", {}).items()
        if chosen["chosen"] == "declared" and attribute in result["protected_attributes"]
    }
    seed, n_resamples = _resampling(result, policy)
    protected = result["protected_attributes"]
    anew = assess(table, protected, declared, policy, seed=seed, n_resamples=n_resamples)
    then = {(figure["attribute"], figure["name"]): figure for figure in _stored(result)}
    figures = [
        _with_stored_inference(figure, then.pop((figure["attribute"], figure["name"]), None))
        for figure in _stored(anew)
    ]
    return rated([*figures, *then.values()], anew["sample_size"], policy)


def _resampling(result: Mapping[str, Any], policy: Policy) -> tuple[int, int]:
    """Seed and number: as then where values may change, else 0, since what resampling gave was stored."""
    then = result.get("resampling", {})
    settings = result.get("settings", {})
    # The Theil index is tested against its limit: under another limit it is another test.
    same_limit = settings.get("thresholds", {}).get(_THEIL) == policy.threshold(_THEIL)
    if settings.get("min_group_size") == policy.min_group_size and same_limit:
        return 0, 0
    return then.get("seed", 0), then.get("n_resamples", _RESAMPLES)


def _with_stored_inference(figure: Figure, then: Figure | None) -> Figure:
    """Take interval and p-value from the stored figure where it is the same value and they were not made anew."""
    if then is not None and figure["name"] in _NOT_FROM_COUNTS:
        return then
    if then is None or figure["value"] is None or then["value"] is None:
        return figure
    if abs(figure["value"] - then["value"]) > _SAME:
        return figure
    missing = [name for name in ("p_value", "confidence_interval") if figure.get(name) is None]
    return {**figure, **{name: then.get(name) for name in missing}}


def _cause(before: Severity, after: Severity, result: Mapping[str, Any], table: CountTable) -> str:
    """Whether the settings or a younger engine made the difference."""
    by_old_settings, _ = _from_counts(result, table, _settings_then(result))
    if by_old_settings == before:
        return "settings"
    return "engine" if by_old_settings == after else "both"


def _settings_then(result: Mapping[str, Any]) -> Policy:
    kept = result.get("settings", {})
    values = {field.name: kept[field.name] for field in fields(Policy) if field.name in kept}
    values["thresholds"] = {
        name: limit for name, limit in values.get("thresholds", {}).items() if name in METRICS_BY_NAME
    }
    return Policy(**values)


def _stored(result: Mapping[str, Any]) -> Iterator[Figure]:
    """The figures of an audit: those of attributes and crossings, and those of no attribute."""
    for metrics in result["attributes"].values():
        yield from metrics.values()
    for figure in result.get("metrics", {}).values():
        if figure["attribute"] is None:
            yield figure


def _not_applied(result: Mapping[str, Any], policy: Policy) -> str | None:
    """What is said where another least group size would let in or shut out other groups than then."""
    then = result.get("settings", {}).get("min_group_size")
    if then is None or then == policy.min_group_size:
        return None
    low, high = sorted((then, policy.min_group_size))
    sizes = [
        size
        for one in result.get("demographic_slices", [])
        for size in (one["size"], one["labelled_size"])
        if len(one["attributes"]) == 1
    ]
    if sizes and not result.get("demographic_slices_left_out") and not any(low <= s < high for s in sizes):
        return None
    return (
        f"No counts were kept with it, so min_group_size {policy.min_group_size} could not be applied;"
        f" {then} stood."
    )
