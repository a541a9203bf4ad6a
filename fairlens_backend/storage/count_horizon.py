"""The minute before which counts are kept by the hour and day alone."""

from typing import Final

from fairlens_backend.storage import driver_sql

_ROW: Final = 1
_MINUTE: Final = 1
_AT_ONCE: Final = 2_000


def minutes_from() -> int:
    """The minute from which on there are counts of single minutes."""
    found = driver_sql.rows("SELECT minutes_from FROM count_horizon WHERE id = ?", _ROW)
    return int(found[0][0]) if found else 0


def drop_minutes(before_minute: int) -> int:
    """Delete counts of single minutes before a minute, a bounded number a call, and note from where they are whole; how many.

    The hours and days hold the same counts: nothing is lost but the grain.
    """
    driver_sql.run(
        "INSERT INTO count_horizon (id, minutes_from) VALUES (?, ?) ON CONFLICT (id)"
        " DO UPDATE SET minutes_from = excluded.minutes_from WHERE count_horizon.minutes_from < excluded.minutes_from",
        _ROW,
        before_minute,
    )
    found = driver_sql.rows(
        "SELECT series_id, start_minute FROM count_buckets WHERE series_id IN (SELECT id FROM count_series)"
        " AND grain = ? AND start_minute < ? LIMIT ?",
        _MINUTE,
        before_minute,
        _AT_ONCE,
    )
    driver_sql.run_many(
        "DELETE FROM count_buckets WHERE series_id = ? AND grain = ? AND start_minute = ?",
        [(series_id, _MINUTE, start) for series_id, start in found],
    )
    return len(found)
