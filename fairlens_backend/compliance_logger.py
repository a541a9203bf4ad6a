"""Keeps the evidence of a check: the row in the caller's unit of work, its line and anchor after the commit.

`log_event` writes the row and chains it; `publish` follows with the line and the anchor; `verify_record` says which part was
altered; `read_alert_text` gives an alert's text out, and only with the record of who read it.
"""

import uuid
from datetime import datetime
from typing import Any

from fairlens_backend import security_utils, telemetry
from fairlens_backend.errors import InvalidInput, NotFound, TamperedArtefact
from fairlens_backend.evidence_publisher import acknowledge_damage, hash_of, health, publish
from fairlens_backend.evidence_scan import verify_all
from fairlens_backend.evidence_verifier import verify_record
from fairlens_backend.storage import checks, evidence, ledger_events
from fairlens_backend.storage.session import read_snapshot, unit_of_work

__all__ = [
    "acknowledge_damage",
    "audit_digest",
    "decryptions",
    "health",
    "history",
    "log_event",
    "publish",
    "read_alert_text",
    "record_decryption",
    "verify_all",
    "verify_record",
]

FIGURES = ("dir", "spd", "eod", "aod", "theil", "drift_level", "female_rate", "male_rate")
TEXTS = ("tenant", "model", "model_version", "audit_id", "severity", "audit_sha256")
OPTIONAL = ("record_id", "alert_text", *FIGURES)
REQUIRED = (*TEXTS, "sample_size", "alert")


def audit_digest(result: dict[str, Any], counts: dict[str, Any]) -> str:
    """The digest of an audit's result and counts that its record holds as `audit_sha256`."""
    return security_utils.sha256_hex(security_utils.canonical_json({"result": result, "counts": counts}))


def log_event(event: dict[str, Any], *, now: datetime | None = None) -> dict[str, Any]:
    """Append one check to the chain, inside the caller's unit of work. Call `publish` after its commit.

    Parameters
    ----------
    event : tenant, model, model_version, audit_id, severity, audit_sha256 (see `audit_digest`) as text, sample_size as a whole
        number, alert as a truth value; where known dir, spd, eod, aod, theil, drift_level, female_rate, male_rate as finite
        numbers (None is undefined), alert_text (encrypted here), record_id (made here when absent)
    now : the record's time; None for the time of the call

    Returns
    -------
    dict : the record as it is hashed, and its hash_value

    Raises
    ------
    InvalidInput : a key that is missing, unknown or of another type
    Conflict : record_id or audit_id is there already
    """
    columns = _columns(event)
    now = now or telemetry.utc_now()
    columns["timestamp"] = now
    with unit_of_work():
        checks.lock_chain()
        seq, prev_hash = checks.head()
        # Never a place that was published once: a record that took a deleted one's place would never get its line.
        columns["seq"] = max(seq, evidence.published().seq) + 1
        columns["prev_hash"] = prev_hash
        text = event.get("alert_text")
        columns["alert_text_sha256"] = security_utils.sha256_hex(text.encode()) if text is not None else None
        record = {**{name: columns[name] for name in checks.FIELDS}, "timestamp": telemetry.timestamp(now)}
        columns["hash_value"] = hash_of(record)
        columns["encrypted_alert"] = security_utils.encrypt_text(text) if text is not None else None
        checks.insert(columns)
    return {**record, "hash_value": columns["hash_value"]}


def history(
    tenant: str,
    *,
    limit: int = 20,
    cursor: str | None = None,
    model: str | None = None,
    alert: bool | None = None,
) -> dict[str, Any]:
    """One page of the tenant's records, newest first: items, and next_cursor (None on the last page).

    Raises
    ------
    InvalidInput : a limit out of 1 to 500, or a cursor that no page gave
    """
    with read_snapshot():
        items, next_cursor = checks.list_checks(tenant, limit=limit, cursor=cursor, model=model, alert=alert)
    return {"items": items, "next_cursor": next_cursor}


def read_alert_text(
    record_id: str, tenant: str, username: str, address: str, now: datetime
) -> dict[str, Any]:
    """An alert's text; who reads it, when and from where is kept in the same unit of work, or the text is not given out.

    Returns
    -------
    dict of record_id, text, read_by, read_at, address

    Raises
    ------
    NotFound : no such record, or one without an alert
    TamperedArtefact : what is stored is not the text that was recorded
    """
    with unit_of_work():
        row = checks.by_record_id(record_id, tenant)
        if row is None:
            raise NotFound(f"There is no record {record_id!r}.", record_id=record_id)
        if row.encrypted_alert is None:
            raise NotFound(f"Record {record_id} has no alert text.", record_id=record_id)
        record_decryption(record_id, tenant, username, address, now)
        text = security_utils.decrypt_text(row.encrypted_alert)
        if security_utils.sha256_hex(text.encode()) != row.alert_text_sha256:
            raise TamperedArtefact(f"The alert text of record {record_id} is not the one that was recorded.")
        ledger_events.alert_decrypted(tenant, row.model, record_id, username, now)
    telemetry.log("ALERT_DECRYPTED", record_id=record_id, username=username, address=address)
    return {
        "record_id": record_id,
        "text": text,
        "read_by": username,
        "read_at": telemetry.timestamp(now),
        "address": address,
    }


def record_decryption(record_id: str, tenant: str, username: str, address: str, now: datetime) -> None:
    """Keep who read an alert's text, when and from where."""
    with unit_of_work():
        evidence.add_decryption(record_id, tenant, username, address, now)


def decryptions(record_id: str, tenant: str) -> list[dict[str, Any]]:
    """Who read the alert's text of a record, the first reader first: username, at, address."""
    with read_snapshot():
        found = evidence.decryptions(record_id, tenant)
        return [
            {"username": row.username, "at": telemetry.timestamp(row.at), "address": row.address}
            for row in found
        ]


def _columns(event: dict[str, Any]) -> dict[str, Any]:
    missing = [name for name in REQUIRED if event.get(name) is None]
    unknown = [name for name in event if name not in REQUIRED and name not in OPTIONAL]
    if missing or unknown:
        raise InvalidInput(
            f"The event lacks {missing} and has the unknown {unknown}",
            field=(missing + unknown)[0], got=sorted(map(str, event)), expected=", ".join((*REQUIRED, *OPTIONAL)),
        )  # fmt: skip
    for name in (*TEXTS, "record_id", "alert_text"):
        if event.get(name) is not None:
            checks.plain_text(name, event[name])
    sample_size = event["sample_size"]
    if isinstance(sample_size, bool) or not hasattr(sample_size, "__index__") or sample_size < 0:
        raise InvalidInput(
            f"sample_size is {sample_size!r}, a whole number was expected",
            field="sample_size", got=repr(sample_size), expected="a whole number, at least 0",
        )  # fmt: skip
    return {
        **{name: event[name] for name in TEXTS},
        **{name: checks.plain_float(name, event.get(name)) for name in FIGURES},
        "record_id": event.get("record_id") or uuid.uuid4().hex,
        "sample_size": int(sample_size),
        "alert": bool(event["alert"]),
    }
