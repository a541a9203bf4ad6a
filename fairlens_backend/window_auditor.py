"""Audit a model over a window: the counts of what was submitted in it are summed, exactly, and assessed as one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fairlens_backend import audit_runner
from fairlens_backend.audit_runner import Context, Subject
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.labels import canonical_label
from fairlens_backend.errors import InvalidInput
from fairlens_backend.schemas.audits import WindowAuditRequest
from fairlens_backend.storage import audits
from fairlens_backend.storage.audits import Counted
from fairlens_backend.storage.session import read_snapshot

SUMMED_AT_ONCE = 200


def audit_window(tenant: str, model: str, wanted: WindowAuditRequest, now: datetime) -> dict[str, Any]:
    """Audit what was submitted for a model in the last hours, and keep, prove and alert as for every audit.

    An audit that was itself of a window is not summed again. A window without rows is UNKNOWN, never a PASS.

    Raises
    ------
    NotFound : no such model, neither registered nor ever audited
    InvalidInput : no protected attribute is known, or none of the audits has those that were asked for
    """
    since = now - timedelta(hours=wanted.window_hours)
    with read_snapshot():
        known = audits.any_of_model(tenant, model)
        subject = audit_runner.settle(tenant, model, wanted.version, {}, registered=not known)
        found = [
            one
            for one in audits.counted_between(tenant, model, since, now, wanted.version)
            if "audits" not in one.counts
        ]
    attributes = _attributes(subject, wanted, found)
    table, summed, remarks = _sum(attributes, found)
    hours = f"{wanted.window_hours:g} hour{'' if wanted.window_hours == 1 else 's'}"
    if table.total == 0:
        remarks = [f"Nothing was submitted for {model} in the last {hours}: insufficient_data.", *remarks]
    versions = sorted({one.model_version for one in summed})
    if len(versions) > 1:
        remarks.append(f"The window holds decisions of {len(versions)} versions: {', '.join(versions)}.")
    simulated = sum(one.drift_level is not None for one in summed)
    if simulated:
        remarks.append(f"{simulated} of the {len(summed)} audits summed are of simulated data.")
    references, said = _references({**_declared_before(summed), **subject.reference_groups}, table)
    subject = replace(
        subject,
        version=versions[-1] if len(versions) == 1 else subject.version,
        declared={**subject.declared, "reference_groups": references},
    )
    context = Context(
        remarks=[*remarks, *said], window=(since, now), sources=[one.audit_id for one in summed]
    )
    return {**audit_runner.run(subject, table, context, now), "audits_summed": len(summed)}


def _attributes(subject: Subject, wanted: WindowAuditRequest, found: Sequence[Counted]) -> list[str]:
    """Those asked for, else those registered, else those that all audits of the window have."""
    declared = (subject.declared.get("columns") or {}).get("protected") or []
    if wanted.protected_attributes or declared:
        names = list(dict.fromkeys(wanted.protected_attributes or declared))
        if found and not any(set(names) <= set(one.counts["attributes"]) for one in found):
            there = sorted({name for one in found for name in one.counts["attributes"]})
            raise InvalidInput(
                f"No audit of {subject.model} in this window counted {', '.join(names)} together; there are {', '.join(there)}.",
                field="protected_attributes",
                got=names,
                expected=f"some of {there}",
            )
        return names
    names = [
        name
        for name in (found[0].counts["attributes"] if found else [])
        if all(name in one.counts["attributes"] for one in found)
    ]
    if not names:
        raise InvalidInput(
            f"protected_attributes is neither in the request nor registered with model {subject.model!r}, and the window"
            " has no audit to take it from.",
            field="protected_attributes",
            got=None,
            expected="a list of attributes",
        )
    return names


def _sum(attributes: list[str], found: Sequence[Counted]) -> tuple[CountTable, list[Counted], list[str]]:
    """The table of all audits that counted these attributes, those audits, and a remark about the others."""
    summed = [one for one in found if set(attributes) <= set(one.counts["attributes"])]
    total = CountTable.empty(attributes)
    for start in range(0, len(summed), SUMMED_AT_ONCE):
        some = summed[start : start + SUMMED_AT_ONCE]
        total = CountTable.sum([total, *(_table(one.counts, attributes) for one in some)])
    left = len(found) - len(summed)
    remarks = (
        [f"{left} of {len(found)} audits did not count {', '.join(attributes)} and are left out."]
        if left
        else []
    )
    return total, summed, remarks


def _table(counts: Mapping[str, Any], attributes: list[str]) -> CountTable:
    return CountTable.from_dict(counts).marginal(attributes)


def _declared_before(summed: Sequence[Counted]) -> dict[str, str]:
    """The reference groups that the summed audits declared, the newest one's word for each attribute."""
    newest_last = sorted(summed, key=lambda one: one.audit_id)
    return {
        name: group for one in newest_last for name, group in one.counts.get("reference_groups", {}).items()
    }


def _references(declared: Mapping[str, str], table: CountTable) -> tuple[dict[str, str], list[str]]:
    """The declared reference groups that occur; a window may lack one, and that is no mistake of the caller's."""
    kept, said = {}, []
    for attribute, group in declared.items():
        if attribute not in table.attributes:
            continue
        if any(labels == (canonical_label(group),) for labels in table.marginal([attribute]).groups):
            kept[attribute] = group
        elif table.total:
            said.append(f"The reference group {group} of {attribute} does not occur in the window.")
    return kept, said
