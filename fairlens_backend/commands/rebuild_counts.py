"""`fairlens rebuild-counts`: counts made anew from the raw rows, day by day, or only compared with them.

Exit codes: 0 the counts are those of the rows, or are now; 1 with --check, some day's counts are not; 2 nothing could be
compared: no such model, or the raw rows of every day asked for are purged, and counts are all that is left of them.
"""

import argparse
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from fairlens_backend.commands._console import BREACHED, CANNOT_JUDGE, PASSED, Bar, write
from fairlens_backend.errors import Conflict, InvalidInput

NAME = "rebuild-counts"
HELP = "make a model's counts anew from its raw rows, or compare them"
_LISTED: Final = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add("--model", required=True, help="the model, all its versions")
    add("--day", type=day, metavar="YYYY-MM-DD", help="one day (UTC); left out: every day that was counted")
    add("--from", dest="since", type=day, metavar="YYYY-MM-DD", help="the first day")
    add("--to", dest="until", type=day, metavar="YYYY-MM-DD", help="the last day, included")
    add("--tenant", default="default", help="whose model (default: default)")
    add("--check", action="store_true", help="only compare; nothing is written")


def run(wanted: argparse.Namespace) -> int:
    from fairlens_backend import count_keeper, server_health

    since, until = _limits(wanted)
    server_health.require_schema()
    days = [
        one
        for one in count_keeper.counted_days(wanted.tenant, wanted.model)
        if (since is None or one >= since) and (until is None or one <= until)
    ]
    do = count_keeper.check_counts if wanted.check else count_keeper.rebuild_counts
    done: dict[date, list[dict[str, Any]]] = {}
    purged: list[date] = []
    bar = Bar(lambda total: f"{total} days")
    try:
        for number, one in enumerate(days):
            if bar.shown:
                bar(number, len(days))
            try:
                done[one] = do(wanted.tenant, wanted.model, one)
            except Conflict:
                purged.append(one)
    finally:
        bar.clear()
    return _say(wanted, done, purged)


def day(text: str) -> date:
    """A day of the calendar."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day, as in 2026-03-01") from None


def _limits(wanted: argparse.Namespace) -> tuple[date | None, date | None]:
    if wanted.day is not None:
        if wanted.since is not None or wanted.until is not None:
            raise InvalidInput("--day is one day; --from and --to are for several", field="--day")
        return wanted.day, wanted.day
    if wanted.since is not None and wanted.until is not None and wanted.since > wanted.until:
        raise InvalidInput(f"--from {wanted.since} is after --to {wanted.until}", field="--from")
    return wanted.since, wanted.until


def _say(wanted: argparse.Namespace, done: dict[date, list[dict[str, Any]]], purged: Sequence[date]) -> int:
    different = {one: [row for row in rows if _differs(row)] for one, rows in done.items()}
    different = {one: rows for one, rows in different.items() if rows}
    lines = [_line(one, row) for one, rows in different.items() for row in rows]
    if len(lines) > _LISTED:
        lines = [*lines[:_LISTED], f"… and {len(lines) - _LISTED} more"]
    decisions = sum(row["rows" if wanted.check else "after"] for rows in done.values() for row in rows)
    verb = "compared" if wanted.check else "counted anew"
    lines.append(f"{wanted.model}: {_days(len(done))} {verb}, {decisions:,} decisions in raw rows.")
    if done and not different:
        lines.append("The counts are those of the raw rows, cell by cell.")
    elif different and wanted.check:
        lines.append(f"{_days(len(different))} differ; without --check they are made anew.")
    elif different:
        lines.append(f"{_days(len(different))} differed and are now as the raw rows say.")
    if purged:
        span = f"{purged[0]}" if len(purged) == 1 else f"{purged[0]} to {purged[-1]}"
        lines.append(
            f"{_days(len(purged))} left as they are ({span}): raw rows of then are purged, and the counts are all"
            " that is left of them."
        )
    if not done and not purged:
        lines.append("Nothing was counted in the days asked for.")
    write("\n".join(lines) + "\n")
    if not done:
        return CANNOT_JUDGE
    return BREACHED if different and wanted.check else PASSED


def _differs(row: dict[str, Any]) -> bool:
    return not row["equal"] if "equal" in row else row["cells_changed"] > 0


def _line(one: date, row: dict[str, Any]) -> str:
    named = f"{one}  {row['version']} by {', '.join(row['attributes'])}"
    if "equal" in row:
        gap = row["counted"] - row["rows"]
        what = f"{gap:+,}" if gap else "the same number in other cells"
        return f"{named}: {row['counted']:,} counted, {row['rows']:,} rows ({what})"
    return f"{named}: {row['before']:,} counted before, {row['after']:,} now, {row['cells_changed']:,} cells changed"


def _days(n: int) -> str:
    return f"{n:,} day{'' if n == 1 else 's'}"
