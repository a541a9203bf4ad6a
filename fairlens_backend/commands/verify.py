"""`fairlens verify FILE --key PUB`: check an evidence bundle with the ledger's public key alone.

No server, no database, no network. Exit codes: 0 everything is right; 1 something is wrong, and the first thing that is stands
on standard output; 2 the file or an argument cannot be read, standard error says why.
"""

import argparse
import gzip
import json
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairlens_backend.commands._console import BREACHED, PASSED, Bar, write
from fairlens_backend.commands.export_evidence import key_texts, read_bytes, read_head
from fairlens_backend.errors import InvalidInput

if TYPE_CHECKING:
    from fairlens_backend.verifier.verdict import Verdict

NAME = "verify"
HELP = "check a file of export-evidence with the public key"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="as export-evidence wrote it")
    add(
        "--key",
        required=True,
        action="append",
        metavar="PUB",
        help="the ledger's public key, or a file with it or with the answer of GET /v1/ledger/key; may be repeated",
    )
    add(
        "--head",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a head kept from before; may be repeated",
    )
    add(
        "--keep-head",
        type=Path,
        metavar="FILE",
        help="keep the last head here, to compare the next bundle with",
    )
    add(
        "--roots",
        type=Path,
        metavar="PEM",
        help="root certificates of the timestamp authorities that you believe",
    )
    add(
        "--witness",
        action="append",
        default=[],
        metavar="PUB",
        help="a witness's public key; may be repeated",
    )
    add(
        "--intervals",
        action="store_true",
        help="also compute intervals, p-values, severities and alerts anew (25 to 100 ms an audit)",
    )
    add("--format", choices=("text", "json"), default="text")


def run(wanted: argparse.Namespace) -> int:
    """Check it; 0 or 1."""
    from fairlens_backend.bundle_file import verify_file
    from fairlens_backend.core.cosignature import parse_witness_key
    from fairlens_backend.core.signed_note import parse_key
    from fairlens_backend.verifier.heads import HeadCheck

    keys = [parse_key(text) for given in wanted.key for text in key_texts(given)]
    heads = HeadCheck(
        earlier=[read_head(path, "--head") for path in wanted.head],
        roots=read_bytes(wanted.roots, "--roots") if wanted.roots else None,
        witnesses=[parse_witness_key(text) for text in wanted.witness],
    )
    bar = Bar()
    try:
        verdict = verify_file(
            wanted.file, keys, heads, intervals=wanted.intervals, progress=bar if bar.shown else None
        )
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InvalidInput(
            f"{wanted.file} is damaged: it cannot be unpacked ({error}).", field="FILE"
        ) from error
    except OSError as error:
        raise InvalidInput(f"{wanted.file} cannot be read ({error.strerror}).", field="FILE") from error
    finally:
        bar.clear()
    if wanted.keep_head and verdict.ok and heads.last_note:
        try:
            wanted.keep_head.write_text(heads.last_note, encoding="utf-8")
        except OSError as error:
            raise InvalidInput(
                f"{wanted.keep_head} cannot be written ({error.strerror}).", field="--keep-head"
            ) from error
    if wanted.format == "json":
        write(json.dumps(_plain(verdict), indent=1, ensure_ascii=False) + "\n")
    else:
        write(_said(verdict))
    return PASSED if verdict.ok else BREACHED


def _said(verdict: "Verdict") -> str:
    header = verdict.header
    if not verdict.ok:
        return f"WRONG. {verdict.finding}\n"
    assert header is not None
    lines = [
        "RIGHT. Every entry is unaltered and in order, and no audit of the range is left out.",
        f"  model     {header.model} (tenant {header.tenant})",
        f"  range     audits completed from {header.since} to {header.until}",
        f"  audits    {verdict.audits} in the range; {verdict.figures} figures computed anew from the counts",
        f"  entries   {verdict.entries} shown, {verdict.hidden} of others hidden behind their hashes",
        f"  heads     {verdict.heads} signed by {header.origin}, the last at {verdict.last_head_time}",
        f"  tree      {verdict.tree_size} entries, root {verdict.root}",
        f"  others    {verdict.timestamps} timestamps, {verdict.cosignatures} cosignatures",
    ]
    lines += [f"  NOT CHECKED: {one}" for one in verdict.not_checked]
    return "\n".join(lines) + "\n"


def _plain(verdict: "Verdict") -> dict[str, Any]:
    import msgspec

    header = None if verdict.header is None else msgspec.to_builtins(verdict.header)
    return {"ok": verdict.ok, **asdict(verdict), "header": header}
