"""How fast a bundle is verified on a machine that has only the file and the public key, against parsing it alone.

    .venv/bin/python -m benchmarks.verify_bundle [--entries 1000000] [--other-share 0] [--processes N] [--hidden] [--scores]

Writes a bundle of so many audits of one model (count tables of two attributes, one of two groups and one of two to five, with
labels, drawn anew for each of 256 variants; the chain of audits, a signed head each 1,000 entries) into a temporary folder and
verifies it as `fairlens verify` does: every hash, index, time, signature and link, every entry's spelling, and every figure of
counts computed anew. Beside it, in a process of its own too, the named alternative: reading every line with the standard
library's `json` and checking a plain hash chain of the lines, which shows neither figures nor completeness.

`--other-share` makes that part of the entries events of other kinds, which are shown, or with `--hidden` are behind their hashes
as those of other tenants and models are. `--scores` gives decisions a score, so that tables have eleven times as many numbers.
`--processes` is how many check chunks: as many as there are cores unless told; 0 is one process for all.
Prints wall and CPU seconds, the ratio, and the peak of memory (of all processes together).
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fairlens_backend.bundle_file import verify_file
from fairlens_backend.core.assessment import assess
from fairlens_backend.core.audit_evidence import audit_body
from fairlens_backend.core.audit_notation import shortened
from fairlens_backend.core.canonical_json import canonical_json
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.merkle import leaf_hash
from fairlens_backend.core.signed_note import Checkpoint, VerifierKey, parse_key, sign_note
from fairlens_backend.core.tree_fold import TreeFold, tile_hashes
from fairlens_backend.verifier.lines import (
    FORMAT_VERSION,
    Header,
    end_line,
    export_body,
    head_line,
    header_line,
    hidden_line,
    is_leaf,
    leaf_line,
)

VARIANTS = 256
HEAD_EVERY = 1_000
START = datetime(2026, 1, 1, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ORIGIN = "benchmark.example/ledger"
VERIFIER = VerifierKey(ORIGIN, KEY.public_key().public_bytes_raw())


def spelled(at: datetime) -> str:
    """A time as entries spell it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def bodies(scores: bool) -> list[dict[str, Any]]:
    """The bodies of audits, each with its own counts and figures; a quarter of them has two groups of race, and so on."""
    chance, made = np.random.default_rng(0), []
    for variant in range(VARIANTS):
        n = int(chance.integers(200, 2000))
        races = ["Asian", "Black", "Hispanic", "Other", "White"][: 2 + variant % 4]
        table = CountTable.from_arrays(
            {"race": chance.choice(races, n), "sex": chance.choice(["F", "M"], n)},
            decision=chance.integers(0, 2, n),
            truth=chance.integers(-1, 2, n),
            score=chance.random(n) if scores else None,
        )
        stamp = spelled(START)
        result = {
            **assess(table, n_resamples=100),
            "audit_id": f"aud{variant:09d}",
            "model": "hiring",
            "model_version": "1",
            "audit_timestamp": stamp,
            "window_start": stamp,
            "window_end": stamp,
        }
        record = {"record_id": f"rec{variant:09d}", "hash_value": "0" * 64, "audit_sha256": "1" * 64}
        body = shortened(audit_body(result, table.to_dict(), record, "benchmark"))
        assert body is not None
        made.append(body)
    return made


def lines(n: int, other_share: float, *, hidden: bool = False, scores: bool = False) -> Iterator[bytes]:
    """The bundle, line by line."""
    texts = [_with_places(body) for body in bodies(scores)]
    chance = np.random.default_rng(1)
    fold, number, last = TreeFold(), 0, None
    since, until = spelled(START), spelled(START + timedelta(days=366))
    header = Header(FORMAT_VERSION, ORIGIN, "acme", "hiring", since, until, (VERIFIER.text,))
    yield header_line(header)
    unseen: list[bytes] = []
    for index in range(n):
        at = spelled(START + timedelta(seconds=index))
        shown = True
        if chance.random() < other_share:
            kind, version, body, shown = (
                "MODEL_REGISTERED",
                1,
                b'{"model":"hiring","version":"1"}',
                not hidden,
            )
        else:
            number += 1
            before = b"null" if last is None else str(last).encode()
            kind, version, last = "AUDIT_COMPLETED", 2, index
            body = texts[index % VARIANTS].replace(b'"@number"', str(number).encode())
            body = body.replace(b'"@before"', before)
        leaf = _leaf(index, at, kind, version, body)
        digest = leaf_hash(leaf)
        ends = (index + 1) % HEAD_EVERY == 0
        if not shown:
            unseen.append(digest)
        if unseen and (shown or ends):
            yield _hide(fold, unseen)
            unseen = []
        if shown:
            fold.add_leaf(digest)
            yield leaf_line(leaf, digest)
        if ends:
            yield _head(fold, at)
    if unseen:
        yield _hide(fold, unseen)
    at = spelled(START + timedelta(seconds=n))
    leaf = _leaf(n, at, "EVIDENCE_EXPORTED", 1, canonical_json(export_body(header, last, number, None)))
    fold.add_leaf(leaf_hash(leaf))
    yield leaf_line(leaf, leaf_hash(leaf))
    yield _head(fold, at)


def _hide(fold: TreeFold, unseen: list[bytes]) -> bytes:
    end, hashes = fold.size + len(unseen), tile_hashes(fold.size, unseen)
    fold.add_tiles(end, hashes)
    return hidden_line(end, hashes)


def _with_places(body: dict[str, Any]) -> bytes:
    return canonical_json({**body, "model_audit_number": "@number", "previous_audit_index": "@before"})


def _leaf(index: int, at: str, kind: str, version: int, body: bytes) -> bytes:
    form = b'{"body":%b,"index":%d,"salt":"%b","tenant":"acme","time":"%b","type":"%b","version":%d}'
    return form % (body, index, b"0" * 32, at.encode(), kind.encode(), version)


def _head(fold: TreeFold, at: str) -> bytes:
    return head_line(sign_note(Checkpoint(ORIGIN, fold.size, fold.root(), at).text, ORIGIN, KEY), ())


def write_bundle(path: Path, n: int, other_share: float, *, hidden: bool, scores: bool) -> None:
    """The bundle as a file."""
    digest, count = sha256(), 0
    with path.open("wb", buffering=1 << 20) as file:
        for line in lines(n, other_share, hidden=hidden, scores=scores):
            file.write(line + b"\n")
            if not is_leaf(line):
                digest.update(line + b"\n")
            count += 1
        file.write(end_line(count, digest.digest()) + b"\n")


def run_verify(path: Path, processes: int | None) -> dict[str, Any]:
    """What is measured."""
    verdict = verify_file(path, [parse_key(VERIFIER.text)], processes=processes)
    assert verdict.ok, verdict.finding
    children = processes if processes is not None else os.cpu_count()
    return {
        "audits": verdict.audits,
        "figures": verdict.figures,
        "heads": verdict.heads,
        "n_children": children,
    }


def run_json(path: Path) -> dict[str, Any]:
    """The alternative: `json` and a hash chain."""
    chain, n = b"", 0
    with path.open("rb") as file:
        for line in file:
            n += len(json.loads(line)) > 0
            chain = sha256(chain + line).digest()
    return {"lines": n, "chain": chain.hex()[:8]}


def measured(which: str, path: Path, *more: str) -> dict[str, Any]:
    """One of the two in a process of its own: its answer, wall and CPU seconds, peak of memory."""
    command = [sys.executable, "-m", "benchmarks.verify_bundle", "--run", which, "--file", str(path), *more]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(found.stdout))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--other-share", type=float, default=0.0)
    parser.add_argument("--hidden", action="store_true")
    parser.add_argument("--scores", action="store_true")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--run", choices=("verify", "json"))
    parser.add_argument("--file", type=Path)
    wanted = parser.parse_args()
    if wanted.run:
        started, cpu = time.perf_counter(), time.process_time()
        found = run_verify(wanted.file, wanted.processes) if wanted.run == "verify" else run_json(wanted.file)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        found["wall_s"] = time.perf_counter() - started
        found["cpu_s"] = time.process_time() - cpu + children.ru_utime + children.ru_stime
        found["peak_mb"] = (usage.ru_maxrss + found.pop("n_children", 0) * children.ru_maxrss) / 1024
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bundle.jsonl"
        write_bundle(path, wanted.entries, wanted.other_share, hidden=wanted.hidden, scores=wanted.scores)
        size = path.stat().st_size
        print(
            f"{wanted.entries:,} entries, {size / 1e6:,.0f} MB, {size / wanted.entries:,.0f} bytes an entry"
        )
        more = [] if wanted.processes is None else ["--processes", str(wanted.processes)]
        ours, theirs = measured("verify", path, *more), measured("json", path)
    for name, found in (("fairlens verify", ours), ("json and a hash chain", theirs)):
        print(
            f"  {name:24} {found['wall_s']:7.2f} s wall {found['cpu_s']:7.2f} s CPU  peak {found['peak_mb']:.0f} MB  "
            + ", ".join(f"{key} {value}" for key, value in found.items() if not key.endswith(("_s", "_mb")))
        )
    print(f"  ratio of wall times: {ours['wall_s'] / theirs['wall_s']:.2f}")


if __name__ == "__main__":
    main()
