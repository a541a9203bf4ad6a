"""What a compliance report reads: the audits of a range as light rows, and their count tables as text, a few at a time."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Text, and_, cast, false, func, or_, select, true

from fairlens_backend.storage import figures
from fairlens_backend.storage.alert_tables import Alert
from fairlens_backend.storage.ledger_tables import LedgerEntry
from fairlens_backend.storage.session import current_session
from fairlens_backend.storage.tables import AlertDecryption, Audit, AuditFigure, FairnessCheck

AUDIT_COMPLETED: Final = "AUDIT_COMPLETED"

AT_ONCE: Final = 400
"""Count tables that one question asks for; SQLite takes at most some thousand parameters."""


class AuditRow(NamedTuple):
    """One audit by its record, without its result."""

    audit_id: str
    record_id: str
    seq: int
    made: datetime
    model_version: str
    sample_size: int
    severity: str
    alert: bool
    dir: float | None
    drift_level: float | None
    audit_sha256: str
    hash_value: str
    window_start: datetime | None
    window_end: datetime
    """the end of the audited window; of a submission when it was audited"""


def audits_between(tenant: str, model: str, since: datetime, until: datetime) -> list[AuditRow]:
    """The audits whose window ends after `since` and not after `until`, or that were submitted between them, by their end.

    A submission has no window: it is taken from `since` on and before `until`.
    """
    names = figures.attributes(tenant, model)
    if not names:
        return []
    window = (
        select(AuditFigure.audit_id, AuditFigure.window_start, AuditFigure.at)
        .where(
            AuditFigure.tenant == tenant,
            AuditFigure.model == model,
            AuditFigure.attribute.in_(names),
            AuditFigure.metric == figures.LEADING,
            AuditFigure.apart.in_([true(), false()]),
            AuditFigure.known.in_([true(), false()]),
            or_(
                and_(AuditFigure.window_start.is_not(None), AuditFigure.at > since, AuditFigure.at <= until),
                and_(AuditFigure.window_start.is_(None), AuditFigure.at >= since, AuditFigure.at < until),
            ),
        )
        .distinct()
        .subquery()
    )
    check = FairnessCheck
    columns = (
        check.audit_id, check.record_id, check.seq, check.timestamp, check.model_version, check.sample_size, check.severity,
        check.alert, check.dir, check.drift_level, check.audit_sha256, check.hash_value, window.c.window_start, window.c.at,
    )  # fmt: skip
    wanted = (
        select(*columns)
        .join(window, window.c.audit_id == check.audit_id)
        .where(check.tenant == tenant)
        .order_by(window.c.at, check.seq)
    )
    return [AuditRow(*row) for row in current_session().execute(wanted)]


def counts_of(tenant: str, audit_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Id and count table of these audits, the table as its JSON text: thousands are read, and only their sum is made."""
    for start in range(0, len(audit_ids), AT_ONCE):
        wanted = select(Audit.audit_id, cast(Audit.counts, Text)).where(
            Audit.tenant == tenant, Audit.audit_id.in_(audit_ids[start : start + AT_ONCE])
        )
        for row in current_session().execute(wanted):
            yield row[0], row[1]


def full(tenant: str, audit_id: str) -> tuple[FairnessCheck, Audit]:
    """The record and the audit of a row that `audits_between` gave, read afresh."""
    wanted = (
        select(FairnessCheck, Audit)
        .join(Audit, Audit.audit_id == FairnessCheck.audit_id)
        .where(FairnessCheck.audit_id == audit_id, FairnessCheck.tenant == tenant, Audit.tenant == tenant)
        .execution_options(populate_existing=True)
    )
    found = current_session().execute(wanted).one()
    return found[0], found[1]


def alerts_between(tenant: str, model: str, since: datetime, until: datetime) -> list[Alert]:
    """The alerts that were open at some time from `since` on and before `until`, by their first opening."""
    wanted = (
        select(Alert)
        .where(
            Alert.tenant == tenant,
            Alert.model == model,
            Alert.first_opened_at < until,
            or_(Alert.resolved_at.is_(None), Alert.resolved_at >= since),
        )
        .order_by(Alert.first_opened_at, Alert.id)
    )
    return list(current_session().scalars(wanted))


def decryptions_between(tenant: str, record_ids: Sequence[str]) -> int:
    """How often the texts of these records were read."""
    times = 0
    for start in range(0, len(record_ids), AT_ONCE):
        wanted = select(func.count()).where(
            AlertDecryption.tenant == tenant,
            AlertDecryption.record_id.in_(record_ids[start : start + AT_ONCE]),
        )
        times += current_session().scalar(wanted) or 0
    return times


def ledger_events(
    tenant: str, model: str, types: Sequence[str], since: str, until: str, newest: int
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The newest of the ledger's entries of some types about a model, in order, and how many there are of each type.

    Parameters
    ----------
    since, until : times as the ledger spells them, the first included, the last not

    Returns
    -------
    entries as index, time, type and what the entry says; counts of the types that there are
    """
    mine = (
        LedgerEntry.tenant == tenant,
        LedgerEntry.subject == model,
        LedgerEntry.type.in_(types),
        LedgerEntry.at >= since,
        LedgerEntry.at < until,
    )
    session = current_session()
    counted = select(LedgerEntry.type, func.count()).where(*mine).group_by(LedgerEntry.type)
    counts = {kind: n for kind, n in session.execute(counted)}
    if not counts:
        return [], {}
    wanted = select(LedgerEntry.leaf_index, LedgerEntry.at, LedgerEntry.type, LedgerEntry.leaf).where(*mine)
    rows = session.execute(wanted.order_by(LedgerEntry.leaf_index.desc()).limit(newest)).all()
    return [
        {"leaf_index": index, "at": at, "type": kind, "body": json.loads(bytes(leaf))["body"]}
        for index, at, kind, leaf in reversed(rows)
    ], counts


def leaf_indexes(tenant: str, model: str, since: str) -> dict[str, int]:
    """The ledger's index of each completed audit of a model since a time, by its record."""
    wanted = select(LedgerEntry.record_id, LedgerEntry.leaf_index).where(
        LedgerEntry.tenant == tenant,
        LedgerEntry.subject == model,
        LedgerEntry.type == AUDIT_COMPLETED,
        LedgerEntry.at >= since,
        LedgerEntry.record_id.is_not(None),
    )
    return {str(row[0]): row[1] for row in current_session().execute(wanted)}
