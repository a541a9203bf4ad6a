"""Figures of audits as series: one row an audit, attribute and metric; read from an index, never from results."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, func, insert, or_, select, true, update

from fairlens_backend.storage.session import current_session
from fairlens_backend.storage.tables import AuditFigure

LEADING: Final = "demographic_parity_difference"
"""The metric whose rows are asked which windows there were; every audit has it of every attribute."""
NEWEST: Final = 5_000
"""Checks that a series is read back to, beside those that it began with."""


_AT_ONCE: Final = 500


class Window(NamedTuple):
    """The time that an audit is of; without a start it is a submission's, audited at its end."""

    start: datetime | None
    end: datetime


class Figure(NamedTuple):
    """One check as it is read."""

    id: int
    audit_id: str
    at: datetime
    window_start: datetime | None
    value: float | None
    standard_error: float | None
    n: int
    threshold: float
    status: str


def add(
    tenant: str,
    model: str,
    version: str,
    audit_id: str,
    window: Window,
    figures: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    """Keep the figures of an audit, within the unit of work that keeps the audit.

    Parameters
    ----------
    figures : for each attribute a row a metric: metric, value, lower, upper, standard_error, n, threshold, status,
        severity
    """
    rows = []
    for attribute, ones in figures.items():
        names = [one["metric"] for one in ones]
        apart = _replaces(tenant, model, attribute, window, names) or _is_apart(
            tenant, model, attribute, window
        )
        rows += [
            {
                **one,
                "audit_id": audit_id,
                "tenant": tenant,
                "model": model,
                "model_version": version,
                "attribute": attribute,
                "at": window.end,
                "window_start": window.start,
                "apart": apart,
                "known": one["value"] is not None,
            }
            for one in ones
        ]
    if rows:
        current_session().execute(insert(AuditFigure), rows)


def values(
    tenant: str, model: str, attribute: str, metric: str, until: datetime, *, first: int, newest: int = NEWEST
) -> list[float]:
    """The values of a metric up to a time, oldest first, of checks that are apart.

    Parameters
    ----------
    first : how many of the oldest are kept, whatever lies between
    newest : at most so many are read from the end, so that an audit's cost does not grow with its history
    """
    wanted = select(AuditFigure.id, AuditFigure.value).where(
        *_series(tenant, model, attribute, metric, known=True), AuditFigure.at <= until
    )
    return [value for _, value in _ends(wanted, first, newest)]


def read(
    tenant: str,
    model: str,
    attribute: str,
    metric: str,
    since: datetime,
    until: datetime,
    *,
    first: int,
    newest: int = NEWEST,
) -> list[Figure]:
    """The checks of a metric that are apart, oldest first.

    Parameters
    ----------
    since, until : from the first to the second those without a value are given too
    first, newest : of those with a value, also from before `since`: the oldest, and at most so many up to `until`
    """
    columns = [getattr(AuditFigure, name) for name in Figure._fields]
    known = select(*columns).where(
        *_series(tenant, model, attribute, metric, known=True), AuditFigure.at <= until
    )
    unknown = select(*columns).where(
        *_series(tenant, model, attribute, metric, known=False),
        AuditFigure.at > since,
        AuditFigure.at <= until,
    )
    found = [*_ends(known, first, newest), *_ends(unknown, 0, newest)]
    return sorted((Figure(*row) for row in found), key=lambda one: (one.at, one.id))


class OfAudit(NamedTuple):
    """One attribute's figure of an audit."""

    attribute: str
    value: float | None
    standard_error: float | None
    apart: bool


def of_audits(tenant: str, audit_ids: Sequence[str], metric: str) -> dict[str, list[OfAudit]]:
    """A metric's figures of some audits, by audit; none of an audit that kept no figures."""
    found: dict[str, list[OfAudit]] = {}
    columns = [AuditFigure.audit_id, *(getattr(AuditFigure, name) for name in OfAudit._fields)]
    for start in range(0, len(audit_ids), _AT_ONCE):
        some = audit_ids[start : start + _AT_ONCE]
        wanted = select(*columns).where(
            AuditFigure.audit_id.in_(some), AuditFigure.tenant == tenant, AuditFigure.metric == metric
        )
        for audit_id, *figure in current_session().execute(wanted.order_by(AuditFigure.id)):
            found.setdefault(audit_id, []).append(OfAudit(*figure))
    return found


def audits_between(
    tenant: str, model: str, names: Sequence[str], since: datetime, until: datetime, *, newest: int
) -> list[str]:
    """The audits whose window ends after one time and up to another, by some attributes; the newest, oldest of them first."""
    found: set[tuple[datetime, int, str]] = set()
    for name in names:
        for apart in (True, False):
            for known in (True, False):
                wanted = (
                    select(AuditFigure.at, AuditFigure.id, AuditFigure.audit_id)
                    .where(
                        AuditFigure.tenant == tenant,
                        AuditFigure.model == model,
                        AuditFigure.attribute == name,
                        AuditFigure.metric == LEADING,
                        AuditFigure.apart == apart,
                        AuditFigure.known == known,
                        AuditFigure.at > since,
                        AuditFigure.at <= until,
                    )
                    .order_by(AuditFigure.at.desc(), AuditFigure.id.desc())
                    .limit(newest)
                )
                found.update(
                    (at, number, audit_id) for at, number, audit_id in current_session().execute(wanted)
                )
    ids = list(dict.fromkeys(audit_id for _, _, audit_id in sorted(found, reverse=True)))
    return ids[:newest][::-1]


def attributes(tenant: str, model: str) -> list[str]:
    """The attributes that a model was ever audited by, each found by one step into the index."""
    names: list[str] = []
    while True:
        wanted = select(func.min(AuditFigure.attribute)).where(
            AuditFigure.tenant == tenant, AuditFigure.model == model
        )
        if names:
            wanted = wanted.where(AuditFigure.attribute > names[-1])
        name = current_session().scalar(wanted)
        if name is None:
            return names
        names.append(name)


def _series(
    tenant: str, model: str, attribute: str, metric: str, *, known: bool
) -> list[ColumnElement[bool]]:
    return [
        AuditFigure.tenant == tenant,
        AuditFigure.model == model,
        AuditFigure.attribute == attribute,
        AuditFigure.metric == metric,
        AuditFigure.apart == true(),
        AuditFigure.known == known,
    ]


def _ends(wanted: Any, first: int, newest: int) -> list[Any]:
    """The last rows of a question, and before them its first ones, oldest first."""
    at, number, session = AuditFigure.at, AuditFigure.id, current_session()
    rows = session.execute(wanted.order_by(at.desc(), number.desc()).limit(newest)).all()[::-1]
    if len(rows) < newest or not first:
        return list(rows)
    seen = {row[0] for row in rows}
    oldest = session.execute(wanted.order_by(at, number).limit(first)).all()
    return [*(row for row in oldest if row[0] not in seen), *rows]


def _is_apart(tenant: str, model: str, attribute: str, window: Window) -> bool:
    """Whether the rows of the window are in no check yet that is apart, be it earlier or, where this one was filled late, later."""
    if window.start is None:
        return True
    for known in (True, False):
        shares = (
            select(AuditFigure.id)
            .where(
                *_series(tenant, model, attribute, LEADING, known=known),
                AuditFigure.at > window.start,
                or_(AuditFigure.at <= window.end, AuditFigure.window_start < window.end),
            )
            .limit(1)
        )
        if current_session().scalar(shares) is not None:
            return False
    return True


def _replaces(tenant: str, model: str, attribute: str, window: Window, metrics: Sequence[str]) -> bool:
    """Take the place of an earlier audit of the same window, if there is one that is apart."""
    if window.start is None:
        return False
    earlier = update(AuditFigure).where(
        AuditFigure.tenant == tenant,
        AuditFigure.model == model,
        AuditFigure.attribute == attribute,
        AuditFigure.metric.in_(metrics),
        AuditFigure.apart == true(),
        AuditFigure.known.in_([True, False]),
        AuditFigure.at == window.end,
        AuditFigure.window_start == window.start,
    )
    changed: Any = current_session().execute(
        earlier.values(apart=False), execution_options={"synchronize_session": False}
    )
    return bool(changed.rowcount)
