"""The command `fairlens`: one sub-command a file of `commands/`.

Exit codes: 0 done, and nothing found; 1 something was found that the command looks for; 2 it could not be judged or done,
standard error says why; 130 interrupted.
"""

import argparse
import sys
from collections.abc import Sequence

from fairlens_backend import __version__
from fairlens_backend.commands import COMMANDS
from fairlens_backend.commands._console import CANNOT_JUDGE, INTERRUPTED
from fairlens_backend.errors import FairLensError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that knows no × must not end an audit
            stream.reconfigure(errors="backslashreplace")
    wanted = _parser().parse_args(arguments)
    try:
        code: int = wanted.run(wanted)
        return code
    except FairLensError as error:
        sys.stderr.write(f"fairlens: {error.message}\n")
        return CANNOT_JUDGE
    except KeyboardInterrupt:
        sys.stderr.write("fairlens: interrupted\n")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fairlens", description="Audit files, look up metrics, run and check the server's work."
    )
    parser.add_argument("--version", action="version", version=f"fairlens {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        text = "\n".join((command.__doc__ or "").split("\n")[2:])
        one = commands.add_parser(command.NAME, help=command.HELP, description=text or command.HELP)
        command.add_arguments(one)
        one.set_defaults(run=command.run)
    return parser
