"""The operators' full check: every row, line and anchor against each other, in bounded memory."""

import json
import re
from collections.abc import Iterator
from typing import Any

from fairlens_backend import blockchain_anchor, evidence_files
from fairlens_backend.errors import InvalidInput
from fairlens_backend.evidence_publisher import hash_of, health, row_anchor, row_line
from fairlens_backend.storage import checks, evidence
from fairlens_backend.storage.evidence import Published
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.storage.tables import FairnessCheck

BATCH = 500
ANCHORED_HASH = re.compile(rb'"hash":"([0-9a-f]{64})"')
Failure = dict[str, Any]


def verify_all(limit: int = 20) -> dict[str, Any]:
    """Check every published record: the rows' hashes and chain, and the lines and anchors against the rows.

    Reads everything and changes nothing. Records that are not published yet are counted as pending.

    Returns
    -------
    dict of ok, records, lines, anchors (how many were read), pending, damaged (what `health` says, or None),
    failures (the first `limit`: {part, seq, reason})
    """
    told = health()
    failures: list[Failure] = []
    read = {"records": 0, "lines": 0, "anchors": 0}
    with read_snapshot():
        state = evidence.published()
        for found in (_rows(state, read), _lines(state, read), _anchors(state, read)):
            for failure in found:
                failures.append(failure)
                if len(failures) >= limit:
                    break
    return {
        "ok": not failures and told["damaged"] is None,
        **read,
        "pending": told["pending"],
        "damaged": told["damaged"],
        "failures": failures[:limit],
    }


def _rows(state: Published, read: dict[str, int]) -> Iterator[Failure]:
    seq, prev_hash = 0, checks.FIRST_PREV_HASH
    while rows := checks.after(seq, BATCH, up_to=state.seq):
        for row in rows:
            read["records"] += 1
            if row.seq != seq + 1:
                yield _failure("row", seq + 1, f"records {seq + 1} to {row.seq - 1} are missing")
            elif row.prev_hash != prev_hash:
                yield _failure("chain", row.seq, f"record {row.seq} does not name the hash of the one before")
            if not _has_its_hash(row):
                yield _failure("row", row.seq, f"row {row.seq} does not have the hash that stands in it")
            seq, prev_hash = row.seq, row.hash_value
    if seq < state.seq:
        yield _failure("row", seq + 1, f"records {seq + 1} to {state.seq} are missing")


def _lines(state: Published, read: dict[str, int]) -> Iterator[Failure]:
    seen = bytearray(state.seq + 1)
    for lines in evidence_files.batches_of_lines(evidence_files.log_path(), state.log_bytes, BATCH):
        read["lines"] += len(lines)
        places = [_seq_of(line) for line in lines]
        rows = checks.with_seqs({place for place in places if place is not None})
        for line, place in zip(lines, places, strict=True):
            row = rows.get(place) if place is not None else None
            if row is None or place is None or place > state.seq:
                yield _failure("line", place, f"a line belongs to no record: {line[:80]!r}")
            elif _row_line(row) != line:
                yield _failure("line", place, f"the line of record {place} is not what its row says")
            else:
                seen[place] = 1
    yield from _missing("line", seen)


def _anchors(state: Published, read: dict[str, int]) -> Iterator[Failure]:
    seen = bytearray(state.seq + 1)
    path = evidence_files.anchor_path()
    for lines in evidence_files.batches_of_lines(path, state.anchor_bytes, BATCH):
        read["anchors"] += len(lines)
        hashes = [match[1].decode() if (match := ANCHORED_HASH.search(line)) else None for line in lines]
        rows = checks.with_hashes({value for value in hashes if value is not None})
        for line, value in zip(lines, hashes, strict=True):
            row = rows.get(value) if value is not None else None
            if not blockchain_anchor.FORM.fullmatch(line):
                yield _failure("anchor", row.seq if row else None, f"a line is no anchor: {line[:80]!r}")
            elif row is not None and row.seq <= state.seq and row_anchor(row) == line:
                seen[row.seq] = 1
            # An anchor of a hash that is no record's is nothing wrong: anything may be anchored.
    yield from _missing("anchor", seen)


def _missing(part: str, seen: bytearray) -> Iterator[Failure]:
    place = seen.find(0, 1)
    while place > 0:
        yield _failure(part, place, f"record {place} has no {part} as its row asks for")
        place = seen.find(0, place + 1)


def _failure(part: str, seq: int | None, reason: str) -> Failure:
    return {"part": part, "seq": seq, "reason": reason}


def _has_its_hash(row: FairnessCheck) -> bool:
    try:
        return hash_of(checks.record_of(row)) == row.hash_value
    except InvalidInput:
        return False


def _row_line(row: FairnessCheck) -> bytes | None:
    try:
        return row_line(row)
    except InvalidInput:
        return None


def _seq_of(line: bytes) -> int | None:
    try:
        place = json.loads(line)["seq"]
    except (ValueError, KeyError, TypeError):
        return None
    # SQLite's and PostgreSQL's integers end there; a forged line may not break the query.
    return place if type(place) is int and 0 < place < 2**63 else None
