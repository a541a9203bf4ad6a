"""Numbers, times and names as a report writes them: no digit more than the interval supports, every time in UTC."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fairlens_backend.metric_catalogue import CATALOGUE

NOTHING: Final = "–"

SEVERITY_SENTENCE: Final[Mapping[str, str]] = {
    "CRITICAL": "limits are exceeded by a wide margin, or on several counts",
    "HIGH": "limits are exceeded on one count by far, or on two",
    "MEDIUM": "one limit is exceeded by more than chance explains",
    "LOW": "a limit is passed, but by no more than chance explains",
    "PASS": "no limit is exceeded in what could be measured",
    "UNKNOWN": "the data allow no judgement; that is neither a pass nor a breach",
}

SIZES: Final = (
    "n is the number of a group's decisions that the metric looks at: of metrics that need outcomes, those with one; section 4 has"
    " how many of them each rate is a share of."
)


def metric_name(name: str) -> str:
    """A metric in words: "disparate impact ratio"."""
    return name.replace("_", " ")


def sentence_case(text: str) -> str:
    """The text with its first letter as a capital."""
    return text[:1].upper() + text[1:]


def count(n: int | None) -> str:
    """1234567 as 1,234,567."""
    return NOTHING if n is None else f"{n:,}"


def plural(n: int, one: str, many: str | None = None) -> str:
    """
    >>> plural(1, "audit"), plural(1200, "audit"), plural(0, "crossing")
    ('1 audit', '1,200 audits', 'no crossings')
    """
    return f"{'no' if n == 0 else format(n, ',')} {one if n == 1 else many or one + 's'}"


def day(time: str) -> str:
    """The day of a time: 2026-03-01."""
    return time[:10]


def moment(time: str | None) -> str:
    """A time to the minute, in UTC.

    >>> moment("2026-03-01T14:15:09.000000Z")
    '2026-03-01 14:15 UTC'
    """
    return NOTHING if time is None else f"{time[:10]} {time[11:16]} UTC"


def short_moment(time: str | None) -> str:
    """A time to the minute where the heading says UTC."""
    return NOTHING if time is None else f"{time[:10]} {time[11:16]}"


def digits_for(low: float | None, high: float | None) -> int:
    """Decimals that an interval supports: two significant digits of its half-width, from 2 to 4.

    >>> digits_for(0.35, 0.69), digits_for(0.9971, 0.9985), digits_for(None, None)
    (2, 4, 3)
    """
    if low is None or high is None or not high > low:
        return 3
    return max(2, min(4, 1 - math.floor(math.log10((high - low) / 2))))


def number(value: float | None, digits: int = 3) -> str:
    """A number with a true minus sign; a dash where there is none."""
    return NOTHING if value is None else f"{value + 0.0:.{digits}f}".replace("-", "−")


def apart(value: float, limit: float | None, digits: int) -> str:
    """A number with as many digits as tell it from its limit: 0.7996 is not written 0.80 beside 0.80.

    >>> apart(0.7996, 0.8, 2), apart(0.8, 0.8, 2), apart(0.41, 0.8, 2)
    ('0.7996', '0.80', '0.41')
    """
    if limit is not None:
        for more in range(digits, digits + 4):
            if f"{value:.{more}f}" != f"{limit:.{more}f}":
                return number(value, more)
    return number(value, digits)


def percent(share: float | None, digits: int = 1) -> str:
    """A share as a percentage."""
    return NOTHING if share is None else f"{number(100 * share, digits)} %"


def percent_range(interval: Sequence[float] | None, digits: int = 1) -> str:
    """The ends of an interval of a share, in percent."""
    return (
        "" if not interval else f"{number(100 * interval[0], digits)} to {number(100 * interval[1], digits)}"
    )


def range_of(low: float | None, high: float | None, digits: int) -> str:
    """The ends of an interval."""
    return NOTHING if low is None or high is None else f"{number(low, digits)} to {number(high, digits)}"


def value_and_range(metric: Mapping[str, Any]) -> tuple[str, str]:
    """A FairnessMetric's value, signed where its limit is ±, and its interval, both as precise as the interval allows."""
    interval = metric.get("confidence_interval") or {}
    low, high = interval.get("lower"), interval.get("upper")
    digits = digits_for(low, high)
    if metric["value"] is None:
        return NOTHING, NOTHING
    return apart(metric["value"], metric["threshold"], digits), range_of(low, high, digits)


def limit(metric: Mapping[str, Any]) -> str:
    """The limit with its direction: "at least 0.8"."""
    return limit_of(metric["name"], metric["threshold"])


def limit_of(name: str, threshold: float) -> str:
    """As `limit`, by name."""
    when = CATALOGUE[name].breached_when if name in CATALOGUE else "above"
    return {"below": "at least ", "above": "at most ", "outside": "within ±"}[when] + f"{threshold:g}"


def finding(metric: Mapping[str, Any]) -> str:
    """What a FairnessMetric amounts to, in two or three words; a missing value is never a pass."""
    if metric["status"] != "ok":
        return "not measured"
    if not metric["breached"]:
        if metric["confirmed"] is None:
            return "within limit, no interval"
        return "within limit"
    if metric.get("significant") is False:
        return "beyond, may be chance"
    return "beyond, confirmed" if metric["confirmed"] else "beyond, suspected"


def p_value(p: float | None) -> str:
    """A p-value to two digits."""
    if p is None:
        return NOTHING
    return "< 0.0001" if p < 0.0001 else f"{p:.2g}"


def groups(metric: Mapping[str, Any]) -> str:
    """The groups compared, with their sizes: "F (n = 200) against M (n = 300)"."""
    sizes = metric.get("sample_sizes") or {}
    named = [
        f"{group} (n\u00a0=\u00a0{sizes[group]:,})" if group in sizes else group
        for group in metric["groups_compared"]
    ]
    if named:
        return " against ".join(named)
    total = sum(sizes.values())
    return f"all rows (n = {total:,})" if total else NOTHING


def listed(items: Sequence[str]) -> str:
    """
    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + f" and {items[-1]}" if items else ""


def source(label: str, *more: str) -> str:
    """The note that names where figures come from; R and A1 … are explained in section 8."""
    return " ".join([f"Source: {label.rstrip('.')}.", *more])


def submissions_alike(scope: Mapping[str, Any]) -> str:
    """That submissions look as if they were sent twice."""
    n = scope["submissions_alike"]
    return (
        f"{sentence_case(plural(n, 'submission'))} {'has' if n == 1 else 'have'} exactly the counts of another one. If the same decisions were"
        " sent again, R counts them again: its sizes are too large then, and its intervals too narrow."
    )
