"""ADWIN: a window that grows while the mean of a series stands still and shrinks when it has moved."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from fairlens_backend.errors import InvalidInput

DELTA: Final = 0.002
"""The confidence that a cut of the window asks for."""
_SIZES: Final = ("clock", "max_buckets", "min_window_length", "grace_period")


@dataclass(frozen=True)
class AdwinSettings:
    """How ADWIN looks.

    Parameters
    ----------
    delta : bound on the chance that one look cuts a window without change, in (0, 1)
    clock : values from one look to the next
    max_buckets : buckets of one size before the two oldest are merged: more are more exact and slower
    min_window_length : values that each side of a cut needs
    grace_period : values before the first look

    Raises
    ------
    InvalidInput
        A setting is out of its range.
    """

    delta: float = DELTA
    clock: int = 32
    max_buckets: int = 5
    min_window_length: int = 5
    grace_period: int = 10

    def __post_init__(self) -> None:
        if isinstance(self.delta, bool) or not isinstance(self.delta, int | float) or not 0 < self.delta < 1:
            raise _refusal("delta", self.delta, "a number between 0 and 1")
        for name in _SIZES:
            size = getattr(self, name)
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise _refusal(name, size, "a whole number of at least 1")


@dataclass
class Adwin:
    """The adaptive window over the values seen so far; it keeps O(log n) numbers of them.

    Buckets of 2^i values keep their total and their sum of squared deviations. A look goes through the cuts between
    buckets from the oldest on and drops the oldest bucket for as long as the means on the two sides differ by more than
    the bound. The value after a detection starts a new window, as river does, so that one change is told once; the
    paper would go on with the newer side.

    Parameters
    ----------
    settings : how it looks
    width : values in the window
    total : their sum
    deviations : their sum of squared deviations from their mean
    ticks : values since the window began
    seen, detections : values and changes altogether
    detected : whether the last value brought a detection
    rows : for each size 2^i the buckets [total, deviations], oldest first

    Examples
    --------
    >>> adwin = Adwin(AdwinSettings(clock=1))
    >>> steps = [step for step, x in enumerate([0.1, 0.2] * 50 + [0.8, 0.9] * 50) if adwin.update(x)]
    >>> steps, Adwin.from_dict(adwin.to_dict()) == adwin
    ([120], True)

    Source: Bifet & Gavaldà, Learning from time-changing data with adaptive windowing (SDM 2007), ADWIN2; the cuts and
    the minimum lengths are those of river 0.26.
    """

    settings: AdwinSettings = field(default_factory=AdwinSettings)
    width: int = 0
    total: float = 0.0
    deviations: float = 0.0
    ticks: int = 0
    seen: int = 0
    detections: int = 0
    detected: bool = False
    rows: list[list[list[float]]] = field(default_factory=lambda: [[]])

    @property
    def mean(self) -> float | None:
        """The mean of the window; None when it is empty."""
        return self.total / self.width if self.width else None

    def update(self, x: float) -> bool:
        """Take one more value; whether the level has changed.

        Raises
        ------
        InvalidInput
            The value is not a finite number: a check without a value is passed over, never sent as 0.
        """
        if isinstance(x, bool) or not isinstance(x, int | float) or not math.isfinite(x):
            raise _refusal("x", x, "a finite number")
        if self.detected:
            self.width, self.total, self.deviations, self.ticks, self.rows = 0, 0.0, 0.0, 0, [[]]
        self._insert(float(x))
        self.ticks += 1
        self.seen += 1
        look = self.ticks % self.settings.clock == 0 and self.width > self.settings.grace_period
        self.detected = look and self._shrink()
        self.detections += self.detected
        return self.detected

    def to_dict(self) -> dict[str, Any]:
        """The state as plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Adwin":
        """The detector as `to_dict` wrote it.

        Raises
        ------
        InvalidInput
            It is not such a state.
        """
        try:
            values = {one.name: kept[one.name] for one in fields(cls)}
            values["settings"] = AdwinSettings(**values["settings"])
            values["rows"] = [[[float(v) for v in bucket] for bucket in row] for row in values["rows"]]
            adwin = cls(**values)
            whole = sum(len(row) << i for i, row in enumerate(adwin.rows)) == adwin.width
            pairs = all(len(bucket) == 2 for row in adwin.rows for bucket in row)
        except (KeyError, TypeError, ValueError) as error:
            raise _no_state(str(error)) from error
        if not (whole and pairs):
            raise _no_state("its buckets do not make its window")
        return adwin

    def _insert(self, x: float) -> None:
        if self.width:
            self.deviations += self.width * (x - self.total / self.width) ** 2 / (self.width + 1)
        self.width += 1
        self.total += x
        self.rows[0].append([x, 0.0])
        for i in range(len(self.rows)):
            row = self.rows[i]
            if len(row) <= self.settings.max_buckets:
                return
            if i + 1 == len(self.rows):
                self.rows.append([])
            (first, first_dev), (second, second_dev) = row[:2]
            size = float(2**i)
            apart = size * size * (first / size - second / size) ** 2 / (size + size)
            self.rows[i + 1].append([first + second, first_dev + second_dev + apart])
            del row[:2]

    def _drop_oldest(self) -> None:
        size = 2 ** (len(self.rows) - 1)
        total, deviations = self.rows[-1].pop(0)
        self.width -= size
        self.total -= total
        apart = (total / size - self.total / self.width) ** 2
        self.deviations -= deviations + size * self.width * apart / (size + self.width)
        while len(self.rows) > 1 and not self.rows[-1]:
            self.rows.pop()

    def _shrink(self) -> bool:
        """Drop the oldest buckets while some cut shows a change; whether any did."""
        changed = False
        while self._has_change():
            changed = True
            self._drop_oldest()
        return changed

    def _has_change(self) -> bool:
        least = self.settings.min_window_length
        if self.width < 2 * least:
            return False
        # Differences of large sums may leave a little less than nothing.
        spread = max(0.0, self.deviations) / self.width
        strict = math.log(2 * math.log(self.width) / self.settings.delta)
        old, old_total, new, new_total = 0, 0.0, self.width, self.total
        for i in range(len(self.rows) - 1, -1, -1):
            size = 1 << i
            for total, _ in self.rows[i]:
                old += size
                new -= size
                old_total += total
                new_total -= total
                if new < least:
                    return False
                if old < least:
                    continue
                share = 1 / (old - least + 1) + 1 / (new - least + 1)
                bound = math.sqrt(2 * share * spread * strict) + 2 / 3 * strict * share
                if abs(old_total / old - new_total / new) > bound:
                    return True
        return False


def adwin_changes(
    series: Iterable[float | None], settings: AdwinSettings | None = None, *, start: Adwin | None = None
) -> tuple[list[int], Adwin]:
    """The places of a series at which ADWIN says that its level has changed, and the detector after it.

    Parameters
    ----------
    series : values, oldest first; None is passed over and keeps its place
    start : a detector to go on with, which is left as it is

    Examples
    --------
    >>> adwin_changes([0.1, None, 0.2] * 40 + [0.8, 0.9] * 40, AdwinSettings(clock=1))[0]
    [142]
    """
    adwin = Adwin(settings or AdwinSettings()) if start is None else Adwin.from_dict(start.to_dict())
    return [place for place, x in enumerate(series) if x is not None and adwin.update(x)], adwin


def _refusal(name: str, got: object, expected: str) -> InvalidInput:
    return InvalidInput(
        f"{name} is {got!r:.80}, {expected} was expected", field=name, got=str(got)[:80], expected=expected
    )


def _no_state(why: str) -> InvalidInput:
    return InvalidInput(f"not the state of ADWIN: {why}", field="adwin", expected="what to_dict wrote")
