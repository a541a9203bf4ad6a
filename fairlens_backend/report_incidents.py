"""What happened to a model in a range: verdicts of its audits, runs of alerting ones, alerts and their lives, mitigations."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from fairlens_backend.core.alerting import same_gap, worse_than
from fairlens_backend.core.severity import SEVERITIES
from fairlens_backend.report_basis import tile
from fairlens_backend.storage import report_rows
from fairlens_backend.storage.report_rows import AuditRow
from fairlens_backend.telemetry import timestamp

MAX_LISTED: Final = 200
_ORDER: Final[dict[str, int]] = {severity: place for place, severity in enumerate(SEVERITIES)}
_MITIGATION: Final = ("MITIGATION_TRIGGERED", "MITIGATION_COMPLETED", "MODEL_PROMOTED", "MODEL_REGISTERED")


def tally(rows: Sequence[AuditRow]) -> dict[str, Any]:
    """How many audits had which verdict, by their own count: every audit of the range, also those that share decisions."""
    counted = Counter(row.severity for row in rows)
    return {
        "by_severity": {severity: counted.get(severity, 0) for severity in SEVERITIES},
        "alerting": sum(row.alert for row in rows),
        "total": len(rows),
    }


def incidents(
    tenant: str, model: str, since: datetime, until: datetime, rows: Sequence[AuditRow]
) -> dict[str, Any]:
    """Runs of alerting audits, and the alerts that were open in the range."""
    found = _runs(rows)
    alerts = [_alert(row) for row in report_rows.alerts_between(tenant, model, since, until)]
    _tell_apart(alerts)
    return {
        "runs": found[:MAX_LISTED],
        "runs_total": len(found),
        "alerts": alerts[:MAX_LISTED],
        "alerts_total": len(alerts),
        "texts_read": report_rows.decryptions_between(tenant, [row.record_id for row in rows if row.alert]),
    }


def mitigations(
    tenant: str, model: str, since: datetime, until: datetime, rows: Sequence[AuditRow]
) -> dict[str, Any]:
    """What the ledger knows of mitigations and of new versions, and what the audits called for."""
    events, counts = report_rows.ledger_events(
        tenant, model, _MITIGATION, timestamp(since), timestamp(until), MAX_LISTED
    )
    return {
        "events": events,
        "events_total": sum(counts.values()),
        "events_by_type": {name: counts.get(name, 0) for name in _MITIGATION},
        "called_for": {name: sum(row.severity == name for row in rows) for name in ("CRITICAL", "HIGH")},
    }


def _runs(rows: Sequence[AuditRow]) -> list[dict[str, Any]]:
    """Audits with an alert, in order of their windows' ends, up to one that is judged and has none.

    An audit that is UNKNOWN neither alerts nor clears: it does not end a run.
    """
    found: list[dict[str, Any]] = []
    going: list[AuditRow] = []
    for row in sorted(rows, key=lambda one: (one.window_end, one.seq)):
        if row.alert:
            going.append(row)
        elif going and row.severity != "UNKNOWN":
            found.append(_run(going, row))
            going = []
    return [*found, _run(going, None)] if going else found


def _run(alerting: Sequence[AuditRow], cleared_by: AuditRow | None) -> dict[str, Any]:
    ratios = [row.dir for row in alerting if row.dir is not None]
    return {
        "first": timestamp(alerting[0].window_end),
        "last": timestamp(alerting[-1].window_end),
        "audits": len(alerting),
        "decisions": _decisions(alerting),
        "worst": min((row.severity for row in alerting), key=_ORDER.__getitem__),
        "lowest_ratio": min(ratios) if ratios else None,
        "first_audit": alerting[0].audit_id,
        "first_seq": alerting[0].seq,
        "last_seq": alerting[-1].seq,
        "cleared_at": timestamp(cleared_by.window_end) if cleared_by else None,
        "cleared_by_seq": cleared_by.seq if cleared_by else None,
    }


def _decisions(alerting: Sequence[AuditRow]) -> int:
    """Decisions of the audits that share no time: windows overlap and are audited anew, and no decision counts twice."""
    submitted = [row for row in alerting if row.window_start is None]
    return sum(row.sample_size for row in (*tile(alerting), *submitted))


def _tell_apart(alerts: list[dict[str, Any]]) -> None:
    """Name for each alert that had no message of its own the metric whose message told of the same gap meanwhile."""
    for one in alerts:
        one["told_with"] = None if one["announced_at"] else _speaker(one, alerts)


def _speaker(one: Mapping[str, Any], alerts: Sequence[Mapping[str, Any]]) -> str | None:
    for other in alerts:
        together = _began_before_end(one, other) and _began_before_end(other, one)
        same = other["attribute"] == one["attribute"] and same_gap(other["metric"]) == same_gap(one["metric"])
        if other["announced_at"] and together and same and not worse_than(one["peak"], other["peak"]):
            return str(other["metric"])
    return None


def _began_before_end(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Both times are spelled alike, so that their texts are in the order of the times."""
    return other["resolved_at"] is None or one["first_opened_at"] <= other["resolved_at"]


def _alert(row: Any) -> dict[str, Any]:
    figures = row.figures or {}
    return {
        "alert_id": row.alert_id,
        "attribute": row.attribute,
        "metric": row.metric,
        "state": row.state,
        "severity": row.severity,
        "peak": row.peak,
        "first_opened_at": timestamp(row.first_opened_at),
        "opened_at": timestamp(row.opened_at),
        "resolved_at": timestamp(row.resolved_at) if row.resolved_at else None,
        "times_opened": row.times_opened,
        "breaches": row.breaches,
        "announced_at": timestamp(row.announced_at) if row.announced_at else None,
        "messages": row.messages,
        "record_id": row.record_id,
        "sentence": figures.get("sentence"),
    }
