"""The compliance report of a model over a range of days: its data, and the same data as PDF and HTML.

    storage ─► audits of the range ─► report_basis (which count, their sum) ─► core.assessment ─► data ─► JSON
                                                                                                   └─► report_sections ─► PDF, HTML

The data is all there is: both documents are made from it alone, and print the SHA-256 of its canonical JSON on every page.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple

from fairlens_backend import __version__, count_keeper, model_registry, report_evidence, report_incidents
from fairlens_backend.audit_runner import settle
from fairlens_backend.core.assessment import Policy, assess
from fairlens_backend.core.labels import UNKNOWN, canonical_label
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.report_basis import Basis, gather
from fairlens_backend.report_trend import trend
from fairlens_backend.schemas.reports import ReportQuery
from fairlens_backend.security_utils import canonical_json
from fairlens_backend.storage import audits, count_series, report_rows
from fairlens_backend.storage.report_rows import AuditRow
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.telemetry import timestamp

FORM: Final = "fairlens-compliance-report/1"
MAX_DAYS: Final = 400
MEDIA_TYPES: Final = {"pdf": "application/pdf", "html": "text/html; charset=utf-8"}
_DECLARED: Final = ("use_case", "description", "favourable", "columns", "group_definitions")
_LEFT_OUT: Final = "temporal_drift_index"
"""A metric over the history of audits has no value for their sum; section 5 tells it from the periods."""


class ReportFile(NamedTuple):
    """A report as a file."""

    content: bytes
    media_type: str
    name: str
    content_policy: str | None = None
    """the Content-Security-Policy that a page is shown under"""


def compliance_report(tenant: str, model: str, wanted: ReportQuery, now: datetime) -> dict[str, Any]:
    """The data of a report.

    Returns
    -------
    {"report": document, model, scope, verdict, results (None without audits), trend, audits, mitigations, incidents, evidence;
    "sha256": of the report's canonical JSON (RFC 8785), which the PDF and the HTML print on every page}

    The same rows give the same data: nothing in it depends on when it was asked for.

    Raises
    ------
    NotFound : no such model: neither registered, nor audited, nor counted
    InvalidInput : the end before the start, a day that is not over yet begun, or more than 400 days
    """
    since, until = _range(wanted, now)
    with read_snapshot():
        _require_model(tenant, model)
        rows = report_rows.audits_between(tenant, model, since, until)
        basis = gather(tenant, rows, since, until)
        cited = report_evidence.cited_audits(rows, basis)
        evidence = report_evidence.evidence(tenant, model, cited, basis)
        policy = _policy(tenant, model, evidence["settings"])
        results = _results(basis, policy)
        references = (
            {name: one["group"] for name, one in results["reference_groups"].items()} if results else {}
        )
        report: dict[str, Any] = {
            "document": {
                "form": FORM,
                "title": f"Fairness compliance report: {model}",
                "tenant": tenant,
                "model_id": model,
                "start_date": wanted.start_date.isoformat(),
                "end_date": wanted.end_date.isoformat(),
                "since": timestamp(since),
                "until": timestamp(until),
                "made_by": f"FairLens {__version__}",
            },
            "model": _model(tenant, model, rows),
            "scope": _scope(tenant, model, basis, rows, until),
            "results": results,
            "trend": trend(basis, model, references, policy) if results else [],
            "audits": report_incidents.tally(rows),
            "mitigations": report_incidents.mitigations(tenant, model, since, until, rows),
            "incidents": report_incidents.incidents(tenant, model, since, until, rows),
            "evidence": evidence,
        }
    report["document"]["document_id"] = f"FL-{_digest(report)[:16].upper()}"
    return {"report": report, "sha256": _digest(report)}


def report_file(tenant: str, model: str, wanted: ReportQuery, now: datetime) -> ReportFile:
    """The report as PDF or HTML; the same data gives the same bytes.

    Raises
    ------
    as `compliance_report`
    """
    from fairlens_backend import report_rendering  # reportlab, which the JSON form does not need

    found = compliance_report(tenant, model, wanted, now)
    report, sha256 = found["report"], found["sha256"]
    name = f"fairness-report_{model}_{wanted.start_date}_{wanted.end_date}.{wanted.format}"
    if wanted.format == "pdf":
        return ReportFile(report_rendering.as_pdf(report, sha256), MEDIA_TYPES["pdf"], name)
    page = report_rendering.as_html(report, sha256)
    return ReportFile(page, MEDIA_TYPES["html"], name, report_rendering.content_policy(page))


def _range(wanted: ReportQuery, now: datetime) -> tuple[datetime, datetime]:
    """From the first moment of the first day to the last of the last, in UTC."""
    today = now.astimezone(UTC).date()
    start, end = wanted.start_date, wanted.end_date
    if end < start:
        raise InvalidInput(
            f"end_date is {end}, before start_date, which is {start}.",
            field="end_date",
            got=str(end),
            expected=f"{start} or later",
        )
    for field, day in (("start_date", start), ("end_date", end)):
        if day > today:
            raise InvalidInput(
                f"{field} is {day}; today is {today} (UTC), and a report is of days that have begun.",
                field=field,
                got=str(day),
                expected=f"{today} or earlier",
            )
    if (end - start).days >= MAX_DAYS:
        raise InvalidInput(
            f"From {start} to {end} are {(end - start).days + 1} days; at most {MAX_DAYS} are reported on at once.",
            field="start_date",
            got=str(start),
            expected=f"{end - timedelta(days=MAX_DAYS - 1)} or later",
        )
    return _midnight(start), _midnight(end) + timedelta(days=1)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _require_model(tenant: str, model: str) -> None:
    if not audits.any_of_model(tenant, model) and not count_series.of_model(tenant, model):
        settle(tenant, model, None, {}, registered=True)


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _policy(tenant: str, model: str, kept: Mapping[str, Any] | None) -> Policy:
    """The settings that the newest audit of the range was judged by, else the registered ones, else the defaults."""
    if kept is not None:
        return Policy(**kept)
    return settle(tenant, model, None, {}, registered=False).policy


def _results(basis: Basis, policy: Policy) -> dict[str, Any] | None:
    """The assessment of the range's summed counts as one; None where no audit is in it."""
    table = basis.table
    if not basis.used or not table.attributes:
        return None
    known = {
        name: {group for (group,) in table.marginal([name]).groups if group != UNKNOWN}
        for name in table.attributes
    }
    declared = {
        name: group
        for name, group in basis.reference_groups.items()
        if canonical_label(group) in known.get(name, set())
    }
    found = assess(table, reference_groups=declared, policy=policy)
    for metrics in (found["metrics"], *found["attributes"].values()):
        metrics.pop(_LEFT_OUT, None)
    return found


def _model(tenant: str, model: str, rows: list[AuditRow]) -> dict[str, Any]:
    try:
        known = model_registry.get_model(model, tenant=tenant)
    except NotFound:
        known = None
    versions: dict[str, dict[str, Any]] = {}
    for row in rows:
        if (
            not row.sample_size
        ):  # the audit of an empty window names the newest version, which decided nothing there
            continue
        one = versions.setdefault(
            row.model_version, {"version": row.model_version, "audits": 0, "since": timestamp(row.window_end)}
        )
        one["audits"] += 1
        one["until"] = timestamp(row.window_end)
    declared = known["declarations"] if known else {}
    return {
        "registered": known is not None,
        "newest_version": known["version"] if known else None,
        "artefact_sha256": known["artefact_sha256"] if known else None,
        "declarations": {name: declared[name] for name in _DECLARED if declared.get(name)},
        "versions": sorted(versions.values(), key=lambda one: (one["since"], one["version"])),
    }


def _scope(tenant: str, model: str, basis: Basis, rows: list[AuditRow], until: datetime) -> dict[str, Any]:
    """How much was decided, how much of it the figures rest on, and what was left out and why."""
    counted = count_keeper.window_table(tenant, model, basis.since, until, attributes=())
    windows = [row for row in basis.used if row.window_start is not None]
    table = basis.table
    return {
        "audits": len(rows),
        "audits_used": len(basis.used),
        "windows_used": len(windows),
        "submissions_used": len(basis.used) - len(windows),
        "submissions_alike": basis.repeated,
        "audits_overlapping": len(basis.overlapping),
        "audits_over_edge": len(basis.over_edge),
        "audits_of_other_attributes": len(basis.other_attributes),
        "audits_simulated": sum(row.drift_level is not None for row in basis.used),
        "first_window_start": _first(basis),
        "last_window_end": timestamp(max(row.window_end for row in basis.used)) if basis.used else None,
        "decisions": table.total,
        "labelled": table.labelled,
        "events_in_windows": basis.events,
        "decisions_counted_by_event": counted.total,
        "outcomes_counted_by_event": counted.labelled,
        "attributes": list(table.attributes),
        "unknown": {
            name: int(
                sum(
                    table.marginal([name]).n[place].sum()
                    for place, (group,) in enumerate(table.marginal([name]).groups)
                    if group == UNKNOWN
                )
            )
            for name in table.attributes
        },
        "period_hours": basis.grain_h,
    }


def _first(basis: Basis) -> str | None:
    starts = [row.window_start or row.window_end for row in basis.used]
    return timestamp(min(starts)) if starts else None
