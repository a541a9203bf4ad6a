"""What a compliance report reads: the audits of a range as light rows, and their count tables as text, a few at a time."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Text, and_, cast, false, or_, select, true

from fairlens_backend.storage import figures
from fairlens_backend.storage.session import current_session
from fairlens_backend.storage.tables import Audit, AuditFigure, FairnessCheck

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


def newest_seq(tenant: str, model: str) -> tuple[int, datetime] | None:
    """Place and time of the newest record of a model; None before the first."""
    wanted = (
        select(FairnessCheck.seq, FairnessCheck.timestamp)
        .where(FairnessCheck.tenant == tenant, FairnessCheck.model == model)
        .order_by(FairnessCheck.id.desc())
        .limit(1)
    )
    found = current_session().execute(wanted).first()
    return None if found is None else (found[0], found[1])
