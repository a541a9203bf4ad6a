"""Checks the stored ledger on the clock, with the verifier's own code: hashes, order, heads, keys, audits and their figures.

Values are computed anew of every audit, intervals, tests and severities too of the newest ones of each model.

A round reads the whole ledger up to its newest head, a second at a tick, so that nothing waits for it, and rounds are so seldom
that they take a fiftieth of one core. What the last one found is kept in DATA_DIR, outside the database, and with it the root
that was right: so a ledger that was shortened or written anew, heads and all, is found by the next round.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from fairlens_backend import config, evidence_files, telemetry
from fairlens_backend.ledger_round import Round
from fairlens_backend.storage import ledger_heads
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.verifier.lines import Wrong

BUDGET_S: Final = 1.0
RESULT_FILE: Final = "ledger_check.json"
LOCK_FILE: Final = "ledger_check.lock"
LEASE: Final = timedelta(seconds=60)
"""after which another process begins the round anew, when the one that was at it no longer says that it is"""
LATE: Final = 3
"""times the time between two rounds after which one that did not end is told"""
AT_MOST_SHARE: Final = 50
_OWNER: Final = secrets.token_hex(8)


_under_way: Round | None = None


def run_due(
    now: datetime, *, budget_s: float = BUDGET_S, elapsed: Callable[[], float] = time.monotonic
) -> bool:
    """Begin or go on with the check when it is due, for about `budget_s` seconds; whether a round ended. For the clock."""
    global _under_way
    every_s = config.current().self_check_s
    if every_s <= 0:
        return False
    before = last_result()
    if not _mine(before, now, every_s):
        return False
    with evidence_files.locked(LOCK_FILE, wait=False) as held:
        before = last_result()
        if not held or not _mine(before, now, every_s):
            return False
        if _under_way is None or _under_way.pid != os.getpid() or before.get("owner") != _OWNER:
            _under_way = _begin(before, now)
        if _under_way is None:
            return False
        begun = elapsed()
        finding = None
        try:
            ended = _under_way.step(lambda: elapsed() - begun >= budget_s)
        except Wrong as wrong:
            ended, finding = True, wrong.message
        _under_way.took_s += elapsed() - begun
        if not ended:
            _keep({**before, "owner": _OWNER, "until": telemetry.timestamp(now + LEASE)})
            return False
        done, _under_way = _under_way, None
        _keep(_outcome(done, finding, before, now))
    if finding is not None:
        telemetry.log(
            "LEDGER_DAMAGED",
            level="error",
            finding=finding,
            mend=f"a database restored from a backup on purpose: remove {RESULT_FILE} from DATA_DIR",
        )
    return True


def health(now: datetime) -> dict[str, Any]:
    """What the last round found.

    Returns
    -------
    dict of status (ok; waiting before the first; degraded where none ended in time; failed with the `reason`; disabled),
    checked_age_s, and of the last round entries, heads, audits, figures, recomputed_whole
    """
    every_s = config.current().self_check_s
    if every_s <= 0:
        return {"status": "disabled"}
    found = last_result()
    if "checked_at" not in found:
        return {"status": "waiting", "checked_age_s": None}
    age_s = max(0.0, (now - datetime.fromisoformat(found["checked_at"])).total_seconds())
    told = {"checked_age_s": age_s, **{name: found.get(name, 0) for name in _COUNTED}}
    if found["finding"]:
        # The finding may name what is a tenant's, and readiness is open to all.
        reason = f"the stored ledger was altered: LEDGER_DAMAGED in the log and {RESULT_FILE} in DATA_DIR say where"
        return {"status": "failed", "reason": reason, **told}
    if age_s > LATE * _apart_s(found, every_s):
        return {"status": "degraded", "reason": f"the ledger was last checked {age_s:.0f} s ago", **told}
    return {"status": "ok", **told}


def last_result() -> dict[str, Any]:
    """What is kept of the last round; empty before the first, or when the file cannot be read as one."""
    try:
        found = json.loads(_path().read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


_COUNTED: Final = ("entries", "heads", "audits", "figures", "recomputed_whole")


def _begin(before: Mapping[str, Any], now: datetime) -> Round | None:
    with read_snapshot():
        newest = ledger_heads.newest()
    if newest is None:
        return None
    known = tuple(before["known"]) if before.get("known") else None
    return Round(newest.id, known, now, config.current().self_check_whole)


def _mine(before: Mapping[str, Any], now: datetime, every_s: float) -> bool:
    """Whether a round is due, or under way here."""
    if "until" in before:
        return before["owner"] == _OWNER or now >= datetime.fromisoformat(before["until"])
    checked = before.get("checked_at")
    apart = timedelta(seconds=_apart_s(before, every_s))
    return checked is None or now - datetime.fromisoformat(checked) >= apart


def _apart_s(before: Mapping[str, Any], every_s: float) -> float:
    """Seconds from one round to the next: a long ledger is read more seldom."""
    return max(every_s, AT_MOST_SHARE * float(before.get("took_s", 0)))


def _outcome(done: Round, finding: str | None, before: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    fold = done.walk.fold
    return {
        "checked_at": telemetry.timestamp(now),
        "began_at": telemetry.timestamp(done.began_at),
        "took_s": done.took_s,
        "finding": finding,
        "known": [fold.size, fold.root().hex()] if finding is None else before.get("known"),
        "entries": fold.size,
        "heads": done.walk.heads.seen,
        "audits": done.audits,
        "figures": done.figures.recomputed,
        "recomputed_whole": done.recomputed,
    }


def _keep(result: Mapping[str, Any]) -> None:
    path = _path()
    draft = path.with_suffix(f".{_OWNER}")
    # As the database's file: a finding may name what is a tenant's.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(json.dumps(result))
    draft.replace(path)


def _path() -> Path:
    return config.current().data_path / RESULT_FILE
