"""What callers have handed over and nobody has encoded yet: bounded in events and in bytes, never waited for."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from fairlens_sdk._wire import MAX_BATCH

_ITEM_BYTES = 400  # the tuples, the deque's slot, the id, the stamp and three numbers


class EventQueue:
    """Many callers, one collector.

    The lock is re-entrant: a signal handler or a finalizer that logs a prediction runs in the thread that holds it.
    """

    def __init__(self, max_events: int, max_bytes: int) -> None:
        self._max_events, self._max_bytes = max_events, max_bytes
        self._lock = threading.RLock()
        self._items: deque[tuple[int, int, Any]] = deque()
        self._bytes = 0
        self._count = 0
        self.accepted = 0
        self.settled = 0
        """Accepted events that the collector has handed on; the rest is in memory here or in its hands."""
        self.closed = False

    def __len__(self) -> int:
        return self._count

    def offer(self, item: Any, n: int, weight: int) -> int:
        """Take `n` events in one item; the new length, or 0 when there is no room."""
        weight += _ITEM_BYTES
        with self._lock:
            if self.closed or self._count + n > self._max_events or self._bytes + weight > self._max_bytes:
                return 0
            self._items.append((n, weight, item))
            self._bytes += weight
            self._count += n
            self.accepted += n
            return self._count

    def take(self, limit: int = MAX_BATCH) -> list[Any]:
        """Up to `limit` events, oldest first; a frame alone may be more. `settle` them when they are handed on."""
        taken: list[Any] = []
        with self._lock:
            events = 0
            while self._items and (not taken or events + self._items[0][0] <= limit):
                n, weight, item = self._items.popleft()
                events += n
                self._bytes -= weight
                taken.append(item)
            self._count -= events
            if not self._items:  # heals what an interrupted handler may have left
                self._bytes = self._count = 0
        return taken

    def settle(self, n: int) -> None:
        """The collector handed `n` events on."""
        with self._lock:
            self.settled += n

    def count_direct(self, n: int) -> None:
        """Events that went to the disk before their call returned."""
        with self._lock:
            self.accepted += n
            self.settled += n
