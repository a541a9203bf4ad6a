"""When the next request may go out: exponential backoff with full jitter, and a circuit breaker above it."""

from __future__ import annotations

import random

BASE_S = 0.5
CAP_S = 60.0
OPENS_AFTER = 5  # failures in a row
OPEN_S = 30.0
REFUSED_S = 30.0  # a key that is not valid now may be mended; asking often would lock it out
MAX_RETRY_AFTER_S = 3600.0


class Gate:
    """Closed circuit, waiting circuit, open circuit.

    After a failure the wait is uniform in [0, min(60, 0.5·2^k)] seconds (full jitter); from the fifth failure in a
    row 30 seconds more: a dead server is then asked twice in three minutes, with one batch. What the server asks for
    by Retry-After is a lower bound. One success closes the circuit.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._failures = 0
        self._opens_at = 0.0

    @property
    def state(self) -> str:
        """`closed`, `waiting` (short backoff) or `open`."""
        if not self._failures:
            return "closed"
        return "open" if self._failures >= OPENS_AFTER else "waiting"

    def wait_s(self, now: float) -> float:
        """Seconds of the monotonic clock until a request may go out."""
        return max(0.0, self._opens_at - now)

    def succeeded(self) -> None:
        """The server answered as it should."""
        self._failures = 0
        self._opens_at = 0.0

    def failed(self, now: float, at_least_s: float = 0.0) -> None:
        """No answer, or one that asks to come again, not before `at_least_s` seconds."""
        self._failures += 1
        ceiling = min(CAP_S, BASE_S * 2.0 ** min(self._failures - 1, 10))
        if self._failures >= OPENS_AFTER:
            at_least_s = max(at_least_s, OPEN_S)
        # The jitter comes on top: a thousand clients told "in 30 s" must not return together.
        self._opens_at = now + min(at_least_s, MAX_RETRY_AFTER_S) + self._rng.uniform(0.0, ceiling)
