"""Writes what the documentation can read from the code; `--check` fails where a file says something else.

README.md (endpoints, calls, metrics: between its markers), .env.example, postman_collection.json, docs/openapi.json.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from flask import Flask

from fairlens_backend import config
from fairlens_backend.auth import access_of
from fairlens_backend.core.metrics import METRICS_BY_NAME
from tools.api_examples import EXAMPLES, VARIABLES, Example

ROOT = Path(__file__).resolve().parent.parent
SHOWN_ROLE = {"monitor or key": "monitor or API key"}
POSTMAN_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
MAX_LINE = 100
# What later calls need; the other variables are those of the README's first steps.
KEPT_IN_SHELL = {"job", "alert", "route", "tree_size"}
REPORTED_ONLY = " Reported only: the severity does not hang on it."
# Flask's own view of the pages' files carries neither a role nor a sentence of ours.
FILES_SUMMARY = {"pages.static": "A file of these pages"}
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


@dataclass(frozen=True)
class Route:
    """One address and method of the application."""

    method: str
    path: str
    role: str
    summary: str
    description: str
    tag: str


def build_app(folder: Path) -> Flask:
    """The application on an empty database in `folder`, with made-up secrets and nothing in the background."""
    from fairlens_backend.app import create_app

    given = {
        "DATA_DIR": str(folder),
        "MODELS_DIR": str(folder / "models"),
        "CLOCK_ENABLED": "false",
        "LOG_LEVEL": "error",
    }
    return create_app(config.load_settings(given))


def routes(app: Flask) -> list[Route]:
    """Every route of the application, in the order of the examples; one without an example comes last."""
    paths: dict[str, Any] = app.api_doc["paths"]  # type: ignore[attr-defined]
    found = []
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        view = app.view_functions[rule.endpoint]
        access = access_of(view)
        role = access.role or "open" if access else "open"
        role += " or key" if access and access.key_scope else ""
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            told = paths.get(path, {}).get(method.lower(), {})
            summary = (
                told.get("summary") or FILES_SUMMARY.get(rule.endpoint) or (view.__doc__ or "").split("\n")[0]
            )
            tag = (told.get("tags") or ["pages"])[0]
            found.append(Route(method, path, role, summary.rstrip("."), told.get("description", ""), tag))
    order = {(one.method, one.path): place for place, one in enumerate(EXAMPLES)}
    return sorted(found, key=lambda one: (order.get((one.method, one.path), len(order)), one.path))


def example_of(route: Route) -> Example:
    """The example of a route; a LookupError says which one lacks it."""
    for example in EXAMPLES:
        if (example.method, example.path) == (route.method, route.path):
            return example
    raise LookupError(f"{route.method} {route.path} has no example in tools/api_examples.py")


def endpoints_table(found: Sequence[Route]) -> str:
    """The README's table of endpoints."""
    lines = ["| call | role | does |", "| --- | --- | --- |"]
    lines += [
        f"| `{one.method} {one.path}` | {SHOWN_ROLE.get(one.role, one.role)} | {one.summary} |"
        for one in found
    ]
    return "\n".join(lines)


def calls(found: Sequence[Route]) -> str:
    """An example curl line of every route, as one block of shell that runs from top to bottom."""
    lines = ["```bash"]
    for one in found:
        lines += [
            f"# {one.method} {one.path} ({SHOWN_ROLE.get(one.role, one.role)}): {one.summary}",
            curl(one),
            "",
        ]
    return "\n".join([*lines[:-1], "```"])


def curl(route: Route) -> str:
    """The example of a route as a shell command."""
    example = example_of(route)
    address = _filled(route.path, example, "${}", str.upper)
    parts = ["curl -sS"]
    if route.method != ("GET" if example.body is None else "POST"):
        parts.append(f"-X {route.method}")
    parts.append(f'"$BASE{address}"')
    if route.role != "open":
        parts.append('-H "Authorization: Bearer $TOKEN"')
    if example.body is not None:
        text = re.sub(r"<(\w+)>", lambda found: f"'\"${found[1].upper()}\"'", _readable(example.body))
        parts.append(f"-H 'Content-Type: application/json' \\\n  -d '{text}'")
    if example.text is not None:
        parts.append(f"-H 'Content-Type: text/plain' \\\n  --data-binary '{example.text}'")
    if route.tag == "pages":
        parts.append("-o /dev/null -w '%{http_code}\\n'")
    kept = {name: place for name, place in example.keeps.items() if name in KEPT_IN_SHELL}
    if kept:
        parts.append("> answer.json")
    if example.refusable:
        parts.append("|| true  # refused where there is nothing to act on")
    lines = [f"{name.upper()}=$(pick {_dotted(place)} < answer.json)" for name, place in kept.items()]
    return "\n".join([" ".join(parts), *lines])


def _dotted(place: str) -> str:
    """A place in an answer as the shell's `pick` takes it: data.items[0]?.id is data.items.0.id."""
    return re.sub(r"\[(\d+)\]\??", r".\1", place)


def _readable(body: dict[str, Any]) -> str:
    """JSON in one line, or with a line a field where that is too long to read."""
    text = json.dumps(body)
    if len(text) <= MAX_LINE:
        return text
    return (
        "{\n    "
        + ",\n    ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in body.items())
        + "\n  }"
    )


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


def postman(found: Sequence[Route], document: dict[str, Any]) -> dict[str, Any]:
    """The collection, format 2.1: a folder a tag, a request a route."""
    about = {tag["name"]: tag.get("description", "") for tag in document["tags"]} | {"pages": "For a browser"}
    folders: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        folders.setdefault(one.tag, []).append(_request(one))
    return {
        "info": {
            "name": f"FairLens {document['info']['version']}",
            "description": "Set `base` and `password` in the collection's variables, then send Log in: it keeps the token for the others.",
            "schema": POSTMAN_SCHEMA,
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}]},
        "variable": [{"key": name, "value": value, "type": "string"} for name, value in VARIABLES.items()],
        "item": [{"name": tag, "description": about[tag], "item": items} for tag, items in folders.items()],
    }


def _request(route: Route) -> dict[str, Any]:
    example = example_of(route)
    address = _filled(route.path, example, "{{{{{}}}}}", str)
    path, _, _ = address.partition("?")
    request: dict[str, Any] = {
        "method": route.method,
        "description": f"{route.summary}. {route.description or f'Role: {route.role}.'}",
        "header": [],
        "url": {"raw": "{{base}}" + address, "host": ["{{base}}"], "path": path.strip("/").split("/")},
    }
    if example.query:
        request["url"]["query"] = [
            {"key": key, "value": re.sub(r"<(\w+)>", r"{{\1}}", value)}
            for key, value in example.query.items()
        ]
    if route.role == "open":
        request["auth"] = {"type": "noauth"}
    if example.body is not None:
        raw = re.sub(r"<(\w+)>", r"{{\1}}", json.dumps(example.body, indent=2))
        request["header"] = [{"key": "Content-Type", "value": "application/json"}]
        request["body"] = {"mode": "raw", "raw": raw, "options": {"raw": {"language": "json"}}}
    if example.text is not None:
        request["header"] = [{"key": "Content-Type", "value": "text/plain"}]
        request["body"] = {"mode": "raw", "raw": example.text}
    item: dict[str, Any] = {"name": route.summary, "request": request, "response": []}
    if example.keeps:
        lines = ["const answer = pm.response.json();", "if (answer.data) {"]
        lines += [
            f'  pm.collectionVariables.set("{name}", answer.{place});'
            for name, place in example.keeps.items()
        ]
        item["event"] = [{"listen": "test", "script": {"type": "text/javascript", "exec": [*lines, "}"]}}]
    return item


def _filled(path: str, example: Example, variable: str, spelled: Any) -> str:
    """The path with its variables' values and its query."""
    for name, value in example.values.items():
        path = path.replace(f"{{{name}}}", value)
    query = "&".join(f"{key}={value}" for key, value in example.query.items())
    address = f"{path}?{query}" if query else path
    return re.sub(r"<(\w+)>", lambda found: variable.format(spelled(found[1])), address)


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
