"""An erasure, step by step: each step is one transaction that moves the erasure's own progress with what it erases.

So a step is done wholly or not at all, whoever does it, and two who work at one erasure do no step twice. What is searched is
read before the writers' lock is taken; what is found is erased behind it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from fairlens_backend import erasure_keys, erasure_search, telemetry
from fairlens_backend.erasure_search import DETAILS, END, IDS, LETTERS, WAITING, Found
from fairlens_backend.errors import Unavailable
from fairlens_backend.job_steps import Call, Step
from fairlens_backend.storage import (
    dead_letters,
    erased_bytes,
    erased_ids,
    erased_rows,
    erased_waiting,
    erasures,
    event_ids,
    ingest_state,
    ledger_events,
)
from fairlens_backend.storage.erasure_tables import Erasure
from fairlens_backend.storage.session import read_snapshot, unit_of_work

ERASE: Final = "erase"
ERASED: Final = ("rows", "ids_of_purged_rows", "early_labels", "early_attributes", "dead_letters")
REMAINS: Final = ("anonymous_counts", "ids_refused_from_now_on", "group_labels", "unreadable_dead_letters")


def begun(asked_by: str) -> dict[str, Any]:
    """The progress of an erasure that has not begun."""
    return {
        "stage": IDS if asked_by == "event_ids" else WAITING,
        "after": 0,
        "until": None,
        "erased": dict.fromkeys(ERASED, 0),
        "remains": dict.fromkeys(REMAINS, 0),
    }


def run_job(call: Call) -> Step:
    """One step of the erasure that a job is about.

    Raises
    ------
    Unavailable : there is no such erasure yet: its job came before the commit that makes it
    """
    erasure_id = call.arguments["erasure_id"]
    with read_snapshot():
        row = erasures.find(call.tenant, erasure_id)
    if row is None:
        raise Unavailable(f"Erasure {erasure_id} is not there yet.", retry_after_s=5)
    row = step(call.tenant, erasure_id, call.now)
    if row.finished_at is None:
        return Step({}, 0.0)
    if row.log_cleared is False:
        clear(row)
    return Step.done({"erasure_id": erasure_id})


def step(tenant: str, erasure_id: int, now: datetime) -> Erasure:
    """Do the next step of an erasure, unless it is finished; as it is then.

    Raises
    ------
    TamperedArtefact : the server's root key is not the one that the request was sealed with
    """
    with read_snapshot():
        row = erasures.find(tenant, erasure_id)
        assert row is not None
        if row.finished_at is not None or row.sealed_request is None:
            return row
        seen = row.progress
        wanted = msgspec.json.decode(erasure_keys.unseal(row.sealed_request))
        if "tokens" in wanted:
            # At each step anew: a change of the tenant's token key may be under way, and rows hold either form.
            wanted["tokens"] = erasure_search.forms(tenant, wanted["tokens"], now)
        looked = erasure_search.without_lock(tenant, seen, wanted)
    with unit_of_work():
        ingest_state.lock()
        row = erasures.locked(tenant, erasure_id)
        assert row is not None
        if row.finished_at is not None or row.progress != seen:
            return row  # somebody else has done this step
        with erased_bytes.overwritten():
            if seen["stage"] == END:
                _finish(row, wanted, now)
            else:
                found = erasure_search.of_ids(tenant, seen, wanted) if seen["stage"] == IDS else looked
                _erase(row, seen, found)
                row.progress = _moved(row, seen, found)
    if row.finished_at is not None:
        clear(row)
        _log(row)
    return row


def clear(row: Erasure) -> None:
    """Empty the database's log of changes behind a finished erasure, and note whether nobody held it open."""
    if not row.dry_run:
        cleared = erased_bytes.clear_log()
        with unit_of_work():
            kept = erasures.locked(row.tenant, row.id)
            if kept is not None:
                kept.log_cleared = row.log_cleared = cleared


def _erase(row: Erasure, seen: Mapping[str, Any], found: Found) -> None:
    """Erase what was found, or in a dry run only count it; `row.progress` is put in place by the caller."""
    erased, remains = dict(seen["erased"]), dict(seen["remains"])
    places = erased_rows.there(sorted(found.rows))
    digests = found.digests | erasure_search.digests_of(
        row.tenant, {place: found.rows[place] for place in places}
    )
    letters = [one for one in found.letters if dead_letters.find(row.tenant, one) is not None]
    erased["rows"] += len(places)
    erased["ids_of_purged_rows"] += found.purged
    for table, some in found.waiting.items():
        erased[table] += len(some)
    erased["dead_letters"] += len(letters)
    remains["anonymous_counts"] += len(places)
    remains["unreadable_dead_letters"] += found.unreadable
    remains["ids_refused_from_now_on"] += len(digests)
    if not row.dry_run:
        erased_rows.make_anonymous(places)
        event_ids.erase(sorted(digests))
        erased_ids.keep(sorted(digests))
        waiting = erased_waiting.of_events(sorted(digests))
        erased_waiting.drop(waiting)
        for table, some in waiting.items():
            erased[table] += len(some - found.waiting.get(table, set()))
        for one in letters:
            dead_letters.remove(row.tenant, one)
    row.progress = {**seen, "erased": erased, "remains": remains}


def _moved(row: Erasure, seen: Mapping[str, Any], found: Found) -> dict[str, Any]:
    """The progress after a step: further in its stage, or at the next one."""
    progress = dict(row.progress)
    if found.after is not None:
        return {**progress, "after": found.after}
    if seen["stage"] == LETTERS and row.asked_by != "event_ids":
        # What comes from now on is new processing, and not what was asked to be erased.
        return {**progress, "stage": DETAILS, "after": 0, "until": ingest_state.lock().next_batch}
    following = {IDS: LETTERS, WAITING: LETTERS, LETTERS: END, DETAILS: END}
    return {**progress, "stage": following[seen["stage"]], "after": 0}


def _finish(row: Erasure, wanted: Mapping[str, Sequence[str]], now: datetime) -> None:
    """The receipt, the entry in the ledger, and nothing left of what was asked for."""
    progress = dict(row.progress)
    tokens = wanted.get("tokens", [])
    if tokens:
        labels = erased_waiting.group_labels(row.tenant, tokens)
        progress["remains"] = {**progress["remains"], "group_labels": labels}
    row.progress, row.sealed_request, row.finished_at = progress, None, now
    if row.dry_run:
        return
    row.log_cleared = False
    row.ledger_index = ledger_events.data_erased(
        row.tenant,
        row.id,
        row.asked_by,
        row.asked,
        row.request_digest,
        progress["erased"],
        progress["remains"],
        row.by_user_id,
        now,
    )


def _log(row: Erasure) -> None:
    telemetry.log(
        "ERASURE_DRY_RUN" if row.dry_run else "DATA_ERASED",
        erasure_id=row.id,
        tenant=row.tenant,
        asked_by=row.asked_by,
        asked=row.asked,
        by_user_id=row.by_user_id,
        ledger_index=row.ledger_index,
        log_cleared=row.log_cleared,
        **row.progress["erased"],
    )
