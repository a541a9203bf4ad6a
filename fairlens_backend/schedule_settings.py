"""By which settings a model is audited on the clock: its schedule's, and the server's where that says nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from fairlens_backend import config, model_registry
from fairlens_backend.core.schedule import Timetable
from fairlens_backend.errors import ConfigurationError, InvalidInput, NotFound
from fairlens_backend.schemas.schedules import ScheduleRequest
from fairlens_backend.storage.schedule_tables import Schedule


@dataclass(frozen=True)
class Effective:
    """What holds for one model.

    Parameters
    ----------
    window_minutes : how far an audit looks back; 0 for to the due time before
    attributes : None for those registered
    version : None for all together
    policy : limits that replace the model's own
    sample_rows : single decisions whose features are compared; 0 for metrics of counts alone
    share, decisions, days : what a window is audited anew for, and for how long; see `core.schedule.reaudit_limit`
    """

    timetable: Timetable
    window_minutes: int
    attributes: list[str] | None
    version: str | None
    policy: dict[str, Any]
    sample_rows: int
    share: float
    decisions: int
    days: float


def of_schedule(row: Schedule | None) -> Effective:
    """What holds for a model with this schedule; None for one without."""
    settings = config.current()

    def chosen(name: str, default: Any) -> Any:
        value = None if row is None else getattr(row, name)
        return default if value is None else value

    own_cron = row is not None and row.cron is not None
    zone = (
        "UTC" if own_cron else settings.audit_time_zone
    )  # a line of its own does not follow the server's zone
    return Effective(
        timetable(chosen("cron", settings.audit_cron), chosen("time_zone", zone)),
        chosen("window_minutes", settings.audit_window_minutes),
        chosen("protected_attributes", None),
        chosen("version", None),
        chosen("policy", {}),
        chosen("sample_rows", 0),
        chosen("reaudit_share", settings.reaudit_share),
        chosen("reaudit_decisions", settings.reaudit_decisions),
        chosen("reaudit_days", settings.reaudit_days),
    )


def require_valid() -> None:
    """Stop a start whose AUDIT_CRON or AUDIT_TIME_ZONE no clock can follow."""
    try:
        of_schedule(None)
    except InvalidInput as error:
        name = f"AUDIT_{str(error.details['field']).upper()}"
        raise ConfigurationError(f"{name}: {error.message}", field=name) from None


@lru_cache(maxsize=1024)
def timetable(cron: str, time_zone: str) -> Timetable:
    """A timetable, read once."""
    return Timetable(cron, time_zone)


def wake_time(effective: Effective, after: datetime) -> datetime | None:
    """When the first window after a due time is to be audited: when it is over and what is on its way has come."""
    due = effective.timetable.next_due(after)
    return None if due is None else due + timedelta(seconds=config.current().audit_settle_s)


def require_possible(tenant: str, model: str, wanted: ScheduleRequest) -> None:
    """Refuse what the registered model does not have: its audits would all fail, or all be empty.

    Raises
    ------
    InvalidInput : attributes that it does not declare, or a version that is not registered
    """
    try:
        found = model_registry.get_model(model, tenant=tenant)
    except NotFound:
        return
    if wanted.version is not None:
        try:
            found = model_registry.get_model(model, wanted.version, tenant=tenant)
        except NotFound as error:
            raise InvalidInput(error.message, field="version", got=wanted.version) from None
    there = (found["declarations"].get("columns") or {}).get("protected") or []
    unknown = [name for name in wanted.protected_attributes or [] if there and name not in there]
    if unknown:
        raise InvalidInput(
            f"protected_attributes names {', '.join(unknown)}; {model} {found['version']} declares {', '.join(there)}.",
            field="protected_attributes",
            got=unknown,
            expected=f"some of {', '.join(there)}",
        )
