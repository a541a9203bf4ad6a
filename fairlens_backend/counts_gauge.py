"""Whether the counts are those of the raw rows: days compared one after the other, the result kept, a mismatch said loudly.

A day is compared soon after it changed, and every COUNT_CHECK_DAYS anew. One that keeps changing is compared at most every
ten minutes, and so seldom that comparing takes a fiftieth of one core. No writer waits for it.
"""

import time
from datetime import date, datetime, timedelta
from typing import Any, Final

from fairlens_backend import config, count_keeper, telemetry
from fairlens_backend.storage import cache, checked_days, count_series
from fairlens_backend.storage.session import hold_moment, read_snapshot, unit_of_work

ROUND: Final = timedelta(minutes=10)
AT_MOST_SHARE: Final = 50
LOOK_EVERY_S: Final = 30.0
_EPOCH: Final = date(1970, 1, 1)


def round_due(now: datetime) -> str | None:
    """A name for the round of comparisons that is due now, the same for all workers; None when there is nothing to compare."""
    # Not asked of the database at every tick of every worker.
    if not cache.cache().add(f"count_check:{config.current().sqlalchemy_url}", b"", LOOK_EVERY_S):
        return None
    with read_snapshot():
        if not checked_days.any_due(now):
            return None
    return f"{int(now.timestamp() / ROUND.total_seconds())}"


def check_next(now: datetime) -> dict[str, Any] | None:
    """Compare the day that is due longest.

    Returns
    -------
    dict with day, counted, raw_rows and cells_wrong (0 where the counts are the rows'), or with `purged` true;
    None when no day is due
    """
    until = now + ROUND
    with unit_of_work():
        checked_days.discover()
        taken = checked_days.take(now, until)
    if taken is None:
        return None
    series_id, day = taken
    begun = time.perf_counter()
    with read_snapshot():
        hold_moment()
        found = count_keeper.compare_day(series_id, day)
    took = timedelta(seconds=time.perf_counter() - begun)
    written = _EPOCH + timedelta(days=day)
    with unit_of_work():
        if found is None:
            checked_days.drop(series_id, day)
            return {"day": str(written), "purged": True}
        kept = {
            "checked_at": now,
            "counted": found.counted,
            "raw_rows": found.raw_rows,
            "cells_wrong": found.cells_wrong,
        }
        result = {
            "day": str(written),
            **{name: kept[name] for name in ("counted", "raw_rows", "cells_wrong")},
        }
        if not (found.counted or found.raw_rows or found.cells_wrong):
            # Between the first and the last decision of a batch: nothing was made on that day, and nothing is to be watched.
            checked_days.drop(series_id, day)
            return result
        again = timedelta(days=config.current().count_check_days)
        checked_days.record(series_id, day, kept, until, now + again, now + max(ROUND, AT_MOST_SHARE * took))
        series = count_series.by_id(series_id)
    if found.cells_wrong:
        telemetry.log(
            "COUNTS_MISMATCH",
            level="error",
            tenant=series.tenant,
            model=series.model,
            version=series.version,
            day=str(written),
            counted=found.counted,
            raw_rows=found.raw_rows,
            cells_wrong=found.cells_wrong,
            mend="fairlens rebuild-counts",
        )
    return result


def health(now: datetime) -> dict[str, int]:
    """How many days are known, how many are due, and of how many the last comparison failed, of all tenants together."""
    with read_snapshot():
        return checked_days.summary(now)
