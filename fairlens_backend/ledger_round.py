"""One reading of the stored ledger, from its first entry to its newest head, by the verifier's own code and in steps."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from fairlens_backend.core.signed_note import VerifierKey
from fairlens_backend.storage import ledger, ledger_heads
from fairlens_backend.storage.ledger_tables import LedgerHead, LedgerKey
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.verifier.audits import AuditChain
from fairlens_backend.verifier.bodies import AuditBody, ShortBody
from fairlens_backend.verifier.entries import AUDIT, AnyEntry, Walk, read_about
from fairlens_backend.verifier.heads import HeadCheck
from fairlens_backend.verifier.kinds import Kind
from fairlens_backend.verifier.lines import FORMAT_VERSION, Head, Header, Wrong
from fairlens_backend.verifier.stated_figures import FigureCheck
from fairlens_backend.verifier.stated_intervals import interval_faults

READ_AT_ONCE: Final = 200


class _Figures(FigureCheck):
    """Compares values of all audits, and keeps the last one it was given; None where that has no counts."""

    last: tuple[int, AuditBody | ShortBody] | None = None

    def add(self, index: int, body: AuditBody | ShortBody, kind: Kind | None = None) -> None:
        """One more audit."""
        super().add(index, body, kind)
        counted = isinstance(body, ShortBody) or body.counts is not None
        self.last = (index, body) if counted else None


@dataclass
class Round:
    """One reading of the ledger, from its first entry to the head that was the newest when it began.

    Parameters
    ----------
    known : tree_size and root that the round before found right; None for none
    whole : of how many of each model's newest audits all is recomputed, not values alone
    """

    last_id: int
    known: tuple[int, str] | None
    began_at: datetime
    whole: int = 0
    pid: int = field(default_factory=os.getpid)
    walk: Walk = field(default_factory=lambda: Walk(HeadCheck()))
    figures: _Figures = field(default_factory=_Figures)
    chains: dict[tuple[str, str], AuditChain] = field(default_factory=dict)
    newest: dict[tuple[str, str], deque[tuple[int, AuditBody | ShortBody]]] = field(default_factory=dict)
    recomputed: int = 0
    """audits of which all was recomputed"""
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
        return self._recompute(over)

    def _recompute(self, over: Callable[[], bool]) -> bool:
        """The newest audits of each model whole, by the whole engine; False where the time was over before the last one."""
        for some in self.newest.values():
            while some:
                for _, wrong in interval_faults([some.popleft()]):
                    raise wrong
                self.recomputed += 1
                if over():  # after, so that each step does something
                    return not any(self.newest.values())
        return True

    def _up_to(self, row: LedgerHead, keys: Sequence[LedgerKey], over: Callable[[], bool]) -> bool:
        """The entries before a head, and the head; False where the time was over before it."""
        fold, place = self.walk.fold, f"head {row.id}"
        # SQLite lets anything stand in any column.
        if not (isinstance(row.tree_size, int) and isinstance(row.note, str)):
            raise Wrong(f"{place.capitalize()} was altered: its row is not what its note says.")
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
        if self.whole and self.figures.last is not None:
            kept = self.newest.setdefault((entry.tenant, model), deque(maxlen=self.whole))
            kept.append(self.figures.last)

    def _trust(self, keys: Sequence[LedgerKey]) -> None:
        """The keys that sign from this size on. Each but the first must be named by the entry before."""
        while self.keys < len(keys):
            row = keys[self.keys]
            if not isinstance(row.first_size, int):
                raise Wrong(f"The ledger's key {self.keys + 1} was altered: its first size is no number.")
            if row.first_size > self.walk.fold.size:
                return
            try:
                key = VerifierKey(str(row.name), bytes.fromhex(row.public_key))
            except (TypeError, ValueError):
                raise Wrong(f"The ledger's key {self.keys + 1} was altered: it is not hexadecimal.") from None
            if self.keys and self.named != key.text:
                raise Wrong(
                    f"The ledger's key {self.keys + 1} was put in: no entry before {row.first_size} names it."
                )
            self.walk.heads.trust([key])
            self.keys += 1


def _misplaced(index: int, expected: int) -> Wrong:
    return Wrong(f"Entry {expected} is missing, or was moved: entry {index} stands in its place.")
