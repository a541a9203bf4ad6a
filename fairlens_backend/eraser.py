"""Erasure of somebody's raw rows: asked for by event ids, by a personal value or by its token; a receipt says what went.

Counts, audits and the ledger stay as they are. What an erasure does, step by step, is in `erasure_steps`.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from fairlens_backend import erasure_keys, erasure_steps, job_runner, telemetry
from fairlens_backend.core.enrich.pii_tokens import KINDS, Untokenisable
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.event_enricher import Enricher
from fairlens_backend.storage import erased_bytes, erasures, pages, users
from fairlens_backend.storage.erasure_tables import Erasure
from fairlens_backend.storage.session import read_snapshot, unit_of_work

BUDGET_S: Final = 2.0
_WAYS: Final = ("event_ids", "token", "value")
_TOKEN: Final = re.compile(rf"tok_(?:{'|'.join(KINDS)})_[A-Za-z0-9_-]{{44,2000}}")
WHY: Final[Mapping[str, str]] = {
    "anonymous_counts": "decisions that stay counted in the groups and minutes that they were counted in, without anything that"
    " says whose they were; otherwise no past figure could be recomputed",
    "ids_refused_from_now_on": "keyed digests of event ids, by which an erased event is known when it is sent again, and is not"
    " taken",
    "group_labels": "groups of the counts whose label holds the token: somebody's value was sent as a protected attribute."
    " Audits and the ledger name them too",
    "unreadable_dead_letters": "events set aside that cannot be decrypted any more, so that nobody can tell whose they are;"
    " delete them by DELETE /v1/dead_letters/{id}",
}


def erase(
    tenant: str,
    asked: Mapping[str, Any],
    by: str | None,
    now: datetime,
    *,
    dry_run: bool = False,
    budget_s: float | None = None,
    elapsed: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Erase what is kept of some events, or of all events that hold a personal value; as `read` gives it.

    A worker's job goes on with what does not fit into the budget, and with all of it when this process dies.

    Parameters
    ----------
    asked : one of event_ids (texts as they were sent), token (as it is kept in place of a personal value), value ({"field",
        "text"}: a field's name and the value as events had it; neither is kept)
    by : the account that asks; None for none
    dry_run : only look, and say what would be erased
    budget_s, elapsed : seconds to work for before the answer (None: `BUDGET_S`), by a clock that only grows

    Raises
    ------
    InvalidInput : not exactly one of the three, no token, or a value in which FairLens finds nothing personal, or several pieces
    Unavailable : the database or the queue of jobs does not answer; nothing was erased
    """
    way, sought, n = _sought(tenant, asked, now)
    digest = erasure_keys.request_digest(tenant, sought)
    with unit_of_work():
        user = users.find_user(by) if by else None
        row = erasures.add(
            Erasure(
                tenant=tenant,
                asked_by=way,
                asked=n,
                request_digest=digest,
                sealed_request=erasure_keys.seal(sought),
                dry_run=dry_run,
                by_user_id=None if user is None else user.id,
                requested_at=now,
                progress=erasure_steps.begun(way),
            )
        )
        arguments = {"erasure_id": row.id}
        job = job_runner.enqueue(tenant, erasure_steps.ERASE, arguments, by=by or "command", now=now)
        row.job_id = job["job_id"]
    begun, budget_s = elapsed(), BUDGET_S if budget_s is None else budget_s
    while row.finished_at is None:
        row = erasure_steps.step(tenant, row.id, now)
        if elapsed() - begun >= budget_s:
            break
    return shown(row)


def read(tenant: str, erasure_id: int) -> dict[str, Any]:
    """One erasure: its receipt, or how far it is.

    Raises
    ------
    NotFound : the tenant has no such erasure
    """
    with read_snapshot():
        row = erasures.find(tenant, erasure_id)
    if row is None:
        raise NotFound(f"There is no erasure {erasure_id}.", id=erasure_id)
    return shown(row)


def page(tenant: str, limit: int = 20, cursor: str | None = None) -> dict[str, Any]:
    """Erasures of a tenant, newest first: `{"items", "next_cursor"}`.

    Raises
    ------
    InvalidInput : a cursor that no page gave
    """
    before = pages.decode_cursor(cursor, start=pages.LARGEST_ID)
    with read_snapshot():
        rows = erasures.page(tenant, limit + 1, before)
    more = len(rows) > limit
    return {
        "items": [shown(row) for row in rows[:limit]],
        "next_cursor": pages.encode_cursor(rows[limit - 1].id) if more else None,
    }


def compact() -> None:
    """Write the database's file anew, so that no deletion of before has left bytes in it; writers wait."""
    erased_bytes.compact()
    telemetry.log("DATABASE_COMPACTED")


def shown(row: Erasure) -> dict[str, Any]:
    """An erasure as people see it; nothing says of whom."""
    remains = {name: n for name, n in row.progress["remains"].items() if n}
    return {
        "erasure_id": row.id,
        "state": "running" if row.finished_at is None else "done",
        "dry_run": row.dry_run,
        "asked_by": row.asked_by,
        "asked": row.asked,
        "request_digest": row.request_digest,
        "found": any(row.progress["erased"].values()),
        "erased": row.progress["erased"],
        "remains": [{"what": name, "n": n, "why": WHY[name]} for name, n in remains.items()],
        "by_user_id": row.by_user_id,
        "requested_at": telemetry.timestamp(row.requested_at),
        "finished_at": None if row.finished_at is None else telemetry.timestamp(row.finished_at),
        "ledger_index": row.ledger_index,
        "log_cleared": row.log_cleared,
        "job_id": row.job_id,
    }


def _sought(tenant: str, asked: Mapping[str, Any], now: datetime) -> tuple[str, dict[str, Any], int]:
    """How it was asked, what is looked for, and how many."""
    given = [way for way in _WAYS if asked.get(way) is not None]
    if len(given) != 1:
        raise InvalidInput(
            f"{' and '.join(given) or 'none of event_ids, token and value'} given; exactly one was expected.",
            field="event_ids",
            expected="exactly one of event_ids, token and value",
        )
    if given == ["event_ids"]:
        ids = _event_ids(asked["event_ids"])
        return "event_ids", {"event_ids": ids}, len(ids)
    token = asked["token"] if given == ["token"] else _token_of(tenant, asked["value"], now)
    if _TOKEN.fullmatch(token) is None:
        raise InvalidInput(
            "token is no token of a personal value; tok_, a kind, _ and at least 44 letters, digits, dashes or underscores"
            " were expected.",
            field="token",
            expected="a token as it is kept in an event's details",
        )
    return given[0], {"tokens": [token]}, 1


def _event_ids(ids: Sequence[str]) -> list[str]:
    distinct = sorted(set(ids))
    if not distinct or not all(distinct):
        raise InvalidInput(
            "event_ids has an empty id; ids as they were sent were expected.",
            field="event_ids",
            expected="at least one id, none of them empty",
        )
    return distinct


def _token_of(tenant: str, value: Mapping[str, Any], now: datetime) -> str:
    """The one token that an event with this value would be kept with. No message repeats the value."""
    tokeniser = Enricher.of(tenant, now).tokeniser
    try:
        result = tokeniser.tokenise({value["field"]: value["text"]})
    except Untokenisable:
        raise InvalidInput(
            "value.text cannot be a personal value: it is too long, or no Unicode text.", field="value.text"
        ) from None
    pieces = sum(result.found.values())
    tokens = set(_TOKEN.findall(str(next(iter(result.document.values())))))
    if len(tokens) != 1:
        what = f"{pieces} pieces of personal data were" if pieces else "nothing personal was"
        raise InvalidInput(
            f"In value.text {what} found, as a field of that name is read; one was expected. Ask by event_ids where a"
            " value is not kept as a token.",
            field="value.text",
            expected="one e-mail address, number or name, with the field's name as the events have it",
        )
    return tokens.pop()
