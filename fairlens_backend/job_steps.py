"""What a job's function gets and gives: one step at a time, so that a job outlives whoever runs it.

    def mend(call: Call) -> Step:
        place = (call.checkpoint or {"next": 0})["next"]
        ...one bounded piece of work...
        return Step({"next": place + 1}, progress=…)        # or Step.done({"mended": place})

A step may run twice: when its worker dies before its end is written, the next one begins it anew.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Call:
    """One step to be done.

    Parameters
    ----------
    arguments : as the job was enqueued with them
    checkpoint : what the step before left; None at the first
    by : who asked for the job
    """

    tenant: str
    arguments: dict[str, Any]
    checkpoint: dict[str, Any] | None
    by: str
    now: datetime


@dataclass(frozen=True)
class Step:
    """What a step left: a checkpoint for the next one and how far the job is, or the result of the whole.

    Parameters
    ----------
    not_before : when the next step may be done; None for at once
    """

    checkpoint: dict[str, Any] | None
    progress: float
    result: dict[str, Any] | None = None
    not_before: datetime | None = None

    @classmethod
    def done(cls, result: dict[str, Any]) -> "Step":
        """The last step's."""
        return cls(None, 1.0, result)
