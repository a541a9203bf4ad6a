"""Where a person's rows are: by the ids of events or by tokens, in rows, in what waits for them, in dead letters."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import msgspec

from fairlens_backend import letter_sealer, privacy_keeper
from fairlens_backend.errors import FairLensError, InvalidInput, NotFound
from fairlens_backend.event_enricher import Enricher
from fairlens_backend.storage import dead_letters, erased_rows, erased_waiting, event_details, event_ids

IDS, WAITING, LETTERS, DETAILS, END = "ids", "waiting", "dead_letters", "details", "end"
IDS_AT_ONCE: Final = 100
LETTERS_AT_ONCE: Final = 50
BATCHES_AT_ONCE: Final = 100


@dataclass
class Found:
    """What one step found, to be erased by it.

    Parameters
    ----------
    after : where the next step of this stage begins; None when the stage is over
    """

    after: int | None = None
    rows: dict[int, str] = field(default_factory=dict)
    """the ids by the rows' places; an id that was personal is a token"""
    digests: set[bytes] = field(default_factory=set)
    letters: list[int] = field(default_factory=list)
    waiting: dict[str, set[bytes]] = field(default_factory=dict)
    purged: int = 0
    unreadable: int = 0


def without_lock(tenant: str, seen: Mapping[str, Any], wanted: Mapping[str, Any]) -> Found:
    """What a stage that needs no lock to look finds next."""
    stage, after, tokens = seen["stage"], seen["after"], wanted.get("tokens", [])
    if stage == LETTERS:
        return _of_letters(tenant, after, wanted)
    if stage == WAITING:
        digests = erased_waiting.holding(tokens)
        return Found(digests=digests, waiting=erased_waiting.of_events(sorted(digests)))
    if stage == DETAILS:
        last, hits = event_details.holding(tenant, tokens, after, seen["until"], BATCHES_AT_ONCE)
        rows = {
            (batch << event_ids.POSITION_BITS) + at: event_id
            for batch, (places, ids) in hits.items()
            for at, event_id in zip(places, ids, strict=True)
        }
        return Found(after=last, rows=rows)
    return Found()


def of_ids(tenant: str, seen: Mapping[str, Any], wanted: Mapping[str, Any]) -> Found:
    """The rows of the next asked ids, and what waits for these; behind the writers' lock."""
    ids = wanted["event_ids"]
    some = ids[seen["after"] : seen["after"] + IDS_AT_ONCE]
    digests = event_ids.digests_of(tenant, some)
    places = event_ids.find(digests).tolist()
    known = {
        digest: place
        for digest, place in zip(digests, places, strict=True)
        if place not in (event_ids.NOT_SEEN, event_ids.ERASED)
    }
    rows = dict.fromkeys(erased_rows.there(list(known.values())), "")
    waiting = erased_waiting.of_events(digests)
    following = seen["after"] + IDS_AT_ONCE
    return Found(
        following if following < len(ids) else None,
        rows,
        known.keys() | set().union(*waiting.values()),
        waiting=waiting,
        purged=len(known) - len(rows),
    )


def _of_letters(tenant: str, after: int, wanted: Mapping[str, Any]) -> Found:
    """Dead letters that hold an asked id or a token, of the next few."""
    found = Found()
    letters = dead_letters.page(tenant, LETTERS_AT_ONCE, after)
    ids = set(wanted.get("event_ids", []))
    asked = set(event_ids.digests_of(tenant, wanted.get("event_ids", [])))
    for letter in letters:
        found.after = letter.id
        try:
            event, digest = letter_sealer.open_letter(letter.encrypted_event)
        except FairLensError:
            found.unreadable += 1
            continue
        event_id = event.get("event_id") if isinstance(event, dict) else None
        said = msgspec.json.encode(event).decode()
        # An id sent as a number was refused for that; it is asked for as the text it should have been.
        own = str(event_id) if type(event_id) in (str, int) else None
        if own in ids or digest in asked or any(token in said for token in wanted.get("tokens", [])):
            found.letters.append(letter.id)
            if digest is not None:
                found.digests.add(digest)
            elif own is not None:
                found.digests.add(event_ids.digest_of(tenant, own))
    if len(letters) < LETTERS_AT_ONCE:
        found.after = None
    return found


def digests_of(tenant: str, rows: Mapping[int, str]) -> set[bytes]:
    """What the ids of rows are known by. An id that was personal is kept as a token, from which that cannot be told."""
    named = {place: one for place, one in rows.items() if one}
    by_id = dict(zip(named, event_ids.digests_of(tenant, named.values()), strict=True))
    at = dict(zip(by_id, event_ids.find(list(by_id.values())).tolist(), strict=True))
    other = [place for place in named if at[place] != place]
    return {by_id[place] for place in named if at[place] == place} | set(event_ids.digests_at(other).values())


def forms(tenant: str, tokens: Sequence[str], now: datetime) -> list[str]:
    """The tokens, and what the values behind them are by every other token key that the tenant has."""
    privacy = privacy_keeper.of(tenant, now)
    found = dict.fromkeys(tokens)
    tokenisers = []
    for version in range(privacy.token_key_version, 0, -1):
        with suppress(NotFound):
            tokenisers.append(Enricher(tenant, replace(privacy, token_key_version=version)).tokeniser)
    for token in tokens:
        for opener in tokenisers:
            with suppress(InvalidInput):
                value = opener.detokenise(token)
                found.update(dict.fromkeys(one.token(token.split("_")[1], value) for one in tokenisers))
                break
    return list(found)
