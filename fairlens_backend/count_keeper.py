"""The counts of single decisions: folded into hours and days, proved against the raw rows, read as tables of a window."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from fairlens_backend import config, telemetry
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import Conflict, InvalidInput, NotFound
from fairlens_backend.storage import (
    checked_days,
    count_horizon,
    count_series,
    early_labels,
    events,
    window_counts,
)
from fairlens_backend.storage.count_series import Series
from fairlens_backend.storage.session import hold_moment, lock_for_append, read_snapshot, unit_of_work
from fairlens_backend.storage.window_counts import DAY, HOUR
from fairlens_backend.storage.writer_turn import writer_turn


@dataclass(frozen=True)
class Comparison:
    """What was counted of a day, how many raw rows it has, and how many cells of the counts are not theirs."""

    counted: int
    raw_rows: int
    cells_wrong: int


FOLD_LOCK: Final = 0x666F6C64  # "fold": any number that no other appender takes
MAX_ROUNDS: Final = 50
PURGED_AT_ONCE: Final = 200
_EPOCH: Final = date(1970, 1, 1)


def compact(now: datetime) -> int:
    """Fold waiting deltas into minutes, hours and days, in small transactions; how many were folded."""
    folded = 0
    for _ in range(MAX_ROUNDS):
        with writer_turn(), unit_of_work():
            lock_for_append(FOLD_LOCK)
            moved = window_counts.fold()
        folded += moved
        if moved < window_counts.FOLDED_AT_ONCE:
            break
    return folded


def purge_raw(now: datetime) -> dict[str, int]:
    """Delete single decisions and waiting labels that are older than their settings say; counts stay."""
    settings = config.current()
    before = int((now - timedelta(days=settings.raw_events_days)).timestamp()) // 60
    batches = 0
    for _ in range(MAX_ROUNDS):
        with writer_turn(), unit_of_work():
            events.lock()
            gone = events.purge(before, PURGED_AT_ONCE)
        batches += gone
        if gone < PURGED_AT_ONCE:
            break
    with unit_of_work():
        labels = early_labels.expire(now - timedelta(days=settings.early_label_days))
    if batches or labels:
        telemetry.log("EVENTS_PURGED", batches=batches, early_labels=labels)
    return {"batches": batches, "early_labels": labels}


def window_table(
    tenant: str,
    model: str,
    start: datetime,
    end: datetime,
    *,
    version: str | None = None,
    attributes: Sequence[str] | None = None,
) -> CountTable:
    """The counts of a model's decisions in a window.

    Parameters
    ----------
    start, end : aware; whole minutes, the first included, the last not
    version : None for all versions together
    attributes : of the table, in order; None for those that the newest series counts by

    Raises
    ------
    InvalidInput : a limit that is no whole minute, or none of an hour where only counts of hours are left
    """
    with read_snapshot():
        first, last = _limits(start, end)
        return window_counts.window_table(tenant, model, first, last, version=version, attributes=attributes)


def counted_days(tenant: str, model: str) -> list[date]:
    """The days (UTC) of which something of a model may have been counted, oldest first.

    Raises
    ------
    NotFound : nothing of this model was counted
    """
    with read_snapshot():
        series = count_series.of_model(tenant, model)
        if not series:
            raise NotFound(f"Nothing of the model {model!r:.110} was counted.", model_name=model[:100])
        days = window_counts.days_counted([series_id for series_id, _ in series])
    return [_EPOCH + timedelta(days=day) for day in days]


def window_series(
    tenant: str, model: str, start: datetime, end: datetime, version: str | None = None
) -> list[tuple[Series, CountTable]]:
    """The counts of a window for each version and list of attributes that has some; limits as in `window_table`."""
    with read_snapshot():
        return window_counts.window_series(tenant, model, *_limits(start, end), version)


def rebuild_counts(tenant: str, model: str, day: date) -> list[dict[str, Any]]:
    """Count a day (UTC) anew from the raw rows, in the place of its counts.

    Returns
    -------
    list of dict
        for each series: version, attributes, before and after, the decisions counted, and cells_changed

    Raises
    ------
    NotFound : nothing of this model was counted
    Conflict : raw rows of that day were purged; its counts are all that is left of it
    """
    number = (day - _EPOCH).days
    first = number * DAY
    with unit_of_work():
        events.lock()
        lock_for_append(FOLD_LOCK)
        series = count_series.of_model(tenant, model)
        if not series:
            raise NotFound(f"Nothing of the model {model!r:.110} was counted.", model_name=model[:100])
        if first < events.raw_from_minute():
            raise Conflict(f"Raw rows of {day} were purged; its counts cannot be made anew.", day=str(day))
        while window_counts.fold():
            pass
        done = []
        for series_id, one in series:
            before = window_counts.window_entries(series_id, first, first + DAY)
            raw = events.recount(series_id, first, first + DAY)
            window_counts.replace_day(series_id, number, raw)
            checked_days.mark(series_id, [number], at_once=True)
            after = window_counts.window_entries(series_id, first, first + DAY)
            done.append(
                {
                    "version": one.version,
                    "attributes": list(one.attributes),
                    "before": int(before["n"].sum()),
                    "after": int(after["n"].sum()),
                    "cells_changed": len(set(before.tolist()) ^ set(after.tolist())),
                }
            )
    telemetry.log("COUNTS_REBUILT", tenant=tenant, model=model, day=str(day), series=len(done))
    return done


def check_counts(tenant: str, model: str, day: date) -> list[dict[str, Any]]:
    """Whether a day's counts are those of its raw rows, cell by cell; as `rebuild_counts`, but nothing is written.

    No writer waits for it.
    """
    number = (day - _EPOCH).days
    checked = []
    with read_snapshot():
        hold_moment()
        for series_id, one in count_series.of_model(tenant, model):
            found = compare_day(series_id, number)
            if found is None:
                raise Conflict(f"Raw rows of {day} were purged; its counts cannot be checked.", day=str(day))
            checked.append(
                {
                    "version": one.version,
                    "attributes": list(one.attributes),
                    "counted": found.counted,
                    "rows": found.raw_rows,
                    "equal": not found.cells_wrong,
                }
            )
    return checked


def compare_day(series_id: int, day: int) -> Comparison | None:
    """The counts of a series' day beside those of its raw rows; None where raw rows of it were purged.

    Parameters
    ----------
    day : days since 1970, UTC; in a `read_snapshot` that holds its moment, or behind the writers' lock
    """
    first = day * DAY
    if first < events.raw_from_minute():
        return None
    counted = window_counts.window_entries(series_id, first, first + DAY)
    raw = window_counts.by_cell(events.recount(series_id, first, first + DAY))
    wrong = {cell for cell, *_ in set(counted.tolist()) ^ set(raw.tolist())}
    return Comparison(int(counted["n"].sum()), int(raw["n"].sum()), len(wrong))


def _limits(start: datetime, end: datetime) -> tuple[int, int]:
    """The minutes of a window's limits. One that cuts an hour whose minutes are gone is refused: it would miss decisions."""
    limits = []
    kept_from = count_horizon.minutes_from()
    for at, field in ((start, "start"), (end, "end")):
        minute = _minute(at, field)
        if minute < kept_from and minute % HOUR:
            since = datetime.fromtimestamp(kept_from * 60, UTC).isoformat()
            raise InvalidInput(
                f"{field} is {at.isoformat()}; before {since} counts are kept by the hour (MINUTE_COUNTS_DAYS), so a whole"
                " hour was expected.",
                field=field,
                got=at.isoformat(),
                expected="a whole hour",
            )
        limits.append(minute)
    return limits[0], limits[1]


def _minute(at: datetime, field: str) -> int:
    if at.tzinfo is None or at.second or at.microsecond:
        raise InvalidInput(
            f"{field} is {at.isoformat()}; a whole minute with its time zone was expected.",
            field=field,
            got=at.isoformat(),
            expected="a whole minute with its time zone",
        )
    return int(at.timestamp()) // 60
