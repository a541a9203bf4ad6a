"""Audit a model over a window: what it decided in it, single decisions and submissions, is counted and assessed as one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fairlens_backend import audit_runner, event_sampler, model_registry, window_counts_reader
from fairlens_backend.audit_runner import Context, Subject
from fairlens_backend.schemas.audits import WindowAuditRequest
from fairlens_backend.storage import audits, count_series
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.window_counts_reader import WindowCounts

MINUTE: Final = timedelta(minutes=1)
SAMPLE_SEED: Final = 0


@dataclass(frozen=True)
class Revision:
    """Which audit of its window this is, what it stands in place of, and what is written together with it."""

    number: int = 1
    revises: str | None = None
    remarks: Sequence[str] = ()
    also: Callable[[dict[str, Any]], None] | None = None


def audit_window(tenant: str, model: str, wanted: WindowAuditRequest, now: datetime) -> dict[str, Any]:
    """Audit the last hours of a model, and keep, prove and alert as for every audit.

    The window ends when it was asked to, else with the minute that is under way, so that what was sent a moment ago is in
    it. A window without decisions is UNKNOWN, never a PASS.

    Raises
    ------
    NotFound : no such model, neither registered nor ever audited
    InvalidInput : no protected attribute is known, or nothing in the window has those that were asked for
    """
    end = now.replace(second=0, microsecond=0) + MINUTE
    if wanted.until is not None and wanted.until < now:
        end = wanted.until.astimezone(UTC).replace(second=0, microsecond=0)
    start = end - max(1, round(wanted.window_hours * 60)) * MINUTE
    subject = settle(tenant, model, wanted.version, {})
    try:
        counts = window_counts_reader.read_window(
            subject, start, end, version=wanted.version, attributes=wanted.protected_attributes
        )
    except window_counts_reader.NoAttributes:
        if wanted.version is not None:
            model_registry.get_model(model, wanted.version, tenant=tenant)  # says which versions there are
        raise
    return audit_counts(
        subject, counts, (start, end), now, version=wanted.version, sample_rows=wanted.sample_rows
    )


def settle(tenant: str, model: str, version: str | None, policy: dict[str, Any]) -> Subject:
    """Whose window it is, and by which declarations; `NotFound` for a model that nobody knows."""
    with read_snapshot():
        known = audits.any_of_model(tenant, model)
        if version is not None and not known:
            known = bool(count_series.of_model(tenant, model))
        return audit_runner.settle(tenant, model, version, policy, registered=not known)


def audit_counts(
    subject: Subject,
    counts: WindowCounts,
    window: tuple[datetime, datetime],
    now: datetime,
    *,
    version: str | None = None,
    sample_rows: int = 0,
    revision: Revision = Revision(),
) -> dict[str, Any]:
    """Assess what was counted in a window.

    Parameters
    ----------
    version : that was asked for; None for all together
    sample_rows : single decisions that are drawn for the metrics on rows, the same ones for the same window

    Returns
    -------
    as `audit_runner.run`; audits_summed, the submissions among it, and events, the single decisions
    """
    remarks = [*counts.remarks, *revision.remarks]
    if counts.table.total == 0:
        said = f"{_length(window[1] - window[0])} before {window[1]:%Y-%m-%d %H:%M} UTC"
        remarks = [f"Nothing was decided by {subject.model} in the {said}: insufficient_data.", *remarks]
    subject = replace(
        subject,
        version=counts.versions[0] if len(counts.versions) == 1 else subject.version,
        declared={**subject.declared, "reference_groups": counts.reference_groups},
    )
    context = Context(
        remarks=remarks,
        window=window,
        sources=[one.audit_id for one in counts.submissions],
        events=counts.events,
        revision=revision.number,
        revises=revision.revises,
        also=revision.also,
    )
    sample = None
    if sample_rows and counts.events:
        sample = event_sampler.sample(
            subject.tenant,
            subject.model,
            *window,
            version=version,
            seed=SAMPLE_SEED,
            attributes=counts.table.attributes,
            n=sample_rows,
        )
        if sample is not None and not len(sample.features.columns):
            sample = None  # without features there is nothing to compare people by
    answer = audit_runner.run(subject, counts.table, context, now, sample=sample)
    return {**answer, "audits_summed": len(counts.submissions), "events": counts.events}


def _length(length: timedelta) -> str:
    minutes = round(length / MINUTE)
    if minutes % 60:
        return f"{minutes} minute{'' if minutes == 1 else 's'}"
    return f"{minutes // 60} hour{'' if minutes == 60 else 's'}"
