"""`fairlens export-evidence`: one file with a model's audits and what shows that they are all of them, unaltered.

Whoever gets the file checks it with `fairlens verify` and the ledger's public key (GET /v1/ledger/key), with no access to this
server. The export is itself an entry of the ledger. Exit codes: 0 written; 2 there is no audit of this model, or an argument is
wrong; standard error says which.
"""

import argparse
import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from fairlens_backend.commands._console import PASSED, moment, write
from fairlens_backend.errors import InvalidInput

if TYPE_CHECKING:
    from fairlens_backend.core.signed_note import VerifierKey

NAME = "export-evidence"
HELP = "write a model's audits with their proofs into one file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add("--model", required=True, help="the model, all its versions")
    add(
        "--from",
        dest="since",
        required=True,
        type=moment,
        metavar="TIME",
        help="2026-03-01 or 2026-03-01T06:00:00Z",
    )
    add("--to", dest="until", type=moment, metavar="TIME", help="not included (default, and at most: now)")
    add("--output", required=True, type=Path, metavar="FILE", help="ending in .gz it is compressed")
    add("--tenant", default="default", help="whose model (default: default)")
    add(
        "--head",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a head that the reader kept from before: the bundle can then be compared with it; may be repeated",
    )
    add(
        "--key",
        metavar="PUB",
        help="the ledger's public key that the reader has, or a file with it: where it was changed since, the bundle leads from it to"
        " the later ones",
    )
    add("--by", metavar="USERNAME", help="who exports, for the ledger")


def run(wanted: argparse.Namespace) -> int:
    """Write the file."""
    from fairlens_backend import bundle_exporter, server_health, telemetry

    server_health.require_schema()
    now = telemetry.utc_now()
    sizes = [_size_of(path) for path in wanted.head]
    key = None if wanted.key is None else _key(wanted.key)
    with _replacing(wanted.output) as file:
        done = bundle_exporter.export(
            wanted.tenant,
            wanted.model,
            wanted.since,
            wanted.until or now,
            file.write,
            now,
            by=wanted.by,
            earlier_sizes=sizes,
            known_key=key,
        )
    write(
        f"{wanted.output}: {done['audits']} audit{'' if done['audits'] == 1 else 's'} of {wanted.model} from {done['since']} to {done['until']},"
        f" {done['bytes']:,} bytes, SHA-256 of the lines {done['sha256']}.\n"
        f"Check it with: fairlens verify {wanted.output} --key KEY, with the key of GET /v1/ledger/key.\n"
    )
    return PASSED


def read_head(path: Path, option: str) -> str:
    """A signed head that was kept in a file; `InvalidInput` names the option."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{option}: {path} cannot be read ({error}).", field=option) from error


def _key(given: str) -> "VerifierKey":
    from fairlens_backend.core.signed_note import parse_key

    texts = key_texts(given)
    if len(texts) != 1:
        raise InvalidInput(f"--key: {given} has {len(texts)} lines, one key was expected.", field="--key")
    return parse_key(texts[0])


def _size_of(path: Path) -> int:
    from fairlens_backend.core.signed_note import open_note, parse_checkpoint

    return parse_checkpoint(open_note(read_head(path, "--head"))[0]).size


def key_texts(given: str) -> list[str]:
    """The key itself, or those in a file of that name: one a line, or the answer of GET /v1/ledger/key as it came."""
    path = Path(given)
    try:
        is_file = path.is_file()
    except OSError:  # a key is no name that a file can have
        is_file = False
    if not is_file:
        return [given]
    text = read_bytes(path, "--key").decode("utf-8", "replace")
    try:
        return [str(one["key"]) for one in json.loads(text)["data"]["keys"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        return [line for line in text.splitlines() if line.strip()]


def read_bytes(path: Path, option: str) -> bytes:
    """A file's content; `InvalidInput` names the option."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{option}: {path} cannot be read ({error.strerror}).", field=option) from error


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that is there whole, under its name, or not at all."""
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder, a file was expected.", field="--output")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # mtime: the same bundle is the same file.
        with draft.open("wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield raw
        draft.replace(path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written ({error.strerror}).", field="--output") from error
    finally:
        draft.unlink(missing_ok=True)
