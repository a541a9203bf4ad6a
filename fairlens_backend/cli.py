"""The command `fairlens`: audit a file, look up a metric. With no server and no database.

Exit codes of `fairlens audit`: 0 no breach, 1 a breach as serious as --fail-on or more, 2 no such breach, and the audit
or an attribute could not be judged (too few rows or no two groups), or a file or an argument that is wrong; standard
error says which.
"""

import argparse
import csv
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fairlens_backend import __version__
from fairlens_backend.errors import FairLensError, InvalidInput

PASSED, BREACHED, CANNOT_JUDGE, INTERRUPTED = 0, 1, 2, 130
FAIL_ON: Final = ("CRITICAL", "HIGH", "MEDIUM", "LOW")
BAR_WIDTH: Final = 30
BAR_AFTER_S: Final = 0.5
BAR_EVERY_S: Final = 0.1


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


def _audit(wanted: argparse.Namespace) -> int:
    from fairlens_backend.audit_plan import plan_audit
    from fairlens_backend.audit_rendering import as_page, as_text
    from fairlens_backend.file_audit import audit_file
    from fairlens_backend.numeric_audit import NumericIntake, numeric_settings

    if wanted.numeric and (wanted.favourable or wanted.favourable_truth):
        raise InvalidInput("--numeric is for a decision without favourable labels", field="--numeric")
    favourable: dict[str, Any] = {"decision": _listed(wanted.favourable) or [1]}
    if wanted.favourable_truth:
        favourable["truth"] = _listed(wanted.favourable_truth)
    bands = dict(_bands(text) for text in wanted.bands)
    plan = plan_audit(
        wanted.decision,
        wanted.truth,
        wanted.score,
        {name: bands.get(name) for name in [*_listed(wanted.protected), *bands]},
        favourable,
        dict(_pair(text, "--reference") for text in wanted.reference),
        _listed(wanted.features) or None,
        settings=None if wanted.numeric else _settings(wanted.settings),
        seed=wanted.seed,
        missing_values=_listed(wanted.missing),
        n_resamples=wanted.resamples,
        all_pairs=wanted.all_pairs,
    )
    bar = _Bar()
    try:
        result = audit_file(
            wanted.file,
            plan,
            encoding=wanted.encoding,
            delimiter=wanted.delimiter,
            progress=bar if bar.shown else None,
            numbers=NumericIntake(plan, numeric_settings(_settings(wanted.settings)))
            if wanted.numeric
            else None,
        )
    finally:
        bar.clear()
    figures = result.to_dict()
    if wanted.format == "json":
        text = json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    elif wanted.format == "html":
        text = as_page(figures, f"Fairness audit of {wanted.file.name}")
    else:
        text = as_text(figures)
    _write(text, wanted.output)
    if result.severity == "UNKNOWN":
        return CANNOT_JUDGE
    if result.severity in FAIL_ON[: FAIL_ON.index(wanted.fail_on) + 1]:
        return BREACHED
    if result.not_judged:
        sys.stderr.write(f"fairlens: {', '.join(result.not_judged)} could not be judged\n")
        return CANNOT_JUDGE
    return PASSED


def _metrics(wanted: argparse.Namespace) -> int:
    from fairlens_backend.metric_catalogue import describe, list_metrics

    if wanted.name is None:
        lines = []
        for one in list_metrics():
            limit = "reported" if one["default_threshold"] is None else f"limit {one['default_threshold']:g}"
            lines.append(f"{one['number']:2}  {one['name']:34} {limit:12} {one['definition']}\n")
        _write("".join(lines), None)
        return PASSED
    described = describe(wanted.name, wanted.value)
    shown = {name: value for name, value in described.items() if value is not None}
    _write("".join(f"{name.replace('_', ' '):18} {_said(value)}\n" for name, value in shown.items()), None)
    return PASSED


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join("no end" if part is None else str(part) for part in value)
    return str(value)


class _Bar:
    """A bar on standard error while a file is read, on a terminal only, and not for what is done at once."""

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty()
        self._started = self._drawn = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._started < BAR_AFTER_S or now - self._drawn < BAR_EVERY_S or not total:
            return
        self._drawn = now
        share = min(1.0, done / total)
        left = f"{(now - self._started) * (1 - share) / share:.0f} s left" if share > 0 else ""
        drawn = ("#" * int(share * BAR_WIDTH)).ljust(BAR_WIDTH)
        sys.stderr.write(f"\r[{drawn}] {share:4.0%} of {total / 1e6:,.1f} MB  {left}   ")
        sys.stderr.flush()

    def clear(self) -> None:
        """Leave the line empty for what comes next."""
        if self.shown and self._drawn != self._started:
            sys.stderr.write("\r" + " " * (BAR_WIDTH + 45) + "\r")
            sys.stderr.flush()


def _listed(texts: Sequence[str]) -> list[str]:
    """Names separated by commas, in quotes where one holds a comma; each option may be repeated."""
    return [name.strip() for row in csv.reader(texts, skipinitialspace=True) for name in row if name.strip()]


def _pair(text: str, option: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals or not column:
        raise InvalidInput(f"{option} is {text!r}; COLUMN=VALUE was expected", field=option, got=text)
    return column, value


def _bands(text: str) -> tuple[str, dict[str, Any]]:
    column, limits = _pair(text, "--bands")
    try:
        return column, {"bands": [float(limit) for limit in limits.split(",")]}
    except ValueError as error:
        raise InvalidInput(
            f"--bands is {text!r}; COLUMN=NUMBER,NUMBER was expected, as in age=18,30,40",
            field="--bands",
            got=text,
        ) from error


def _settings(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}).", field="--settings") from error
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON: {error}.", field="--settings") from error
    if not isinstance(settings, dict):
        raise InvalidInput(f"{path} holds no JSON object of settings.", field="--settings")
    return settings


def _write(text: str, output: Path | None) -> None:
    if output is None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as head, has seen enough; the verdict stands
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written ({error.strerror}).", field="--output") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fairlens", description=__doc__.split("\n")[0])
    parser.add_argument("--version", action="version", version=f"fairlens {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    audit = commands.add_parser("audit", help="audit a file", description="\n".join(__doc__.split("\n")[2:]))
    add = audit.add_argument
    add("file", type=Path, metavar="FILE", help="CSV with a header (gzip allowed) or Parquet")
    add("--decision", required=True, metavar="COLUMN", help="the decision")
    add("--truth", metavar="COLUMN", help="the true outcome; empty where it is not known yet")
    add("--score", metavar="COLUMN", help="the score of the favourable decision, 0 to 1")
    add(
        "--protected",
        required=True,
        action="append",
        metavar="COLUMNS",
        help="protected attributes: sex,race",
    )
    add(
        "--favourable", action="append", default=[], metavar="LABELS", help="favourable decisions (default 1)"
    )
    add(
        "--numeric",
        action="store_true",
        help="the decision is a number (an amount, a rent) without favourable labels; limits by --settings",
    )
    add(
        "--favourable-truth",
        action="append",
        default=[],
        metavar="LABELS",
        help="favourable outcomes, where they differ",
    )
    add(
        "--reference",
        action="append",
        default=[],
        metavar="COLUMN=GROUP",
        help="the privileged group of an attribute",
    )
    add(
        "--bands",
        action="append",
        default=[],
        metavar="COLUMN=LIMITS",
        help="groups by numbers: age=18,30,40",
    )
    add("--missing", action="append", default=[], metavar="LABELS", help='what marks a missing value: "?"')
    add(
        "--features",
        action="append",
        default=[],
        metavar="COLUMNS",
        help="what people are compared by (metrics 9, 10, 17)",
    )
    add(
        "--settings",
        type=Path,
        metavar="FILE",
        help="JSON: thresholds, alpha, correction, min_group_size, min_sample_size",
    )
    add("--all-pairs", action="store_true", help="also compare every two groups")
    add("--seed", type=_whole, default=0, help="of the resampling (default 0)")
    add("--resamples", type=_whole, default=1000, help="tables that the bootstrap draws (default 1000)")
    add(
        "--fail-on",
        choices=FAIL_ON,
        default="MEDIUM",
        help="least severity that exits with 1 (default MEDIUM)",
    )
    add("--format", choices=("table", "json", "html"), default="table")
    add("--output", type=Path, metavar="FILE", help="write here instead of standard output")
    add("--encoding", default="utf-8", choices=("utf-8", "latin-1", "cp1252", "utf-16"), help="of a CSV file")
    add("--delimiter", default=",", choices=(",", ";", "\t", "|"), help="of a CSV file")
    audit.set_defaults(run=_audit)
    metrics = commands.add_parser("metrics", help="what a metric is, and what a value of it means")
    metrics.add_argument("name", nargs="?", help="name or short name; left out: all of them")
    metrics.add_argument("--value", type=float, help="say what this value would mean")
    metrics.set_defaults(run=_metrics)
    return parser


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number
