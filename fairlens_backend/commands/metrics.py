"""`fairlens metrics`: the catalogue of metrics, and what a value of one means."""

import argparse
from typing import Any

from fairlens_backend.commands._console import PASSED, write

NAME = "metrics"
HELP = "what a metric is, and what a value of it means"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("name", nargs="?", help="name or short name; left out: all of them")
    parser.add_argument("--value", type=float, help="say what this value would mean")


def run(wanted: argparse.Namespace) -> int:
    from fairlens_backend.metric_catalogue import describe, list_metrics

    if wanted.name is None:
        lines = []
        for one in list_metrics():
            limit = "reported" if one["default_threshold"] is None else f"limit {one['default_threshold']:g}"
            lines.append(f"{one['number']:2}  {one['name']:34} {limit:12} {one['definition']}\n")
        write("".join(lines))
        return PASSED
    described = describe(wanted.name, wanted.value)
    shown = {name: value for name, value in described.items() if value is not None}
    write("".join(f"{name.replace('_', ' '):18} {_said(value)}\n" for name, value in shown.items()))
    return PASSED


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join("no end" if part is None else str(part) for part in value)
    return str(value)
