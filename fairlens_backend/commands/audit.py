"""`fairlens audit FILE`: the audit of a file, with no server and no database.

Exit codes: 0 no breach, 1 a breach as serious as --fail-on or more, 2 no such breach, and the audit or an attribute could
not be judged (too few rows or no two groups), or a file or an argument that is wrong; standard error says which.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from fairlens_backend.commands._console import (
    BREACHED,
    CANNOT_JUDGE,
    PASSED,
    Bar,
    listed,
    pair,
    read_settings,
    whole,
    write,
)
from fairlens_backend.errors import InvalidInput

NAME = "audit"
HELP = "audit a file"
FAIL_ON: Final = ("CRITICAL", "HIGH", "MEDIUM", "LOW")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
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
        "--unfavourable",
        action="append",
        default=[],
        metavar="LABELS",
        help="the other decisions: rows with any further label are then not counted",
    )
    add(
        "--unfavourable-truth",
        action="append",
        default=[],
        metavar="LABELS",
        help="the other outcomes, where they differ",
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
    add("--seed", type=whole, default=0, help="of the resampling (default 0)")
    add("--resamples", type=whole, default=1000, help="tables that the bootstrap draws (default 1000)")
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


def run(wanted: argparse.Namespace) -> int:
    from fairlens_backend.audit_plan import plan_audit
    from fairlens_backend.audit_rendering import as_page, as_text
    from fairlens_backend.file_audit import audit_file
    from fairlens_backend.numeric_audit import NumericIntake, numeric_settings

    favourable = _outcomes(wanted.favourable, wanted.favourable_truth)
    unfavourable = _outcomes(wanted.unfavourable, wanted.unfavourable_truth)
    if wanted.numeric and (favourable or unfavourable):
        raise InvalidInput("--numeric is for a decision without favourable labels", field="--numeric")
    if unfavourable and "decision" not in unfavourable:
        raise InvalidInput(
            "--unfavourable-truth needs --unfavourable beside it", field="--unfavourable-truth"
        )
    bands = dict(_bands(text) for text in wanted.bands)
    plan = plan_audit(
        wanted.decision,
        wanted.truth,
        wanted.score,
        {name: bands.get(name) for name in [*listed(wanted.protected), *bands]},
        {"decision": [1], **favourable},
        dict(pair(text, "--reference") for text in wanted.reference),
        listed(wanted.features) or None,
        settings=None if wanted.numeric else read_settings(wanted.settings),
        seed=wanted.seed,
        missing_values=listed(wanted.missing),
        n_resamples=wanted.resamples,
        all_pairs=wanted.all_pairs,
        unfavourable=unfavourable or None,
    )
    bar = Bar()
    try:
        result = audit_file(
            wanted.file,
            plan,
            encoding=wanted.encoding,
            delimiter=wanted.delimiter,
            progress=bar if bar.shown else None,
            numbers=NumericIntake(plan, numeric_settings(read_settings(wanted.settings)))
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
    write(text, wanted.output)
    if result.severity == "UNKNOWN":
        return CANNOT_JUDGE
    if result.severity in FAIL_ON[: FAIL_ON.index(wanted.fail_on) + 1]:
        return BREACHED
    if result.not_judged:
        sys.stderr.write(f"fairlens: {', '.join(result.not_judged)} could not be judged\n")
        return CANNOT_JUDGE
    return PASSED


def _outcomes(decision: list[str], truth: list[str]) -> dict[str, Any]:
    """The labels of decisions and of true outcomes, those that were given."""
    given = {"decision": listed(decision), "truth": listed(truth)}
    return {part: labels for part, labels in given.items() if labels}


def _bands(text: str) -> tuple[str, dict[str, Any]]:
    column, limits = pair(text, "--bands")
    try:
        return column, {"bands": [float(limit) for limit in limits.split(",")]}
    except ValueError as error:
        raise InvalidInput(
            f"--bands is {text!r}; COLUMN=NUMBER,NUMBER was expected, as in age=18,30,40",
            field="--bands",
            got=text,
        ) from error
