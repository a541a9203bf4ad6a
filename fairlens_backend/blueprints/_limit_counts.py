"""Counts of calls in this process, for limits without Redis."""

import threading
import time
from typing import Final

from limits.storage import MemoryStorage

SWEEP_EVERY_S: Final = 60.0


class ProcessStorage(MemoryStorage):
    """Counts of a fixed window, of which those that are over are dropped at a later count.

    The one of the package starts a thread at almost every count, to drop them: a call waited until that thread had had the
    interpreter, which others that read bodies held for 5 ms.

    Examples
    --------
    >>> storage = ProcessStorage()
    >>> storage.incr("LIMITER/10.0.0.1", 60), storage.incr("LIMITER/10.0.0.1", 60), storage.get("LIMITER/10.0.0.1")
    (1, 2, 2)
    """

    STORAGE_SCHEME = ["process"]  # noqa: RUF012  the package declares it so

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: str) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)
        self.timer.cancel()  # its one sweep at the start would not wait for a count
        self._counting = threading.Lock()
        self._swept_at = time.time()

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count `amount` more in the window of a key, and give its count.

        Parameters
        ----------
        expiry : seconds that a window lasts, which begins with its first count
        """
        now = time.time()
        with self._counting:
            if now - self._swept_at >= SWEEP_EVERY_S:
                self._swept_at = now
                self._drop([one for one, end in self.expirations.items() if end <= now])
            elif self.expirations.get(key, now) <= now:
                self._drop([key])
            if key not in self.expirations:
                self.expirations[key] = now + expiry
            self.storage[key] += amount
            return self.storage[key]

    def get(self, key: str) -> int:
        """The count of a key; 0 when its window is over."""
        with self._counting:
            return self.storage.get(key, 0) if self.expirations.get(key, 0) > time.time() else 0

    def clear(self, key: str) -> None:
        """Forget a key."""
        with self._counting:
            self._drop([key])

    def _drop(self, keys: list[str]) -> None:
        for key in keys:
            self.storage.pop(key, None)
            self.expirations.pop(key, None)
