"""Decisions come in one by one: read → normalised → personal data as tokens → stored and counted, or set aside.

What is not as expected, and what cannot be tokenised, becomes a dead letter, tokenised itself. How values become groups
says `event_grouping`, what happens to personal data and absent attributes `event_enricher`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from fairlens_backend import config, event_grouping, label_warnings, late_refusals, letter_sealer, telemetry
from fairlens_backend.core.enrich.pii_finder import suspicious
from fairlens_backend.core.labels import UNKNOWN
from fairlens_backend.errors import FairLensError, InvalidInput, NotFound
from fairlens_backend.event_coding import label_digest
from fairlens_backend.event_enricher import Enricher
from fairlens_backend.event_grouping import Grouping, group_of, truth_of
from fairlens_backend.event_problems import control_characters
from fairlens_backend.event_reader import Decisions, Read, Refused, of_events, read_event, read_events
from fairlens_backend.label_reader import read_labels
from fairlens_backend.storage import event_ids, ingest_writer
from fairlens_backend.storage.event_details import Draft
from fairlens_backend.storage.events import MAX_BATCH, EventColumns
from fairlens_backend.storage.ingest_writer import Labels, Submission

_SCALARS: Final = {str, int, float, bool, type(None)}


@dataclass(frozen=True)
class Sender:
    """Whose events these are, and who sends them."""

    tenant: str
    name: str


def ingest(sender: Sender, body: bytes, now: datetime) -> dict[str, Any]:
    """Take a body of events; the answer comes when they are durable and counted.

    Returns
    -------
    dict
        event_ids: of those that were taken, in order, seen before or not; queued: how many are new; duplicates: how many
        were seen before, or erased, which are not taken again; rejected: index and errors of those that are dead letters now;
        where there are some, warnings: field, n_events and message, of labels that nobody declared; with event_ids where they came
        before their event

    Raises
    ------
    MalformedInput, InvalidInput, TooLarge : as `event_reader.read_events`; nothing is stored
    NotFound, InvalidInput : no event is of a model that is registered and says what is favourable and protected
    Unavailable : the database is locked, full or away; nothing was stored
    """
    return _take(sender, read_events(body), now)


def ingest_one(
    sender: Sender, event: Any, letter_id: int, now: datetime, digest: bytes | None = None
) -> dict[str, Any]:
    """Take the event of a dead letter, and delete the letter with the same commit.

    Parameters
    ----------
    digest : of its id, where the id itself is a token now

    Raises
    ------
    InvalidInput : it is still not as expected; the letter stays
    """
    one = read_event(event)
    read = Read(1)
    if isinstance(one, Refused):
        read.refused.append(one)
    else:
        read.decisions = of_events([(0, one)])
    parts = _parts(sender, read, now, Enricher.of(sender.tenant, now))
    if digest is not None and parts:
        parts[0].digests[:] = [digest]
    late_refusals.raise_first(read.refused)
    settles = (sender.tenant, letter_id)
    ingest_writer.write(Submission(now, truth_of, parts, settles=settles, group_of=group_of))
    late_refusals.raise_first(late_refusals.of(parts))
    fresh = sum(int(part.fresh.sum()) for part in parts)
    taken = {"event_ids": read.decisions[0].event_id, "queued": fresh, "duplicates": 1 - fresh}
    return taken | label_warnings.of(read.odd, early=late_refusals.early_labels(parts))


def add_labels(sender: Sender, body: bytes, now: datetime) -> dict[str, Any]:
    """Give decisions their true outcome, now or when they come.

    Returns
    -------
    dict
        joined: labels that changed a count; unchanged: the same label again; waiting: kept until the decision comes;
        expired: of decisions whose row was purged or erased; where there are some, undeclared: labels that the model does not
        declare, which are not joined; and warnings as of `ingest`

    Raises
    ------
    MalformedInput, InvalidInput : not `labels`, nor the columns `event_id` and `label` of equal length
    Unavailable : the database is locked, full or away; nothing was stored
    """
    ids, labels = read_labels(body)
    # With its type: True and 1 are one member of a set, and not one label everywhere.
    known = {one: label_digest(one[1]) for one in {(label.__class__, label) for label in labels}}
    digests = [known[label.__class__, label] for label in labels]
    # Of two labels of one event in a call the last one counts.
    last = dict(zip(event_ids.digests_of(sender.tenant, ids), digests, strict=True))
    submission = Submission(now, truth_of, labels=Labels(list(last), list(last.values())))
    ingest_writer.write(submission)
    said = Counter(submission.outcome)
    counted: dict[str, Any] = {name: said[name] for name in ("joined", "unchanged", "waiting", "expired")}
    counted["joined"] += said["odd"]
    telemetry.log("LABELS_TAKEN", tenant=sender.tenant, by=sender.name, joined=counted["joined"])
    return counted | label_warnings.of({"label": said["odd"]}, said["undeclared"])


def _take(sender: Sender, read: Read, now: datetime) -> dict[str, Any]:
    enricher = Enricher.of(sender.tenant, now)
    parts = _parts(sender, read, now, enricher)
    letters = letter_sealer.seal(sender.tenant, sender.name, enricher.tokeniser, read.refused)
    ingest_writer.write(Submission(now, truth_of, parts, letters, group_of=group_of))
    late = late_refusals.of(parts)
    if late:
        # A second commit: only the first one's could tell. Without an answer both are sent again.
        more = letter_sealer.seal(sender.tenant, sender.name, enricher.tokeniser, late)
        ingest_writer.write(Submission(now, truth_of, letters=more))
        read.refused += late
        letters += more
    refused = {one.index for one in read.refused}
    placed = sorted(
        (index, event_id)
        for some in read.decisions
        for index, event_id in zip(some.index, some.event_id, strict=True)
        if index not in refused
    )
    fresh = sum(int(part.fresh.sum()) for part in parts)
    if letters:
        telemetry.log("EVENTS_REFUSED", level="warning", tenant=sender.tenant, by=sender.name, n=len(letters))
    early = late_refusals.early_labels(parts)
    if early:  # whoever sent the labels was told that they wait
        telemetry.log("EARLY_LABELS_UNDECLARED", level="warning", tenant=sender.tenant, n=len(early))
    return {
        "event_ids": [event_id for _, event_id in placed],
        "queued": fresh,
        "duplicates": len(placed) - fresh,
        "rejected": [
            {"index": one.index, "errors": one.errors}
            for one in sorted(read.refused, key=lambda one: one.index)
        ],
        **label_warnings.of(read.odd, early=early),
    }


def _parts(sender: Sender, read: Read, now: datetime, enricher: Enricher) -> list[EventColumns]:
    parts: list[EventColumns] = []
    unknown: list[tuple[Decisions, FairLensError]] = []
    for some in read.decisions:
        try:
            grouping = event_grouping.of(sender.tenant, some.model, some.version, now)
        except (NotFound, InvalidInput) as error:
            # What a caller calls a model may be a person's number.
            known = not suspicious(some.model) and not suspicious(some.version or "")
            unknown.append((some, error if known else NotFound("There is no such model.", field="model_id")))
            continue
        part = _columns(sender, some, grouping, enricher, read, now)
        if part is not None:
            parts.append(part)
    if unknown and len(unknown) == len(read.decisions) and not read.refused:
        # Of no event would the counts have a meaning: the caller's mistake, and not one of the events.
        raise unknown[0][1]
    for some, reason in unknown:
        errors = [{"field": "model_id", "message": reason.message}]
        read.refused += [Refused(index, errors, some.event(i)) for i, index in enumerate(some.index)]
    return parts


def _columns(
    sender: Sender,
    some: Decisions,
    grouping: Grouping,
    enricher: Enricher,
    read: Read,
    now: datetime,
) -> EventColumns | None:
    n, coder = len(some.event_id), grouping.coder
    wrong: dict[int, dict[str, str]] = {}
    at_us = _times(some.timestamp, now, wrong)
    if some.tenants - {None, sender.tenant}:
        for i in range(n):
            if some.tenant_of(i) not in (None, sender.tenant):
                wrong[i] = {
                    "field": "session_context.tenant_id",
                    "message": "Expected the sender's own tenant",
                }
    for i, said in control_characters(some.event_id).items():
        wrong[i] = {"field": "event_id", "message": said}
    enriched = enricher.enrich(some, coder.is_word, grouping.keep_features)
    wrong |= enriched.wrong
    values = {
        name: _attribute(some, name, grouping, at_us, enriched.tokenised, wrong)
        for name in coder.layout.protected
    }
    scores = np.array([np.nan if one is None else one for one in some.score or [None] * n], dtype=np.float64)
    truth = None if some.truth is None or not any(one is not None for one in some.truth) else some.truth
    cells = coder.cells(some.label, truth, scores)
    for field, words, places in coder.odd_labels(some.label, truth):
        if words.closed:
            wrong |= {i: {"field": field, "message": label_warnings.UNDECLARED} for i in places}
        else:
            read.odd[field] += len(places)
    codes, groups = coder.groups(values)
    details = enriched.details
    if enricher.privacy.proxies:
        absent = {
            name: [i for i, label in enumerate(coder.labels(name, column)) if label == UNKNOWN]
            for name, column in values.items()
        }
        details = replace(details, proxies=enricher.proxies(some, coder.layout.protected, absent))
    ids = some.event_id
    kept = np.ones(n, dtype=bool)
    if wrong:
        read.refused += [Refused(some.index[i], [errors], some.event(i)) for i, errors in wrong.items()]
        kept[list(wrong)] = False
        at_us, cells, scores, codes = at_us[kept], cells[kept], scores[kept], codes[kept]
        ids = [event_id for i, event_id in enumerate(ids) if i not in wrong]
        details = details.take(np.flatnonzero(kept).tolist())
    if not ids:
        return None
    digests = event_ids.digests_of(sender.tenant, ids)
    draft = Draft.of(details, MAX_BATCH)
    return EventColumns(
        grouping.series, digests, at_us, cells, scores, codes, groups, details=draft, origin=(some, kept)
    )


def _attribute(
    some: Decisions,
    name: str,
    grouping: Grouping,
    at_us: Any,
    tokenised: dict[int, Any],
    wrong: dict[int, Any],
) -> Sequence[Any]:
    """The values of a protected attribute as they can be grouped; what is no value is named in `wrong`."""
    coder = grouping.coder
    column, path_of = some.values(name)
    if not set(map(type, column)) <= _SCALARS:
        for i, value in enumerate(column):
            if type(value) not in _SCALARS:
                wrong[i], column[i] = (
                    {"field": path_of(i), "message": "Expected a text, a number or a truth value"},
                    None,
                )
    for i, document in tokenised.items():
        # Of what was found with the names of the same event: a label is kept for longer than the row.
        new = document["demographic_tags"].get(name, document["features"].get(name, column[i]))
        if type(column[i]) is str and type(new) is str:
            column[i] = new
    column = coder.on_the_day(name, column, lambda i: datetime.fromtimestamp(int(at_us[i]) / 1e6, UTC))
    if any("\0" in label for label in set(coder.labels(name, column))):
        for i, label in enumerate(coder.labels(name, column)):
            if "\0" in label:
                wrong[i] = {
                    "field": path_of(i),
                    "message": "Expected text without NUL, which no database keeps",
                }
                column[i] = None
    return column


def _times(timestamps: list[Any], now: datetime, wrong: dict[int, dict[str, str]]) -> Any:
    latest = now.timestamp() + config.current().ingest_max_ahead_s
    seconds = [
        now.timestamp() if one is None else one if isinstance(one, float) else one.timestamp()
        for one in timestamps
    ]
    for i, at in enumerate(seconds):
        if not 0 <= at <= latest:
            seconds[i] = 0.0
            ahead = config.current().ingest_max_ahead_s
            wrong[i] = {
                "field": "timestamp",
                "message": "Expected a time since 1970, in seconds where it is a number, at most"
                f" {ahead:g} seconds ahead of this server's clock (INGEST_MAX_AHEAD_S)",
            }
    return np.rint(np.array(seconds) * 1e6).astype(np.int64)
