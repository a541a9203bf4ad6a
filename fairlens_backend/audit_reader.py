"""Questions about stored audits: which there are, one in full, and what follows from its counts."""

from datetime import datetime, timedelta
from typing import Any

from fairlens_backend.audit_runner import POLICY_FIELDS, settle
from fairlens_backend.core.assessment import Policy
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.drift.decomposition import decompose_change, decompose_gap
from fairlens_backend.core.label_free import estimate_without_labels
from fairlens_backend.core.policy_replay import StoredAudit, replay
from fairlens_backend.core.threshold_search import search_thresholds
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.schemas.audits import (
    AuditsQuery,
    DecompositionQuery,
    DryRunRequest,
    EstimatesQuery,
    ThresholdsQuery,
)
from fairlens_backend.storage import audits, checks
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.storage.tables import Audit

LISTED = (
    "audit_id", "record_id", "timestamp", "model_version", "severity", "alert", "sample_size",
    "dir", "spd", "eod", "aod", "theil",
)  # fmt: skip


def list_audits(tenant: str, wanted: AuditsQuery) -> dict[str, Any]:
    """One page of audits with their headline figures, newest first."""
    with read_snapshot():
        records, more = checks.list_checks(
            tenant, limit=wanted.limit, cursor=wanted.cursor, model=wanted.model, severity=wanted.severity
        )
    items = [{"model_id": one["model"], **{name: one[name] for name in LISTED}} for one in records]
    return {"items": items, "next_cursor": more}


def read_audit(tenant: str, audit_id: str, *, counts: bool = False) -> dict[str, Any]:
    """One audit in full, with the id of its record, and its count table on request.

    Raises
    ------
    NotFound : the tenant has no such audit
    """
    with read_snapshot():
        audit = _find(tenant, audit_id)
        record_id = audits.record_id_of(audit_id, tenant)
        found = {"model_id": audit.result["model"], **audit.result, "record_id": record_id}
        return {**found, "counts": audit.counts} if counts else found


def thresholds(tenant: str, audit_id: str, wanted: ThresholdsQuery) -> dict[str, Any]:
    """What thresholds by group would meet a criterion, from the audit's own counts.

    Raises
    ------
    NotFound : no such audit; InvalidInput : no such attribute or group in it
    """
    with read_snapshot():
        audit = _find(tenant, audit_id)
        table = CountTable.from_dict(audit.counts)
        found = search_thresholds(
            table,
            attribute=wanted.attribute,
            criterion=wanted.criterion,
            reference=wanted.reference or _reference(audit, wanted.attribute),
            all_pairs=wanted.all_pairs,
            tolerance=wanted.tolerance,
            between_edges=wanted.between_edges,
            min_group_size=audit.result["settings"]["min_group_size"],
        )
    return {"audit_id": audit_id, **found}


def estimates(tenant: str, audit_id: str, wanted: EstimatesQuery) -> dict[str, Any]:
    """Error rates of each group from the audit's scores alone, marked as estimates, beside those of labelled rows.

    Raises
    ------
    NotFound : no such audit; InvalidInput : no such attribute in it
    """
    with read_snapshot():
        audit = _find(tenant, audit_id)
        found = estimate_without_labels(
            CountTable.from_dict(audit.counts),
            wanted.attribute,
            reference=_reference(audit, wanted.attribute),
            min_group_size=audit.result["settings"]["min_group_size"],
        )
    return {"audit_id": audit_id, **found}


def decomposition(tenant: str, audit_id: str, wanted: DecompositionQuery) -> dict[str, Any]:
    """How much of a gap, or of its change since an earlier audit, is mix and how much rates.

    Raises
    ------
    NotFound : no such audit; InvalidInput : no such attribute, stratum or group in it, or audits of two models
    """
    strata = [name.strip() for name in wanted.stratum.split(",") if name.strip()]
    with read_snapshot():
        after = _find(tenant, audit_id)
        before = _find(tenant, wanted.against) if wanted.against else None
        groups = _groups(after, wanted)
        table = CountTable.from_dict(after.counts)
        given: dict[str, Any] = {
            "attribute": wanted.attribute, "stratum": strata, "groups": groups, "rate": wanted.rate
        }  # fmt: skip
        if before is None:
            return {"audit_id": audit_id, "against": None, **decompose_gap(table, **given)}
        if before.result["model"] != after.result["model"]:
            raise InvalidInput(
                f"{wanted.against} is an audit of {before.result['model']}, {audit_id} of {after.result['model']}; a change"
                " is that of one model.",
                field="against",
                got=wanted.against,
                expected=f"an audit of {after.result['model']}",
            )
        found = decompose_change(CountTable.from_dict(before.counts), table, **given)
    return {"audit_id": audit_id, "against": wanted.against, **found}


def dry_run(tenant: str, model: str, wanted: DryRunRequest, now: datetime) -> dict[str, Any]:
    """How often other settings would have alerted on the model's stored audits; nothing is written.

    Raises
    ------
    NotFound : no such model, neither registered nor ever audited; InvalidInput : a setting that is not possible
    """
    asked = wanted.model_dump(include=set(POLICY_FIELDS), exclude_none=True)
    with read_snapshot():
        known = audits.any_of_model(tenant, model)
        subject = settle(tenant, model, None, asked, registered=not known)
        policy: Policy = subject.policy
        since = now - timedelta(days=wanted.window_days)
        stored = [StoredAudit(*pair) for pair in audits.newest(tenant, model, since, wanted.limit)]
    return {"model_id": model, **replay(stored, policy)}


def _find(tenant: str, audit_id: str) -> Audit:
    audit = audits.find(audit_id, tenant)
    if audit is None:
        raise NotFound(f"There is no audit {audit_id!r}.", audit_id=audit_id)
    return audit


def _reference(audit: Audit, attribute: str) -> str | None:
    found: str | None = audit.result["reference_groups"].get(attribute, {}).get("group")
    return found


def _groups(audit: Audit, wanted: DecompositionQuery) -> tuple[str, str]:
    """The group and its reference, as asked for, else as the audit compared them."""
    metrics = audit.result["attributes"].get(wanted.attribute, {})
    compared = metrics.get("statistical_parity_difference", {}).get("groups_compared") or []
    group = wanted.group or (compared[0] if compared else None)
    reference = wanted.reference or _reference(audit, wanted.attribute)
    if group is None or reference is None:
        there = ", ".join(audit.result["protected_attributes"])
        raise InvalidInput(
            f"The audit compared no two groups of {wanted.attribute!r} (its attributes are {there}); name group and reference.",
            field="attribute",
            got=wanted.attribute,
            expected=f"one of {there} with two groups",
        )
    return group, reference
