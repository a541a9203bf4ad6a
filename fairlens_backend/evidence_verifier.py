"""Says of one record, or of all, whether row, line, chain, anchor, alert text, audit and ledger are what was recorded.

Row and line hold the same record twice, each beside its hash. When they differ, the one that has its own hash and is vouched for
by others (the next record's prev_hash, in its row and in its line, the anchor, and the ledger) is right, and the other was altered.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from fairlens_backend import blockchain_anchor, evidence_files, ledger_reader, telemetry
from fairlens_backend.errors import FairLensError, InvalidInput, NotFound
from fairlens_backend.evidence_publisher import hash_of, line_of
from fairlens_backend.security_utils import canonical_json, decrypt_text, gone_key, sha256_hex
from fairlens_backend.storage import checks, evidence
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.storage.tables import FairnessCheck

PARTS = ("row", "line", "chain", "anchor", "alert_text", "audit", "ledger")
NAMES = {
    "row": "the row in the database",
    "line": "the line in the compliance log",
    "chain": "the link to the neighbouring records",
    "anchor": "the anchor (simulated)",
    "alert_text": "the encrypted alert text",
    "audit": "the stored audit",
    "ledger": "the ledger",
}
Part = dict[str, Any]


@dataclass(frozen=True)
class Copy:
    """One of the two copies of a record, with the hash that stands beside it; `whole` when it has that hash."""

    record: dict[str, Any] = field(default_factory=dict)
    hash_value: str = ""
    whole: bool = False
    fault: str | None = None


def verify_record(record_id: str, tenant: str = "default") -> dict[str, Any]:
    """Check one record against everything that was kept of it. Nothing is changed, no text is given out.

    Returns
    -------
    dict of record_id, valid, pending (its line and anchor are still to be written), parts {row, line, chain, anchor, alert_text,
    audit, ledger: {ok, reason}; of the anchor also simulated, of a text whose key was lost also unreadable}, failed (names of parts),
    message (a sentence that names what was altered)

    Raises
    ------
    NotFound : the tenant has no such record, neither as a row nor as a line
    """
    with read_snapshot():
        row = checks.by_record_id(record_id, tenant)
        lines = _lines_of(record_id, row)
        if row is None and not any(_tenant_of(line) == tenant for line in lines):
            raise NotFound(f"There is no record {record_id!r}.", record_id=record_id)
        parts, pending = _check(row, lines, record_id)
    failed = [name for name in PARTS if not parts[name]["ok"] and not parts[name].get("pending")]
    altered = [name for name in failed if not parts[name].get("unreadable")]
    if altered:
        telemetry.log("EVIDENCE_DAMAGED", level="error", record_id=record_id, failed=altered)
    return {
        "record_id": record_id,
        "valid": not failed and not pending,
        "pending": pending,
        "parts": parts,
        "failed": failed,
        "message": _sentence(record_id, parts, failed, pending),
    }


def _check(row: FairnessCheck | None, lines: list[bytes], record_id: str) -> tuple[dict[str, Part], bool]:
    in_row = _copy_of_row(row)
    in_line = _copy_of_line(lines, in_row, record_id)
    pending = row is not None and row.seq > evidence.published().seq and not _finished(lines, in_row)
    row_fault, line_fault = _compare(in_row, in_line)
    whole = [copy for copy, fault in ((in_row, row_fault), (in_line, line_fault)) if fault is None]
    # What else was kept is measured against the copy that is right; when none is, against the row while it is there.
    right = whole[0] if whole else in_row if in_row.record else in_line
    parts = {
        "row": _part(row_fault),
        "line": _part(None if pending else line_fault, pending=pending),
        "chain": _part(_chain_fault(right)),
        "anchor": {**_anchor_part(right), "simulated": True},
        "alert_text": _alert_part(right, row),
        "audit": _part(_audit_fault(right)),
        "ledger": _part(ledger_reader.fault_of_record(right.record, right.hash_value)),
    }
    return parts, any(part.get("pending", False) for part in parts.values())


def _finished(lines: list[bytes], in_row: Copy) -> bool:
    """Whether there is more than nothing, or than what a crash may have left of the line at the log's end."""
    wanted = line_of(in_row.record, in_row.hash_value) if in_row.whole else b""
    return any(line.endswith(b"\n") or not wanted.startswith(line) for line in lines)


def _part(fault: str | None, *, pending: bool = False) -> Part:
    if pending:
        return {"ok": False, "pending": True, "reason": "not yet written; the next publish writes it"}
    return {"ok": fault is None, "reason": fault}


def _copy_of_row(row: FairnessCheck | None) -> Copy:
    if row is None:
        return Copy(fault="is gone from the table")
    record = checks.record_of(row)
    try:
        made = hash_of(record)
    except InvalidInput as error:
        return Copy(record, row.hash_value, False, f"holds what no record can: {error.message}")
    if made == row.hash_value:
        return Copy(record, row.hash_value, True)
    return Copy(record, row.hash_value, False, f"has the hash {made}, {row.hash_value} stands in it")


def _copy_of_line(lines: list[bytes], in_row: Copy, record_id: str) -> Copy:
    different = list(dict.fromkeys(lines))
    if not different:
        return Copy(fault="is missing from the log")
    if len(different) > 1:
        return Copy(fault=f"stands in the log in {len(different)} different versions")
    if in_row.whole and line_of(in_row.record, in_row.hash_value) == different[0]:
        return Copy(in_row.record, in_row.hash_value, True)
    try:
        record = json.loads(different[0])
        hash_value = str(record.pop("hash_value"))
        made = hash_of(record)
        spelled = line_of(record, hash_value)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Copy(fault="cannot be read as a record")
    if made != hash_value:
        return Copy(record, hash_value, False, f"has the hash {made}, {hash_value} stands in it")
    if spelled != different[0] or record.get("record_id") != record_id:
        return Copy(record, hash_value, False, "is not spelled as it was written")
    return Copy(record, hash_value, True)


def _compare(in_row: Copy, in_line: Copy) -> tuple[str | None, str | None]:
    """The fault of the row and that of the line."""
    if in_row.whole and in_line.whole and in_row.hash_value != in_line.hash_value:
        for_row, for_line = _witnesses(in_row), _witnesses(in_line)
        said = "has another hash than the {}: {} others vouch for it, {} for the {}"
        return (
            said.format("line", for_row, for_line, "line") if for_row <= for_line else None,
            said.format("row", for_line, for_row, "row") if for_line <= for_row else None,
        )
    agree = in_line.hash_value == in_row.hash_value
    row_fault, line_fault = in_row.fault, in_line.fault
    if in_row.whole and not in_line.whole and not agree and _contradicted(in_row):
        row_fault = "has a hash that neither the next record nor an anchor names"
    if in_line.whole and not in_row.whole and not agree and _contradicted(in_line):
        line_fault = "has a hash that neither the next record nor an anchor names"
    return row_fault, line_fault


def _contradicted(copy: Copy) -> bool:
    following = _row_at(copy.record.get("seq"), 1)
    return following is not None and following.prev_hash != copy.hash_value and not _anchored(copy)


def _witnesses(copy: Copy) -> int:
    """How many vouch for this copy's hash: the next record's row, the next one's line, the anchor, the ledger."""
    following = _row_at(copy.record.get("seq"), 1)
    found = int(_anchored(copy)) + int(ledger_reader.vouches_for(copy.record, copy.hash_value))
    if following is not None:
        found += following.prev_hash == copy.hash_value
    if evidence_files.lines_with(evidence_files.log_path(), f'"prev_hash":"{copy.hash_value}"'.encode()):
        found += 1
    return found


def _chain_fault(copy: Copy) -> str | None:
    seq = copy.record.get("seq")
    before, following = _row_at(seq, -1), _row_at(seq, 1)
    given = copy.record.get("prev_hash")
    if seq == 1:
        if given != checks.FIRST_PREV_HASH:
            return "the first record does not begin with 64 zeros"
    elif before is None:
        return f"the record before it, {seq - 1 if isinstance(seq, int) else '?'}, is missing"
    elif before.hash_value != given:
        return f"record {before.seq} before it does not have the hash that it names"
    if following is not None:
        if following.prev_hash != copy.hash_value:
            return f"record {following.seq} after it does not name its hash"
    elif isinstance(seq, int) and checks.head()[0] > seq:
        return f"the record after it, {seq + 1}, is missing"
    return None


def _anchor_part(copy: Copy) -> Part:
    wanted = _anchor_of(copy)
    found = blockchain_anchor.lines_about(copy.hash_value)
    if wanted in found:
        return _part(None)
    seq = copy.record.get("seq")
    finished = any(line.endswith(b"\n") or not wanted.startswith(line) for line in found)
    if isinstance(seq, int) and seq > evidence.published().seq and not finished:
        return _part(None, pending=True)
    return _part(
        "was altered: it is not what the record asks for" if found else "is missing from the anchors"
    )


def _anchor_of(copy: Copy) -> bytes:
    return blockchain_anchor.anchor_line(copy.hash_value, str(copy.record.get("timestamp")))


def _anchored(copy: Copy) -> bool:
    return _anchor_of(copy) in blockchain_anchor.lines_about(copy.hash_value)


def _alert_part(copy: Copy, row: FairnessCheck | None) -> Part:
    """Of a text whose key was given up nobody can say whether it was altered."""
    part = _part(_alert_fault(copy, row))
    token = row.encrypted_alert if row is not None else None
    gone = gone_key(token) if token is not None and copy.record.get("alert_text_sha256") else None
    if gone is None:
        return part
    return {
        "ok": False,
        "unreadable": True,
        "reason": f"cannot be read: the data key {gone} is gone, as after a loss of the master key",
    }


def _alert_fault(copy: Copy, row: FairnessCheck | None) -> str | None:
    digest = copy.record.get("alert_text_sha256")
    token = row.encrypted_alert if row is not None else None
    if digest is None:
        return None if token is None else "is there, though the record has none"
    if token is None:
        return "is gone"
    try:
        text = decrypt_text(token)
    except FairLensError as error:
        return error.message
    return None if sha256_hex(text.encode()) == digest else "is not the text that was recorded"


def _audit_fault(copy: Copy) -> str | None:
    audit = checks.audit_of(str(copy.record.get("audit_id")), str(copy.record.get("tenant")))
    if audit is None:
        return "is gone"
    try:
        made = sha256_hex(canonical_json({"result": audit.result, "counts": audit.counts}))
    except InvalidInput as error:
        return error.message
    return None if made == copy.record.get("audit_sha256") else "is not the result that was recorded"


def _lines_of(record_id: str, row: FairnessCheck | None) -> list[bytes]:
    path = evidence_files.log_path()
    found = evidence_files.lines_with(path, b'"record_id":' + canonical_json(record_id))
    if not found and row is not None:
        found = evidence_files.lines_with(path, f'"hash_value":"{row.hash_value}"'.encode())
    return found


def _tenant_of(line: bytes) -> str | None:
    try:
        return str(json.loads(line)["tenant"])
    except (ValueError, KeyError, TypeError):
        return None


def _row_at(seq: Any, step: int) -> FairnessCheck | None:
    return checks.by_seq(seq + step) if isinstance(seq, int) else None


def _sentence(record_id: str, parts: dict[str, Part], failed: list[str], pending: bool) -> str:
    altered = [name for name in failed if not parts[name].get("unreadable")]
    if altered:
        named = "; ".join(f"{NAMES[name]}: {parts[name]['reason']}" for name in failed)
        return f"Record {record_id} is not as it was recorded. Altered: {named}."
    if failed:
        unread = "; ".join(f"{NAMES[name]} {parts[name]['reason']}" for name in failed)
        return f"Record {record_id}: all that can be read of it is unaltered; {unread}."
    if pending:
        return f"Record {record_id} is unaltered; its line and (simulated) anchor are still to be written."
    return f"Record {record_id} is unaltered: row, line, chain, anchor (simulated), alert text, audit and ledger agree."
