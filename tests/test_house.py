"""The rules of the house that no linter knows. Layers between rooms are import-linter's contracts in pyproject.toml."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

from tools import coverage_by_floor

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "fairlens_backend"
FILES = sorted(PACKAGE.rglob("*.py"))
GROUND = {room for room, floor in coverage_by_floor.rooms().items() if floor == "ground"}
GROUND_FILES = [path for path in FILES if path.relative_to(PACKAGE).parts[0].removesuffix(".py") in GROUND]
FAMILIES = [PACKAGE / "core" / "metrics", PACKAGE / "channels"]
MAX_LINES = 300
BROAD = {"Exception", "BaseException"}
CLOCKS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "perf_counter"}
UNSEEDED = {"default_rng", "RandomState", "Random"}
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv"}
ENVIRONMENT_MODULES = {"os", "posix"}
ENTRY_SCRIPTS = ("app.py", "model_train.py")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def nodes(module: ast.Module) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(module))


def walk(path: Path) -> tuple[ast.AST, ...]:
    return nodes(tree(path))


def imported(path: Path) -> set[str]:
    """The first part of every imported module."""
    names: set[str] = set()
    for node in walk(path):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def called(node: ast.AST) -> str:
    """The last name of a call's function: `a.b.c()` is `c`."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def environment_reads(module: ast.Module) -> list[int]:
    """The lines that reach for the process's environment: by `os` under any name, or imported from it."""
    names = {
        alias.asname or alias.name
        for node in nodes(module)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name in ENVIRONMENT_MODULES
    }
    return [
        node.lineno
        for node in nodes(module)
        # Of the module itself: a WSGI request has an attribute of the same name.
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ENVIRONMENT
            and isinstance(node.value, ast.Name)
            and node.value.id in names
        )
        or (
            isinstance(node, ast.ImportFrom)
            and node.module in ENVIRONMENT_MODULES
            and (ENVIRONMENT | {"*"}) & {alias.name for alias in node.names}
        )
    ]


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import os\nos.environ['A']\nos.getenv('A')", [2, 3]),
        ("import os as system\nsystem.environb", [2]),
        ("from os import environ as e", [1]),
        ("from os import *", [1]),
        ("import posix\nposix.environ", [2]),
        ("from flask import request\nrequest.environ['wsgi.input']", []),
        ("import os\nos.path\nrequest.environ", []),
    ],
)
def test_the_environment_is_recognised(source: str, lines: list[int]) -> None:
    """It is found under every name it can have, and a request's `environ` is none of it."""
    assert environment_reads(ast.parse(source)) == lines


def test_only_config_reads_the_environment() -> None:
    """`os.environ` and `os.getenv` stand in `config.py` alone: settings are declared once."""
    found = {name(path) for path in FILES if environment_reads(tree(path))}
    assert found == {"fairlens_backend/config.py"}


def test_only_the_unit_of_work_commits() -> None:
    """`.commit(` stands in `storage/session.py` alone: what a desk does is kept whole or not at all."""
    found = {name(path) for path in FILES for node in walk(path) if called(node) == "commit"}
    assert found <= {"fairlens_backend/storage/session.py"}


def test_no_file_is_over_300_lines() -> None:
    """A longer file does more than one job."""
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_LINES} == {}


def test_nothing_prints() -> None:
    """A server's words go to the log, a command's to `sys.stdout.write`."""
    assert [
        f"{name(path)}:{node.lineno}" for path in FILES for node in walk(path) if called(node) == "print"
    ] == []  # type: ignore[attr-defined]


def test_no_room_is_named_like_a_standard_module() -> None:
    """`python fairlens_backend/app.py` starts with the package's folder on the path: such a room would hide the module."""
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()}
    assert rooms & (set(sys.stdlib_module_names) - {"__init__", "__main__"}) == set()


def test_broad_catches_are_the_marked_ones() -> None:
    """Errors are caught by name, but in the envelope and the clock's tick, marked `# broad:` with the reason.

    A handler that ends by raising again hides nothing and is no catch.
    """
    unmarked, marked = [], []
    for path in FILES:
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in walk(path):
            if not isinstance(node, ast.ExceptHandler) or isinstance(node.body[-1], ast.Raise):
                continue
            kinds = {n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)} if node.type else BROAD
            if kinds & BROAD:
                where = lines[node.lineno - 2 : node.lineno + 1]
                (marked if any("# broad:" in line for line in where) else unmarked).append(
                    f"{name(path)}:{node.lineno}"
                )
    assert unmarked == []
    assert len(marked) <= 2, marked


@pytest.mark.parametrize("folder", FAMILIES, ids=name)
def test_a_family_lists_every_member(folder: Path) -> None:
    """Each file of a family is imported in its `__init__`, so that a new one cannot be forgotten."""
    listed = set()
    for node in walk(folder / "__init__.py"):
        if isinstance(node, ast.ImportFrom):
            listed |= {part for part in (node.module or "").split(".")} | {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            listed |= {alias.name.rsplit(".", 1)[-1] for alias in node.names}
    members = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert members - listed == set()


@pytest.mark.parametrize("path", GROUND_FILES, ids=name)
def test_the_ground_is_pure(path: Path) -> None:
    """The ground floor sees no process, clock, network or chance: they arrive as arguments."""
    assert (
        imported(path)
        & {"os", "time", "socket", "subprocess", "random", "secrets", "requests", "flask", "sqlalchemy"}
        == set()
    )
    impure = [
        f"{called(node)}() in line {node.lineno}"  # type: ignore[attr-defined]
        for node in walk(path)
        if called(node) in CLOCKS or (called(node) in UNSEEDED and not node.args and not node.keywords)  # type: ignore[attr-defined]
    ]
    assert impure == []


@pytest.mark.parametrize("script", ENTRY_SCRIPTS)
def test_an_entry_script_replaces_the_first_path(script: str) -> None:
    """`sys.path[0]` becomes the project's root before the package is imported; inserting would leave its rooms in front."""
    path = PACKAGE / script
    replaced = [
        node.lineno
        for node in walk(path)
        if isinstance(node, ast.Assign)
        and any(ast.unparse(target) == "sys.path[0]" for target in node.targets)
    ]
    package_imports = [
        node.lineno
        for node in walk(path)
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fairlens_backend"))
        or (
            isinstance(node, ast.Import)
            and any(alias.name.startswith("fairlens_backend") for alias in node.names)
        )
    ]
    assert replaced, f"{script} leaves sys.path[0] as it is"
    assert package_imports and min(replaced) < min(package_imports)
