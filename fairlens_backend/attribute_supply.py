"""Protected attributes that are supplied apart from the decisions, by who may know them: normalised, counted, or waiting."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from fairlens_backend import config, telemetry
from fairlens_backend.core.enrich.pii_tokens import PiiTokeniser, Untokenisable
from fairlens_backend.errors import InvalidInput, TooLarge
from fairlens_backend.event_enricher import Enricher
from fairlens_backend.event_grouping import group_of, truth_of
from fairlens_backend.event_problems import invalid, malformed, require_ids, shown
from fairlens_backend.prediction_ingest import Sender
from fairlens_backend.schemas.events import MAX_COLUMN_EVENTS, MAX_EVENTS, AttributeList, AttributeTable
from fairlens_backend.storage import event_ids, ingest_writer
from fairlens_backend.storage.ingest_writer import Attributes, Submission

_LIST: Final = msgspec.json.Decoder(AttributeList)
_TABLE: Final = msgspec.json.Decoder(AttributeTable)
_COUNTED: Final = ("moved", "unchanged", "waiting", "expired")
_WHY: Final = {
    "rejected": "Expected protected attributes that the model declares and that the decision was counted by",
    "no room": "Expected values of which there are at most {most} of each attribute (MAX_ATTRIBUTE_GROUPS) and 20,000 groups"
    " of all: a number or name of each decision is no group",
}


def supply(sender: Sender, body: bytes, now: datetime) -> dict[str, Any]:
    """Give decisions their protected attributes, now or when they come; above what the events said, and above earlier supplies.

    Returns
    -------
    dict
        moved: decisions that are counted in another group now; unchanged: in that group already; waiting: kept until the
        decision comes; expired: of decisions whose row was purged; rejected: index and errors of those whose model counts
        by no attribute of that name, or has as many values of it already as it may

    Raises
    ------
    MalformedInput, InvalidInput : not `attributes`, nor the columns `event_id` and `attributes` of equal length
    TooLarge : more than 500, or 10,000 in columns
    Unavailable : the database is locked, full or away; nothing was stored
    """
    ids, given = _read(body)
    require_ids(ids, "attributes.{}.event_id")
    tokeniser = Enricher.of(sender.tenant, now).tokeniser
    values = [_cleaned(tokeniser, one, i) for i, one in enumerate(given)]
    digests = event_ids.digests_of(sender.tenant, ids)
    # Of one event's attributes in a call the last ones count.
    last: dict[bytes, dict[str, Any]] = {}
    for digest, one in zip(digests, values, strict=True):
        last[digest] = {**last.get(digest, {}), **one}
    submission = Submission(
        now, truth_of, attributes=Attributes(list(last), list(last.values())), group_of=group_of
    )
    ingest_writer.write(submission)
    outcome = dict(zip(last, submission.outcome, strict=True))
    counted = {name: submission.outcome.count(name) for name in _COUNTED}
    telemetry.log("ATTRIBUTES_SUPPLIED", tenant=sender.tenant, by=sender.name, moved=counted["moved"])
    return {
        **counted,
        "rejected": [
            {"index": i, "errors": [_rejection(values[i], outcome[digest])]}
            for i, digest in enumerate(digests)
            if outcome[digest] in _WHY
        ],
    }


def _rejection(values: Mapping[str, Any], outcome: str) -> dict[str, str]:
    name = next(iter(values))
    message = _WHY[outcome].format(most=config.current().max_attribute_groups)
    return {"field": shown(f"attributes.{name}") if len(values) == 1 else "attributes", "message": message}


def _cleaned(tokeniser: PiiTokeniser, values: Mapping[str, Any], i: int) -> dict[str, Any]:
    """The values of one decision without personal data: those that wait are kept as they are."""
    if not values:
        raise InvalidInput(
            f"attributes.{i} names no attribute; at least one was expected.",
            field=f"attributes.{i}.attributes",
            expected="at least one attribute",
        )
    if any(isinstance(value, str) and "\0" in value for value in values.values()):
        raise InvalidInput(
            f"attributes.{i} has text with NUL, which no database keeps.",
            field=f"attributes.{i}.attributes",
            expected="text without NUL",
        )
    try:
        new: dict[str, Any] = {}
        for name, value in values.items():
            # One by one: a word for a group is not somebody's name because another field holds that name.
            new |= tokeniser.tokenise({name: value}).document
    except Untokenisable as error:
        raise InvalidInput(f"attributes.{i}: {error.message}", field=f"attributes.{i}.attributes") from None
    return new


def _read(body: bytes) -> tuple[Sequence[str], Sequence[Mapping[str, Any]]]:
    keys: dict[str, msgspec.Raw] = {}
    try:
        keys = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "event_id" not in keys:
            items = _LIST.decode(body).attributes
            _require_size(len(items), MAX_EVENTS)
            return [item.event_id for item in items], [item.attributes for item in items]
        table = _TABLE.decode(body)
    except msgspec.ValidationError as error:
        raise invalid(error, body, AttributeTable if "event_id" in keys else AttributeList) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None
    n = len(table.event_id)
    _require_size(n, MAX_COLUMN_EVENTS)
    for name, column in table.attributes.items():
        if len(column) != n:
            told = shown(f"attributes.{name}")
            raise InvalidInput(
                f"{told} has {len(column)} values, event_id has {n}.",
                field=told,
                got=len(column),
                expected=f"{n} values",
            )
    return table.event_id, [{name: column[i] for name, column in table.attributes.items()} for i in range(n)]


def _require_size(n: int, most: int) -> None:
    if n > most:
        raise TooLarge(f"The body holds {n} events, at most {most} were expected.", got=n, limit=most)
