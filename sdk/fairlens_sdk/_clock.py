"""The clocks of a client, in one object that tests replace."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """`time_ns` since 1970 for stamps, `monotonic` seconds for waits, `wait` for both."""

    def time_ns(self) -> int:
        """Nanoseconds since 1970, UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until the event is set or the time is over; true when it is set."""


class SystemClock:
    """The machine's."""

    time_ns = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """`Event.wait`."""
        return event.wait(timeout_s)
