"""Audits as rows: the whole result and the count table that it came from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, true

from fairlens_backend.storage.session import current_session
from fairlens_backend.storage.tables import Audit, FairnessCheck

BATCH = 100  # rows fetched at a time: a result may have some hundred kilobytes


@dataclass(frozen=True)
class Counted:
    """One audit's counts, and what its record says of them."""

    audit_id: str
    model_version: str
    drift_level: float | None
    counts: dict[str, Any]
    at: datetime


def insert(audit_id: str, tenant: str, result: dict[str, Any], counts: dict[str, Any], now: datetime) -> None:
    """Keep one audit, within the unit of work that keeps its record; `audits` among its counts says that it is a window's."""
    made = Audit(audit_id=audit_id, tenant=tenant, created_at=now, result=result, counts=counts)
    made.model, made.submitted = result.get("model", ""), "attributes" in counts and "audits" not in counts
    current_session().add(made)
    current_session().flush()


def find(audit_id: str, tenant: str) -> Audit | None:
    """The tenant's audit of this id, or None."""
    wanted = select(Audit).where(Audit.audit_id == audit_id, Audit.tenant == tenant)
    return current_session().scalars(wanted).one_or_none()


def record_id_of(audit_id: str, tenant: str) -> str | None:
    """The id of the record that an audit belongs to."""
    wanted = select(FairnessCheck.record_id).where(
        FairnessCheck.audit_id == audit_id, FairnessCheck.tenant == tenant
    )
    return current_session().scalar(wanted)


def counted_between(
    tenant: str, model: str, since: datetime, until: datetime, version: str | None = None
) -> Iterator[Counted]:
    """The counts of a model's submissions from `since`, included, to `until`, not; the oldest first, a few at a time.

    Audits of windows are left out: what they counted is counted elsewhere.
    """
    wanted = (
        select(
            Audit.audit_id,
            FairnessCheck.model_version,
            FairnessCheck.drift_level,
            Audit.counts,
            Audit.created_at,
        )
        .join(FairnessCheck, FairnessCheck.audit_id == Audit.audit_id)
        .where(
            Audit.tenant == tenant,
            Audit.model == model,
            Audit.submitted == true(),
            Audit.created_at >= since,
            Audit.created_at < until,
        )
        .order_by(Audit.created_at, FairnessCheck.id)
    )
    if version is not None:
        wanted = wanted.where(FairnessCheck.model_version == version)
    for row in current_session().execute(wanted.execution_options(yield_per=BATCH)):
        yield Counted(*row)


def newest(tenant: str, model: str, since: datetime, limit: int) -> Iterator[tuple[Any, Any]]:
    """Result and counts of a model's newest audits since a time, at most `limit`, a few at a time."""
    wanted = (
        select(Audit.result, Audit.counts)
        .join(FairnessCheck, FairnessCheck.audit_id == Audit.audit_id)
        .where(FairnessCheck.tenant == tenant, FairnessCheck.model == model, FairnessCheck.timestamp >= since)
        .order_by(FairnessCheck.id.desc())
        .limit(limit)
    )
    for row in current_session().execute(wanted.execution_options(yield_per=BATCH)):
        yield row[0], row[1]


def any_of_model(tenant: str, model: str) -> bool:
    """Whether this model of the tenant was ever audited."""
    wanted = (
        select(FairnessCheck.id).where(FairnessCheck.tenant == tenant, FairnessCheck.model == model).limit(1)
    )
    return current_session().scalar(wanted) is not None


def first_of_model(tenant: str, model: str) -> datetime | None:
    """When this model of the tenant was first audited."""
    wanted = (
        select(FairnessCheck.timestamp)
        .where(FairnessCheck.tenant == tenant, FairnessCheck.model == model)
        .order_by(FairnessCheck.id)
        .limit(1)
    )
    return current_session().scalar(wanted)


def with_ids(tenant: str, audit_ids: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """Result and counts of audits of these ids, a few at a time, in no order."""
    for start in range(0, len(audit_ids), BATCH):
        some = audit_ids[start : start + BATCH]
        wanted = select(Audit.result, Audit.counts).where(Audit.tenant == tenant, Audit.audit_id.in_(some))
        for row in current_session().execute(wanted):
            yield row[0], row[1]
