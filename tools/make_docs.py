"""Writes what the documentation can read from the code; `--check` fails where a file says something else.

README.md (endpoints, calls, metrics: between its markers), .env.example, postman_collection.json, docs/openapi.json.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from flask import Flask

from fairlens_backend import config
from fairlens_backend.core.metrics import METRICS_BY_NAME
from tools.postman import postman
from tools.routes import build_app, routes
from tools.shell_calls import calls, endpoints_table

ROOT = Path(__file__).resolve().parent.parent
REPORTED_ONLY = " Reported only: the severity does not hang on it."
BREACHED = {"below": "below {}", "above": "above {}", "outside": "beyond ±{}"}
# Read by docker compose and gunicorn, not by the application.
OTHER_SETTINGS = (
    (
        "POSTGRES_PASSWORD",
        "",
        "docker compose: password of its PostgreSQL, letters and digits",
        "openssl rand -hex 16",
    ),
    ("WEB_CONCURRENCY", "2", "gunicorn: worker processes", ""),
)
SECRETS = {**config.HOW_TO_MAKE, "WEBHOOK_SECRET": config.HOW_TO_MAKE["JWT_SECRET"]}


def metrics_table() -> str:
    """The README's table of metrics."""
    lines = ["| metric | short name | breached | needs | what it is |", "| --- | --- | --- | --- | --- |"]
    for metric in METRICS_BY_NAME.values():
        breached = BREACHED[metric.breached_when].format(f"{metric.threshold:.2f}")
        needs = " and ".join(sorted(metric.needs))
        short = f"`{metric.short_name}`" if metric.short_name else ""
        told = metric.definition + ("" if metric.decides else REPORTED_ONLY)
        lines.append(f"| `{metric.name}` | {short} | {breached} | {needs} | {told} |")
    return "\n".join(lines)


def settings_example() -> str:
    """`.env.example`: every setting with its sentence and its default."""
    lines = [
        "# Settings of FairLens. Copy this file to .env and uncomment what you change; the environment goes before it.",
        "",
    ]
    for declared in fields(config.Settings):
        name = declared.name.upper()
        lines += _setting(
            name, declared.metadata["default"], declared.metadata["sentence"], SECRETS.get(name, "")
        )
    for other in OTHER_SETTINGS:
        lines += _setting(*other)
    return "\n".join(lines)


def _setting(name: str, default: str, sentence: str, how: str) -> list[str]:
    made = [f"# Make one with: {how}"] if how else []
    return [
        f"# {sentence}",
        *made,
        f"{name}=" if how else f"#{name}={default}",
        "",
    ]


def with_block(text: str, name: str, content: str) -> str:
    """The README with what stands between the markers of `name` replaced; a LookupError without the markers."""
    begin, end = f"<!-- {name}: written by make docs -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise LookupError(f"README.md lacks the markers {begin} and {end}")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def documents(app: Flask) -> dict[Path, str]:
    """Every generated file with what it must say."""
    found, document = routes(app), app.api_doc  # type: ignore[attr-defined]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = {"endpoints": endpoints_table(found), "calls": calls(found), "metrics": metrics_table()}
    for name, content in blocks.items():
        readme = with_block(readme, name, content)
    return {
        ROOT / "README.md": readme,
        ROOT / ".env.example": settings_example(),
        ROOT / "postman_collection.json": _json(postman(found, document)),
        ROOT / "docs" / "openapi.json": _json(json.loads(app.json.dumps(document))),
    }


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with --check say which are not current; 1 when one is not."""
    parser = argparse.ArgumentParser(prog="make_docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where one is not current")
    check = parser.parse_args(arguments).check
    with tempfile.TemporaryDirectory() as folder:
        wanted = documents(build_app(Path(folder)))
    stale = [
        path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
        verb = "is not current; run: make docs" if check else "is written"
        sys.stdout.write(f"{path.relative_to(ROOT)} {verb}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
