"""Reads the ledger for those who check it: its head, its entries, proofs, keys, and what it says of one record."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from fairlens_backend import telemetry
from fairlens_backend.core.merkle import consistency_proof, inclusion_proof, leaf_hash, verify_inclusion
from fairlens_backend.core.signed_note import VerifierKey, open_note, parse_checkpoint
from fairlens_backend.errors import FairLensError, InvalidInput, NotFound
from fairlens_backend.storage import ledger, ledger_heads, ledger_search
from fairlens_backend.storage.ledger_tables import LedgerHead
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.verifier.bodies import UNREADABLE
from fairlens_backend.verifier.entries import AuditEntry, ShortEntry, read_entry
from fairlens_backend.verifier.lines import Wrong
from fairlens_backend.verifier.stated_figures import FigureCheck

MAX_ENTRIES: Final = 1_000
MAX_PAGE_BYTES: Final = 8_000_000
"""of leaves on one page; at least one entry is given, however large"""


def head() -> dict[str, Any]:
    """The newest signed head.

    Returns
    -------
    dict of origin, tree_size, root_hash (64 hexadecimal digits), time, note (the signed checkpoint, byte for byte), key (the
    public key that signed it, as a verifier takes it), attestations (what others said of it: kind, name, time, content in base64)

    Raises
    ------
    NotFound : none was signed yet
    """
    with read_snapshot():
        row = _newest()
        said = ledger_heads.attestations(row.id)
    text, signatures = open_note(row.note)
    signed = {signature.key_id for signature in signatures}
    return {
        "origin": parse_checkpoint(text).origin,
        "tree_size": row.tree_size,
        "root_hash": row.root.hex(),
        "time": row.at,
        "note": row.note,
        "key": next((key["key"] for key in keys()["keys"] if bytes.fromhex(key["key_id"]) in signed), None),
        "attestations": [
            {
                "kind": one.kind,
                "name": one.name,
                "time": one.at,
                "content": base64.b64encode(one.content).decode(),
            }
            for one in said
        ],
    }


def entries(tenant: str, start: int, end: int | None) -> dict[str, Any]:
    """Entries start … end − 1: those of the tenant in full, of others their hashes alone, with which proofs still work.

    Returns
    -------
    dict of items ({index, leaf_hash, leaf: the entry's text, whose UTF-8 bytes are hashed, or None}), tree_size (entries there
    are), next_start (where the next page begins, None at the end). A page ends after 1,000 entries or 8 MB of them.

    Raises
    ------
    InvalidInput : start or end is beyond the ledger, or end below start
    """
    with read_snapshot():
        size = ledger.size()
        last = size if end is None else end
        if not 0 <= start <= last <= size:
            raise InvalidInput(
                f"start is {start} and end {last}; 0 ≤ start ≤ end ≤ {size} was expected, the number of entries there are.",
                field="end" if start <= size and last > size else "start",
                got=last if start <= size and last > size else start,
                expected=f"0 ≤ start ≤ end ≤ {size}",
            )
        found = ledger.entries(start, min(last, start + MAX_ENTRIES))
    items: list[dict[str, Any]] = []
    length = 0
    for one in found:
        own = one.tenant == tenant
        length += len(one.leaf) if own else 0
        if items and length > MAX_PAGE_BYTES:
            break
        items.append(
            {
                "index": one.index,
                "leaf_hash": one.leaf_hash.hex(),
                "leaf": one.leaf.decode() if own else None,
            }
        )
    reached = start + len(items)
    return {"items": items, "tree_size": size, "next_start": reached if reached < last else None}


def inclusion(index: int | None, leaf: str | None, tree_size: int | None) -> dict[str, Any]:
    """The proof that an entry, named by its index or its leaf hash, is in the tree of a size; of the newest head when None.

    Returns
    -------
    dict of leaf_index, leaf_hash, tree_size, root_hash, hashes (the audit path, the leaf's sibling first)

    Raises
    ------
    InvalidInput : neither or both of index and leaf hash, no such entry in that tree, or no tree of that size
    NotFound : no entry has this hash, or no head was signed yet
    """
    if (index is None) == (leaf is None):
        raise InvalidInput(
            "One of index and leaf_hash was expected.",
            field="index", got=None if index is None else "both", expected="index or leaf_hash",
        )  # fmt: skip
    with read_snapshot():
        if leaf is not None:
            index = ledger_search.index_of_hash(bytes.fromhex(leaf))
        if index is None:
            raise NotFound(f"No entry has the hash {leaf}.", leaf_hash=leaf)
        size = _size(tree_size, "tree_size")
        proof = inclusion_proof(index, size, ledger.hashes_of)
        own = ledger.hashes_of([(0, index)])[0, index]
        root = ledger.frontier(size).root()
    return {
        "leaf_index": index,
        "leaf_hash": own.hex(),
        "tree_size": size,
        "root_hash": root.hex(),
        "hashes": [one.hex() for one in proof],
    }


def consistency(first: int, second: int | None) -> dict[str, Any]:
    """The proof that the tree of `first` entries is the beginning of that of `second`; of the newest head when None.

    Returns
    -------
    dict of first, second, first_root_hash, second_root_hash, hashes

    Raises
    ------
    InvalidInput : not 1 ≤ first ≤ second ≤ the number of entries there are
    NotFound : no head was signed yet
    """
    with read_snapshot():
        size = _size(second, "second")
        proof = consistency_proof(first, size, ledger.hashes_of)
        roots = [ledger.frontier(one).root().hex() for one in (first, size)]
    return {
        "first": first,
        "second": size,
        "first_root_hash": roots[0],
        "second_root_hash": roots[1],
        "hashes": [one.hex() for one in proof],
    }


def keys() -> dict[str, Any]:
    """Every public key that ever signed heads, in the order in which they came into use.

    Returns
    -------
    dict of origin and keys: {key (as `fairlens verify --key` takes it), key_id, algorithm, public_key (hexadecimal), first_size
    and valid_from (of the tree, and when it came into use), last_size and valid_until (None while it signs)}. A head is signed
    rightly by a key when first_size ≤ its size ≤ last_size.
    """
    with read_snapshot():
        rows = ledger_heads.all_keys()
    found = []
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        verifier = VerifierKey(row.name, bytes.fromhex(row.public_key))
        found.append(
            {
                "key": verifier.text,
                "key_id": verifier.key_id.hex(),
                "algorithm": "ed25519",
                "public_key": row.public_key,
                "first_size": row.first_size,
                "valid_from": telemetry.timestamp(row.created_at),
                "last_size": None if following is None else following.first_size,
                "valid_until": None if following is None else telemetry.timestamp(following.created_at),
            }
        )
    return {"origin": rows[0].name if rows else None, "keys": found}


def fault_of_record(record: Mapping[str, Any], hash_value: str) -> str | None:
    """What is wrong with the ledger's entry of a record, or None: its hash, its place, its inclusion in the newest head, and
    what it says: values, intervals, tests and severities are computed anew.

    A record that is older than the ledger has no entry, and that is nothing wrong.
    """
    record_id, tenant = str(record.get("record_id")), str(record.get("tenant"))
    with read_snapshot():
        found = ledger_search.about_record("AUDIT_COMPLETED", record_id, tenant)
        first = ledger.entries(0, 1)
        if not found:
            older = not first or str(record.get("timestamp")) < first[0].at
            return None if older else "has no entry for it"
        if len(found) > 1:
            return f"has {len(found)} entries for it, {' and '.join(str(one.index) for one in found)}"
        (entry,) = found
        return _entry_fault(entry, record, hash_value, intervals=True) or _head_fault(entry)


def vouches_for(record: Mapping[str, Any], hash_value: str) -> bool:
    """Whether the ledger has one entry of a record, whole and under a signed head, that names this hash."""
    record_id, tenant = str(record.get("record_id")), str(record.get("tenant"))
    with read_snapshot():
        found = ledger_search.about_record("AUDIT_COMPLETED", record_id, tenant)
        return len(found) == 1 and _entry_fault(found[0], record, hash_value) is _head_fault(found[0]) is None


def _entry_fault(
    entry: ledger.Entry, record: Mapping[str, Any], hash_value: str, *, intervals: bool = False
) -> str | None:
    if leaf_hash(entry.leaf) != entry.leaf_hash:
        return f"has an entry {entry.index} that was altered: its bytes do not have the hash in the tree"
    try:
        said = json.loads(entry.leaf)
        row = said["index"], said["type"], said["tenant"]
        hashes = said["body"]["record_hash"], said["body"]["audit_sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"has an entry {entry.index} that cannot be read"
    if row != (entry.index, entry.type, entry.tenant):
        return f"has an entry {entry.index} whose row is not what its bytes say"
    if hashes != (hash_value, record.get("audit_sha256")):
        return f"names in entry {entry.index} another hash than the record has"
    return _figures_fault(entry, intervals=intervals)


def _figures_fault(entry: ledger.Entry, *, intervals: bool) -> str | None:
    """Whether an audit states what its counts give, by the code that verifies bundles."""
    try:
        read = read_entry(entry.leaf)
    except UNREADABLE:
        return f"has an entry {entry.index} that cannot be read"
    if not isinstance(read, AuditEntry | ShortEntry):
        return f"has an entry {entry.index} that is no audit"
    check = FigureCheck(intervals=intervals)
    try:
        check.add(entry.index, read.body)
        check.finish()
    except Wrong as wrong:
        return f"is wrong. {wrong.message}"
    return None


def _head_fault(entry: ledger.Entry) -> str | None:
    newest = ledger_heads.newest()
    if newest is None or newest.tree_size <= entry.index:
        return f"has entry {entry.index}, which no signed head covers yet"
    try:
        text, signatures = open_note(newest.note)
        said = parse_checkpoint(text)
        known = [VerifierKey(key.name, bytes.fromhex(key.public_key)) for key in ledger_heads.all_keys()]
        proof = inclusion_proof(entry.index, said.size, ledger.hashes_of)
    except (FairLensError, KeyError):
        return "has a newest head that cannot be read, or lacks nodes of the tree"
    if not any(key.verifies(signature, text) for key in known for signature in signatures):
        return "has a newest head whose signature is wrong"
    if not verify_inclusion(entry.index, said.size, entry.leaf_hash, proof, said.root):
        return f"has entry {entry.index}, which is not in the tree that its newest head signs"
    return None


def _newest() -> LedgerHead:
    row = ledger_heads.newest()
    if row is None:
        raise NotFound("No head of the ledger was signed yet; the first audit signs one, and the clock does.")
    return row


def _size(given: int | None, name: str) -> int:
    if given is None:
        return _newest().tree_size
    size = ledger.size()
    if not 1 <= given <= size:
        raise InvalidInput(
            f"{name} is {given}, 1 to {size} was expected, the number of entries there are.",
            field=name, got=given, expected=f"1 to {size}",
        )  # fmt: skip
    return given
