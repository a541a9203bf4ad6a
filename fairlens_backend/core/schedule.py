"""When a model is due for an audit, and which window is audited then: cron lines in a time zone, reckoned in UTC."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cached_property
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from fairlens_backend.errors import InvalidInput

MINUTE: Final = timedelta(minutes=1)
COUNTED_AT_MOST: Final = 100_000
"""Missed windows that are counted one by one; a server that was away for longer says "at least so many"."""

Window = tuple[datetime, datetime]


@dataclass(frozen=True)
class Timetable:
    """A cron line of five fields in a time zone.

    Around a change of clocks it is as in Debian's cron: what falls into the hour that is left out comes right after it, what
    falls into the hour that comes twice comes once; lines with a star for minutes or hours follow the clock on the wall.

    Parameters
    ----------
    cron : minute, hour, day of month, month, day of week
    time_zone : its IANA name

    Raises
    ------
    InvalidInput : not five fields that some day matches, or no such time zone

    Examples
    --------
    >>> night = Timetable("30 2 * * *", "Europe/Berlin")  # on 29 March 2026 there is no half past two
    >>> [at.isoformat() for at in night.due(datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 3, 30, 12, tzinfo=UTC))]
    ['2026-03-28T01:30:00+00:00', '2026-03-29T01:00:00+00:00', '2026-03-30T00:30:00+00:00']
    """

    cron: str
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        zone = self._zone
        try:
            if len(self.cron.split()) != 5:
                raise CronSimError("it has not five fields")
            next(CronSim(self.cron, datetime(2026, 1, 1, tzinfo=zone)))
        except (CronSimError, AssertionError, StopIteration, ValueError) as error:
            reason = (
                "no day ever matches"
                if isinstance(error, StopIteration)
                else str(error) or "it is unreadable"
            )
            raise InvalidInput(
                f"cron is {self.cron[:100]!r}: {reason}; minute, hour, day of month, month and day of week were expected, as in"
                " */15 * * * *.",
                field="cron",
                got=self.cron[:100],
                expected="five fields: minute hour day-of-month month day-of-week",
            ) from None

    @cached_property
    def _zone(self) -> tzinfo:
        if self.time_zone == "UTC":
            return UTC  # for which the library leaves out what changes of clocks need
        try:
            return ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidInput(
                f"time_zone is {self.time_zone[:100]!r}; the name of a time zone was expected, such as Europe/Berlin.",
                field="time_zone",
                got=self.time_zone[:100],
                expected="an IANA name, such as Europe/Berlin",
            ) from None

    def due(self, after: datetime, until: datetime, limit: int = COUNTED_AT_MOST) -> list[datetime]:
        """The due times after one time and up to another, which is included; in UTC, oldest first, at most so many."""
        within = (at for at in self._upwards(after))
        found = []
        for at in islice(within, limit):
            if at > until:
                break
            found.append(at)
        return found

    def next_due(self, after: datetime) -> datetime | None:
        """The first due time after a time; None where none comes in 50 years."""
        return next(self._upwards(after), None)

    def last_due(self, before: datetime) -> datetime | None:
        """The last due time before a time."""
        return next(self._downwards(before), None)

    def newest_due(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """As `due`, but of too many the newest ones, which are found without a step for each of the others."""
        found: list[datetime] = []
        for at in self._downwards(until + MINUTE):
            if at <= after or len(found) == limit:
                break
            if at <= until:
                found.append(at)
        return found[::-1]

    def window(self, due: datetime, minutes: int) -> Window:
        """What is audited at a due time: the minutes before it, or with 0 all since the due time before it.

        The second leaves no gap and counts nothing twice on days of 23 and 25 hours.
        """
        if minutes:
            return due - timedelta(minutes=minutes), due
        before = self.last_due(due)
        return (due - timedelta(days=1) if before is None else before), due

    def _upwards(self, after: datetime) -> Iterator[datetime]:
        last = after
        for at in CronSim(self.cron, _floor(after).astimezone(self._zone)):
            # Two times of the hour that is left out fall together behind it.
            if (here := at.astimezone(UTC)) > last:
                last = here
                yield here

    def _downwards(self, before: datetime) -> Iterator[datetime]:
        last = before
        for at in CronSim(self.cron, _ceil(before).astimezone(self._zone), reverse=True):
            if (here := at.astimezone(UTC)) < last:
                last = here
                yield here


@dataclass(frozen=True)
class Missed:
    """What a schedule has to make up for.

    Parameters
    ----------
    due : due times whose windows are audited, oldest first
    given_up : due times before them whose windows are not: the first, the last and how many
    """

    due: list[datetime]
    given_up: tuple[datetime, datetime, int] | None


def missed(timetable: Timetable, after: datetime, until: datetime, at_most: int) -> Missed:
    """The windows that are due, of which the newest `at_most` are made up for and the rest is given up.

    Examples
    --------
    >>> start = datetime(2026, 1, 1, tzinfo=UTC)
    >>> away = missed(Timetable("0 * * * *"), start, start + timedelta(hours=5), at_most=2)
    >>> [at.hour for at in away.due], away.given_up[2]
    ([4, 5], 3)
    """
    newest = timetable.newest_due(after, until, at_most)
    if len(newest) < at_most:
        return Missed(newest, None)
    older = timetable.due(after, newest[0] - MINUTE)
    return Missed(newest, (older[0], older[-1], len(older)) if older else None)


def reaudit_limit(decisions: int, share: float, most: int) -> int:
    """How many decisions may come, go or get another outcome before a window is audited anew.

    Examples
    --------
    >>> [reaudit_limit(n, share=0.01, most=1_000) for n in (0, 5_000, 1_000_000)]
    [1, 50, 1000]
    """
    return min(most, max(1, round(share * decisions)))


def check_delay(revision: int) -> timedelta:
    """How long after an audit its window is compared again: a quarter of an hour, and twice as long with each revision."""
    return timedelta(minutes=15 * 2 ** min(revision - 1, 20))


def _floor(at: datetime) -> datetime:
    return at.replace(second=0, microsecond=0)


def _ceil(at: datetime) -> datetime:
    floor = _floor(at)
    return floor if floor == at else floor + MINUTE
