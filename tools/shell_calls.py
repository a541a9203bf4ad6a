"""The README's table of endpoints, and every route as a line of shell."""

import json
import re
from collections.abc import Sequence
from typing import Any

from tools.routes import Route, example_of, filled

SHOWN_ROLE = {"monitor or key": "monitor or API key"}
MAX_LINE = 100
# What later calls need; the other variables are those of the README's first steps.
KEPT_IN_SHELL = {"job", "alert", "route", "tree_size"}


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
    address = filled(route.path, example, "${}", str.upper)
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
