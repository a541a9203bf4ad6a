"""What one client owns in one process: a queue, an outbox, two threads. A forked child builds its own."""

from __future__ import annotations

import threading
import time

from fairlens_sdk import _lifecycle
from fairlens_sdk._config import Config
from fairlens_sdk._gate import Gate
from fairlens_sdk._outbox import Outbox
from fairlens_sdk._queue import EventQueue
from fairlens_sdk._spool import Spool
from fairlens_sdk._stats import Counters, Stats
from fairlens_sdk._threads import Collector, Courier

ABORT_S = 0.5  # for a thread whose connection was just shut down
POLL_S = 0.05


class Engine:
    """Everything behind the calls of a client."""

    def __init__(self, config: Config) -> None:
        self._config = config
        # Encoded batches are a tenth of what the objects take: a quarter holds more events than the queue.
        self.queue = EventQueue(config.queue_max_events, config.memory_max_bytes * 3 // 4)
        self.counters = Counters()
        self._gate = Gate(config.rng)
        self._spool: Spool | None = None
        if config.spool_max_bytes:
            self._spool = Spool(
                config.spool_folder,
                config.spool_max_bytes,
                self.counters,
                config.fsync,
                checked=config.spool_dir is None,
            )
        self.outbox = Outbox(self._spool, self._gate, self.counters, config.memory_max_bytes // 4)
        self._starting = threading.RLock()
        self._closing = threading.Lock()
        self.started = False
        self._closed = False
        self._collector = Collector(
            self.queue,
            self.outbox,
            self.counters,
            config.clock,
            config.identity,
            config.batch_size,
            config.flush_interval_s,
        )
        self.wake = self._collector.wake
        self._courier = Courier(
            self.outbox,
            self._spool,
            self._gate,
            self.counters,
            config.clock,
            config.transport,
            config.api_key,
            config.flush_interval_s,
        )

    def start(self) -> None:
        """Start the threads, once a process; with no thread to be had, events wait for the exit."""
        with self._starting:
            if self.started or self._closed:
                return
            self.started = True
            _lifecycle.running.add(self)
            _lifecycle.close_with_multiprocessing()
            try:
                self._collector.start()
                self._courier.start()
            except RuntimeError:
                self.counters.fault("thread")

    def flush(self, timeout_s: float) -> bool:
        """Wait until what was accepted before is delivered or rejected."""
        if self._closed:
            return self.outbox.waiting == 0
        self.start()
        mark = self.queue.accepted
        ends = time.monotonic() + timeout_s
        self._collector.hurry = True
        self.wake.set()
        self.outbox.event.set()
        with self._courier.settled:
            while not self._settled(mark):
                left = ends - time.monotonic()
                if left <= 0:
                    return False
                self._courier.settled.wait(min(left, POLL_S))
        return True

    def _settled(self, mark: int) -> bool:
        return self.queue.settled >= mark and self.outbox.waiting == 0 and self._courier.looked

    def close(self, timeout_s: float) -> None:
        """Send for at most `timeout_s` seconds, then leave the rest to the disk."""
        with self._closing:
            if self._closed:
                return
            ends = time.monotonic() + timeout_s
            self.queue.closed = True
            self._collector.stopping = True
            self.wake.set()
            if self._collector.is_alive():
                self._collector.join(max(ABORT_S, ends - time.monotonic()))
            self._collector.drain(only_full=False)
            self._courier.stopping = True
            self.outbox.event.set()
            if self._courier.is_alive():
                self._courier.join(max(0.0, ends - time.monotonic()))
            self._courier.abandoned = True
            if self._courier.is_alive():
                self._config.transport.abort()
                self._courier.join(ABORT_S)
            self.outbox.surrender()
            if self._spool is not None:
                self._spool.close()
            if not self._courier.is_alive():
                self._config.transport.close()
            self._closed = True
            _lifecycle.running.discard(self)

    def forget(self) -> None:
        """In a forked child: nothing of the parent's is sent, closed down or unlocked."""
        if self._spool is not None:
            self._spool.forget()
        self._config.transport.forget()

    def stats(self) -> Stats:
        """The counters now."""
        return self.counters.stats(
            self.queue.accepted,
            self.queue.accepted - self.queue.settled,
            self.outbox.waiting,
            self._gate.state,
        )
