"""The two background threads: one encodes and never waits for the network, one sends and never holds up the first."""

from __future__ import annotations

import logging
import threading
from typing import Any

from fairlens_sdk._answers import AGAIN, DELIVERED, SPLIT, judge
from fairlens_sdk._clock import Clock
from fairlens_sdk._gate import Gate
from fairlens_sdk._outbox import Outbox
from fairlens_sdk._plain import Unfit
from fairlens_sdk._queue import EventQueue
from fairlens_sdk._spool import Spool
from fairlens_sdk._stats import Counters
from fairlens_sdk._transport import Transport, TransportError
from fairlens_sdk._wire import (
    PATHS,
    Block,
    Identity,
    LabelItem,
    Parcel,
    halves,
    is_compressed,
    pack_block,
    pack_events,
    pack_labels,
    single,
)

logger = logging.getLogger("fairlens_sdk")
ADOPT_EVERY_S = 30.0
MOST_WORDS = 20
"""warnings of the server that are logged, each once"""


class Collector(threading.Thread):
    """Takes events from the queue, makes parcels of them."""

    def __init__(
        self,
        queue: EventQueue,
        outbox: Outbox,
        counters: Counters,
        clock: Clock,
        identity: Identity,
        batch_size: int,
        flush_interval_s: float,
    ) -> None:
        super().__init__(name="fairlens-collector", daemon=True)
        self._queue, self._outbox, self._counters, self._clock = queue, outbox, counters, clock
        self._identity, self._batch_size, self._flush_interval_s = identity, batch_size, flush_interval_s
        self.wake = threading.Event()
        self.hurry = False
        """Somebody flushes: part batches go too."""
        self.stopping = False
        self._work = threading.Lock()

    def run(self) -> None:
        """Until `stopping`."""
        while True:
            full = self._clock.wait(self.wake, self._flush_interval_s)
            self.wake.clear()
            stopping, hurry = self.stopping, self.hurry
            self.hurry = False
            self.drain(only_full=full and not stopping and not hurry)
            if stopping:
                return

    def drain(self, only_full: bool) -> None:
        """Empty the queue; with `only_full` leave the beginning of a batch until its interval is over."""
        with self._work:
            while len(self._queue) >= (self._batch_size if only_full else 1):
                items = self._queue.take(self._batch_size)
                n = sum(item.n if isinstance(item, Block) else 1 for item in items)
                settled = 0
                try:
                    settled = self._pack(items)
                except Exception:  # broad: the thread that keeps everyone's events must not end
                    self._counters.fault("collector")
                    logger.exception("fairlens: %d events could not be encoded", n - settled)
                    self._counters.drop("unserialisable", n - settled)
                finally:
                    self._queue.settle(n)

    def _pack(self, items: list[Any]) -> int:
        unfit: Unfit = lambda path, reason: self._counters.add("nulled")  # noqa: E731
        events = [item for item in items if type(item) is tuple]
        labels = [item for item in items if isinstance(item, LabelItem)]
        done = 0
        if events:
            for parcel in pack_events(events, self._identity, unfit):
                self._outbox.put(parcel)
                done += parcel.count
        if labels:
            self._outbox.put(pack_labels(labels, unfit))
            done += len(labels)
        for block in items:
            if isinstance(block, Block):
                for parcel in pack_block(block, self._identity, self._batch_size, unfit):
                    self._outbox.put(parcel)
                    done += parcel.count
        return done


class Courier(threading.Thread):
    """Sends parcels one after the other, as the gate lets it."""

    def __init__(
        self,
        outbox: Outbox,
        spool: Spool | None,
        gate: Gate,
        counters: Counters,
        clock: Clock,
        transport: Transport,
        api_key: str,
        pause_s: float,
    ) -> None:
        super().__init__(name="fairlens-courier", daemon=True)
        self._outbox, self._spool, self._gate, self._counters = outbox, spool, gate, counters
        self._clock, self._transport, self._pause_s = clock, transport, pause_s
        self._headers = {
            "X-Api-Key": api_key,
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        self._adopted_at: float | None = None
        self._looked = False
        self._told: set[str] = set()
        self.settled = threading.Condition()
        """Notified after every parcel, for those who flush."""
        self.stopping = False
        self.abandoned = False

    def run(self) -> None:
        """Until `stopping` and nothing can be sent now, or `abandoned`."""
        while not self.abandoned:
            self._outbox.event.clear()
            stopping = self.stopping  # read before the turn: what came in during one gets another
            try:
                self._turn()
            except Exception:  # broad: the thread that delivers must not end
                self._counters.fault("courier")
                self._outbox.give_back()
                self._gate.failed(self._clock.monotonic())
                logger.exception("fairlens: a batch could not be sent and is kept")
            with self.settled:
                self.settled.notify_all()
            if stopping:
                return
            wait = self._gate.wait_s(self._clock.monotonic())
            self._clock.wait(self._outbox.event, wait if wait > 0 else self._pause_s)

    def _turn(self) -> None:
        while not self.abandoned and self._gate.wait_s(self._clock.monotonic()) <= 0:
            parcel = self._outbox.take()
            if parcel is None:
                if not self._adopt():
                    return
                continue
            self._send(parcel)
            with self.settled:
                self.settled.notify_all()

    @property
    def looked(self) -> bool:
        """Whether the spools of ended processes were looked for."""
        return self._spool is None or self._looked

    def _adopt(self) -> bool:
        """With nothing of our own to send, look for what ended processes left."""
        now = self._clock.monotonic()
        if self._spool is None or self.stopping:
            return False
        if self._adopted_at is not None and now < self._adopted_at + ADOPT_EVERY_S:
            return False
        self._adopted_at = now
        found = self._spool.adopt()
        self._looked = True
        return found > 0

    def _send(self, parcel: Parcel) -> None:
        headers = dict(self._headers)
        if is_compressed(parcel.body):
            headers["Content-Encoding"] = "gzip"
        try:
            answer = self._transport.post(PATHS[parcel.kind], parcel.body, headers)
        except TransportError as error:
            self._again(parcel, "connection", str(error), 0.0, False)
            return
        except Exception:  # broad: a transport that the caller brought may raise anything
            self._outbox.failed(parcel, blames=False)
            raise
        verdict = judge(answer, parcel.count, self._clock.time_ns() / 1e9)
        if verdict.kind == AGAIN:
            self._again(parcel, verdict.why, verdict.why, verdict.at_least_s, verdict.blames_batch)
            return
        if self._gate.state == "open":
            logger.warning("fairlens: the server answers again")
        self._gate.succeeded()
        if verdict.kind == SPLIT:
            self._outbox.replace(parcel, halves(parcel))
            return
        if not self._outbox.done(parcel):
            return
        refused = verdict.rejected
        if verdict.kind == DELIVERED:
            self._counters.add("sent", parcel.count - len(refused))
            if parcel.from_disk:
                self._counters.add("replayed", parcel.count - len(refused))
        if refused:
            self._rejected(parcel, refused)
        for n, words in verdict.doubts:
            self._counters.add("warned", n)
            if words not in self._told and len(self._told) < MOST_WORDS:
                self._told.add(words)
                logger.warning("fairlens: the server warns of %d events: %s", n, words)

    def _again(self, parcel: Parcel, kind: str, why: str, at_least_s: float, blames: bool) -> None:
        before = self._gate.state
        self._gate.failed(self._clock.monotonic(), at_least_s)
        self._counters.fault(kind)
        self._outbox.failed(parcel, blames)
        if self._gate.state == "open" and before != "open":
            logger.warning("fairlens: the server is away (%s); events are kept", why)

    def _rejected(self, parcel: Parcel, refused: list[tuple[int, Any]]) -> None:
        first = not self._counters.rejected_by_server
        self._counters.add("rejected_by_server", len(refused))
        if first:
            logger.warning("fairlens: the server rejected %d events; see rejected.jsonl", len(refused))
        if self._spool is not None:
            try:
                events = single(parcel, [index for index, _ in refused])
                self._spool.keep_rejected(events, [errors for _, errors in refused])
            except OSError:
                self._counters.fault("spool")
