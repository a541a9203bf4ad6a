"""Checks the stored ledger on the clock, with the verifier's own code: hashes, order, heads, keys, audits and their figures.

A round reads the whole ledger up to its newest head, a second at a tick, so that nothing waits for it, and rounds are so seldom
that they take a fiftieth of one core. What the last one found is kept in DATA_DIR, outside the database, and with it the root
that was right: so a ledger that was shortened or written anew, heads and all, is found by the next round.
"""

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from fairlens_backend import config, evidence_files, telemetry
from fairlens_backend.bundle_audits import AuditChain
from fairlens_backend.bundle_entries import AUDIT, AnyEntry, Walk, read_about
from fairlens_backend.bundle_heads import HeadCheck
from fairlens_backend.core.signed_note import VerifierKey
from fairlens_backend.evidence_bundle import FORMAT_VERSION, Head, Header, Wrong
from fairlens_backend.stated_figures import FigureCheck
from fairlens_backend.storage import ledger, ledger_heads
from fairlens_backend.storage.ledger_tables import LedgerHead, LedgerKey
from fairlens_backend.storage.session import read_snapshot

BUDGET_S: Final = 1.0
READ_AT_ONCE: Final = 200
RESULT_FILE: Final = "ledger_check.json"
LOCK_FILE: Final = "ledger_check.lock"
LEASE: Final = timedelta(seconds=60)
"""after which another process begins the round anew, when the one that was at it no longer says that it is"""
LATE: Final = 3
"""times the time between two rounds after which one that did not end is told"""
AT_MOST_SHARE: Final = 50
_OWNER: Final = secrets.token_hex(8)


@dataclass
class Round:
    """One reading of the ledger, from its first entry to the head that was the newest when it began.

    Parameters
    ----------
    known : tree_size and root that the round before found right; None for none
    """

    last_id: int
    known: tuple[int, str] | None
    began_at: datetime
    pid: int = field(default_factory=os.getpid)
    walk: Walk = field(default_factory=lambda: Walk(HeadCheck()))
    figures: FigureCheck = field(default_factory=FigureCheck)
    chains: dict[tuple[str, str], AuditChain] = field(default_factory=dict)
    audits: int = 0
    took_s: float = 0.0
    next_id: int = 0
    """heads with lower ids were checked"""
    named: str | None = None
    """the key that the last entry names as the next one"""
    keys: int = 0
    """keys that are trusted so far"""

    def step(self, over: Callable[[], bool]) -> bool:
        """Read on until `over` says so; whether the round has ended.

        Raises
        ------
        Wrong : the first thing that is wrong
        """
        with read_snapshot():
            rows = ledger_heads.all_keys()
            if not rows:
                raise Wrong("The public keys of the ledger are gone.")
            self.walk.heads.origin = rows[0].name
            while self.next_id <= self.last_id:
                heads = ledger_heads.between(self.next_id, self.last_id, READ_AT_ONCE)
                if not heads:
                    break
                for head in heads:
                    if not self._up_to(head, rows, over):
                        self.figures.finish()
                        return False
        self.figures.finish()
        if self.known is not None and self.known[0] > self.walk.fold.size:
            raise Wrong(
                f"The history was cut: {self.known[0]} entries were there at the check before, now {self.walk.fold.size}."
            )
        return True

    def _up_to(self, row: LedgerHead, keys: Sequence[LedgerKey], over: Callable[[], bool]) -> bool:
        """The entries before a head, and the head; False where the time was over before it."""
        fold = self.walk.fold
        self._trust(keys)
        while fold.size < row.tree_size:
            found = ledger.entries(fold.size, min(row.tree_size, fold.size + READ_AT_ONCE))
            if not found:
                raise Wrong(f"Entry {fold.size} is missing; a head was signed of {row.tree_size} entries.")
            for one in found:
                self._entry(one)
                self._trust(keys)
            if over():  # after, so that each step does something
                return False
        place = f"head {row.id}"
        self.walk.head(Head(row.note), place)
        if (row.tree_size, row.root, row.at) != (fold.size, fold.root(), self.walk.heads.last_time):
            raise Wrong(f"{place.capitalize()} was altered: its row is not what its note says.")
        self.next_id = row.id + 1
        return not over() or row.id == self.last_id

    def _entry(self, one: ledger.Entry) -> None:
        entry = self.walk.entry(one.leaf_hash, one.leaf, f"row {one.index}", _misplaced)
        if self.known is not None and self.walk.fold.size == self.known[0]:
            root = self.walk.fold.root().hex()
            if root != self.known[1]:
                raise Wrong(
                    f"The history was forked: the first {self.known[0]} entries had the root {self.known[1]} at the check"
                    f" before, now it is {root}."
                )
        about = read_about(one.index, one.leaf)
        row = (one.index, one.at, one.type, one.tenant, one.subject, one.record_id)
        if row != (entry.index, entry.time, entry.type, entry.tenant, about.model, about.record_id):
            raise Wrong(f"The row of entry {one.index} was altered: it is not what the entry's bytes say.")
        self.named = None
        if entry.type == "KEY_ROTATED" and about.key == "ledger" and about.verifier_key:
            self.named = str(about.verifier_key)
            self.walk.heads.announce(self.named, self.walk.fold.size)
        if entry.type == AUDIT:
            self._audit(entry, str(about.model))

    def _audit(self, entry: AnyEntry, model: str) -> None:
        chain = self.chains.get((entry.tenant, model))
        if chain is None:
            whole = Header(FORMAT_VERSION, self.walk.heads.origin, entry.tenant, model, "", "9999", ())
            chain = self.chains[entry.tenant, model] = AuditChain(whole, self.figures)
        chain.audit(entry)
        self.audits += 1

    def _trust(self, keys: Sequence[LedgerKey]) -> None:
        """The keys that sign from this size on. Each but the first must be named by the entry before."""
        while self.keys < len(keys) and keys[self.keys].first_size <= self.walk.fold.size:
            row = keys[self.keys]
            try:
                key = VerifierKey(row.name, bytes.fromhex(row.public_key))
            except ValueError:
                raise Wrong(f"The ledger's key {self.keys + 1} was altered: it is not hexadecimal.") from None
            if self.keys and self.named != key.text:
                raise Wrong(
                    f"The ledger's key {self.keys + 1} was put in: no entry before {row.first_size} names it."
                )
            self.walk.heads.trust([key])
            self.keys += 1


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
    checked_age_s, and of the last round entries, heads, audits, figures
    """
    every_s = config.current().self_check_s
    if every_s <= 0:
        return {"status": "disabled"}
    found = last_result()
    if "checked_at" not in found:
        return {"status": "waiting", "checked_age_s": None}
    age_s = max(0.0, (now - datetime.fromisoformat(found["checked_at"])).total_seconds())
    told = {"checked_age_s": age_s, **{name: found[name] for name in _COUNTED}}
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


_COUNTED: Final = ("entries", "heads", "audits", "figures")


def _begin(before: Mapping[str, Any], now: datetime) -> Round | None:
    with read_snapshot():
        newest = ledger_heads.newest()
    if newest is None:
        return None
    return Round(newest.id, tuple(before["known"]) if before.get("known") else None, now)


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
    }


def _keep(result: Mapping[str, Any]) -> None:
    path = _path()
    draft = path.with_suffix(f".{_OWNER}")
    draft.write_text(json.dumps(result))
    draft.replace(path)


def _path() -> Path:
    return config.current().data_path / RESULT_FILE


def _misplaced(index: int, expected: int) -> Wrong:
    return Wrong(f"Entry {expected} is missing, or was moved: entry {index} stands in its place.")
