"""A ledger with audits in it, made in a moment: real count tables, real figures, real heads."""

import functools
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from fairlens_backend import ledger_keeper, telemetry
from fairlens_backend.core.assessment import assess
from fairlens_backend.core.audit_notation import spelled_out
from fairlens_backend.core.counts import CountTable
from fairlens_backend.storage import ledger
from fairlens_backend.storage.session import unit_of_work

START = datetime(2026, 3, 2, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """So many minutes after the start."""
    return START + timedelta(minutes=minutes)


@functools.cache
def assessed(seed: int, n_resamples: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Counts of some hundred rows of two attributes, and what the engine says of them."""
    chance = np.random.default_rng(seed)
    n = int(chance.integers(200, 400))
    table = CountTable.from_arrays(
        {"sex": chance.choice(["F", "M"], n), "race": chance.choice(["A", "B", "C"], n)},
        decision=chance.integers(0, 2, n),
        truth=chance.integers(-1, 2, n),
    )
    return table.to_dict(), assess(table, n_resamples=n_resamples)


def audit(
    minutes: float, model: str = "hiring", tenant: str = "acme", seed: int = 0, n_resamples: int = 0
) -> int:
    """Record an audit of a model at a time; the index of its entry."""
    return recorded(minutes, *assessed(seed, n_resamples), model=model, tenant=tenant)


def recorded(
    minutes: float, counts: dict[str, Any], found: dict[str, Any], model: str = "hiring", tenant: str = "acme"
) -> int:
    """Record what the engine, or a liar, said of counts; the index of its entry."""
    name = f"{model}-{minutes}"
    stamp = telemetry.timestamp(at(minutes))
    result = {
        **found,
        "audit_id": f"aud-{name}",
        "model": model,
        "model_version": "1",
        "audit_timestamp": stamp,
        "window_start": None,
        "window_end": None,
    }
    record = {"record_id": f"rec-{name}", "hash_value": "0" * 64, "audit_sha256": "1" * 64}
    with unit_of_work():
        return int(ledger_keeper.record_audit(tenant, result, counts, record, at(minutes))["index"])


def body_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The body of an entry, of an audit in the long notation."""
    return spelled_out(entry["body"]) if entry["version"] == 2 else dict(entry["body"])


def other(minutes: float, model: str = "other", tenant: str = "globex") -> int:
    """An event of somebody else."""
    with unit_of_work():
        return ledger.append("MODEL_REGISTERED", tenant, {"model": model, "version": "1"}, at(minutes))
