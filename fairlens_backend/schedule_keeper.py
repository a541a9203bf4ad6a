"""Schedules as people see and set them: one a model, what became of its windows, and how fresh its audits are."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from fairlens_backend import config, model_registry, schedule_settings, sequential_watcher, telemetry
from fairlens_backend.core.policy import Policy
from fairlens_backend.core.schedule import Timetable
from fairlens_backend.errors import FairLensError, InvalidInput, NotFound
from fairlens_backend.schemas._base import PageQuery
from fairlens_backend.schemas.schedules import ScheduleRequest, WindowsQuery
from fairlens_backend.storage import audit_windows, audits, pages, schedules
from fairlens_backend.storage.schedule_tables import AuditWindow, Schedule
from fairlens_backend.storage.session import read_snapshot, unit_of_work

OVERDUE_S: Final = 300.0
"""An audit that is due for so long is overdue: some ticks were missed, or there are more windows than a tick makes."""
COUNTED_BEHIND: Final = 1_000


def get_schedule(tenant: str, model: str, now: datetime | None = None) -> dict[str, Any]:
    """When and how a model is audited, with what its schedule leaves to the server's settings filled in.

    Here and below, where `now` is None it is the time that all servers agree on, by which the audits go too.
    """
    now = now or schedules.common_time()
    with read_snapshot():
        _require_known(tenant, model)
        return _as_dict(model, schedules.find(tenant, model), now)


def put_schedule(
    tenant: str, model: str, wanted: ScheduleRequest, by: str, now: datetime | None = None
) -> dict[str, Any]:
    """Set a model's schedule, whole.

    Another cron line or time zone counts from now on. What was missed by the old one is not made up for by the new one, nor
    is the time in which a schedule was disabled.

    Raises
    ------
    NotFound : no such model
    InvalidInput : a cron line, a time zone or a limit that is not possible, attributes or a version that a registered model
        does not have
    """
    now, given = now or schedules.common_time(), _columns(wanted)
    schedule_settings.require_possible(tenant, model, wanted)
    zone = wanted.time_zone or ("UTC" if wanted.cron else config.current().audit_time_zone)
    timetable = Timetable(wanted.cron or config.current().audit_cron, zone)
    if not timetable.next_due(now):
        raise InvalidInput(
            "cron never comes again.", field="cron", got=wanted.cron, expected="a time to come"
        )
    with unit_of_work():
        _require_known(tenant, model)
        before = schedules.find(tenant, model)
        columns = {**given, "by_default": False}
        _put(tenant, model, before, columns, by, now)
        if wanted.restart_watches:
            sequential_watcher.restart(tenant, model)
        found = _as_dict(model, schedules.find(tenant, model), now)
    telemetry.log(
        "SCHEDULE_SET", tenant=tenant, model=model, by=by, cron=found["cron"], enabled=wanted.enabled
    )
    return found


def reset_schedule(tenant: str, model: str, by: str, now: datetime | None = None) -> dict[str, Any]:
    """Let the server's settings say again when a model is audited; nothing changes where they do already."""
    now = now or schedules.common_time()
    with unit_of_work():
        _require_known(tenant, model)
        before = schedules.find(tenant, model)
        if before is not None and not before.by_default:
            _put(tenant, model, before, {**_columns(ScheduleRequest()), "by_default": True}, by, now)
            telemetry.log("SCHEDULE_RESET", tenant=tenant, model=model, by=by)
        return _as_dict(model, schedules.find(tenant, model), now)


def list_schedules(tenant: str, wanted: PageQuery, now: datetime | None = None) -> dict[str, Any]:
    """One page of the tenant's schedules, the oldest first; a model that never sent a decision nor was given one has none."""
    now, after = now or schedules.common_time(), pages.decode_cursor(wanted.cursor)
    with read_snapshot():
        rows = schedules.page(tenant, wanted.limit + 1, after)
        items = [_as_dict(row.model, row, now) for row in rows[: wanted.limit]]
    more = len(rows) > wanted.limit
    return {"items": items, "next_cursor": pages.encode_cursor(rows[wanted.limit - 1].id) if more else None}


def list_windows(tenant: str, model: str, wanted: WindowsQuery) -> dict[str, Any]:
    """One page of what became of a model's windows, what was done last first."""
    with read_snapshot():
        _require_known(tenant, model)
        before = pages.decode_cursor(wanted.cursor, start=pages.LARGEST_ID)
        rows = audit_windows.page(tenant, model, wanted.limit + 1, before_id=before, state=wanted.state)
    more = len(rows) > wanted.limit
    return {
        "items": [_window(row) for row in rows[: wanted.limit]],
        "next_cursor": pages.encode_cursor(rows[wanted.limit - 1].id) if more else None,
    }


def freshness(now: datetime | None = None, *, by_model: bool = False) -> dict[str, Any]:
    """How far the audits on the clock are behind, over all tenants.

    Parameters
    ----------
    now : None for the time that all servers agree on, so that one whose clock is wrong does not call the others late
    by_model : also `models`: for each tenant, model, last_audit_at, last_audit_age_s, overdue, windows_behind, last_data_end,
        failing. For the operator's own gauges: names of models are no one else's.

    Returns
    -------
    dict
        status : `fresh`, `behind`, or `idle` when no model is audited; ok : True, and None when behind: the server can
        work, and an audit that is late is for its owner to see
        said : in words; last_audit_at, last_audit_age_s : of any model, None before the first
        schedules, overdue, windows_behind, failing : how many
    """
    now = now or schedules.common_time()
    settings = config.current()
    late = now - timedelta(seconds=OVERDUE_S)
    with read_snapshot():
        counted = schedules.state_counts(late, defaults=settings.audit_default)
        rows = schedules.all_active(defaults=settings.audit_default) if by_model or counted["overdue"] else []
    models = [_freshness_of(row, now, late) for row in rows]
    last = counted["last_audit_at"]
    age_s = None if last is None else max(0.0, (now - last).total_seconds())
    status = "idle" if not counted["enabled"] else "behind" if counted["overdue"] else "fresh"
    behind = sum(one["windows_behind"] for one in models)
    return {
        "status": status,
        "ok": None if status == "behind" else True,
        "said": _in_words(age_s, counted, behind),
        "last_audit_at": None if last is None else telemetry.timestamp(last),
        "last_audit_age_s": age_s,
        "schedules": counted["enabled"],
        "overdue": counted["overdue"],
        "windows_behind": behind,
        "failing": counted["failing"],
        **({"models": models} if by_model else {}),
    }


def health() -> dict[str, Any]:
    """What readiness says of the audits on the clock: as `freshness`, and no name of anybody's model."""
    try:
        return freshness()
    except FairLensError as error:
        return {"status": "unknown", "ok": None, "said": error.message}


def _columns(wanted: ScheduleRequest) -> dict[str, Any]:
    """What a request sets, as columns; `InvalidInput` names a limit that is not possible."""
    policy = wanted.settings.model_dump(exclude_none=True) if wanted.settings else {}
    Policy(**policy)
    reaudit = wanted.reaudit
    return {
        "enabled": wanted.enabled,
        "cron": wanted.cron,
        "time_zone": wanted.time_zone,
        "window_minutes": wanted.window_minutes,
        "protected_attributes": wanted.protected_attributes,
        "version": wanted.version,
        "policy": policy,
        "sample_rows": wanted.sample_rows,
        "reaudit_share": reaudit.share if reaudit else None,
        "reaudit_decisions": reaudit.decisions if reaudit else None,
        "reaudit_days": reaudit.days if reaudit else None,
    }


def _put(
    tenant: str, model: str, before: Schedule | None, columns: dict[str, Any], by: str, now: datetime
) -> None:
    """Write the columns, and from when on they count."""
    anew = (
        before is None
        or not before.enabled
        or (before.cron, before.time_zone) != (columns["cron"], columns["time_zone"])
    )
    planned = now if before is None or anew else before.planned_until
    wanted = Schedule(**columns)
    effective = schedule_settings.of_schedule(wanted)
    columns |= {
        "changed_by": by,
        "changed_at": now,
        "planned_until": planned,
        "next_due_at": schedule_settings.wake_time(effective, planned),
        "attempts": 0,
        "last_error": None,
    }
    schedules.put(tenant, model, columns)


def _require_known(tenant: str, model: str) -> None:
    try:
        model_registry.get_model(model, tenant=tenant)
    except NotFound:
        if not audits.any_of_model(tenant, model):
            raise


def _as_dict(model: str, row: Schedule | None, now: datetime) -> dict[str, Any]:
    settings = config.current()
    effective = schedule_settings.of_schedule(row)
    by_default = row is None or row.by_default
    enabled = settings.audit_default if by_default else bool(row and row.enabled)
    facts: Mapping[str, Any] = {} if row is None else vars(row)
    due = effective.timetable.next_due(max(now, row.planned_until) if row else now) if enabled else None
    times = ("last_window_end", "last_data_end", "last_audit_at")
    return {
        "model_id": model,
        "origin": "default" if by_default else "own",
        "enabled": enabled,
        "cron": effective.timetable.cron,
        "time_zone": effective.timetable.time_zone,
        "window_minutes": effective.window_minutes,
        "protected_attributes": effective.attributes,
        "version": effective.version,
        "settings": effective.policy,
        "sample_rows": effective.sample_rows,
        "reaudit": {
            "share": effective.share,
            "decisions": effective.decisions,
            "days": effective.days,
        },
        "changed_by": facts.get("changed_by"),
        "next_window_end": None if due is None else telemetry.timestamp(due),
        **{name: _time(facts.get(name)) for name in times},
        "last_audit_id": facts.get("last_audit_id"),
        "data_is_coming": facts.get("had_data"),
        "last_error": facts.get("last_error"),
    }


def _window(row: AuditWindow) -> dict[str, Any]:
    return {
        "window_start": telemetry.timestamp(row.window_start),
        "window_end": telemetry.timestamp(row.window_end),
        "version": row.version or None,
        "revision": row.revision,
        "newest": row.newest,
        "state": row.state,
        "reason": row.reason,
        "n_windows": row.n_windows,
        "audit_id": row.audit_id,
        "sample_size": row.sample_size,
        "labelled_size": row.labelled_size,
        "done_at": telemetry.timestamp(row.done_at),
        "compared_next_at": _time(row.check_at),
    }


def _freshness_of(row: Schedule, now: datetime, late: datetime) -> dict[str, Any]:
    timetable = schedule_settings.of_schedule(row).timetable
    settle = timedelta(seconds=config.current().audit_settle_s)
    overdue = row.next_due_at is not None and row.next_due_at < late
    behind = len(timetable.due(row.planned_until, now - settle, COUNTED_BEHIND)) if overdue else 0
    last = row.last_audit_at
    return {
        "tenant": row.tenant,
        "model": row.model,
        "last_audit_at": _time(last),
        "last_audit_age_s": None if last is None else max(0.0, (now - last).total_seconds()),
        "overdue": overdue,
        "windows_behind": behind,
        "last_data_end": _time(row.last_data_end),
        "failing": row.last_error is not None,
    }


def _in_words(age_s: float | None, counted: Mapping[str, Any], behind: int) -> str:
    if not counted["enabled"]:
        return "No model is audited on the clock yet."
    last = "no audit yet" if age_s is None else f"last good audit {_span(age_s)} ago"
    late = f"; {counted['overdue']} of {counted['enabled']} schedules overdue, {behind} windows behind"
    return last[0].upper() + last[1:] + (late if counted["overdue"] else "") + "."


def _span(seconds: float) -> str:
    """A length of time in words: `14 minutes`.

    Examples
    --------
    >>> [_span(s) for s in (5, 61, 840, 7_300, 200_000)]
    ['5 seconds', '1 minute', '14 minutes', '2 hours', '2 days']
    """
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= (2 * length if unit != "minute" else length):
            n = int(seconds // length)
            return f"{n} {unit}{'' if n == 1 else 's'}"
    return f"{int(seconds)} seconds"


def _time(at: datetime | None) -> str | None:
    return None if at is None else telemetry.timestamp(at)
