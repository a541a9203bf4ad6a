"""What the documents say is what the application does: routes, settings, metrics, and the README's own commands."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from openapi_spec_validator import validate

from fairlens_backend import config
from fairlens_backend.core.metrics import METRICS_BY_NAME
from fairlens_backend.core.signed_note import VerifierKey
from tests.conftest import TEST_SECRETS
from tests.live_server import LiveServer, live_server

if TYPE_CHECKING:
    from flask import Flask

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROLES = {None: "open", "monitor": "monitor", "auditor": "auditor", "admin": "admin"}
SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
# What Postman's own schema asks of a collection of format 2.1, in so far as this one uses it.
COLLECTION = {
    "type": "object",
    "required": ["info", "item"],
    "properties": {
        "info": {
            "type": "object",
            "required": ["name", "schema"],
            "properties": {
                "name": {"type": "string"},
                "schema": {"const": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"},
            },
        },
        "auth": {"$ref": "#/$defs/auth"},
        "variable": {"type": "array", "items": {"$ref": "#/$defs/pair"}},
        "item": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/folder"}},
    },
    "$defs": {
        "pair": {
            "type": "object",
            "required": ["key", "value"],
            "properties": {"key": {"type": "string"}, "value": {"type": "string"}},
        },
        "auth": {
            "type": "object",
            "required": ["type"],
            "properties": {
                "type": {"enum": ["bearer", "noauth"]},
                "bearer": {"type": "array", "items": {"$ref": "#/$defs/pair"}},
            },
        },
        "folder": {
            "type": "object",
            "required": ["name", "item"],
            "properties": {"item": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/request"}}},
        },
        "request": {
            "type": "object",
            "required": ["name", "request"],
            "properties": {
                "event": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["listen", "script"],
                        "properties": {
                            "listen": {"enum": ["test", "prerequest"]},
                            "script": {
                                "type": "object",
                                "required": ["exec"],
                                "properties": {"exec": {"type": "array", "items": {"type": "string"}}},
                            },
                        },
                    },
                },
                "request": {
                    "type": "object",
                    "required": ["method", "url"],
                    "properties": {
                        "method": {"enum": ["GET", "POST", "PUT", "PATCH", "DELETE"]},
                        "auth": {"$ref": "#/$defs/auth"},
                        "header": {"type": "array", "items": {"$ref": "#/$defs/pair"}},
                        "url": {
                            "type": "object",
                            "required": ["raw", "host", "path"],
                            "properties": {
                                "raw": {"type": "string", "pattern": r"^\{\{base\}\}/"},
                                "host": {"const": ["{{base}}"]},
                                "path": {"type": "array", "items": {"type": "string"}},
                                "query": {"type": "array", "items": {"$ref": "#/$defs/pair"}},
                            },
                        },
                        "body": {
                            "type": "object",
                            "required": ["mode", "raw"],
                            "properties": {"mode": {"const": "raw"}, "raw": {"type": "string"}},
                        },
                    },
                },
            },
        },
    },
}


@dataclass(frozen=True)
class Route:
    """A route and its role, read from the application's own map."""

    method: str
    path: str
    role: str


@pytest.fixture
def routes(app: "Flask") -> list[Route]:
    """Every method of every address."""
    found = []
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^<>]*?(\w+)>", r"{\1}", rule.rule)
        access = getattr(app.view_functions[rule.endpoint], "_fairlens_access", None)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            found.append(Route(method, path, ROLES[access.role if access else None]))
    assert len(found) >= 24
    return found


EXAMPLE_LOG = VerifierKey(
    "log.example/ledger", Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw()
).text
"""the ledger whose head the README's example has cosigned"""


def section(title: str) -> str:
    """The text of one of the README's sections."""
    after = README.split(f"\n## {title}\n", 1)[1]
    return SECTION.split(after, maxsplit=1)[0]


def test_every_route_is_in_the_readme_with_its_role_and_a_curl_line(routes: list[Route]) -> None:
    """The table has a line for each route that names its role; below it stands a call that reaches it."""
    text = section("Endpoints")
    table = {
        line.split("|")[1].strip(" `"): line.split("|")[2].strip()
        for line in text.splitlines()
        if line.startswith("| `")
    }
    assert {name: role.split(" or ")[0] for name, role in table.items()} == {
        f"{one.method} {one.path}": one.role for one in routes
    }
    for one in routes:
        pattern = re.escape(one.path)
        pattern = re.sub(r"\\{\w+\\}", r"[^\\s\"?]+", pattern)
        lines = re.findall(rf'^curl .*"\$BASE{pattern}(?:\?[^"]*)?".*$(?:\n  .*)*', text, re.MULTILINE)
        assert any(_method_of(line) == one.method for line in lines), f"no curl line for {one}"


def _method_of(line: str) -> str:
    named = re.search(r"-X (\w+)", line)
    return named[1] if named else "POST" if " -d " in line else "GET"


def test_every_route_is_in_the_postman_collection_with_its_role(routes: list[Route]) -> None:
    """Each request's description names the role; paths are compared with their variables taken out."""
    told = {}
    for folder in _collection()["item"]:
        for item in folder["item"]:
            request = item["request"]
            told[request["method"], "/" + "/".join(request["url"]["path"])] = request["description"]
    for one in routes:
        pattern = re.sub(r"\\{\w+\\}", ".+", re.escape(one.path))
        found = [
            text
            for (method, path), text in told.items()
            if method == one.method and re.fullmatch(pattern, path)
        ]
        assert any(f"Role: {one.role}" in text for text in found), f"{one} in {found}"
    assert len(told) == len(routes)


def test_the_postman_collection_has_the_shape_of_its_format() -> None:
    """Format 2.1, and every `{{variable}}` is declared."""
    collection = _collection()
    jsonschema.validate(collection, COLLECTION)
    used = set(re.findall(r"\{\{(\w+)\}\}", json.dumps(collection)))
    assert used <= {one["key"] for one in collection["variable"]}


def _collection() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "postman_collection.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.no_cover
def test_the_openapi_document_is_valid(app: "Flask") -> None:
    """OpenAPI 3.1 by another project's validator, from the address where it is served."""
    document = app.test_client().get("/openapi.json").get_json()
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_every_setting_is_in_the_example_file() -> None:
    """Each setting stands there with its default; secrets stand empty with how to make one."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    for declared in fields(config.Settings):
        name = declared.name.upper()
        if name in config.HOW_TO_MAKE:
            assert f"# Make one with: {config.HOW_TO_MAKE[name]}\n{name}=\n" in text
        elif name != "WEBHOOK_SECRET":
            assert f"\n#{name}={declared.metadata['default']}\n" in text, name


def test_the_example_file_is_a_development_environment(tmp_path: Path) -> None:
    """Copied as it is, and with every line uncommented, it gives the defaults."""
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = dict(
        line.removeprefix("#").split("=", 1) for line in text.splitlines() if re.match(r"#?[A-Z_]+=", line)
    )
    folder = {"DATA_DIR": str(tmp_path), **{name: value for name, value in TEST_SECRETS.items()}}
    assert config.load_settings({**named, **folder}) == config.load_settings(folder)


def test_what_docker_compose_reads_is_in_the_example_file() -> None:
    """A variable that only the compose file knows would be found out by its failure."""
    read = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))
    named = set(
        re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert read <= named


def test_every_metric_is_in_the_readme() -> None:
    """With its short name, its limit and what it needs."""
    rows = [line for line in section("What is measured").splitlines() if line.startswith("| `")]
    for metric in METRICS_BY_NAME.values():
        row = next(line for line in rows if f"`{metric.name}`" in line)
        assert not metric.short_name or f"`{metric.short_name}`" in row
        assert f"{metric.threshold:.2f}" in row
        assert all(need in row for need in metric.needs)
    assert len(rows) == len(METRICS_BY_NAME)


def test_the_readme_claims_no_more_than_is_done() -> None:
    """Unfairness is measured; nobody's model is made or called fair."""
    for word in ("debias", "unbiased", "fair model", "fix bias"):
        assert word not in README.lower()


def test_generated_files_are_current() -> None:
    """`make docs` would change nothing."""
    run = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "make_docs.py"), "--check"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **TEST_SECRETS},
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@dataclass(frozen=True)
class Block:
    """A block of shell that the README marks as live, and the file that it needs."""

    needs: str
    script: str


def live_blocks() -> list[Block]:
    """Blocks after `<!-- live -->`, or `<!-- live: FILE -->` for one that needs a published data set."""
    pattern = r"<!-- live(?:: (\S+))? -->\s*(?:<!-- [^>]* -->\s*)?```bash\n(.*?)```"
    return [Block(needs, script) for needs, script in re.findall(pattern, README, re.DOTALL)]


# Keeps every answer, and ends the script at the first that is no 2xx.
CURL = """set -euo pipefail
curl() {
    local answer; answer=$(mktemp "$ANSWERS/XXXXXXXX")
    command curl --fail-with-body --max-time 120 --noproxy '*' "$@" >"$answer" || { cat "$answer" >&2; return 22; }
    cat "$answer"
}
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, LiveServer]]:
    """A folder as after `bash run.sh`: the password on disk, the demo model registered, the server running."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "instance").mkdir()
    password = TEST_SECRETS["ADMIN_PASSWORD"]
    (folder / "instance" / "secrets.env").write_text(f"# made for this test\nADMIN_PASSWORD={password}\n")
    (folder / "fairlens_backend").symlink_to(ROOT / "fairlens_backend")
    (folder / ".venv" / "bin").mkdir(parents=True)
    python = folder / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with live_server(folder, WITNESS_LOGS=EXAMPLE_LOG) as server:
        train = [sys.executable, str(ROOT / "fairlens_backend" / "model_train.py"), "--samples", "5000"]
        subprocess.run(train, env={**os.environ, **server.environ}, check=True, capture_output=True)
        yield folder, server


def run_blocks(checkout: tuple[Path, LiveServer], blocks: list[Block]) -> tuple[str, list[Any]]:
    """Run blocks in one shell, as a reader would; gives the output and every JSON answer."""
    folder, server = checkout
    answers = folder / f"answers_{len(list(folder.iterdir()))}"
    answers.mkdir()
    script = CURL + "\n".join(block.script for block in blocks).replace("http://127.0.0.1:5050", server.url)
    run = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, **server.environ, "ANSWERS": str(answers), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, f"{run.stdout[-2000:]}\n{run.stderr[-3000:]}"
    texts = [path.read_text(encoding="utf-8") for path in answers.iterdir()]
    found = [json.loads(text) for text in texts if text.startswith("{")]
    return run.stdout, found


def assert_told(blocks: list[Block], output: str, answers: list[Any]) -> None:
    """Every answer is a success, but where the line says that it may be refused; what `# →` promises stands in the output."""
    assert answers
    refused = [answer["error"]["code"] for answer in answers if answer["status"] != "success"]
    assert set(refused) <= {"conflict", "not_found", "not_delivered"}
    assert len(refused) <= sum(block.script.count("|| true") for block in blocks)
    for block in blocks:
        for promised in re.findall(r"^# → (.+)$", block.script, re.MULTILINE):
            assert promised in output, promised


def test_the_readme_runs_from_top_to_bottom(checkout: tuple[Path, LiveServer]) -> None:
    """Every live block that needs nothing from outside, each route's example call included."""
    blocks = [block for block in live_blocks() if not block.needs]
    output, answers = run_blocks(checkout, blocks)
    assert_told(blocks, output, answers)
    assert (
        len(answers) >= sum(block.script.count("curl -sS ") for block in blocks) - 7
    )  # the pages, the figures for Prometheus and a cosignature are no JSON


def test_the_readmes_python_runs(tmp_path: Path) -> None:
    """The library's example, in an interpreter of its own and without a server."""
    script = re.findall(r"<!-- live: python -->\s*```python\n(.*?)```", README, re.DOTALL)[0]
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    promised = re.findall(r"^# → (.+)$", script, re.MULTILINE)
    assert promised and [text for text in promised if text not in run.stdout] == []


@pytest.mark.parametrize("file", ["compas_two_years.csv", "adult.csv"])
def test_the_readme_reproduces_published_data(
    checkout: tuple[Path, LiveServer], test_data_dir: Path, file: str
) -> None:
    """The blocks on COMPAS and Adult, on the files as published."""
    if not (test_data_dir / file).exists():
        pytest.skip(f"no {file} in {test_data_dir}")
    (checkout[0] / file).symlink_to(test_data_dir / file)
    login = live_blocks()[0]
    blocks = [login, *(block for block in live_blocks() if block.needs == file)]
    assert len(blocks) >= 2
    output, answers = run_blocks(checkout, blocks)
    assert_told(blocks, output, answers)
