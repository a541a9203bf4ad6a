"""The commands of `fairlens`, one file each: NAME, HELP, `add_arguments(parser)`, `run(arguments) -> exit code`.

Heavy rooms are imported inside `run`, so that `fairlens --help` is there at once. A new command is one file and one line here.
"""

from types import ModuleType

from fairlens_backend.commands import (
    audit,
    backtest,
    demo,
    erase,
    export_evidence,
    metrics,
    rebuild_counts,
    rotate_key,
    verify,
    worker,
)

COMMANDS: tuple[ModuleType, ...] = (
    audit,
    backtest,
    demo,
    erase,
    export_evidence,
    metrics,
    rebuild_counts,
    rotate_key,
    verify,
    worker,
)
