"""Parcels between the thread that encodes and the thread that sends: a few in memory, the rest on disk."""

from __future__ import annotations

import threading
from collections import deque

from fairlens_sdk._gate import Gate
from fairlens_sdk._spool import Spool
from fairlens_sdk._stats import Counters
from fairlens_sdk._wire import Parcel

DIRECT_PARCELS = 8  # a kill -9 while the server works loses these and the queue, so they are few
BLAMED_TIMES = 5


class Outbox:
    """Nothing here waits for the network. `event` is set when there may be something to send."""

    def __init__(self, spool: Spool | None, gate: Gate, counters: Counters, max_bytes: int) -> None:
        self._spool, self._gate, self._counters = spool, gate, counters
        self._max_bytes = max_bytes
        self._lock = threading.RLock()
        self._memory: deque[Parcel] = deque()
        self._memory_bytes = 0
        self._in_hand: Parcel | None = None
        self._blamed = 0
        self._surrendered = False
        self.event = threading.Event()

    @property
    def waiting(self) -> int:
        """Events not yet delivered, on disk included."""
        with self._lock:
            waiting = sum(parcel.count for parcel in self._memory)
            if self._in_hand is not None and not self._in_hand.from_disk:
                waiting += self._in_hand.count
            return waiting + (self._spool.waiting if self._spool is not None else 0)

    def put(self, parcel: Parcel) -> None:
        """A fresh parcel: to the disk when the server is away or slow."""
        with self._lock:
            if self._spool is None or (
                self._gate.state == "closed" and len(self._memory) < DIRECT_PARCELS and not self._surrendered
            ):
                self._to_memory(parcel)
            else:
                self._to_disk(parcel)
        self.event.set()

    def keep_now(self, kind: str, body: bytes) -> None:
        """One event or label to the disk before its call returns; raises OSError when the disk does not take it."""
        assert self._spool is not None
        self._spool.append(kind, 1, body)
        self._counters.add("spooled")

    def _to_disk(self, parcel: Parcel) -> None:
        if self._spool is not None:
            try:
                self._spool.append(parcel.kind, parcel.count, parcel.body)
            except OSError:
                self._counters.fault("spool")
            else:
                self._counters.add("spooled", parcel.count)
                return
        if self._surrendered:
            self._counters.drop("exit", parcel.count)
        else:
            self._to_memory(parcel)

    def _to_memory(self, parcel: Parcel) -> None:
        parcel.from_disk = False
        self._memory.append(parcel)
        self._memory_bytes += len(parcel.body)
        while self._memory_bytes > self._max_bytes:
            oldest = self._memory.popleft()
            self._memory_bytes -= len(oldest.body)
            self._counters.drop("memory_full", oldest.count)

    def take(self) -> Parcel | None:
        """The next parcel to send; it stays this outbox's until `done`, `failed` or `replace`.

        Raises
        ------
        OSError
            The spool cannot be read just now.
        """
        with self._lock:
            if self._surrendered:
                return None
            if self._memory:
                self._in_hand = self._memory.popleft()
                self._memory_bytes -= len(self._in_hand.body)
            elif self._spool is not None and self._spool.waiting:
                self._in_hand = self._spool.head()
            return self._in_hand

    def done(self, parcel: Parcel) -> bool:
        """The server has settled it; false when it was given to the disk meanwhile, and counts there."""
        with self._lock:
            if self._surrendered or self._in_hand is not parcel:
                return False
            self._in_hand = None
            if parcel.from_disk and self._spool is not None:
                self._blamed = 0
                self._spool.pop()
            return True

    def failed(self, parcel: Parcel, blames: bool) -> None:
        """It was not delivered and is kept for another attempt."""
        with self._lock:
            if self._surrendered or self._in_hand is not parcel:
                return
            self._in_hand = None
            self._counters.add("retried", parcel.count)
            if not parcel.from_disk or self._spool is None:
                self._to_disk(parcel)
                return
            self._blamed += blames
            if self._blamed >= BLAMED_TIMES:
                # The server stumbles over this one: the others must not wait behind it.
                self._blamed = 0
                self._spool.pop()
                self._to_disk(parcel)
            elif not self._spool.put_back():
                self._to_disk(parcel)

    def give_back(self) -> None:
        """Whatever is in hand, after a fault of our own."""
        with self._lock:
            if self._in_hand is not None:
                self.failed(self._in_hand, blames=True)

    def replace(self, parcel: Parcel, parts: list[Parcel]) -> None:
        """Smaller parcels in place of one that was too large."""
        with self._lock:
            if self.done(parcel):
                for part in reversed(parts):
                    self._memory.appendleft(part)
                    self._memory_bytes += len(part.body)

    def surrender(self) -> None:
        """At the end: everything that is in memory goes to the disk; what is under way may arrive twice, as one event."""
        with self._lock:
            if self._surrendered:
                return
            self._surrendered = True
            held = self._in_hand
            on_disk = (
                held is not None and held.from_disk and self._spool is not None and self._spool.put_back()
            )
            if held is not None and not on_disk:
                self._to_disk(held)
            self._in_hand = None
            while self._memory:
                self._to_disk(self._memory.popleft())
            self._memory_bytes = 0
