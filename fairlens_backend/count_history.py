"""The decisions of a model counted anew, hour by hour or day by day, whether an audit was made of them or not."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fairlens_backend import count_keeper, window_counts_reader
from fairlens_backend.audit_runner import Subject
from fairlens_backend.core.backtest import CountedWindow
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.storage import audits, figures, period_counts
from fairlens_backend.storage.audits import Counted
from fairlens_backend.storage.count_series import Series
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

    @property
    def folded(self) -> list[str]:
        """Of each period in which not all values are told apart, which."""
        return [window.folded for window in self.windows if window.folded is not None]


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
    (history,) = count_each(subject, since, until, hours, [attributes], most=most, progress=progress)
    return history


def count_each(
    subject: Subject,
    since: datetime,
    until: datetime,
    hours: int,
    wanted: Sequence[Sequence[str]],
    *,
    most: int,
    progress: Progress | None = None,
) -> list[History]:
    """The same by each of several lists of attributes; what was counted is read once, in one statement."""
    every = periods(since, until, hours)
    taken = every[-most:] if most else []
    windows: list[list[CountedWindow]] = [[] for _ in wanted]
    with read_snapshot():
        read = _read(subject, taken, hours) if taken else iter(())
        for number, (start, end, series, submitted) in enumerate(read):
            for some, attributes in zip(windows, wanted, strict=True):
                some.append(_window(subject, start, end, attributes, series, submitted))
            if progress is not None:
                progress(number + 1, len(taken))
    return [History(some, len(every) - len(taken)) for some in windows]


def _read(
    subject: Subject, taken: Sequence[tuple[datetime, datetime]], hours: int
) -> Iterator[tuple[datetime, datetime, list[tuple[Series, CountTable]], list[Counted]]]:
    """Each period with what was decided and what was submitted in it; submissions, which are large, a period's at a time."""
    since, until = taken[0][0], taken[-1][1]
    first = (since - _EPOCH) // timedelta(minutes=1)
    decided = period_counts.period_series(subject.tenant, subject.model, first, hours * 60, len(taken))
    in_order = audits.counted_between(subject.tenant, subject.model, since, until)
    waiting = next(in_order, None)
    for place, (start, end) in enumerate(taken):
        submitted = []
        while waiting is not None and waiting.at < end:
            submitted.append(waiting)
            waiting = next(in_order, None)
        yield start, end, decided.get(place, []), submitted


def _window(
    subject: Subject,
    start: datetime,
    end: datetime,
    attributes: Sequence[str],
    series: Sequence[tuple[Series, CountTable]],
    submitted: Sequence[Counted],
) -> CountedWindow:
    if not series and not submitted:
        return CountedWindow(start, end, CountTable.empty(tuple(attributes)))
    try:
        found = window_counts_reader.counts_of(subject, series, submitted, attributes)
    except InvalidInput as error:  # counted by other attributes
        return CountedWindow(start, end, CountTable.empty(tuple(attributes)), reason=error.message)
    return CountedWindow(
        start, end, found.table, found.reference_groups, folded=" ".join(found.folded) or None
    )
