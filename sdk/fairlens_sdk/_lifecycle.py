"""The end of the process and its forks, for every client at once."""

from __future__ import annotations

import atexit
import os
import sys
import time
import weakref
from typing import Protocol

EXIT_S = 2.0
"""Seconds that the end of the interpreter waits for the server in all; what is left goes to the disk."""


class Closes(Protocol):
    """An engine."""

    def close(self, timeout_s: float) -> None:
        """Deliver for a while, then leave the rest to the disk."""


class Forks(Protocol):
    """A client."""

    def forked(self) -> None:
        """Called in the child."""


running: set[Closes] = set()
"""Engines of this process whose threads run."""
clients: weakref.WeakSet[Forks] = weakref.WeakSet()


def close_all(timeout_s: float) -> None:
    """Close every engine."""
    ends = time.monotonic() + timeout_s
    for engine in list(running):
        engine.close(max(0.0, ends - time.monotonic()))


def close_with_multiprocessing() -> None:
    """A child of multiprocessing ends by os._exit, without atexit, but runs its own finalizers."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, close_all, args=(EXIT_S,), exitpriority=0)


def _after_fork_in_child() -> None:
    running.clear()
    for client in list(clients):
        client.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
# Registered at import: what a program registers later runs earlier, and may still log.
atexit.register(close_all, EXIT_S)
