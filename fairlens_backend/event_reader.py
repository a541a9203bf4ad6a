"""Bodies of events, read into columns: one event, a list, or a table; what cannot be read is set aside, the rest is kept."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from fairlens_backend.errors import InvalidInput, TooLarge
from fairlens_backend.event_problems import invalid, malformed, problem_of, require_event, shown
from fairlens_backend.schemas.events import (
    MAX_COLUMN_EVENTS,
    MAX_EVENTS,
    AnyTable,
    EventTable,
    PredictionEvent,
)

_EVENT: Final = msgspec.json.Decoder(PredictionEvent)
_EVENTS: Final = msgspec.json.Decoder(list[PredictionEvent])
_TABLE: Final = msgspec.json.Decoder(EventTable)
_ANY_TABLE: Final = msgspec.json.Decoder(AnyTable)
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_COLUMNS: Final = ("event_id", "label", "timestamp", "score", "threshold", "ground_truth")
_IN_A_ROW: Final = re.compile(
    rf"at `\$\.(?:{'|'.join(_COLUMNS)}|(?:features|demographic_tags)\[\.\.\.\])\[\d"
)
FORMS: Final = f"one event, a list of at most {MAX_EVENTS} events, or columns of at most {MAX_COLUMN_EVENTS:,} (event_id and label as lists)"
Columns = Mapping[str, Sequence[Any]]


@dataclass
class Refused:
    """An event that is not taken: its place in the request, why by path, and the event as it came."""

    index: int
    errors: list[dict[str, str]]
    event: Any


@dataclass
class Decisions:
    """Events of one version of a model as columns of n values.

    Parameters
    ----------
    index : their places in the request
    timestamp : aware datetimes, seconds since 1970, or None
    score, truth : None where nothing is known of any
    tenants : what their session contexts say, None where nothing
    values : gives the column of a protected attribute, from the demographic tags or else the features, and the path of each
    event : gives an event as it came, by its place in the columns
    features, tags : columns by name, or a list of n mappings where events do not have the same names
    threshold, use_case : None where nothing is known of any
    """

    model: str
    version: str | None
    index: Sequence[int]
    event_id: list[str]
    timestamp: list[Any]
    label: list[Any]
    score: list[float | None] | None
    truth: list[Any] | None
    tenants: set[str | None]
    tenant_of: Callable[[int], str | None]
    values: Callable[[str], tuple[list[Any], Callable[[int], str]]]
    event: Callable[[int], Any]
    features: Columns | list[dict[str, Any]]
    tags: Columns | list[dict[str, Any]]
    threshold: list[float | None] | None
    use_case: list[str | None] | None


@dataclass
class Read:
    """What a body held; `odd` how many labels of a field nobody declared, and which count as unfavourable."""

    n: int
    decisions: list[Decisions] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    odd: Counter[str] = field(default_factory=Counter)


def read_events(body: bytes) -> Read:
    """Read a body of events.

    Raises
    ------
    MalformedInput : no JSON
    InvalidInput : neither an event nor a list nor columns of equal length; so an object with a list of events inside
    TooLarge : more than 500 events, or 10,000 in columns
    """
    try:
        if body.lstrip()[:1] == b"[":
            return _rows(body)
        keys = _OBJECT.decode(body)
        if bytes(keys.get("event_id", b"")).lstrip()[:1] == b"[":
            return _table(body)
        require_event(keys, FORMS)
        return _rows(b"[" + body + b"]")
    except msgspec.ValidationError as error:
        raise invalid(error, body, EventTable) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error, FORMS) from None


def read_event(event: Any, index: int = 0) -> PredictionEvent | Refused:
    """One event from JSON's own types."""
    try:
        return msgspec.convert(event, PredictionEvent)
    except msgspec.ValidationError as error:
        return Refused(index, [problem_of(error, event)], event)


def of_events(events: Sequence[tuple[int, PredictionEvent]]) -> list[Decisions]:
    """Events, each with its place in the request, by version of their model."""
    by_model: dict[tuple[str, str | None], list[tuple[int, PredictionEvent]]] = {}
    for one in events:
        by_model.setdefault((one[1].model_id, one[1].model_version), []).append(one)
    return [_of_one_model(model, version, some) for (model, version), some in by_model.items()]


def _rows(body: bytes) -> Read:
    try:
        events = list(enumerate(_EVENTS.decode(body)))
        read = Read(len(events))
    except msgspec.ValidationError:
        events, raws = [], _RAWS.decode(body)
        read = Read(len(raws))
        _require_size(len(raws), MAX_EVENTS)
        for i, raw in enumerate(raws):
            try:
                events.append((i, _EVENT.decode(raw)))
            except msgspec.ValidationError as error:
                event = msgspec.json.decode(raw)
                read.refused.append(Refused(i, [problem_of(error, event)], event))
    _require_size(read.n, MAX_EVENTS)
    read.decisions = of_events(events)
    return read


def _of_one_model(model: str, version: str | None, some: list[tuple[int, PredictionEvent]]) -> Decisions:
    events = [event for _, event in some]

    def tenant_of(place: int) -> str | None:
        context = events[place].session_context
        return None if context is None else context.tenant_id

    def path_of(name: str, place: int) -> str:
        return f"{'demographic_tags' if name in events[place].demographic_tags else 'features'}.{name}"

    def values(name: str) -> tuple[list[Any], Callable[[int], str]]:
        found = [
            event.demographic_tags[name] if name in event.demographic_tags else event.features.get(name)
            for event in events
        ]
        return found, partial(path_of, name)

    return Decisions(
        model=model,
        version=version,
        index=[index for index, _ in some],
        event_id=[event.event_id for event in events],
        timestamp=[event.timestamp for event in events],
        label=[event.prediction.label for event in events],
        score=[event.prediction.score for event in events],
        truth=[event.ground_truth for event in events],
        tenants={tenant_of(place) for place in range(len(events))},
        tenant_of=tenant_of,
        values=values,
        event=lambda place: msgspec.to_builtins(events[place]),
        features=_side_by_side([event.features for event in events]),
        tags=_side_by_side([event.demographic_tags for event in events]),
        threshold=_if_any([event.prediction.threshold for event in events]),
        use_case=_if_any(
            [None if (one := event.session_context) is None else one.use_case for event in events]
        ),
    )


def _side_by_side(rows: list[dict[str, Any]]) -> Columns | list[dict[str, Any]]:
    """Mappings with the same names as columns; others as they are."""
    names = set(map(tuple, rows))
    if len(names) != 1:
        return rows
    columns = zip(*map(dict.values, rows), strict=True)
    return dict(zip(names.pop(), columns, strict=True))


def _if_any(column: list[Any]) -> list[Any] | None:
    return column if any(one is not None for one in column) else None


def _table(body: bytes) -> Read:
    try:
        table = _TABLE.decode(body)
    except msgspec.ValidationError as error:
        if not _IN_A_ROW.search(str(error)):
            raise
        return _row_by_row(body)
    n = len(table.event_id)
    _require_size(n, MAX_COLUMN_EVENTS)
    _require_lengths({name: getattr(table, name) for name in _COLUMNS}, n)
    _require_lengths(table.features, n, "features.")
    _require_lengths(table.demographic_tags, n, "demographic_tags.")

    def values(name: str) -> tuple[list[Any], Callable[[int], str]]:
        if name in table.demographic_tags:
            return list(table.demographic_tags[name]), lambda place: f"demographic_tags.{name}"
        return list(table.features.get(name) or [None] * n), lambda place: f"features.{name}"

    columns = msgspec.structs.asdict(table)
    decisions = Decisions(
        model=table.model_id,
        version=table.model_version,
        index=range(n),
        event_id=table.event_id,
        timestamp=[None] * n if table.timestamp is None else list(table.timestamp),
        label=list(table.label),
        score=None if table.score is None else list(table.score),
        truth=None if table.ground_truth is None else list(table.ground_truth),
        tenants={table.tenant_id},
        tenant_of=lambda place: table.tenant_id,
        values=values,
        event=lambda place: msgspec.to_builtins(_row(columns, place)),
        features=table.features,
        tags=table.demographic_tags,
        threshold=None if table.threshold is None else _if_any(table.threshold),
        use_case=None if table.use_case is None else [table.use_case] * n,
    )
    return Read(n, [decisions])


def _row_by_row(body: bytes) -> Read:
    """A table one of whose values is wrong: its rows as events, each by itself."""
    table = msgspec.structs.asdict(_ANY_TABLE.decode(body))
    n = len(table["event_id"])
    _require_size(n, MAX_COLUMN_EVENTS)
    _require_lengths({name: table[name] for name in _COLUMNS}, n)
    _require_lengths(table["features"], n, "features.")
    _require_lengths(table["demographic_tags"], n, "demographic_tags.")
    read, events = Read(n), []
    for i in range(n):
        one = read_event(_row(table, i), i)
        if isinstance(one, Refused):
            read.refused.append(one)
        else:
            events.append((i, one))
    read.decisions = of_events(events)
    return read


def _row(table: dict[str, Any], i: int) -> dict[str, Any]:
    def at(name: str) -> Any:
        return None if table.get(name) is None else table[name][i]

    context = {name: table[name] for name in ("tenant_id", "use_case") if table.get(name) is not None}
    event = {
        "event_id": at("event_id"),
        "model_id": table["model_id"],
        "prediction": {"label": at("label"), "score": at("score"), "threshold": at("threshold")},
        "features": {name: column[i] for name, column in (table.get("features") or {}).items()},
        "demographic_tags": {
            name: column[i] for name, column in (table.get("demographic_tags") or {}).items()
        },
        "model_version": table.get("model_version"),
        "timestamp": at("timestamp"),
        "ground_truth": at("ground_truth"),
        "session_context": context or None,
    }
    return {name: value for name, value in event.items() if value is not None}


def _require_size(n: int, most: int) -> None:
    if n == 0:
        raise InvalidInput(
            "There is no event; at least one was expected.", field="events", got=0, expected="1 or more"
        )
    if n > most:
        raise TooLarge(f"The body holds {n} events, at most {most} were expected.", got=n, limit=most)


def _require_lengths(columns: dict[str, Any], n: int, prefix: str = "") -> None:
    for name, column in columns.items():
        if column is not None and len(column) != n:
            told = shown(f"{prefix}{name}")
            raise InvalidInput(
                f"{told} has {len(column)} values, event_id has {n}.",
                field=told,
                got=len(column),
                expected=f"{n} values",
            )
