"""The client: three lines beside a model."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from fairlens_sdk import _adapters, _engine, _lifecycle
from fairlens_sdk._clock import Clock, SystemClock
from fairlens_sdk._config import Config
from fairlens_sdk._ids import event_id as make_event_id
from fairlens_sdk._plain import NotPlain, copied, instant_text, number, refuse, scalar
from fairlens_sdk._stats import Stats
from fairlens_sdk._transport import HttpTransport, Transport
from fairlens_sdk._wire import EVENT, LABEL, MAX_BATCH, Block, Event, Identity, LabelItem, encode, row

_NO_TAGS: dict[str, Any] = {}
_LABELS = frozenset({str, int, bool})
_PREDICTION_KEYS = {"label", "score", "threshold"}
Function = TypeVar("Function", bound=Callable[..., Any])


class FairLensClient:
    """Reports the decisions of one model to FairLens, and never makes the model wait for it.

    A call checks the least, copies what may change and puts the event into a bounded queue. Two daemon threads encode
    and send; while the server is away the events are on disk. After the constructor nothing raises, unless `strict`.

    Parameters
    ----------
    endpoint : URL of the server, https outside of one machine
    api_key : a key of scope ingest
    model_id, model_version : 1 to 100 letters, digits, dots, dashes or underscores, as registered
    use_case : hiring, lending, healthcare, criminal_justice, content_recommendation; or None
    tenant_id : the key's tenant, or None
    batch_size : events a request, 1 to 500
    flush_interval_s : seconds an event waits for its batch to fill
    queue_max_events, memory_max_bytes : what may wait in memory; further events are refused and counted
    spool_dir : default: a folder per server, tenant and model in the user's cache
    spool_max_bytes : oldest batches are dropped above it; 0 keeps nothing on disk
    timeout_s : seconds one request may take in all
    durable : an event is on disk before its call returns: nothing accepted is lost by kill -9
    fsync : wait for the disk after every record: nor by a power cut
    disabled : calls return ids and do nothing else
    strict : mistakes of the caller raise, for tests
    clock, rng, transport : for tests, and for proxies

    Raises
    ------
    ValueError
        A setting that cannot work, with its name and what was given.
    """

    def __init__(
        self,
        endpoint: str,
        api_key: str,
        model_id: str,
        model_version: str,
        use_case: str | None = None,
        tenant_id: str | None = None,
        *,
        batch_size: int = MAX_BATCH,
        flush_interval_s: float = 1.0,
        queue_max_events: int = 50_000,
        memory_max_bytes: int = 32 * 1024 * 1024,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_max_bytes: int = 256 * 1024 * 1024,
        timeout_s: float = 10.0,
        durable: bool = False,
        fsync: bool = False,
        disabled: bool = False,
        strict: bool = False,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._identity = Identity(model_id, model_version, use_case, tenant_id)
        self._config = Config(
            endpoint=endpoint,
            identity=self._identity,
            api_key=api_key,
            batch_size=batch_size,
            flush_interval_s=flush_interval_s,
            queue_max_events=queue_max_events,
            memory_max_bytes=memory_max_bytes,
            spool_dir=Path(spool_dir) if spool_dir is not None else None,
            spool_max_bytes=spool_max_bytes,
            timeout_s=timeout_s,
            durable=durable,
            fsync=fsync,
            clock=clock if clock is not None else SystemClock(),
            rng=rng if rng is not None else random.Random(),
            transport=transport if transport is not None else HttpTransport(endpoint, timeout_s),
        )
        self._batch_size, self._durable = batch_size, durable
        self._disabled, self._strict = disabled, strict
        self._time_ns = self._config.clock.time_ns
        self._random_bits = self._config.rng.getrandbits
        self._engine = _engine.Engine(self._config)
        _lifecycle.clients.add(self)

    def log_prediction(
        self,
        features: Mapping[str, Any],
        prediction: Any,
        ground_truth: Any = None,
        demographic_tags: Mapping[str, Any] | None = None,
        timestamp: datetime | str | float | None = None,
    ) -> str:
        """Report one decision.

        Parameters
        ----------
        features : what the model saw; nested values and numpy scalars allowed
        prediction : the decision, or {"label", "score"?, "threshold"?}
        ground_truth : what turned out to be true, when it is known already
        demographic_tags : protected attributes, {"sex": "F"}
        timestamp : of the decision; a datetime (naive is UTC), ISO text or seconds since 1970. Default: now

        Returns
        -------
        str
            The event's id, to give to `log_ground_truth` later. Also when the event was dropped: `stats()` says so.

        Raises
        ------
        ValueError
            Only when `strict`: a NaN, a value that JSON cannot carry, no label.
        """
        now_ns = self._time_ns()
        event_id = make_event_id(now_ns, self._random_bits(62))
        if self._disabled:
            return event_id
        try:
            event, weight = self._event(
                event_id, now_ns, features, prediction, ground_truth, demographic_tags, timestamp
            )
            self._accept(event, weight)
        except Exception:  # broad: no mistake of a caller may reach the path of the model
            self._engine.counters.drop("invalid")
            if self._strict:
                raise
        return event_id

    def log_predictions_batch(self, events: Iterable[Mapping[str, Any]]) -> list[str]:
        """Report up to 500 decisions: mappings with the arguments of `log_prediction`. Returns their ids in order.

        One that is no such mapping is dropped as `invalid` and has an id too. More than 500 raise a ValueError when `strict`;
        otherwise those beyond are dropped as `invalid`, and counted where the events have a length.
        """
        ids: list[str] = []
        try:
            for i, event in enumerate(events):
                if i >= MAX_BATCH:
                    self._engine.counters.drop(
                        "invalid", len(events) - i - 1 if isinstance(events, Sequence) else 0
                    )
                    raise NotPlain("events", f"more than {MAX_BATCH} in one call")
                ids.append(self._log(event))
        except Exception:  # broad: as above; an iterator that fails
            if self._strict:
                raise
            self._engine.counters.drop("invalid")
        return ids

    def _log(self, event: Mapping[str, Any]) -> str:
        try:
            return self.log_prediction(**event)
        except TypeError:  # no mapping, or it names what is no argument
            if self._strict:
                raise
            return self.log_prediction({}, None)  # an id, and counted as invalid

    def log_ground_truth(self, event_id: str, label: Any) -> None:
        """Report what turned out to be true of an earlier decision, or of one whose event is still on its way."""
        if self._disabled:
            return
        try:
            if not isinstance(event_id, str) or not event_id:
                raise NotPlain("event_id", "the text that log_prediction returned")
            self._accept(LabelItem(event_id, scalar(label, "label")), len(event_id))
        except Exception:  # broad: as above
            self._engine.counters.drop("invalid")
            if self._strict:
                raise

    def _event(
        self,
        event_id: str,
        now_ns: int,
        features: Mapping[str, Any],
        prediction: Any,
        truth: Any,
        tags: Mapping[str, Any] | None,
        timestamp: Any,
    ) -> tuple[Event, int]:
        strict = self._strict
        unfit = refuse if strict else None
        mine, weight = copied(features, "features", unfit)
        my_tags = _NO_TAGS
        if tags:
            my_tags, more = copied(tags, "demographic_tags", unfit)
            weight += more
        label, score, threshold = prediction, None, None
        # isinstance asks the registry of abstract classes, 0.4 µs: only what is no dict goes there.
        if type(prediction) is dict or isinstance(prediction, Mapping):
            label, score = prediction["label"], prediction.get("score")
            threshold = prediction.get("threshold")
            if score is not None:
                score = number(score, "score", strict)
            if threshold is not None:
                threshold = number(threshold, "threshold", strict)
            if strict and not _PREDICTION_KEYS.issuperset(prediction):
                raise NotPlain("prediction", "label, score and threshold, no other key")
        at: Any = now_ns if timestamp is None else instant_text(timestamp, strict) or now_ns
        if type(label) not in _LABELS:
            label = scalar(label, "label")
        if truth is not None and type(truth) not in _LABELS:
            truth = scalar(truth, "ground_truth")
        return (event_id, at, mine, label, score, threshold, truth, my_tags), weight

    def _accept(self, item: Event | LabelItem, weight: int) -> None:
        engine = self._engine
        if not engine.started:
            engine.start()
        if self._durable and self._accept_durably(engine, item):
            return
        length = engine.queue.offer(item, 1, weight)
        if not length:
            engine.counters.drop("closed" if engine.queue.closed else "queue_full")
        elif length >= self._batch_size and not engine.wake.is_set():
            engine.wake.set()

    def _accept_durably(self, engine: _engine.Engine, item: Event | LabelItem) -> bool:
        if engine.queue.closed:
            return False
        body: Any
        if isinstance(item, LabelItem):
            kind, body = LABEL, {"event_id": item.event_id, "label": item.label}
        else:
            kind, body = EVENT, row(item, self._identity)
        try:
            engine.outbox.keep_now(kind, encode(body, lambda path, reason: engine.counters.add("nulled")))
        except OSError:
            engine.counters.fault("spool")
            return False  # memory is the next best place
        engine.queue.count_direct(1)
        return True

    def _accept_block(self, block: Block, weight: int) -> None:
        """Rows of a frame, for the adapters."""
        engine = self._engine
        engine.start()
        if not engine.queue.offer(block, block.n, weight):
            engine.counters.drop("closed" if engine.queue.closed else "queue_full", block.n)
        else:
            engine.wake.set()

    def monitor(self, **options: Any) -> Callable[[Function], Function]:
        """A decorator for a `predict` function; see `Watcher` for the options.

        Its first argument is one mapping of features, a list of them, a frame or a two-dimensional array.
        """
        return _adapters.monitor(self, **options)

    def wrap(self, estimator: Any, protected: Sequence[Any] = (), **options: Any) -> Any:
        """A stand-in for a scikit-learn estimator whose `predict` and `predict_proba` are reported."""
        return _adapters.MonitoredEstimator(estimator, _adapters.Watcher(self, protected, **options))

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until everything accepted before is delivered or rejected; false when the time was not enough.

        Waits that the server asked for, and those of the backoff, are kept.
        """
        return True if self._disabled else self._engine.flush(timeout_s)

    def close(self, timeout_s: float = 5.0) -> None:
        """Send for at most `timeout_s` seconds, leave the rest on disk for the next process, end the threads."""
        self._engine.close(timeout_s)

    def stats(self) -> Stats:
        """What became of every event and label, in this process."""
        return self._engine.stats()

    def __enter__(self) -> FairLensClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def forked(self) -> None:
        """Called in a forked child: what waits is the parent's to send, and two children must not draw the same ids."""
        self._engine.forget()
        self._config.rng.seed()
        self._engine = _engine.Engine(self._config)
