"""One audit, from a count table to its record: assess, keep, prove, alert. Every door goes through `run`.

table ─► core.assessment ─► one unit of work: audit row + fairness_checks row + its figures + outbox message
                                                          │
                         compliance_logger.publish(): log line and anchor follow from the row
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fairlens_backend import (
    alert_manager,
    alert_text,
    audit_history,
    compliance_logger,
    ledger_keeper,
    model_registry,
    telemetry,
)
from fairlens_backend.audit_record import SHORT_METRICS, check_columns
from fairlens_backend.core.assessment import Policy, assess
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.group_definitions import parse_groups
from fairlens_backend.core.row_sample import RowSample
from fairlens_backend.decision_layout import Layout, unfavourable_of
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.row_auditor import measure_sample
from fairlens_backend.storage import audits
from fairlens_backend.storage.session import unit_of_work

UNVERSIONED = "unversioned"
POLICY_FIELDS = ("thresholds", "alpha", "correction", "min_group_size", "min_sample_size")


@dataclass(frozen=True)
class Subject:
    """Whose decisions are audited, and by which declarations (the model's, overridden by the request's)."""

    tenant: str
    model: str
    version: str
    declared: Mapping[str, Any]

    @property
    def policy(self) -> Policy:
        """The limits to judge by; `InvalidInput` names one that is not possible."""
        return Policy(
            **{name: self.declared[name] for name in POLICY_FIELDS if self.declared.get(name) is not None}
        )

    def layout(self, *, decision: str | None = None) -> Layout:
        """Where the columns are; `decision` names the one that a model's own prediction fills.

        Raises
        ------
        InvalidInput : no decision column, no favourable label or no protected attribute, here or at registration
        """
        columns = self.declared.get("columns") or {}
        favourable = self.declared.get("favourable") or {}
        unfavourable = self.declared.get("unfavourable") or {}
        decision = decision or columns.get("decision")
        required = {
            "columns.decision": (decision, "the name of a column"),
            "columns.protected": (columns.get("protected"), "a list of columns"),
            "favourable.decision": (favourable.get("decision"), "a list of favourable labels"),
        }
        for name, (value, expected) in required.items():
            if not value:
                raise InvalidInput(
                    f"{name} is neither in the request nor registered with model {self.model!r}; {expected} was expected.",
                    field=name,
                    got=None,
                    expected=expected,
                )
        return Layout(
            decision=str(decision),
            protected=tuple(dict.fromkeys(columns["protected"])),
            favourable=tuple(favourable["decision"]),
            truth=columns.get("truth"),
            truth_favourable=tuple(favourable["truth"]) if favourable.get("truth") else None,
            score=columns.get("score"),
            id=columns.get("id"),
            missing_values=tuple(self.declared.get("missing_values") or ()),
            definitions=parse_groups(self.declared.get("group_definitions") or {}, "group_definitions"),
            unfavourable=tuple(unfavourable.get("decision") or ()) or None,
            truth_unfavourable=tuple(unfavourable.get("truth") or ()) or None,
        )

    @property
    def reference_groups(self) -> dict[str, str]:
        """The declared reference group of each attribute."""
        given = self.declared.get("reference_groups") or {}
        return {attribute: str(group) for attribute, group in given.items()}


@dataclass(frozen=True)
class Context:
    """What a record says beside the figures.

    Parameters
    ----------
    drift_level : of simulated data, else None
    remarks : sentences about the data
    window : the time that was audited; None for one submission
    sources : ids of the submissions whose counts were summed, which are kept with the counts; None for rows at hand
    events : of a window the single decisions among its rows
    revision : 1, and one more each time that a window is audited anew because its counts have changed
    revises : id of the audit in whose place this one stands
    also : called with the result first of all in the unit of work that keeps it: what else is written there, and what that
        adds to the result; an error there and nothing is kept
    """

    drift_level: float | None = None
    remarks: Sequence[str] = field(default_factory=tuple)
    window: tuple[datetime, datetime] | None = None
    sources: Sequence[str] | None = None
    events: int = 0
    revision: int = 1
    revises: str | None = None
    also: Callable[[dict[str, Any]], None] | None = None


def settle(
    tenant: str, model: str, version: str | None, asked: Mapping[str, Any], *, registered: bool
) -> Subject:
    """Join what the request declares with what the model has registered; the request's word counts first.

    Parameters
    ----------
    version : None for the newest registered one
    asked : declarations of the request, None where it says nothing
    registered : whether the model must be registered; else one that is not stands on the request alone

    Raises
    ------
    NotFound : the model must be registered and is not
    """
    known: Mapping[str, Any] = {}
    try:
        found = model_registry.get_model(model, version, tenant=tenant)
        known, version = found["declarations"], found["version"]
    except NotFound:
        if registered:
            raise
    declared = {**known, **{name: value for name, value in asked.items() if value is not None}}
    for name in ("columns", "favourable", "reference_groups", "thresholds", "group_definitions"):
        if known.get(name) and asked.get(name):
            given = {key: value for key, value in asked[name].items() if value not in (None, [])}
            declared[name] = {**known[name], **given}
    declared["unfavourable"] = unfavourable_of(known, asked)
    return Subject(tenant, model, version or UNVERSIONED, declared)


def run(
    subject: Subject,
    table: CountTable,
    context: Context,
    now: datetime,
    *,
    sample: RowSample | None = None,
    model: Any = None,
    interventions_only: bool = False,
) -> dict[str, Any]:
    """Audit a table, keep the result with its evidence, and alert where it must.

    Parameters
    ----------
    table : the counts, which are kept
    sample : rows for the metrics that counts cannot give; never kept
    model : decides on rows for metric 10, 0 or 1 each
    interventions_only : of the metrics on rows only what the model says when an attribute it takes is changed

    Returns
    -------
    the answer of `/api/submit_predictions`: record_id, audit_id, metrics, attributes, demographic_slices,
    overall_severity, alert, sample_size, labelled_size, message and what the assessment says beside them

    Raises
    ------
    InvalidInput : a reference group or a threshold that does not exist
    Unavailable : the record could not be kept; then nothing was
    """
    references = _of_table(subject.reference_groups, table)
    extra = measure_sample(
        sample, table, references, subject.policy, model=model, interventions_only=interventions_only
    )
    window = audit_history.window_of(context.window, now)
    history = audit_history.past_gaps(subject.tenant, subject.model, table.attributes, window)
    assessment = assess(
        table, reference_groups=references, policy=subject.policy, extra=extra, history=history
    )
    audit_id, record_id = new_id("aud", now), new_id("rec", now)
    result = {
        "audit_id": audit_id,
        "model": subject.model,
        "model_id": subject.model,
        "model_version": subject.version,
        "audit_timestamp": telemetry.timestamp(now),
        "window_start": telemetry.timestamp(context.window[0]) if context.window else None,
        "window_end": telemetry.timestamp(context.window[1]) if context.window else None,
        "revision": context.revision,
        "revises": context.revises,
        **assessment,
        "sequential": None,
        "triggered_mitigation": False,
        "mitigation_id": None,
        "remarks": list(context.remarks),
    }
    counts = table.to_dict()
    if context.sources is not None:
        counts["audits"], counts["events"] = list(context.sources), context.events
    if references:
        counts["reference_groups"] = references
    text = None
    if assessment["alert"]:
        text = alert_text.compose_alert_text(assessment, subject.model, subject.version, record_id, now)
    check = check_columns(
        assessment,
        record_id=record_id,
        tenant=subject.tenant,
        model=subject.model,
        model_version=subject.version,
        audit_id=audit_id,
        drift_level=context.drift_level,
    )
    with unit_of_work():
        if context.also is not None:
            context.also(result)
        check["audit_sha256"] = compliance_logger.audit_digest(result, counts)
        audits.insert(audit_id, subject.tenant, result, counts, now)
        record = compliance_logger.log_event({**check, "alert_text": text}, now=now)
        # After the record: whoever appends to the chain waits his turn, so windows are compared one at a time.
        audit_history.keep(result, subject.tenant, window)
        alert_manager.observe(subject.tenant, result, record_id, now)
        # Last: whoever has appended to the ledger holds its lock until the end.
        entry = ledger_keeper.record_audit(subject.tenant, result, counts, record, now)
    published = compliance_logger.publish()
    telemetry.log(
        "AUDIT_COMPLETED",
        model=subject.model,
        audit_id=audit_id,
        record_id=record_id,
        severity=assessment["overall_severity"],
        sample_size=table.total,
    )
    return {
        "record_id": record_id,
        **result,
        "metrics_by_short_name": {name: check[name] for name in SHORT_METRICS},
        "evidence": {
            "hash": record["hash_value"],
            "seq": record["seq"],
            "pending": published["pending"] > 0,
            "ledger": entry,
        },
        "message": summary(assessment, result["remarks"]),
    }


def summary(assessment: Mapping[str, Any], remarks: Sequence[str]) -> str:
    """The result in two or three sentences for a person."""
    severity = assessment["overall_severity"]
    size = f"{assessment['sample_size']} decision{'' if assessment['sample_size'] == 1 else 's'}"
    opening = {
        "UNKNOWN": f"{size} allow{'s' if assessment['sample_size'] == 1 else ''} no judgement.",
        "PASS": f"No metric breached its threshold in {size}.",
        "LOW": f"In {size} a threshold was passed, but by no more than chance explains.",
    }.get(severity, f"{severity}: thresholds were breached in {size}.")
    return " ".join([opening, *assessment["sentences"][:2], *remarks])


def new_id(prefix: str, now: datetime) -> str:
    """An id that sorts by time: milliseconds since 1970 in hexadecimal, then 72 random bits."""
    return f"{prefix}_{int(now.timestamp() * 1000):012x}{secrets.token_hex(9)}"


def _of_table(reference_groups: Mapping[str, str], table: CountTable) -> dict[str, str]:
    unknown = sorted(set(reference_groups) - set(table.attributes))
    if unknown:
        raise InvalidInput(
            f"reference_groups names {unknown[0]!r}, which is not among the protected attributes {list(table.attributes)}.",
            field=f"reference_groups.{unknown[0]}",
            got=unknown[0],
            expected=f"one of {list(table.attributes)}",
        )
    return dict(reference_groups)
