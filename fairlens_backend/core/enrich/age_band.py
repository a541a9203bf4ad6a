"""Ages and dates of birth as the six bands; each band includes its lower edge and not its upper one: 30 is in 30_40."""

import math
import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from fairlens_backend.core.group_definitions import AGE_BANDS
from fairlens_backend.core.labels import UNKNOWN

BANDS: Final = ("UNDER_18", "18_30", "30_40", "40_50", "50_60", "60_PLUS")
"""[0, 18), [18, 30), [30, 40), [40, 50), [50, 60) and from 60, in years of age; as `group_definitions` makes them."""

OLDEST: Final = 130
"""Years. Nobody is known to have reached 123; beyond 130 it is a code for "not known", such as 999, or a mistake."""

_ISO: Final = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:[T ].*)?\Z", re.ASCII)
_AGE: Final = re.compile(r"\d{1,3}(?:\.\d+)?\Z", re.ASCII)


@dataclass(frozen=True)
class AgeBand:
    """The band of one person, or "unknown" and why."""

    group: str
    reason: str | None = None


def age_band(age: Any) -> AgeBand:
    """The band of an age in years.

    Parameters
    ----------
    age : number of years, 0 to 130, or its text

    Examples
    --------
    >>> [age_band(age).group for age in (17.99, 18, "29", 30, 60, None, 999)]
    ['UNDER_18', '18_30', '18_30', '30_40', '60_PLUS', 'unknown', 'unknown']
    >>> age_band(-3).reason
    'an age below 0'
    """
    if isinstance(age, str):
        text = age.strip()
        if text in BANDS:
            return AgeBand(text)
        if text and not _AGE.match(text) and not _AGE.match(text.removeprefix("-")):
            return AgeBand(UNKNOWN, "an age that is no number")
        age = float(text) if text else None
    if age is None or isinstance(age, bool) or not hasattr(age, "__float__"):
        return AgeBand(UNKNOWN, "no age" if age is None else "an age that is no number")
    try:
        years = float(age)
    except OverflowError:
        years = math.inf if age > 0 else -math.inf
    if math.isnan(years):
        return AgeBand(UNKNOWN, "no age")
    if years < 0:
        return AgeBand(UNKNOWN, "an age below 0")
    if years > OLDEST:
        return AgeBand(UNKNOWN, f"an age above {OLDEST}")
    return AgeBand(BANDS[bisect_right(AGE_BANDS, years)])


def age_band_at(born: Any, at: datetime) -> AgeBand:
    """The band of a person on the day of an event, by date of birth.

    Parameters
    ----------
    born : a date, or its ISO 8601 text (2001-02-28, 20010228, with or without a time). Other orders of day and month are
        not guessed.
    at : when the prediction was made; the day is taken in its own time zone

    Examples
    --------
    >>> from datetime import UTC
    >>> at = datetime(2026, 11, 22, tzinfo=UTC)
    >>> age_band_at("2008-11-22", at).group, age_band_at("2008-11-23", at).group
    ('18_30', 'UNDER_18')
    >>> age_band_at("03/04/1990", at)
    AgeBand(group='unknown', reason='a date of birth that is no ISO date')
    """
    day = _day(born)
    if day is None:
        absent = born is None or (isinstance(born, str) and not born.strip())
        return AgeBand(UNKNOWN, "no date of birth" if absent else "a date of birth that is no ISO date")
    if day > at.date():
        return AgeBand(UNKNOWN, "a date of birth after the event")
    found = age_band(age_at(day, at.date()))
    return AgeBand(UNKNOWN, f"a date of birth over {OLDEST} years back") if found.reason else found


def age_at(born: date, day: date) -> int:
    """Completed years of age on a day; who was born on 29 February completes a year on 1 March in other years.

    >>> age_at(date(2004, 2, 29), date(2022, 2, 28)), age_at(date(2004, 2, 29), date(2022, 3, 1))
    (17, 18)
    """
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def _day(born: Any) -> date | None:
    match = _ISO.match(born.strip()) if isinstance(born, str) else None
    try:
        if match is not None:
            return date(int(match[1]), int(match[2]), int(match[3]))
        if isinstance(born, datetime):
            # pandas' NaT is a datetime too, and not equal to itself.
            return born.date() if born == born else None
    except ValueError:
        return None
    return born if isinstance(born, date) else None
