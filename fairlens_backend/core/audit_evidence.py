"""What the ledger keeps of an audit: its count table, its settings, and its figures, so that others can compute them anew."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["FROM_HISTORY", "FROM_ROWS", "audit_body", "basis_of", "figures_of"]

FROM_ROWS: Final = frozenset({"individual_fairness_score", "counterfactual_fairness", "consistency"})
FROM_HISTORY: Final = frozenset({"temporal_drift_index"})
"""The metrics that no count table gives: of a sample of rows, and of the audits before (STATISTICS section 2)."""


def audit_body(
    result: Mapping[str, Any],
    counts: Mapping[str, Any],
    record: Mapping[str, Any],
    engine: str,
    before: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """The body of an AUDIT_COMPLETED entry.

    Parameters
    ----------
    result : the BiasAuditResult as it is stored
    counts : the count table as it is stored (`CountTable.to_dict`, with `reference_groups` where some were declared)
    record : the record as it is hashed, with its hash_value
    engine : version of the code that computed the figures
    before : number and index of the model's audit before this one; None for its first. So the audits of a model can be
        followed one by one, and a reader who may see only theirs sees that none is left out
    """
    number, previous = (1, None) if before is None else (before[0] + 1, before[1])
    table = {name: counts[name] for name in ("version", "attributes", "rows")}
    return {
        "audit_id": result["audit_id"],
        "record_id": record["record_id"],
        "record_hash": record["hash_value"],
        "audit_sha256": record["audit_sha256"],
        "model": result["model"],
        "model_version": result["model_version"],
        "audit_timestamp": result["audit_timestamp"],
        "window_start": result["window_start"],
        "window_end": result["window_end"],
        "sample_size": result["sample_size"],
        "labelled_size": result["labelled_size"],
        "overall_severity": result["overall_severity"],
        "alert": result["alert"],
        "model_audit_number": number,
        "previous_audit_index": previous,
        "engine": engine,
        "settings": {
            "policy": result["settings"],
            "protected_attributes": result["protected_attributes"],
            "reference_groups": counts.get("reference_groups", {}),
            "seed": result["resampling"]["seed"],
            "n_resamples": result["resampling"]["n_resamples"],
        },
        "counts": table,
        "figures": list(figures_of(result)),
    }


def figures_of(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every figure of an audit, in its order: what was measured, of whom, and from what."""
    for metrics in result["attributes"].values():
        for figure in metrics.values():
            interval = figure["confidence_interval"] or {}
            yield {
                "attribute": figure["attribute"],
                "metric": figure["name"],
                "basis": basis_of(figure["name"]),
                "status": figure["status"],
                "value": figure["value"],
                "signed": figure["signed"],
                "lower": interval.get("lower"),
                "upper": interval.get("upper"),
                "method": interval.get("method"),
                "p_value": figure["p_value"],
                "p_adjusted": figure["p_adjusted"],
                "severity": figure["severity"],
                "groups_compared": figure["groups_compared"],
                "sample_sizes": figure["sample_sizes"],
            }


def basis_of(metric: str) -> str:
    """What a metric can be recomputed from: `counts`, `rows` or `history`."""
    return "rows" if metric in FROM_ROWS else "history" if metric in FROM_HISTORY else "counts"
