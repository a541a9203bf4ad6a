"""Group commit: what several requests of a process hand in meanwhile is written in one transaction.

A commit waits for the disk. Whoever gets the process's turn writes for all that wait, up to 16, and the others find their
answer there; each answers its caller only after the commit. Processes queue at the database's own lock.
"""

import os
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from fairlens_backend.errors import FairLensError, Unavailable
from fairlens_backend.storage import (
    count_series,
    dead_letters,
    early_labels,
    event_attributes,
    event_ids,
    events,
)
from fairlens_backend.storage.dead_letters import NewLetter
from fairlens_backend.storage.event_attributes import GroupOf
from fairlens_backend.storage.events import EventColumns, TruthOf
from fairlens_backend.storage.session import unit_of_work
from fairlens_backend.storage.writer_turn import writer_turn

MAX_JOINED: Final = 16


@dataclass(frozen=True)
class Labels:
    """True outcomes: the digest of each event's id, and of its label."""

    digests: list[bytes]
    labels: list[bytes]


@dataclass(frozen=True)
class Attributes:
    """Protected attributes that came apart: the digest of each event's id, and its values by name."""

    digests: list[bytes]
    values: list[dict[str, Any]]


@dataclass
class Submission:
    """What one request wants written, and after the commit what became of it.

    Parameters
    ----------
    parts : decisions, by series
    letters : events that could not be taken
    labels : true outcomes
    attributes, group_of : protected attributes that came apart, and the group that these make of a decision
    truth_of : what a label means in a series
    settles : tenant and id of the dead letter that is replayed by this; deleted with the same commit, unless it is refused anew
    outcome : for each label what `events.join` says, for each event of `attributes` what `event_attributes.move` says
    """

    now: datetime
    truth_of: TruthOf
    parts: Sequence[EventColumns] = ()
    letters: Sequence[NewLetter] = ()
    labels: Labels | None = None
    attributes: Attributes | None = None
    group_of: GroupOf | None = None
    settles: tuple[str, int] | None = None
    outcome: list[str] = field(default_factory=list)
    done: bool = False
    error: BaseException | None = None


_waiting: deque[Submission] = deque()
_turn = threading.Lock()


def write(submission: Submission) -> None:
    """Write it, alone or with others, and come back when it is durable.

    Raises
    ------
    Unavailable : the database is locked, full or away; nothing was stored
    InvalidInput : as `events.write`; nothing of this submission was stored
    """
    _waiting.append(submission)
    with _turn:
        while not submission.done:
            _write_waiting()
    if submission.error is not None:
        raise submission.error


def _write_waiting() -> None:
    taken = [_waiting.popleft() for _ in range(min(MAX_JOINED, len(_waiting)))]
    error = _tried(taken)
    if error is None or len(taken) == 1 or isinstance(error, Unavailable):
        _finish(taken, error)
        return
    # One submission's own fault must not be the others'.
    for one in taken:
        _finish([one], _tried([one]))


def _tried(taken: list[Submission]) -> FairLensError | None:
    """Write all of them or nothing; the error that is somebody's answer."""
    try:
        with writer_turn(), unit_of_work():
            _apply(taken)
    except FairLensError as error:
        _forget()
        return error
    except BaseException as error:
        _forget()
        _finish(taken, error)
        raise
    return None


def _forget() -> None:
    """What this process remembers may have been taken back."""
    event_ids.take_back()
    count_series.forget_memory()


def _apply(taken: Sequence[Submission]) -> None:
    events.lock()
    parts = [part for one in taken for part in one.parts]
    if parts:
        events.write(parts, taken[0].truth_of, taken[0].now)
        group_of = next((one.group_of for one in taken if one.group_of is not None), None)
        if group_of is not None:
            fresh = [
                d for part in parts for d, new in zip(part.digests, part.fresh.tolist(), strict=True) if new
            ]
            event_attributes.apply_waiting(fresh, group_of)
    for one in taken:
        dead_letters.add(one.letters, one.now)
        if one.settles is not None and not any(part.refused for part in one.parts):
            dead_letters.settle(*one.settles, one.now)
    _label([one for one in taken if one.labels is not None])
    for one in taken:
        if one.attributes is not None and one.group_of is not None:
            _supply(one, one.attributes, one.group_of)


def _supply(one: Submission, given: Attributes, group_of: GroupOf) -> None:
    """Move the decisions that are there, and let the others' attributes wait."""
    one.outcome = event_attributes.move(given.digests, given.values, group_of)
    waiting = [i for i, outcome in enumerate(one.outcome) if outcome == "waiting"]
    event_attributes.keep({given.digests[i]: given.values[i] for i in waiting}, one.now)


def _label(taken: Sequence[Submission]) -> None:
    """Join the labels of several submissions at once, unless two name the same event: then one after the other."""
    digests = [digest for one in taken for digest in one.labels.digests]  # type: ignore[union-attr]
    if len(taken) > 1 and len(set(digests)) < len(digests):
        for one in taken:
            _label([one])
        return
    labels = [label for one in taken for label in one.labels.labels]  # type: ignore[union-attr]
    if not digests:
        return
    outcomes = events.join(digests, labels, taken[0].truth_of)
    start = 0
    for one in taken:
        n = len(one.labels.digests)  # type: ignore[union-attr]
        one.outcome = outcomes[start : start + n]
        some = zip(digests[start : start + n], labels[start : start + n], one.outcome, strict=True)
        early_labels.keep([(digest, label) for digest, label, said in some if said == "waiting"], one.now)
        start += n


def _finish(taken: Sequence[Submission], error: BaseException | None) -> None:
    for one in taken:
        if not one.done:
            one.error, one.done = error, True


def _after_fork() -> None:
    """The thread that had the turn, and those that waited, are not in the child."""
    global _turn
    _turn = threading.Lock()
    _waiting.clear()


os.register_at_fork(after_in_child=_after_fork)
