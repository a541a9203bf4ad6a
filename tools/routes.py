"""The routes of the application, each with its role, its sentence and its example."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask

from fairlens_backend import config
from fairlens_backend.auth import access_of
from tools.api_examples import EXAMPLES, Example

# Flask's own view of the pages' files carries neither a role nor a sentence of ours.
FILES_SUMMARY = {"pages.static": "A file of these pages"}


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


def filled(path: str, example: Example, variable: str, spelled: Callable[[str], str]) -> str:
    """The path with its variables' values and its query."""
    for name, value in example.values.items():
        path = path.replace(f"{{{name}}}", value)
    query = "&".join(f"{key}={value}" for key, value in example.query.items())
    address = f"{path}?{query}" if query else path
    return re.sub(r"<(\w+)>", lambda found: variable.format(spelled(found[1])), address)
