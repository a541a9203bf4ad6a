"""The proofs of a report: which records its figures rest on, what was checked of them, and where the ledger holds them."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from fairlens_backend.compliance_logger import audit_digest
from fairlens_backend.core.merkle import inclusion_proof, verify_inclusion
from fairlens_backend.core.severity import SEVERITIES
from fairlens_backend.evidence_publisher import hash_of
from fairlens_backend.report_basis import Basis, basis_line
from fairlens_backend.storage import checks, ledger, ledger_heads, report_rows
from fairlens_backend.storage.report_rows import AuditRow
from fairlens_backend.telemetry import timestamp

WORST_CITED: Final = 5
_HEADLINE: Final = (
    "disparate_impact_ratio",
    "demographic_parity_difference",
    "equal_opportunity_difference",
    "average_odds_difference",
)


def cited_audits(rows: Sequence[AuditRow], basis: Basis) -> list[tuple[str, AuditRow]]:
    """The audits that a report tells one by one, with why: the latest of those its figures rest on, and the worst of the range.

    Worst: by severity, then by the lowest disparate impact ratio. UNKNOWN is no verdict and is not among them.
    """
    cited: list[tuple[str, AuditRow]] = [("latest", basis.used[-1])] if basis.used else []
    judged = [row for row in rows if row.severity not in ("UNKNOWN", "PASS", "LOW")]
    order: dict[str, int] = {severity: place for place, severity in enumerate(SEVERITIES)}
    judged.sort(key=lambda row: (order[row.severity], 1.0 if row.dir is None else row.dir, row.seq))
    there = {row.audit_id for _, row in cited}
    cited += [("among the worst", row) for row in judged[:WORST_CITED] if row.audit_id not in there]
    return cited


def evidence(tenant: str, model: str, cited: Sequence[tuple[str, AuditRow]], basis: Basis) -> dict[str, Any]:
    """Where each figure comes from, and how an outsider checks it.

    Returns
    -------
    basis {label "R", audits, decisions, digest, lines (what the digest is made of), first_seq, last_seq, in_ledger, leaf_first,
    leaf_last}; cited [{label "A1", …, why, record and audit digests, whether they were recomputed, figures, ledger}]; head (the
    signed head that the proofs lead to, or None); settings (of the newest audit that the figures rest on); newest {seq, at}.
    """
    leaves = report_rows.leaf_indexes(tenant, model, timestamp(basis.since))
    in_ledger = [leaves[row.record_id] for row in basis.used if row.record_id in leaves]
    told = [
        _cited(tenant, f"A{number}", why, row, leaves.get(row.record_id))
        for number, (why, row) in enumerate(cited, 1)
    ]
    needed = [*in_ledger, *(one["leaf_index"] for one in told if one["leaf_index"] is not None)]
    head = ledger_heads.first_covering(max(needed) + 1) if needed else None
    for one in told:
        one["inclusion"] = _inclusion(one["leaf_index"], head)
    newest = max((row.seq, timestamp(row.made)) for row in basis.used) if basis.used else None
    ordered = sorted(basis.used, key=lambda one: one.seq)
    return {
        "basis": {
            "label": "R",
            "audits": len(ordered),
            "decisions": basis.table.total,
            "digest": basis.digest(),
            "lines": [basis_line(row) for row in ordered],
            "first_seq": ordered[0].seq if ordered else None,
            "last_seq": ordered[-1].seq if ordered else None,
            "in_ledger": len(in_ledger),
            "leaf_first": min(in_ledger, default=None),
            "leaf_last": max(in_ledger, default=None),
        },
        "cited": told,
        "settings": told[0].pop("settings") if told and told[0]["why"] == "latest" else None,
        "head": None
        if head is None
        else {
            "tree_size": head.tree_size,
            "at": head.at,
            "root": bytes(head.root).hex(),
            "note_sha256": hashlib.sha256(head.note.encode()).hexdigest(),
        },
        "newest": None if newest is None else {"seq": newest[0], "at": newest[1]},
    }


def _cited(tenant: str, label: str, why: str, row: AuditRow, leaf_index: int | None) -> dict[str, Any]:
    """One audit with its headline figures; its hashes are computed anew from what is stored now."""
    record, audit = report_rows.full(tenant, row.audit_id)
    result = audit.result
    told: dict[str, Any] = {
        "label": label,
        "why": why,
        "audit_id": row.audit_id,
        "record_id": row.record_id,
        "seq": row.seq,
        "model_version": row.model_version,
        "window_start": timestamp(row.window_start) if row.window_start else None,
        "window_end": timestamp(row.window_end),
        "decisions": row.sample_size,
        "labelled": result["labelled_size"],
        "severity": row.severity,
        "figures": [_figure(result["metrics"][name]) for name in _HEADLINE if name in result["metrics"]],
        "sentences": result["sentences"][:3],
        "hash_value": row.hash_value,
        "audit_sha256": row.audit_sha256,
        "record_intact": hash_of(checks.record_of(record)) == record.hash_value,
        "audit_intact": audit_digest(result, audit.counts) == record.audit_sha256,
        "leaf_index": leaf_index,
    }
    if why == "latest":
        told["settings"] = result["settings"]
        told["row_metrics"] = [
            _figure(result["metrics"][name])
            for name in ("individual_fairness_score", "counterfactual_fairness", "consistency")
            if name in result["metrics"]
        ]
    return told


def _figure(metric: dict[str, Any]) -> dict[str, Any]:
    names = (
        "name", "attribute", "value", "threshold", "breached", "confirmed", "confidence_interval", "groups_compared",
        "sample_sizes", "status", "reason",
    )  # fmt: skip
    return {name: metric.get(name) for name in names}


def _inclusion(leaf_index: int | None, head: Any) -> dict[str, Any] | None:
    """The path from the entry to the head's root, checked here too; None where one of them is missing."""
    if leaf_index is None or head is None:
        return None
    (entry,) = ledger.entries(leaf_index, leaf_index + 1)
    path = inclusion_proof(leaf_index, head.tree_size, ledger.hashes_of)
    return {
        "leaf_hash": entry.leaf_hash.hex(),
        "path": [one.hex() for one in path],
        "holds": verify_inclusion(leaf_index, head.tree_size, entry.leaf_hash, path, bytes(head.root)),
    }
