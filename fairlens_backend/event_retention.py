"""What is kept for a time beside raw rows: dead letters, attributes that wait, counts of single minutes; and, looked for once an
hour, delivered messages, resolved alerts and what became of windows. Audits, their records and the ledger stay for ever.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from fairlens_backend import config, telemetry
from fairlens_backend.count_keeper import FOLD_LOCK
from fairlens_backend.storage import count_horizon, dead_letters, event_attributes, retention
from fairlens_backend.storage.session import lock_for_append, read_snapshot, unit_of_work
from fairlens_backend.storage.window_counts import DAY

MAX_ROUNDS: Final = 50
DELETED_AT_ONCE: Final = 500
SERVED_EVERY: Final = timedelta(hours=1)
_looked: dict[str, datetime] = {}


def purge(now: datetime) -> dict[str, int]:
    """Delete what is older than its setting says; how much of each.

    Counts of single minutes go by whole days; the counts of those days stay by the hour and by the day.
    """
    settings = config.current()
    letters = 0
    with read_snapshot():
        any_old = dead_letters.any_before(now - timedelta(days=settings.dead_letter_days))
    for _ in range(MAX_ROUNDS if any_old else 0):
        with unit_of_work():
            gone = dead_letters.expire(now - timedelta(days=settings.dead_letter_days), DELETED_AT_ONCE)
        letters += gone
        if gone < DELETED_AT_ONCE:
            break
    attributes = _expire_attributes(now - timedelta(days=settings.early_label_days))
    minutes = _drop_minutes(now - timedelta(days=settings.minute_counts_days))
    done: dict[str, Any] = {
        "dead_letters": letters,
        "early_attributes": attributes,
        "minute_counts": minutes,
        **_drop_served(now),
    }
    if any(done.values()):
        telemetry.log("OLD_DETAILS_PURGED", **done)
    return done


def _drop_served(now: datetime) -> dict[str, int]:
    """Messages, alerts and windows have no index by age, which each row would pay for: their tables are read once an hour."""
    settings = config.current()
    done = {"messages": 0, "alerts": 0, "windows": 0}
    looked = _looked.get(settings.sqlalchemy_url)
    if looked is not None and abs(now - looked) < SERVED_EVERY:
        return done
    messages, alerts = (now - timedelta(days=one) for one in (settings.outbox_days, settings.alert_days))
    windows = now - timedelta(days=max(settings.audit_window_days, settings.reaudit_days))
    with read_snapshot():
        any_old = retention.any_before(messages, alerts, windows)
    kinds = {
        "messages": (retention.delivered_before, messages),
        "alerts": (retention.alerts_resolved_before, alerts),
        "windows": (retention.windows_before, windows),
    }
    for name, (delete, before) in kinds.items() if any_old else ():
        for _ in range(MAX_ROUNDS):
            with unit_of_work():
                gone = delete(before, DELETED_AT_ONCE)
            done[name] += gone
            if gone < DELETED_AT_ONCE:
                break
    _looked[settings.sqlalchemy_url] = now
    return done


def _expire_attributes(before: datetime) -> int:
    # Asked first without the write lock: this runs every few seconds, and nearly always there is nothing.
    with read_snapshot():
        if not event_attributes.any_before(before):
            return 0
    with unit_of_work():
        return event_attributes.expire(before)


def _drop_minutes(before: datetime) -> int:
    first_kept = max(0, int(before.timestamp()) // 60 // DAY * DAY)
    with read_snapshot():
        if count_horizon.minutes_from() >= first_kept:
            return 0
    dropped = 0
    while True:
        with unit_of_work():
            # No fold may add to minutes that are being dropped.
            lock_for_append(FOLD_LOCK)
            gone = count_horizon.drop_minutes(first_kept)
        dropped += gone
        if not gone:
            return dropped
