"""The checks of one (model, attribute, metric) in order of time: windows, grains, several on one grid."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from fairlens_backend.errors import InvalidInput

BreachedWhen = Literal["above", "below", "outside"]
NAMED_GRAINS: Final[Mapping[str, int]] = {"hour": 1, "day": 24}
# Comparisons with a threshold are made with this tolerance (STATISTICS section 3).
TOLERANCE: Final = 1e-9
_Z95: Final = 1.959963984540054
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR: Final = timedelta(hours=1)
# Eleven years of hours; one audit with a wrong clock must not fill the memory with gaps.
_MAX_PERIODS: Final = 100_000


@dataclass(frozen=True)
class Check:
    """One audit's value of the metric.

    Parameters
    ----------
    time : the end of the audited window, with a time zone
    value : None where it could not be computed; never 0 in its stead
    variance : of the value by sampling, from the interval or the counts; None where not known
    n : rows it was computed from
    status, reason : as of the FairnessMetric
    start : the start of the audited window; None where not known
    """

    time: datetime
    value: float | None
    variance: float | None = None
    n: int = 0
    status: str = "ok"
    reason: str | None = None
    start: datetime | None = None


@dataclass(frozen=True)
class Series:
    """The checks of one metric of one attribute of one model, oldest first.

    Parameters
    ----------
    checks : in any order; of two of one time the later given one counts, as a revision does
    threshold, breached_when : the limit; "outside" is beyond ± the limit, and the values are then the signed ones
    grain_hours : the length of a period where checks were put together; None for audits as they were made

    Raises
    ------
    InvalidInput
        A time has no zone, or a value, a variance or the threshold is no finite number.

    Examples
    --------
    >>> at = [datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (1, 2, 25 - 24)]
    >>> Series("m", "sex", "dir", 0.8, "below", [Check(at[0], 0.9), Check(at[1], None), Check(at[2], 0.8)]).values
    (0.8, None)
    """

    model: str
    attribute: str
    metric: str
    threshold: float
    breached_when: BreachedWhen
    checks: Sequence[Check]
    grain_hours: int | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.threshold):
            raise _refusal("threshold", self.threshold, "a finite number")
        for place, check in enumerate(self.checks):
            if check.time.tzinfo is None or (check.start is not None and check.start.tzinfo is None):
                raise _refusal(f"checks[{place}].time", check.time.isoformat(), "a time with a zone")
            for name, number in (("value", check.value), ("variance", check.variance)):
                if number is not None and not math.isfinite(number):
                    raise _refusal(f"checks[{place}].{name}", number, "a finite number or None")
        last = {check.time: _in_utc(check) for check in self.checks}
        object.__setattr__(self, "checks", tuple(last[time] for time in sorted(last)))

    @property
    def values(self) -> tuple[float | None, ...]:
        """The values, None where there is none."""
        return tuple(check.value for check in self.checks)

    @property
    def variances(self) -> tuple[float | None, ...]:
        """The variances, None where not known."""
        return tuple(check.variance for check in self.checks)

    @property
    def known(self) -> tuple[Check, ...]:
        """The checks that have a value."""
        return tuple(check for check in self.checks if check.value is not None)

    def is_beyond(self, value: float) -> bool:
        """Whether a value breaches."""
        if self.breached_when == "below":
            return value < self.threshold - TOLERANCE
        return (value if self.breached_when == "above" else abs(value)) > self.threshold + TOLERANCE

    def room(self, value: float) -> float:
        """How far a value is from the limit, negative beyond it."""
        if self.breached_when == "below":
            return value - self.threshold
        return self.threshold - (value if self.breached_when == "above" else abs(value))

    def between(self, since: datetime | None = None, until: datetime | None = None) -> "Series":
        """The checks with since < time ≤ until; either end may be open."""
        kept = [
            check
            for check in self.checks
            if (since is None or check.time > since) and (until is None or check.time <= until)
        ]
        return replace(self, checks=kept)

    def without_overlaps(self) -> "Series":
        """The checks whose windows share no rows: the first, and each that begins where the last one kept has ended.

        An hour that is audited every quarter of an hour is the same rows four times: to a detector, which takes
        checks for independent, its noise would look like drift. From the oldest on, so that a check to come never
        changes which were taken. Checks without a known start are kept.
        """
        kept: list[Check] = []
        for check in self.checks:
            if not kept or check.start is None or check.start >= kept[-1].time:
                kept.append(check)
        return replace(self, checks=kept)

    def at_grain(self, grain: int | str, *, complete: bool = False) -> "Series":
        """The series in periods of some hours, the values weighted by n.

        Parameters
        ----------
        grain : hours from 1 to 168 that divide a day or are whole days; "hour" and "day" are 1 and 24. A period ends at
            whole multiples since 1970-01-01 00:00 UTC, and holds the windows that end in it, its own end included
        complete : whether the last period is left out unless some check is at its end

        Returns
        -------
        one check for each period from the first to the last, its time the period's end, its n the sum of those that have
        a value. A period without a value has None and says why: a gap stays a gap. Weighting ratios of windows is not
        the ratio of the summed counts; where the counts are at hand, audit them instead.
        """
        hours = grain_hours(grain)
        periods: dict[int, list[Check]] = {}
        for check in self.without_overlaps().checks:
            periods.setdefault(-((_EPOCH - check.time) // (hours * _HOUR)), []).append(check)
        if not periods:
            return replace(self, grain_hours=hours)
        first, last = min(periods), max(periods)
        if last - first >= _MAX_PERIODS:
            raise _refusal("grain", grain, f"periods of which {_MAX_PERIODS} reach over the series")
        if complete and self.checks[-1].time < _EPOCH + last * hours * _HOUR:
            last -= 1
        merged = [
            _together(periods.get(period, []), _EPOCH + (period - 1) * hours * _HOUR, hours)
            for period in range(first, last + 1)
        ]
        return replace(self, checks=merged, grain_hours=hours)

    def points(self) -> list[dict[str, Any]]:
        """The checks as plain values: time, value, standard_error, n, status, reason."""
        return [
            {
                "time": check.time.isoformat(),
                "value": check.value,
                "standard_error": None if check.variance is None else math.sqrt(check.variance),
                "n": check.n,
                "status": check.status,
                "reason": check.reason,
            }
            for check in self.checks
        ]


def grain_hours(grain: int | str) -> int:
    """The hours of a grain.

    Examples
    --------
    >>> grain_hours("day"), grain_hours(6)
    (24, 6)
    """
    hours = NAMED_GRAINS.get(grain, 0) if isinstance(grain, str) else grain
    expected = "hour, day, or hours from 1 to 168 that divide a day or are whole days"
    if isinstance(hours, bool) or not isinstance(hours, int) or not 1 <= hours <= 168:
        raise _refusal("grain", grain, expected)
    if 24 % hours and hours % 24:
        raise _refusal("grain", grain, expected)
    return hours


def align(many: Iterable[Series], grain: int | str | None = None) -> dict[str, Any]:
    """Several series on one grid of times.

    Parameters
    ----------
    many : of one or several models, attributes and metrics
    grain : the periods; None for the audits as they were made, the grid then being every time that some series has

    Returns
    -------
    grain_hours; times; series [{model, attribute, metric, threshold, breached_when, values, standard_errors, n,
    statuses}], each list as long as times; a time at which a series has no check is None with n 0 and the status
    "insufficient_data".

    Examples
    --------
    >>> noon, one = datetime(2026, 3, 1, 12, tzinfo=UTC), timedelta(hours=1)
    >>> dir_ = Series("m", "sex", "dir", 0.8, "below", [Check(noon, 0.9, n=50)])
    >>> spd = Series("m", "sex", "spd", 0.1, "outside", [Check(noon, -0.02, n=50), Check(noon + one, -0.03, n=50)])
    >>> [row["values"] for row in align([dir_, spd])["series"]]
    [[0.9, None], [-0.02, -0.03]]
    """
    taken = [one if grain is None else one.at_grain(grain) for one in many]
    times = sorted({check.time for one in taken for check in one.checks})
    if grain is not None and times:
        hours = grain_hours(grain) * _HOUR
        times = [times[0] + place * hours for place in range((times[-1] - times[0]) // hours + 1)]
    rows = []
    for one in taken:
        by_time = {check.time: check for check in one.checks}
        filled = [by_time.get(time) or Check(time, None, status="insufficient_data") for time in times]
        points = replace(one, checks=filled).points()
        rows.append(
            {
                "model": one.model,
                "attribute": one.attribute,
                "metric": one.metric,
                "threshold": one.threshold,
                "breached_when": one.breached_when,
                "values": [point["value"] for point in points],
                "standard_errors": [point["standard_error"] for point in points],
                "n": [point["n"] for point in points],
                "statuses": [point["status"] for point in points],
            }
        )
    return {
        "grain_hours": None if grain is None else grain_hours(grain),
        "times": [time.isoformat() for time in times],
        "series": rows,
    }


def variance_of_interval(value: float | None, interval: Mapping[str, Any] | None) -> float | None:
    """The variance that a 95 % interval implies, from its longer arm; None where there is no interval.

    The longer arm: the interval of a size |d| that starts at 0 is cut off on that side.

    Examples
    --------
    >>> round(variance_of_interval(0.05, {"lower": 0.0, "upper": 0.148}), 6)
    0.0025
    """
    if value is None or not interval or interval.get("lower") is None or interval.get("upper") is None:
        return None
    arm = max(float(interval["upper"]) - value, value - float(interval["lower"]))
    return (arm / _Z95) ** 2 if math.isfinite(arm) and arm > 0 else None


def _in_utc(check: Check) -> Check:
    return check if check.time.tzinfo is UTC else replace(check, time=check.time.astimezone(UTC))


def _together(checks: Sequence[Check], start: datetime, hours: int) -> Check:
    """One check of those of a period."""
    end = start + hours * _HOUR
    if not checks:
        return Check(end, None, None, 0, "insufficient_data", "No audit in this period.", start)
    known = [(check.value, max(check.n, 1), check) for check in checks if check.value is not None]
    if not known:
        last = max(checks, key=lambda check: check.time)
        return Check(end, None, None, 0, last.status, last.reason, start)
    total = math.fsum(n for _, n, _ in known)
    value = math.fsum(x * n for x, n, _ in known) / total
    # Where only some have a variance the others, of n rows, are taken to be as precise a row.
    noise = [(check.variance * n, n) for _, n, check in known if check.variance is not None]
    variance = None
    if noise:
        a_row = math.fsum(scaled * n for scaled, n in noise) / math.fsum(n for _, n in noise)
        variance = a_row / total
    return Check(end, value, variance, sum(check.n for *_, check in known), "ok", None, start)


def _refusal(field: str, got: object, expected: str) -> InvalidInput:
    return InvalidInput(
        f"{field} is {got!r:.80}, {expected} was expected", field=field, got=str(got)[:80], expected=expected
    )
