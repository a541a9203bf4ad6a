"""A model that decides while a clock is turned by hand: decisions at a time, ticks, and what became of its windows."""

import functools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from fairlens_backend import audit_runner, count_keeper, schedule_keeper, window_planner
from fairlens_backend.core.assessment import assess
from fairlens_backend.schemas.schedules import ScheduleRequest, WindowsQuery
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.storage.tables import Audit
from tests.ingest_kit import event, send

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


def quick(patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Audits without resampled intervals, which are not what is tested here."""
    patch(audit_runner, "assess", functools.partial(assess, n_resamples=0))


def at(minutes: float) -> datetime:
    """So many minutes after midnight."""
    return MIDNIGHT + timedelta(minutes=minutes)


def decide(
    minutes: float,
    n: int = 40,
    *,
    women: int = 0,
    men: int = 0,
    model: str = "hiring",
    tag: str = "",
    **more: Any,
) -> list[str]:
    """`n` women and `n` men are decided on at a time, `women` and `men` of them favourably; the ids."""
    events = [
        event(
            f"{model}-{minutes}-{sex}-{i}{tag}",
            model_id=model,
            timestamp=at(minutes).isoformat(),
            prediction={"label": "yes" if i < chosen else "no"},
            demographic_tags={"sex": sex, "age": 41},
            **more,
        )
        for sex, chosen in (("F", women), ("M", men))
        for i in range(n)
    ]
    for start in range(0, len(events), 500):
        send(events[start : start + 500], now=max(at(minutes), at(0)))
    return [one["event_id"] for one in events]


def tick(minutes: float) -> dict[str, int]:
    """A tick at a time: counts are folded, and what is due is audited; only what happened."""
    count_keeper.compact(at(minutes))
    done = window_planner.run_due(lambda: at(minutes))
    return {name: n for name, n in done.items() if n}


def schedule(model: str = "hiring", minutes: float = 0, **wanted: Any) -> dict[str, Any]:
    """Set a schedule; by default a window of a quarter of an hour, every quarter of an hour."""
    request = ScheduleRequest(**{"cron": "*/15 * * * *", "window_minutes": 15, **wanted})
    return schedule_keeper.put_schedule("acme", model, request, "ann", at(minutes))


def windows(model: str = "hiring", **query: Any) -> list[dict[str, Any]]:
    """What became of a model's windows, what was done first first."""
    found = schedule_keeper.list_windows("acme", model, WindowsQuery(limit=100, **query))
    return list(found["items"])[::-1]


def ended(found: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    """End, revision and state of windows."""
    return [(one["window_end"][11:16], one["revision"], one["state"]) for one in found]


def audits_there() -> int:
    """How many audits the database has."""
    with read_snapshot() as rows:
        return len(rows.scalars(select(Audit.audit_id)).all())
