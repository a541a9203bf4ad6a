"""Writes an evidence bundle: the audits of a model in a range of time, and what shows that they are all of them, unaltered.

The export is itself an entry of the ledger, the last one of its bundle: it says what the bundle is of, under a signed head.
Entries of others stay hidden; of them only the hashes of subtrees are written.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from hashlib import sha256
from heapq import merge
from typing import Any, Final

from fairlens_backend import ledger_keeper, telemetry
from fairlens_backend.core.signed_note import VerifierKey
from fairlens_backend.core.tree_fold import tiles
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.storage import ledger, ledger_events, ledger_heads, ledger_search
from fairlens_backend.storage.ledger_tables import LedgerHead
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.verifier.lines import (
    FORMAT_VERSION,
    Attestation,
    Header,
    end_line,
    export_body,
    head_line,
    header_line,
    hidden_line,
    is_leaf,
    leaf_line,
)

AUDIT: Final = "AUDIT_COMPLETED"
READ_AT_ONCE: Final = 500
HEADS_APART: Final = timedelta(minutes=15)
"""Heads that are nearer to each other in time say nothing new: each is covered by the next."""

Write = Callable[[bytes], object]


def export(
    tenant: str,
    model: str,
    since: datetime,
    until: datetime,
    write: Write,
    now: datetime,
    *,
    by: str | None = None,
    earlier_sizes: Iterable[int] = (),
    known_key: VerifierKey | None = None,
) -> dict[str, Any]:
    """Record the export in the ledger and write its bundle.

    Parameters
    ----------
    since, until : aware; audits that were completed from the first (included) to the second (not included), or to `now`
    write : takes the file's bytes, piece by piece
    by : name of the account that exports; the ledger keeps its number
    earlier_sizes : sizes of heads that the reader has: the bundle shows the tree at these too, so that they can be compared
    known_key : the ledger's key that the reader has; where it was changed before the first audit that is shown, the bundle also
        shows how, so that the reader can follow. None: they have the key of that time

    Returns
    -------
    dict of audits, since, until, entries, heads, lines, bytes, sha256 (of the whole file), tree_size

    Raises
    ------
    InvalidInput : the range is empty, or `known_key` never was a key of this ledger
    NotFound : no audit of this model was ever completed, or nobody has the name `by`
    """
    until = min(until, now)  # what is not over yet may still get audits
    if since >= until:
        raise InvalidInput(
            f"from is {since.isoformat()}, to {until.isoformat()}; from must be before to.",
            field="from",
            got=since.isoformat(),
            expected="a time before to",
        )
    with unit_of_work():
        ledger.lock()
        last = ledger_keeper.last_audit(tenant, model)
        if last is None:
            raise NotFound(f"The ledger has no audit of the model {model!r:.110}.", model=model[:100])
        key = ledger_keeper.ensure_key(now)
        led_from = None if known_key is None else _given_up(known_key)
        header = Header(
            FORMAT_VERSION,
            key.name,
            tenant,
            model,
            telemetry.timestamp(since),
            telemetry.timestamp(until),
            tuple(_keys()),
        )
        shown = ledger_search.indexes_about(AUDIT, model, tenant, header.since, header.until)
        audits = sum(one.at < header.until for one in _entries(shown[-1:])) + max(0, len(shown) - 1)
        by_user = ledger_events.by_whom(by)["by_user_id"]
        if by is not None and by_user is None:
            raise NotFound(f"There is no user {by!r:.110}, who was said to export.", username=by[:100])
        closing = ledger.append("EVIDENCE_EXPORTED", tenant, export_body(header, last, audits, by_user), now)
        size = ledger_keeper.sign_head(now).tree_size
    with read_snapshot():
        before = ledger_search.last_about(AUDIT, model, tenant, before=header.since)
        shown = [*([before.index] if before else []), *shown]
        first = (shown or [closing])[0]
        rotations = _rotations(first if led_from is None else min(first, led_from))
        wanted = sorted({*shown, *rotations, closing})
        file = _File(write)
        file.line(header_line(header))
        _write_entries(file, wanted, _heads(first, size, rotations), earlier_sizes)
        file.line(end_line(file.lines, file.digest.digest()))
    telemetry.log("EVIDENCE_EXPORTED", tenant=tenant, model=model, audits=audits, tree_size=size)
    return {
        "audits": audits,
        "since": header.since,
        "until": header.until,
        "entries": len(wanted),
        "heads": file.heads,
        "lines": file.lines,
        "bytes": file.size,
        "sha256": file.whole.hexdigest(),
        "tree_size": size,
        "index": closing,
    }


class _File:
    """The bundle as it is written, and what was written of it."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.digest = sha256()
        """of the lines that are no entries"""
        self.whole = sha256()
        """of the file"""
        self.lines = self.heads = self.size = 0
        self.covered = 0
        """entries that the lines so far stand for"""

    def line(self, content: bytes) -> None:
        """One more line."""
        whole = content + b"\n"
        self._write(whole)
        self.whole.update(whole)
        if not is_leaf(content):
            self.digest.update(whole)
        self.lines += 1
        self.size += len(whole)

    def hide(self, end: int) -> None:
        """The entries up to `end` (not included), by the hashes of subtrees."""
        if end > self.covered:
            nodes = tiles(self.covered, end)
            known = ledger.hashes_of(nodes)
            self.line(hidden_line(end, [known[node] for node in nodes]))
            self.covered = end


def _write_entries(
    file: _File, wanted: list[int], heads: Iterator[LedgerHead], earlier_sizes: Iterable[int]
) -> None:
    """Entries, heads and hidden stretches, in the order of the tree."""
    leaves = ((entry.index, 0, entry) for entry in _entries(wanted))
    signed = ((head.tree_size, -1, head) for head in heads)
    cuts = ((size, -2, None) for size in sorted(set(earlier_sizes)) if 0 < size <= wanted[-1])
    for place, _, what in merge(leaves, signed, cuts, key=lambda one: one[:2]):
        file.hide(place)
        if isinstance(what, LedgerHead):
            file.line(head_line(what.note, _attestations(what.id)))
            file.heads += 1
        elif isinstance(what, ledger.Entry):
            file.line(leaf_line(what.leaf, what.leaf_hash))
            file.covered = place + 1


def _entries(indexes: list[int]) -> Iterator[ledger.Entry]:
    """The entries at these places, some hundred at a time."""
    for start in range(0, len(indexes), READ_AT_ONCE):
        yield from ledger_search.at(indexes[start : start + READ_AT_ONCE])


def _heads(first: int, size: int, rotations: Iterable[int]) -> Iterator[LedgerHead]:
    """The heads worth showing: one every so often, those that others spoke of, those around a change of key, the last."""
    attested = ledger_heads.attested()
    around = {index + 1 for index in rotations}
    shown_at = None
    for before in sorted(one for one in around if one <= first):
        for row_id, _, _ in ledger_heads.outline(before, before):
            yield ledger_heads.by_id(row_id)
    for row_id, tree_size, at in ledger_heads.outline(first + 1, size):
        moment = ledger_keeper.moment(at)
        apart = shown_at is None or moment - shown_at >= HEADS_APART
        if apart or row_id in attested or tree_size in around or tree_size == size:
            shown_at = moment
            yield ledger_heads.by_id(row_id)


def _rotations(first: int) -> list[int]:
    """The entries from `first` on in which a new key of the ledger was named."""
    found = _entries(ledger_search.indexes_of_type("KEY_ROTATED", first))
    return [entry.index for entry in found if json.loads(entry.leaf)["body"].get("key") == "ledger"]


def _keys() -> Iterator[str]:
    for row in ledger_heads.all_keys():
        yield VerifierKey(row.name, bytes.fromhex(row.public_key)).text


def _given_up(known: VerifierKey) -> int | None:
    """The entry that names the key after this one; None for the key in use."""
    keys = list(_keys())
    if known.text not in keys:
        raise InvalidInput(
            f"The key {known.text!r:.200} never was one of this ledger.",
            field="key",
            got=known.text[:200],
            expected="one of GET /v1/ledger/key",
        )
    later = ledger_heads.all_keys()[keys.index(known.text) + 1 :]
    return later[0].first_size - 1 if later else None


def _attestations(head_id: int) -> list[Attestation]:
    """A cosignature is text already; a timestamp is bytes."""
    return [
        Attestation(
            row.kind,
            row.name,
            row.content.decode() if row.kind == "cosignature" else base64.b64encode(row.content).decode(),
        )
        for row in ledger_heads.attestations(head_id)
    ]
