"""Every route as a request of a Postman collection, format 2.1."""

import json
import re
from collections.abc import Sequence
from typing import Any

from tools.api_examples import VARIABLES
from tools.routes import Route, example_of, filled

POSTMAN_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"


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
    address = filled(route.path, example, "{{{{{}}}}}", str)
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
