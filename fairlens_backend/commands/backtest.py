"""`fairlens backtest`: how often, and how early, settings would have alerted on the stored history of a model.

Nothing is written and nobody is alerted. Exit codes: 0 it was tried, whatever came of it; 2 there is no history to try it on,
or an argument is wrong; standard error says which.
"""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fairlens_backend.commands._console import (
    CANNOT_JUDGE,
    PASSED,
    Bar,
    listed,
    moment,
    pair,
    read_settings,
    write,
)
from fairlens_backend.errors import InvalidInput

NAME = "backtest"
HELP = "try alert settings on a model's stored history"
_DETECTOR_OPTIONS: Final = {
    "baseline": "first checks to compare with (20)",
    "window": "checks of the moving average (20)",
    "horizon": "checks that the pre-alert looks ahead (20)",
    "predict_checks": "checks that the line of the prediction goes through (20)",
    "predict_horizon": "checks that the prediction is ahead (1)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    add = parser.add_argument
    add("--model", required=True)
    add("--tenant", default="default", help="whose model (default: default)")
    add(
        "--from",
        dest="since",
        type=moment,
        metavar="TIME",
        help="as 2026-03-01 or 2026-03-01T06:00:00Z (default: 30 days ago)",
    )
    add("--to", dest="until", type=moment, metavar="TIME", help="default: now")
    add(
        "--grain",
        choices=("audit", "hour", "day"),
        help="audits as made, or hours or days counted anew (default: what there is)",
    )
    add(
        "--metrics",
        action="append",
        default=[],
        metavar="NAMES",
        help="dir,spd (default: dir,spd,eod,aod,theil)",
    )
    add("--attribute", metavar="NAME", help="default: every one of the model")
    add("--detectors", action="append", default=[], metavar="NAMES", help="default: all")
    add(
        "--drift-began",
        action="append",
        default=[],
        metavar="TIME[=CROSSED]",
        help="what is known to have happened; may be repeated",
    )
    add("--nothing-changed", action="store_true", help="every alarm is false")
    add(
        "--settings",
        type=Path,
        metavar="FILE",
        help='JSON: {"thresholds": {…}, "alpha": …, "drift": {"h": …}, "baseline": {"since", "until"}}',
    )
    add("--compare", type=Path, metavar="FILE", help="other settings, tried beside the first")
    add("--threshold", action="append", default=[], metavar="METRIC=VALUE", help="may be repeated")
    add("--alpha", type=float, help="level of significance of an alert (0.05)")
    add("--correction", choices=("bh", "holm", "none"))
    add("--min-group-size", type=int)
    add("--min-sample-size", type=int)
    add("--k", type=float, help="slack of the CUSUM, in σ (0.5)")
    add("--h", type=float, help="limit of the CUSUM, in σ (5)")
    add("--resolution", type=float, help="standard errors that the way to the limit must have (3)")
    for name, said in _DETECTOR_OPTIONS.items():
        add(f"--{name.replace('_', '-')}", type=int, help=said)
    add("--baseline-from", type=moment, metavar="TIME", help="a declared baseline, with --baseline-to")
    add("--baseline-to", type=moment, metavar="TIME")
    add("--format", choices=("table", "json"), default="table")
    add("--output", type=Path, metavar="FILE", help="write here instead of standard output")


def run(wanted: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from fairlens_backend import backtester, server_health
    from fairlens_backend.commands._backtest_table import as_table
    from fairlens_backend.schemas.backtest import BacktestRequest

    body = {
        "since": wanted.since,
        "until": wanted.until,
        "grain": wanted.grain,
        "metrics": ",".join(listed(wanted.metrics)),
        "attribute": wanted.attribute,
        "settings": _settings(wanted),
        "compare": read_settings(wanted.compare, "--compare"),
        "changes": _changes(wanted),
        "detectors": listed(wanted.detectors) or None,
    }
    try:
        asked = BacktestRequest.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{where}: {first['msg']}; {first['input']!r:.80} came.", field=where) from error
    server_health.require_schema()
    bar = Bar(lambda total: f"{total:,} windows")
    try:
        found = backtester.run_backtest(
            wanted.tenant,
            wanted.model,
            asked,
            datetime.now(UTC),
            most=backtester.MOST_IN_TERMINAL,
            progress=bar if bar.shown else None,
        )
    finally:
        bar.clear()
    text = (
        json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        if wanted.format == "json"
        else as_table(found)
    )
    write(text, wanted.output)
    return PASSED if found["status"] == "ok" else CANNOT_JUDGE


def _settings(wanted: argparse.Namespace) -> dict[str, Any]:
    """Those of the file, overridden by those given one by one."""
    from fairlens_backend.drift_reader import BY_SHORT_NAME

    settings = dict(read_settings(wanted.settings) or {})
    for name in ("alpha", "correction", "min_group_size", "min_sample_size"):
        if getattr(wanted, name) is not None:
            settings[name] = getattr(wanted, name)
    limits = dict(pair(text, "--threshold") for text in wanted.threshold)
    if limits:
        given = {BY_SHORT_NAME.get(name, name): _number(value, name) for name, value in limits.items()}
        settings["thresholds"] = {**(settings.get("thresholds") or {}), **given}
    drift = {name: getattr(wanted, name) for name in (*_DETECTOR_OPTIONS, "k", "h", "resolution")}
    drift = {name: value for name, value in drift.items() if value is not None}
    if drift:
        settings["drift"] = {**(settings.get("drift") or {}), **drift}
    if (wanted.baseline_from is None) != (wanted.baseline_to is None):
        raise InvalidInput("--baseline-from and --baseline-to belong together", field="--baseline-from")
    if wanted.baseline_from is not None:
        settings["baseline"] = {"since": wanted.baseline_from, "until": wanted.baseline_to}
    return settings


def _number(text: str, metric: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(
            f"--threshold of {metric} is {text!r}; a number was expected", field="--threshold"
        ) from None


def _changes(wanted: argparse.Namespace) -> list[dict[str, Any]] | None:
    if wanted.nothing_changed:
        if wanted.drift_began:
            raise InvalidInput(
                "--nothing-changed and --drift-began exclude each other", field="--nothing-changed"
            )
        return []
    try:
        parts = [text.partition("=") for text in wanted.drift_began]
        return [
            {"time": moment(began), "crosses": moment(crossed) if crossed else None}
            for began, _, crossed in parts
        ] or None
    except argparse.ArgumentTypeError as error:
        raise InvalidInput(f"--drift-began: {error}", field="--drift-began") from error
