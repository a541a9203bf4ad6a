"""What became of every event and label."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

REFUSED = ("queue_full", "invalid", "closed")
"""Reasons of `dropped` for what was never accepted; every other reason lost something accepted."""


@dataclass(frozen=True)
class Stats:
    """Counters of one client in one process; a label counts like an event.

    `accepted + recovered == sent + rejected_by_server + lost + queued + waiting`, whenever nothing is on its way
    between two of them.
    """

    accepted: int
    """Taken from the caller."""
    sent: int
    """Acknowledged by the server."""
    retried: int
    """Attempts that failed and are made again, in events."""
    spooled: int
    """Written to the disk."""
    replayed: int
    """Of `sent`, those that came from the disk."""
    recovered: int
    """Found on the disk, left by a process that ended."""
    rejected_by_server: int
    """The server will never take them (400, 422, single ones of a batch)."""
    queued: int
    """In memory, not yet encoded."""
    waiting: int
    """Encoded and not yet delivered, in memory or on disk."""
    nulled: int
    """Values that JSON cannot carry, sent as null."""
    warned: int = 0
    """Of `sent`, those that the server warns of: a label that the model does not declare. Its words are in the log."""
    dropped: dict[str, int] = field(default_factory=dict)
    """By reason: never accepted `queue_full`, `invalid`, `closed`; lost `memory_full`, `spool_full`, `spool_corrupt`,
    `unserialisable`, `exit` (the process ended and no disk took them)."""
    faults: dict[str, int] = field(default_factory=dict)
    """What went wrong without a loss, by kind: `connection`, a status, `spool`, `worker`."""
    circuit: str = "closed"

    @property
    def lost(self) -> int:
        """Accepted and dropped later."""
        return sum(n for reason, n in self.dropped.items() if reason not in REFUSED)


class Counters:
    """Counts under a lock that a signal handler may meet again in its own thread."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._counts: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()

    def add(self, name: str, n: int = 1) -> None:
        """`name` is a field of Stats."""
        with self._lock:
            self._counts[name] += n

    def drop(self, reason: str, n: int = 1) -> None:
        """Count what is gone."""
        if n:
            with self._lock:
                self._dropped[reason] += n

    def fault(self, kind: str) -> None:
        """Count what went wrong and may be mended."""
        with self._lock:
            self._faults[kind] += 1

    @property
    def rejected_by_server(self) -> int:
        """So far."""
        return self._counts["rejected_by_server"]

    def stats(self, accepted: int, queued: int, waiting: int, circuit: str) -> Stats:
        """The counters now."""
        with self._lock:
            c = self._counts
            return Stats(
                accepted=accepted,
                sent=c["sent"],
                retried=c["retried"],
                spooled=c["spooled"],
                replayed=c["replayed"],
                recovered=c["recovered"],
                rejected_by_server=c["rejected_by_server"],
                queued=queued,
                waiting=waiting,
                nulled=c["nulled"],
                warned=c["warned"],
                dropped=dict(self._dropped),
                faults=dict(self._faults),
                circuit=circuit,
            )
