"""Brings the compliance log and the anchors up to the rows. The row is the commit; its line and anchor follow from it.

A publish writes the missing lines, syncs them, writes the missing anchors, syncs them, and keeps in `evidence_state` how far it
came. A crash between any two of these leaves a state that the next publish completes, because what is then in the files is the
beginning of what the rows say. Whatever else is in them is damage: kept in `evidence_state`, logged, never mended.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from fairlens_backend import blockchain_anchor, evidence_files, telemetry
from fairlens_backend.errors import Unavailable
from fairlens_backend.evidence_files import Plan
from fairlens_backend.security_utils import canonical_json, sha256_hex
from fairlens_backend.storage import checks, evidence
from fairlens_backend.storage.evidence import Published
from fairlens_backend.storage.session import current_session, read_snapshot, unit_of_work
from fairlens_backend.storage.tables import FairnessCheck

BATCH = 500
PENDING_FOR_LONG_S = 30
"""seconds a line may be missing before health is not ok: a publish under way is no fault"""


def hash_of(record: dict[str, Any]) -> str:
    """The record's hash: SHA-256 of its canonical JSON, 64 hexadecimal digits."""
    return sha256_hex(canonical_json(record))


def line_of(record: dict[str, Any], hash_value: str) -> bytes:
    """The record's line of the compliance log, with its newline."""
    return canonical_json({**record, "hash_value": hash_value}) + b"\n"


def row_line(row: FairnessCheck) -> bytes:
    """The line that a row asks for."""
    return line_of(checks.record_of(row), row.hash_value)


def row_anchor(row: FairnessCheck) -> bytes:
    """The anchor that a row asks for. Its time is the record's, so that it can be made again byte for byte."""
    return blockchain_anchor.anchor_line(row.hash_value, telemetry.timestamp(row.timestamp))


def publish() -> dict[str, Any]:
    """Write the lines and anchors that are missing. Called after a commit, at the start and by the clock; several at once queue.

    Costs the new lines, whatever the files' length. Inside a unit of work it does nothing, since its rows are not committed yet.

    Returns
    -------
    dict of published_seq, head_seq, pending (records without line; 1 when the database cannot be asked), reason (why some are
    still pending, or None), damaged (what no crash explains, or None). A full disk or an absent database is a reason, not an
    exception: the record is committed, and the next publish writes its line.
    """
    if _in_unit_of_work():
        with read_snapshot():
            return _answer(evidence.published(), checks.head()[0], "called inside a unit of work")
    reason = None
    try:
        with evidence_files.locked(evidence_files.PUBLISH_LOCK):
            while _publish_batch():
                pass
    except (OSError, Unavailable) as error:
        reason = getattr(error, "strerror", None) or str(error)
        telemetry.log("EVIDENCE_PENDING", level="error", error=type(error).__name__, reason=reason)
    try:
        with read_snapshot():
            return _answer(evidence.published(), checks.head()[0], reason)
    except Unavailable as error:
        # How many is not to be known without the database, but whoever asks has just committed one.
        unknown = Published()
        return {**_answer(unknown, 1, reason or error.message), "published_seq": None, "head_seq": None}


def health(now: datetime | None = None) -> dict[str, Any]:
    """Whether lines and anchors follow the rows; cheap: the files' ends are looked at, not their middles.

    Returns
    -------
    dict of ok (no damage, and nothing pending for 30 s), published_seq, head_seq, pending, damaged (reason or None)

    Raises
    ------
    Unavailable : the database does not answer
    """
    try:
        with evidence_files.locked(evidence_files.PUBLISH_LOCK, wait=False) as alone, read_snapshot():
            state = evidence.published()
            head_seq = checks.head()[0]
            rows = checks.after(state.seq, BATCH)
            # While another publishes, the files may be ahead of what is kept about them.
            faults = _faults(state, head_seq, rows) if alone else []
    except OSError as error:
        raise Unavailable(
            f"The evidence files cannot be read: {error.strerror}.", retry_after_s=30
        ) from error
    damaged = state.damage
    for found in faults:
        damaged = evidence.add_damage(damaged, found)
    waited = ((now or telemetry.utc_now()) - rows[0].timestamp) if rows else timedelta(0)
    answer = _answer(state, head_seq, None)
    late = waited.total_seconds() > PENDING_FOR_LONG_S
    return {
        "ok": damaged is None and not late,
        "published_seq": answer["published_seq"],
        "head_seq": head_seq,
        "pending": answer["pending"],
        "damaged": damaged,
    }


def acknowledge_damage(by: str) -> str | None:
    """Forget the damage found so far, after an operator has looked into it; gives what it was. The files stay as they are."""
    publish()  # health tells of damage at once, the state keeps it from the next publish on
    with evidence_files.locked(evidence_files.PUBLISH_LOCK), unit_of_work():
        state = evidence.published()
        if state.damage is not None:
            evidence.save_published(replace(state, damage=None))
    if state.damage is not None:
        telemetry.log("EVIDENCE_DAMAGE_ACKNOWLEDGED", level="warning", by=by, damage=state.damage)
    return state.damage


def _publish_batch() -> bool:
    """Publish the next records; whether there may be more to do. Runs under the lock."""
    # Rows are read without the database's write lock: nobody waits for it while this waits for the disk.
    with read_snapshot():
        state = evidence.published()
        head_seq = checks.head()[0]
        rows = checks.after(state.seq, BATCH)
    lost = _lost_rows(state, head_seq, rows)
    if lost is not None:
        _save_damage(replace(state, seq=rows[0].seq - 1 if rows else state.seq), state, lost)
        if rows:
            return True
    rows, more = _without_gap(rows)
    log = _plan_log(state, rows, more)
    if log.damage is not None:
        size = evidence_files.write_at(evidence_files.log_path(), log.at, b"\n") if log.torn else log.at
        _save_damage(replace(state, log_bytes=size), state, log.damage)
        return True
    log_bytes = log.at
    if log.todo:
        log_bytes = evidence_files.write_at(evidence_files.log_path(), log.at, b"".join(log.todo))
    anchors = blockchain_anchor.append_anchors([row_anchor(row) for row in rows], state.anchor_bytes)
    if anchors.damage is not None:
        _save_damage(replace(state, anchor_bytes=anchors.size), state, anchors.damage)
        return True
    if rows:
        with unit_of_work():
            evidence.save_published(Published(rows[-1].seq, log_bytes, anchors.size, state.damage))
    return more


def _without_gap(rows: Sequence[FairnessCheck]) -> tuple[Sequence[FairnessCheck], bool]:
    """The rows up to the first gap in their places, and whether others may follow."""
    for index, row in enumerate(rows):
        if row.seq != rows[0].seq + index:
            return rows[:index], True
    return rows, len(rows) == BATCH


def _plan_log(state: Published, rows: Sequence[FairnessCheck], more: bool) -> Plan:
    expected = [row_line(row) for row in rows]
    return evidence_files.plan_append(evidence_files.log_path(), state.log_bytes, expected, last=not more)


def _faults(state: Published, head_seq: int, rows: Sequence[FairnessCheck]) -> list[str]:
    found = (
        _lost_rows(state, head_seq, rows),
        _plan_log(state, *_without_gap(rows)).damage,
        blockchain_anchor.tail_damage(state.anchor_bytes),
    )
    return [fault for fault in found if fault is not None]


def _lost_rows(state: Published, head_seq: int, rows: Sequence[FairnessCheck]) -> str | None:
    """What is missing between the published records and those to come; `log_event` never gives a place twice."""
    if head_seq < state.seq:
        return f"fairness_checks ends at record {head_seq}, {state.seq} were published"
    if rows and rows[0].seq != state.seq + 1:
        return f"fairness_checks lost records {state.seq + 1} to {rows[0].seq - 1}"
    return None


def _save_damage(new: Published, old: Published, found: str) -> None:
    if new == old and old.damage is not None and found in old.damage:
        return  # told already
    with unit_of_work():
        evidence.save_published(replace(new, damage=evidence.add_damage(old.damage, found)))
    telemetry.log("EVIDENCE_DAMAGED", level="error", found=found)


def _answer(state: Published, head_seq: int, reason: str | None) -> dict[str, Any]:
    return {
        "published_seq": state.seq,
        "head_seq": head_seq,
        "pending": max(0, head_seq - state.seq),
        "reason": reason,
        "damaged": state.damage,
    }


def _in_unit_of_work() -> bool:
    try:
        current_session()
    except RuntimeError:
        return False
    return True
