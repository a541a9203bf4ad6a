"""`fairlens erase`: a person's raw rows erased on the server's own machine, to the end, with the receipt as JSON.

A personal value is read from a file or from standard input, since arguments are seen by every user of the machine. Exit codes:
0 done, also where nothing was found; 2 an argument is wrong, or the database does not answer.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from fairlens_backend.commands._console import PASSED, write
from fairlens_backend.errors import InvalidInput

NAME = "erase"
HELP = "erase a person's raw rows; counts, audits and the ledger stay"
_NO_BUDGET: Final = float("inf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add("--event-id", action="append", default=[], metavar="ID", help="an event's id; may be repeated")
    add("--event-ids", type=Path, metavar="FILE", help="ids, one a line; - for standard input")
    add("--token", help="the token that is kept in the place of a personal value")
    add("--field", help="the field that the personal value stood in, such as email")
    add("--value", type=Path, metavar="FILE", help="a file with the personal value; - for standard input")
    add("--tenant", default="default", help="whose rows (default: default)")
    add("--by", metavar="USERNAME", help="who erases, for the ledger")
    add("--dry-run", action="store_true", help="only look, and say what would be erased")
    add(
        "--compact",
        action="store_true",
        help="then write the database's file anew, without what earlier deletions left in it; writers wait meanwhile",
    )


def run(wanted: argparse.Namespace) -> int:
    """Erase, and write the receipt."""
    from fairlens_backend import eraser, server_health, telemetry

    asked = _asked(wanted)
    server_health.require_schema()
    if asked:
        now = telemetry.utc_now()
        done = eraser.erase(wanted.tenant, asked, wanted.by, now, dry_run=wanted.dry_run, budget_s=_NO_BUDGET)
        write(json.dumps(done, indent=2) + "\n")
    if wanted.compact and not wanted.dry_run:
        eraser.compact()
    return PASSED


def _asked(wanted: argparse.Namespace) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    ids = [*wanted.event_id, *(_lines(wanted.event_ids) if wanted.event_ids else [])]
    if ids:
        asked["event_ids"] = ids
    if wanted.token:
        asked["token"] = wanted.token
    if (wanted.field is None) != (wanted.value is None):
        raise InvalidInput("--field and --value belong together.", field="--value")
    if wanted.value is not None:
        asked["value"] = {"field": wanted.field, "text": "\n".join(_lines(wanted.value))}
    if not asked and not wanted.compact:
        raise InvalidInput(
            "Say whose rows: --event-id, --event-ids, --token, or --field and --value.", field="--event-id"
        )
    return asked


def _lines(path: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}).", field=str(path)) from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no UTF-8 text.", field=str(path)) from error
    return [line.strip() for line in text.splitlines() if line.strip()]
