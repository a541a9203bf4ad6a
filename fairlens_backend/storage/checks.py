"""Rows of `fairness_checks`: the chain of records, and the lists that are read from it."""

import base64
import binascii
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import IntegrityError

from fairlens_backend.errors import Conflict, InvalidInput
from fairlens_backend.storage.session import current_session, lock_for_append
from fairlens_backend.storage.tables import Audit, FairnessCheck
from fairlens_backend.telemetry import timestamp

CHAIN_LOCK = 7001
"""the name under which those who append to the chain of records queue"""
FIRST_PREV_HASH = "0" * 64
NOT_HASHED = frozenset({"id", "hash_value", "encrypted_alert"})
FIELDS = tuple(column.key for column in FairnessCheck.__table__.columns if column.key not in NOT_HASHED)
MAX_PAGE = 500


def record_of(row: FairnessCheck) -> dict[str, Any]:
    """The record that is hashed: every column but id, hash_value and encrypted_alert; the time as text."""
    return {**{name: getattr(row, name) for name in FIELDS}, "timestamp": timestamp(row.timestamp)}


def public_record(row: FairnessCheck) -> dict[str, Any]:
    """The record with its hash: what a list shows and what a line of the log holds."""
    return {**record_of(row), "hash_value": row.hash_value}


def lock_chain() -> None:
    """Let one transaction at a time append a record."""
    lock_for_append(CHAIN_LOCK)


def head() -> tuple[int, str]:
    """Place and hash of the newest record; (0, 64 zeros) before the first."""
    newest = select(FairnessCheck.seq, FairnessCheck.hash_value).order_by(FairnessCheck.seq.desc()).limit(1)
    found = current_session().execute(newest).first()
    return (found[0], found[1]) if found else (0, FIRST_PREV_HASH)


def insert(columns: dict[str, Any]) -> None:
    """Insert one row; the unit of work around it decides whether it stays.

    Raises
    ------
    Conflict : record_id or audit_id is there already; the unit of work cannot go on
    """
    session = current_session()
    session.add(FairnessCheck(**columns))
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(
            f"There is a record {columns['record_id']} or one of audit {columns['audit_id']} already.",
            record_id=columns["record_id"], audit_id=columns["audit_id"],
        ) from error  # fmt: skip


def by_record_id(record_id: str, tenant: str) -> FairnessCheck | None:
    """The tenant's record, read afresh."""
    if "\x00" in record_id:
        return None  # PostgreSQL refuses the question; no record is called so
    wanted = select(FairnessCheck).where(FairnessCheck.record_id == record_id, FairnessCheck.tenant == tenant)
    return current_session().scalars(_fresh(wanted)).one_or_none()


def by_seq(seq: int) -> FairnessCheck | None:
    """The record at a place of the chain, whoever's it is; for checking links only."""
    return (
        current_session().scalars(_fresh(select(FairnessCheck).where(FairnessCheck.seq == seq))).one_or_none()
    )


def after(seq: int, limit: int, up_to: int | None = None) -> Sequence[FairnessCheck]:
    """The records that follow a place of the chain, in order, at most `limit`."""
    wanted = select(FairnessCheck).where(FairnessCheck.seq > seq)
    if up_to is not None:
        wanted = wanted.where(FairnessCheck.seq <= up_to)
    return current_session().scalars(_fresh(wanted.order_by(FairnessCheck.seq).limit(limit))).all()


def with_seqs(seqs: Iterable[int]) -> dict[int, FairnessCheck]:
    """The records at these places, by place; at most some hundred at once."""
    rows = current_session().scalars(_fresh(select(FairnessCheck).where(FairnessCheck.seq.in_(list(seqs)))))
    return {row.seq: row for row in rows}


def with_hashes(hashes: Iterable[str]) -> dict[str, FairnessCheck]:
    """The records with these hashes, by hash; at most some hundred at once."""
    rows = current_session().scalars(
        _fresh(select(FairnessCheck).where(FairnessCheck.hash_value.in_(list(hashes))))
    )
    return {row.hash_value: row for row in rows}


def encrypted(batch: int = 500) -> Iterator[Sequence[FairnessCheck]]:
    """Every row that holds an encrypted alert, in batches, so that memory stays bounded."""
    last = 0
    while True:
        wanted = select(FairnessCheck).where(
            FairnessCheck.id > last, FairnessCheck.encrypted_alert.is_not(None)
        )
        rows = current_session().scalars(_fresh(wanted.order_by(FairnessCheck.id).limit(batch))).all()
        if not rows:
            return
        yield rows
        current_session().flush()
        last = rows[-1].id


def audit_of(audit_id: str, tenant: str) -> Audit | None:
    """The audit behind a record, read afresh."""
    wanted = select(Audit).where(Audit.audit_id == audit_id, Audit.tenant == tenant)
    return current_session().scalars(_fresh(wanted)).one_or_none()


def list_checks(
    tenant: str,
    *,
    limit: int = 20,
    cursor: str | None = None,
    model: str | None = None,
    alert: bool | None = None,
    severity: str | None = None,
) -> tuple[list[dict[str, Any]], str | None]:
    """One page of the tenant's records, newest first, and the cursor of the next page.

    Parameters
    ----------
    limit : records a page has, 1 to 500
    cursor : what the page before gave; None for the first page
    model, alert, severity : only records of this model; only those with, or without, an alert; only this severity

    Returns
    -------
    (records as dicts with their hash, cursor or None after the last page)

    Raises
    ------
    InvalidInput : a limit out of range, or a cursor that no page gave
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInput(
            f"limit is {limit}, 1 to {MAX_PAGE} was expected",
            field="limit", got=limit, expected=f"1 to {MAX_PAGE}",
        )  # fmt: skip
    conditions: list[ColumnElement[bool]] = [FairnessCheck.tenant == tenant]
    if cursor is not None:
        conditions.append(FairnessCheck.seq < _seq_of(cursor))
    if model is not None:
        conditions.append(FairnessCheck.model == model)
    if alert is not None:
        conditions.append(FairnessCheck.alert.is_(alert))
    if severity is not None:
        conditions.append(FairnessCheck.severity == severity)
    wanted = select(FairnessCheck).where(*conditions).order_by(FairnessCheck.seq.desc()).limit(limit + 1)
    rows = current_session().scalars(wanted).all()
    more = _cursor_of(rows[limit - 1].seq) if len(rows) > limit else None
    return [public_record(row) for row in rows[:limit]], more


def recent(tenant: str, model: str | None = None, window: int = 20) -> list[dict[str, Any]]:
    """The last `window` records of a tenant, or of one of its models, the oldest of them first."""
    conditions: list[ColumnElement[bool]] = [FairnessCheck.tenant == tenant]
    if model is not None:
        conditions.append(FairnessCheck.model == model)
    wanted = select(FairnessCheck).where(*conditions).order_by(FairnessCheck.seq.desc()).limit(window)
    return [public_record(row) for row in reversed(current_session().scalars(wanted).all())]


def count() -> int:
    """How many records there are."""
    return current_session().scalar(select(func.count()).select_from(FairnessCheck)) or 0


def plain_float(name: str, value: Any) -> float | None:
    """A figure as a double, or None; NaN and infinity are refused, since undefined is None."""
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(value, "__float__") or not math.isfinite(value):
        raise InvalidInput(
            f"{name} is {value!r}, a finite number or null was expected",
            field=name, got=repr(value), expected="a finite number or null",
        )  # fmt: skip
    return float(value)


def plain_text(name: str, value: Any) -> str:
    """Text that every database takes: no NUL, no lone surrogate, no longer than its column."""
    length = getattr(FairnessCheck.__table__.columns[name].type, "length", None) if name in FIELDS else None
    if not isinstance(value, str):
        fault = f"{type(value).__name__}, text was expected"
    elif "\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        fault = "text with a NUL or half a surrogate pair, which no database keeps"
    elif length is not None and len(value) > length:
        fault = f"text of {len(value)} characters, at most {length} were expected"
    else:
        return value
    raise InvalidInput(f"{name} is {fault}", field=name, got=fault.split(",")[0], expected="text")


def _fresh(wanted: Any) -> Any:
    # Rows are evidence: what is checked is what the database holds now, not what this session remembers.
    return wanted.execution_options(populate_existing=True)


def _cursor_of(seq: int) -> str:
    return base64.urlsafe_b64encode(f"seq:{seq}".encode()).decode().rstrip("=")


def _seq_of(cursor: str) -> int:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        seq = int(text.removeprefix("seq:"))
        # The round trip refuses every other spelling of the same number.
        right = _cursor_of(seq) == cursor and 0 < seq < 2**63
    except (ValueError, binascii.Error):
        right = False
    if not right:
        raise InvalidInput(
            "cursor is not one that a page gave",
            field="cursor", got=cursor[:100], expected="next_cursor of the page before",
        )  # fmt: skip
    return seq
