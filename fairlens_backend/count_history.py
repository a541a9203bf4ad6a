"""The decisions of a model counted anew, hour by hour or day by day, whether an audit was made of them or not."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from fairlens_backend import count_keeper, window_counts_reader
from fairlens_backend.audit_runner import Subject
from fairlens_backend.core.backtest import CountedWindow
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.storage import audits, figures
from fairlens_backend.storage.session import read_snapshot

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class History:
    """Periods of some hours, oldest first, also those in which nothing was decided.

    Parameters
    ----------
    left_out : how many older periods of the range were not counted, since there are too many
    """

    windows: list[CountedWindow]
    left_out: int

    @property
    def n_decisions(self) -> int:
        """In all of them."""
        return sum(window.counts.total for window in self.windows)

    @property
    def uncounted(self) -> list[str]:
        """Of each period that could not be counted, why."""
        return [window.reason for window in self.windows if window.reason is not None]


def periods(since: datetime, until: datetime, hours: int) -> list[tuple[datetime, datetime]]:
    """The whole periods that lie in a range; they begin at whole multiples since 1970-01-01 00:00 UTC.

    Examples
    --------
    >>> noon = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    >>> [f"{start:%H}-{end:%H}" for start, end in periods(noon, noon + timedelta(hours=3), 1)]
    ['13-14', '14-15']
    """
    step = hours * _HOUR
    first = -((_EPOCH - since) // step)
    last = (until - _EPOCH) // step
    return [(_EPOCH + number * step, _EPOCH + (number + 1) * step) for number in range(first, last)]


def begin(tenant: str, model: str) -> datetime | None:
    """Midnight (UTC) of the first day of which something of a model is there; None where nothing is."""
    found = []
    with suppress(NotFound):
        first = count_keeper.counted_days(tenant, model)[:1]
        found = [datetime.combine(day, datetime.min.time(), UTC) for day in first]
    with read_snapshot():
        submitted = audits.first_of_model(tenant, model)
    if submitted is not None:
        found.append(submitted.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0))
    return min(found, default=None)


def attributes_of(subject: Subject) -> list[str]:
    """The protected attributes of a model: those registered, else those that it was ever audited by."""
    declared = (subject.declared.get("columns") or {}).get("protected") or []
    if declared:
        return list(dict.fromkeys(declared))
    with read_snapshot():
        return figures.attributes(subject.tenant, subject.model)


def count(
    subject: Subject,
    since: datetime,
    until: datetime,
    hours: int,
    attributes: Sequence[str],
    *,
    most: int,
    progress: Progress | None = None,
) -> History:
    """Count every whole period of a range by some attributes together, the newest `most` of them."""
    wanted = periods(since, until, hours)
    taken = wanted[-most:] if most else []
    windows = []
    with read_snapshot():
        days = _days_of(subject, taken[0][0], taken[-1][1]) if taken else set()
        for number, (start, end) in enumerate(taken):
            if days.isdisjoint(_days(start, end)):  # what nobody decided in costs nothing to read
                windows.append(CountedWindow(start, end, CountTable.empty(tuple(attributes))))
            else:
                windows.append(_window(subject, start, end, attributes))
            if progress is not None:
                progress(number + 1, len(taken))
    return History(windows, len(wanted) - len(taken))


def _days_of(subject: Subject, since: datetime, until: datetime) -> set[date]:
    """The days (UTC) of which decisions or submissions of a model may be there."""
    found = {
        at.astimezone(UTC).date() for at in audits.submitted_at(subject.tenant, subject.model, since, until)
    }
    with suppress(NotFound):
        found |= set(count_keeper.counted_days(subject.tenant, subject.model))
    return found


def _days(start: datetime, end: datetime) -> Iterator[date]:
    first, last = start.date(), (end - timedelta.resolution).date()
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def _window(subject: Subject, start: datetime, end: datetime, attributes: Sequence[str]) -> CountedWindow:
    try:
        found = window_counts_reader.read_window(subject, start, end, attributes=attributes)
    except InvalidInput as error:  # counted by other attributes, or by more values than can be told apart
        return CountedWindow(start, end, CountTable.empty(tuple(attributes)), reason=error.message)
    return CountedWindow(start, end, found.table, found.reference_groups)
