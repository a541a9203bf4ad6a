"""The life of an alert as a pure machine: opened, worse, acknowledged, silenced, closed, opened again.

    (nothing) ──n of m breaches──► open ◄──► acknowledged
                                    │ ▲           │
                     silence over   │ └─ silenced ┤
                                    ▼             ▼
             reopened ◄──breach── resolved ◄── n of m clear, or by a person

A value opens an alert beyond its limit and closes it only inside a stricter one (hysteresis); between the two, and
without a value, an alert stays as it is: no data is never fair.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from fairlens_backend.core.severity import SELECTION_METRICS, SEVERITIES, TOLERANCE, Severity
from fairlens_backend.errors import Conflict, InvalidInput

State = Literal["open", "acknowledged", "silenced", "resolved"]
Verdict = Literal["breach", "between", "clear", "unknown"]
Kind = Literal[
    "opened", "reopened", "worse", "eased", "acknowledged", "silenced", "silence_over", "reminder", "resolved"
]

COUNTED: Final[frozenset[Severity]] = frozenset({"CRITICAL", "HIGH", "MEDIUM"})
"""Severities of a breach that is more than chance: those that open an alert. LOW is a breach that chance explains."""


@dataclass(frozen=True)
class AlertPolicy:
    """When an alert opens, closes, is brought to mind, opens again.

    Parameters
    ----------
    closing_margin : how far inside its limit a value must be to close an alert, as a share, in [0, 1)
    open_n, open_m : breaches among the last observations that open one
    close_n, close_m : clear values among the last observations that close one
    reminder_s : seconds between two reminders of an open alert that nobody acknowledged
    reopen_s : seconds after its end in which a breach opens the same alert again, and no new one

    Raises
    ------
    InvalidInput : n is not from 1 to m, or the margin is out of its range
    """

    closing_margin: float = 0.1
    open_n: int = 1
    open_m: int = 1
    close_n: int = 2
    close_m: int = 2
    reminder_s: float = 4 * 3600
    reopen_s: float = 24 * 3600

    def __post_init__(self) -> None:
        for name, n, m in (("open", self.open_n, self.open_m), ("close", self.close_n, self.close_m)):
            if not 1 <= n <= m:
                raise InvalidInput(
                    f"{name}_n is {n} of {name}_m {m}; 1 to {m} was expected",
                    field=f"{name}_n",
                    got=n,
                    expected="1 to m",
                )
        if not 0 <= self.closing_margin < 1:
            raise InvalidInput(
                f"closing_margin is {self.closing_margin}; at least 0 and less than 1 was expected",
                field="closing_margin",
                got=self.closing_margin,
                expected="at least 0 and less than 1",
            )

    @property
    def memory(self) -> int:
        """Observations that must be remembered."""
        return max(self.open_m, self.close_m)


@dataclass(frozen=True)
class Life:
    """Where an alert stands; `peak` is the worst severity since it opened, `opened_at` when it opened this time."""

    state: State
    severity: Severity
    peak: Severity
    opened_at: datetime
    silenced_until: datetime | None = None
    remind_at: datetime | None = None
    resolved_at: datetime | None = None

    @property
    def alive(self) -> bool:
        """Whether it is not resolved."""
        return self.state != "resolved"


Step = tuple[Life | None, tuple[Kind, ...]]


def closing_limit(threshold: float, breached_when: str, margin: float) -> float:
    """The limit that a value must reach to close an alert, on the fair side of the one that opens it.

    Parameters
    ----------
    breached_when : "below" for a share or ratio whose parity is 1, "above" or "outside" for a gap whose parity is 0

    Examples
    --------
    >>> round(closing_limit(0.8, "below", 0.1), 6), round(closing_limit(0.1, "above", 0.1), 6)
    (0.82, 0.09)
    """
    return threshold + (1 - threshold) * margin if breached_when == "below" else threshold * (1 - margin)


def verdict_on(figure: Mapping[str, Any], breached_when: str, margin: float, decides: bool) -> Verdict:
    """What one FairnessMetric says about its alert.

    Parameters
    ----------
    decides : whether a breach of the metric counts for severity; one that does not opens nothing

    Examples
    --------
    >>> figure = {"status": "ok", "value": 0.81, "threshold": 0.8, "breached": False, "significant": None, "severity": "PASS"}
    >>> [verdict_on({**figure, "value": value}, "below", 0.1, True) for value in (0.81, 0.82, None)]
    ['between', 'clear', 'unknown']
    """
    value = figure["value"]
    if figure["status"] != "ok" or value is None:
        return "unknown"
    if figure["breached"]:
        return "breach" if decides and figure["severity"] in COUNTED else "between"
    limit = closing_limit(figure["threshold"], breached_when, margin)
    if breached_when == "below":
        return "clear" if value >= limit - TOLERANCE else "between"
    return "clear" if abs(value) <= limit + TOLERANCE else "between"


def worse_than(one: Severity, other: Severity) -> bool:
    """Whether a severity is further up the scale than another."""
    return SEVERITIES.index(one) < SEVERITIES.index(other)


def same_gap(metric: str) -> str:
    """A name shared by metrics that restate one gap: of those, one speaks for all.

    Examples
    --------
    >>> same_gap("disparate_impact_ratio") == same_gap("demographic_parity_difference")
    True
    """
    return "selection" if metric in SELECTION_METRICS else metric


def observe(
    life: Life | None, recent: Sequence[Verdict], severity: Severity, policy: AlertPolicy, now: datetime
) -> Step:
    """The next step after an observation.

    Parameters
    ----------
    recent : verdicts since the last change of life, oldest first, the newest one last; none is "unknown"
    severity : of the newest observation

    Returns
    -------
    the life afterwards (None while there is no alert) and what happened, for its history and its messages
    """
    newest = recent[-1]
    if life is None or not life.alive:
        if newest != "breach" or recent[-policy.open_m :].count("breach") < policy.open_n:
            return life, ()
        again = life is not None and life.resolved_at is not None
        again = again and now - life.resolved_at <= timedelta(seconds=policy.reopen_s)  # type: ignore[union-attr, operator]
        opened = Life("open", severity, severity, now, remind_at=_later(now, policy.reminder_s))
        if again and life is not None and life.silenced_until is not None and life.silenced_until > now:
            # Somebody silenced it until then; that it was gone for an hour is no reason to wake them.
            opened = silence(opened, life.silenced_until, now)
        return opened, ("reopened" if again else "opened",)
    if newest == "breach":
        if worse_than(severity, life.peak):
            # Worse than ever since it opened: a value that swings around a border of two severities speaks once.
            return replace(life, severity=severity, peak=severity), ("worse",)
        kinds: tuple[Kind, ...] = ("eased",) if worse_than(life.severity, severity) else ()
        return replace(life, severity=severity), kinds
    if newest == "clear" and recent[-policy.close_m :].count("clear") >= policy.close_n:
        return _ended(life, now), ("resolved",)
    return life, ()


def acknowledge(life: Life, now: datetime) -> Life:
    """Somebody has taken it: no more reminders. A silence ends.

    Raises
    ------
    Conflict : it is acknowledged already, or resolved
    """
    _need_alive(life, "acknowledged")
    if life.state == "acknowledged":
        raise Conflict("The alert is acknowledged already.", state=life.state)
    return replace(life, state="acknowledged", silenced_until=None, remind_at=None)


def silence(life: Life, until: datetime, now: datetime) -> Life:
    """Say nothing until a time; a later one replaces an earlier one.

    Raises
    ------
    Conflict : it is resolved
    InvalidInput : the time is not ahead
    """
    _need_alive(life, "silenced")
    if until <= now:
        raise InvalidInput(
            f"until is {until.isoformat()}, a time after {now.isoformat()} was expected.",
            field="until",
            got=until.isoformat(),
            expected="a time ahead",
        )
    return replace(life, state="silenced", silenced_until=until, remind_at=None)


def resolve(life: Life, now: datetime) -> Life:
    """A person ends it, and a silence with it.

    Raises
    ------
    Conflict : it is resolved already
    """
    _need_alive(life, "resolved")
    return replace(_ended(life, now), silenced_until=None)


def reopen(life: Life, policy: AlertPolicy, now: datetime) -> Life:
    """A person opens it again.

    Raises
    ------
    Conflict : it is not resolved
    """
    if life.alive:
        raise Conflict(f"The alert is {life.state}; only a resolved one is opened again.", state=life.state)
    return Life("open", life.severity, life.severity, now, remind_at=_later(now, policy.reminder_s))


def pass_time(life: Life, policy: AlertPolicy, now: datetime) -> Step:
    """What is due by the clock alone: the end of a silence, or a reminder. Of a resolved alert a silence ends without a word."""
    if not life.alive and life.silenced_until is not None and life.silenced_until <= now:
        return replace(life, silenced_until=None), ()
    if life.state == "silenced" and life.silenced_until is not None and life.silenced_until <= now:
        spoken = replace(life, state="open", silenced_until=None, remind_at=_later(now, policy.reminder_s))
        return spoken, ("silence_over",)
    if life.state == "open" and life.remind_at is not None and life.remind_at <= now:
        return replace(life, remind_at=_later(now, policy.reminder_s)), ("reminder",)
    return life, ()


def _ended(life: Life, now: datetime) -> Life:
    return replace(life, state="resolved", remind_at=None, resolved_at=now)


def _later(now: datetime, seconds: float) -> datetime | None:
    """None for 0 seconds, which stand for never."""
    return now + timedelta(seconds=seconds) if seconds else None


def _need_alive(life: Life, wanted: str) -> None:
    if not life.alive:
        raise Conflict(f"The alert is resolved; it cannot be {wanted}.", state=life.state)
