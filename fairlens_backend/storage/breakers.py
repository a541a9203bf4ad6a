"""Circuit breakers of delivery targets, in the database, so that all workers know which target is away.

    closed ──3 failures in a row──► open ──its time is over──► half-open: one message tries
       ▲                              ▲                              │
       └───────────── delivered ──────┼──────────────────────────────┤
                                      └──── failed: twice as long ───┘

Source: M. Nygard, Release It!, 2nd edition 2018, chapter 5, "Circuit Breaker".
"""

from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from fairlens_backend.storage.alert_tables import DeliveryBreaker
from fairlens_backend.storage.session import current_session, is_postgresql

State = Literal["closed", "open", "half_open"]

FAILURES_TO_OPEN = 3
OPEN_S = 30.0
OPEN_CAP_S = 600.0  # a target that was away for hours gets what waits at most ten minutes after it is back
MAX_REASON_LENGTH = 300


def ask(target: str, now: datetime) -> State:
    """Whether messages may go to the target, in the unit of work that claims one; "half_open": one, as a trial."""
    row = _locked(target)
    if row is None or row.open_until is None:
        return "closed"
    return "open" if row.open_until > now else "half_open"


def begin_trial(target: str, now: datetime, trial_s: float) -> None:
    """One message tries; no other one may until its answer, or for `trial_s` seconds if there is none."""
    row = _locked(target)
    if row is not None:
        row.open_until = now + timedelta(seconds=trial_s)
        current_session().flush()


def note_success(target: str) -> bool:
    """The target took a message, or refused it and so is there. Returns whether it had been away."""
    row = _locked(target)
    if row is None:
        return False
    away = row.open_until is not None
    current_session().execute(delete(DeliveryBreaker).where(DeliveryBreaker.target == target))
    return away


def note_failure(target: str, reason: str, now: datetime, pause_s: float | None = None) -> bool:
    """The target failed. Returns whether nothing goes there for a while.

    Parameters
    ----------
    pause_s : seconds that the target itself asked for (Retry-After); all its messages wait so long
    """
    insert = postgresql.insert if is_postgresql() else sqlite.insert
    fresh = insert(DeliveryBreaker).values(target=target, failures=0, trips=0)
    current_session().execute(fresh.on_conflict_do_nothing(index_elements=["target"]))
    row = _locked(target)
    if row is None:  # pragma: no cover — the row was just made, in this transaction
        return False
    tried = row.open_until is not None
    row.failures += 1
    row.last_reason = reason[:MAX_REASON_LENGTH]
    waits_s = [pause_s] if pause_s else []
    if tried or row.failures >= FAILURES_TO_OPEN:
        row.trips += 1
        waits_s.append(min(OPEN_CAP_S, OPEN_S * 2.0 ** min(row.trips - 1, 30)))
    if waits_s:
        row.open_until = now + timedelta(seconds=max(waits_s))
    current_session().flush()
    return bool(waits_s)


def shown(now: datetime) -> list[dict[str, Any]]:
    """The targets that failed lately: state, failures in a row, when the next message tries."""
    rows = current_session().scalars(select(DeliveryBreaker).order_by(DeliveryBreaker.target))
    return [
        {
            "target": row.target,
            "state": "closed" if row.open_until is None else "open" if row.open_until > now else "half_open",
            "failures": row.failures,
            "open_until": row.open_until,
            "last_reason": row.last_reason,
        }
        for row in rows
    ]


def _locked(target: str) -> DeliveryBreaker | None:
    wanted = select(DeliveryBreaker).where(DeliveryBreaker.target == target).with_for_update()
    return current_session().scalars(wanted.execution_options(populate_existing=True)).first()
