"""Events and labels as request bodies.

A parcel is one body of at most 500 events or labels. Events of one shape go as columns, which the server takes about
twice as fast, others as rows.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fairlens_sdk._ids import event_ids
from fairlens_sdk._plain import Unfit, iso_instant, plain

EVENTS, LABELS, EVENT, LABEL = "events", "labels", "event", "label"
PATHS = {EVENTS: "/v1/predictions/ingest", LABELS: "/v1/predictions/ground_truth"}
MAX_BATCH = 500
GZIP_ABOVE_BYTES = 1024
GZIP_LEVEL = 1  # half the time of level 6 for a tenth more bytes
_GZIP_MAGIC = b"\x1f\x8b"
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

Event = tuple[Any, ...]
"""event_id, timestamp (nanoseconds or ISO text), features, label, score, threshold, ground_truth, tags. A plain tuple:
a named one costs the caller 0.3 µs more."""
ID, AT, FEATURES, LABEL_AT, SCORE, THRESHOLD, TRUTH, TAGS = range(8)


class LabelItem(NamedTuple):
    """A ground truth that arrived later."""

    event_id: str
    label: Any


@dataclass(frozen=True)
class Identity:
    """Whose decisions these are."""

    model_id: str
    model_version: str
    use_case: str | None
    tenant_id: str | None


@dataclass(frozen=True)
class Block:
    """Rows of one frame, as columns; `columns` and `tags` hold lists or arrays of `n` values."""

    now_ns: int
    random_62: int
    n: int
    label: Any
    score: Any
    threshold: float | None
    columns: dict[str, Any]
    tags: dict[str, Any]

    def event_ids(self) -> list[str]:
        """The ids, computed when they are needed."""
        return event_ids(self.now_ns, self.random_62, self.n)


@dataclass
class Parcel:
    """A body ready to post; compressed when that is worth it."""

    kind: str
    count: int
    body: bytes
    attempts: int = field(default=0, compare=False)
    from_disk: bool = field(default=False, compare=False)


def encode(body: Any, unfit: Unfit) -> bytes:
    """Compact JSON; values that the encoder does not know are made plain."""
    try:
        text = _dumps(body)
    except (ValueError, TypeError, OverflowError, RecursionError):
        text = _dumps(plain(body, "event", unfit))
    # A lone surrogate has no UTF-8: the server would refuse the whole batch for one character.
    return text.encode("utf-8", "replace")


def compressed(body: bytes) -> bytes:
    """gzip above 1 KB; the same body gives the same bytes."""
    return gzip.compress(body, GZIP_LEVEL, mtime=0) if len(body) > GZIP_ABOVE_BYTES else body


def is_compressed(body: bytes) -> bool:
    """No JSON text starts as gzip does."""
    return body[:2] == _GZIP_MAGIC


def loaded(parcel: Parcel) -> Any:
    """The JSON of a parcel, for what is rare: splitting it, or keeping rejected events."""
    return json.loads(gzip.decompress(parcel.body) if is_compressed(parcel.body) else parcel.body)


def row(event: Event, identity: Identity) -> dict[str, Any]:
    """A PredictionEvent."""
    prediction: dict[str, Any] = {"label": event[LABEL_AT]}
    if event[SCORE] is not None:
        prediction["score"] = event[SCORE]
    if event[THRESHOLD] is not None:
        prediction["threshold"] = event[THRESHOLD]
    made: dict[str, Any] = {
        "event_id": event[ID],
        "model_id": identity.model_id,
        "model_version": identity.model_version,
        "timestamp": _stamp(event[AT]),
        "features": event[FEATURES],
        "prediction": prediction,
        "demographic_tags": event[TAGS],
        "session_context": _context(identity),
    }
    if event[TRUTH] is not None:
        made["ground_truth"] = event[TRUTH]
    return made


def pack_events(events: Sequence[Event], identity: Identity, unfit: Unfit) -> list[Parcel]:
    """One parcel: columns when every event has the same features and tags, rows otherwise."""
    features, tags = events[0][FEATURES].keys(), events[0][TAGS].keys()
    body: Any
    if len(events) > 1 and all(e[FEATURES].keys() == features and e[TAGS].keys() == tags for e in events):
        body = _columns(
            identity,
            [e[ID] for e in events],
            [_stamp(e[AT]) for e in events],
            [e[LABEL_AT] for e in events],
            [e[SCORE] for e in events],
            [e[THRESHOLD] for e in events],
            [e[TRUTH] for e in events],
            {str(name): [e[FEATURES][name] for e in events] for name in features},
            {str(name): [e[TAGS][name] for e in events] for name in tags},
        )
    else:
        body = [row(event, identity) for event in events]
    return [Parcel(EVENTS, len(events), compressed(encode(body, unfit)))]


def pack_block(block: Block, identity: Identity, batch_size: int, unfit: Unfit) -> Iterable[Parcel]:
    """Parcels of the rows of a frame."""
    ids = block.event_ids()
    label, score = _listed(block.label), _listed(block.score)
    columns = {name: _listed(values) for name, values in block.columns.items()}
    tags = {name: _listed(values) for name, values in block.tags.items()}
    at = iso_instant(block.now_ns)
    for start in range(0, block.n, batch_size):
        part = slice(start, min(start + batch_size, block.n))
        n = part.stop - start
        body = _columns(
            identity,
            ids[part],
            [at] * n,
            label[part],
            [None] * n if score is None else score[part],
            [block.threshold] * n,
            [None] * n,
            {name: values[part] for name, values in columns.items()},
            {name: values[part] for name, values in tags.items()},
        )
        yield Parcel(EVENTS, n, compressed(encode(body, unfit)))


def pack_labels(labels: Sequence[LabelItem], unfit: Unfit) -> Parcel:
    """One parcel of labels."""
    body = {"labels": [{"event_id": one.event_id, "label": one.label} for one in labels]}
    return Parcel(LABELS, len(labels), compressed(encode(body, unfit)))


def join_records(kind: str, bodies: Sequence[bytes]) -> Parcel:
    """Single events or labels, spooled one by one, as one parcel."""
    listed = b"[" + b",".join(bodies) + b"]"
    if kind == EVENT:
        return Parcel(EVENTS, len(bodies), compressed(listed), from_disk=True)
    return Parcel(LABELS, len(bodies), compressed(b'{"labels":' + listed + b"}"), from_disk=True)


def halves(parcel: Parcel) -> list[Parcel]:
    """Two parcels of the same events, for a server that takes smaller bodies."""
    body, middle = loaded(parcel), parcel.count // 2
    made = []
    for part in (slice(0, middle), slice(middle, parcel.count)):
        cut = _cut(body, part)
        count = part.stop - part.start
        made.append(Parcel(parcel.kind, count, compressed(_dumps(cut).encode("utf-8", "replace"))))
    return made


def _cut(body: Any, part: slice) -> Any:
    """Lists are cut, here and one level below (features, demographic_tags); the rest is common to all events."""
    if isinstance(body, list):
        return body[part]
    return {
        name: value[part]
        if isinstance(value, list)
        else {inner: listed[part] for inner, listed in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in body.items()
    }


def single(parcel: Parcel, indexes: Iterable[int]) -> list[Any]:
    """The events at some indexes, each as the server saw it."""
    body = loaded(parcel)
    return [_cut(body, slice(i, i + 1)) for i in indexes]


def _columns(
    identity: Identity,
    ids: list[str],
    at: list[Any],
    label: list[Any],
    score: list[Any],
    threshold: list[Any],
    truth: list[Any],
    features: dict[str, list[Any]],
    tags: dict[str, list[Any]],
) -> dict[str, Any]:
    body: dict[str, Any] = {"model_id": identity.model_id, "model_version": identity.model_version}
    body.update(_context(identity))
    body.update(event_id=ids, timestamp=at, label=label)
    for name, values in (("score", score), ("threshold", threshold), ("ground_truth", truth)):
        if any(value is not None for value in values):
            body[name] = values
    body.update(features=features, demographic_tags=tags)
    return body


def _context(identity: Identity) -> dict[str, str]:
    given = {"tenant_id": identity.tenant_id, "use_case": identity.use_case}
    return {name: value for name, value in given.items() if value is not None}


def _stamp(at: Any) -> str:
    return iso_instant(at) if type(at) is int else str(at)


def _listed(values: Any) -> Any:
    to_list: Callable[[], Any] | None = getattr(values, "tolist", None)
    return to_list() if to_list is not None else values
