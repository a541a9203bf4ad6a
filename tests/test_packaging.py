"""What is written down twice about installing FairLens says the same in both places."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fairlens_backend

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(path: Path) -> list[Requirement]:
    lines = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return [Requirement(line) for line in lines if line]


def test_requirements_txt_and_pyproject_name_the_same_packages_and_ranges() -> None:
    """`fairlens_backend/requirements.txt` is the core dependencies of `pyproject.toml`, no more, no less."""
    listed = {
        str(requirement) for requirement in requirements(ROOT / "fairlens_backend" / "requirements.txt")
    }
    assert listed == {str(Requirement(text)) for text in PROJECT["dependencies"]}


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", PROJECT["dependencies"]),
        ("requirements-dev.lock", PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]),
    ],
)
def test_a_lock_holds_a_version_inside_every_declared_range(lock: str, wanted: list[str]) -> None:
    """A range changed in pyproject without `make lock` would install something else than it says."""
    locked: dict[str, list[Requirement]] = {}
    for requirement in requirements(ROOT / lock):
        locked.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    for text in wanted:
        requirement = Requirement(text)
        pins = locked.get(canonicalize_name(requirement.name), [])
        assert pins, f"{requirement.name} is missing in {lock}"
        for pin in pins:
            version = next(iter(pin.specifier)).version
            assert requirement.specifier.contains(version), f"{pin} in {lock} is outside {requirement}"


def test_the_dev_lock_contains_the_runtime_lock() -> None:
    """The tests run on the versions that the server runs on."""
    runtime = {str(requirement) for requirement in requirements(ROOT / "requirements.lock")}
    assert runtime <= {str(requirement) for requirement in requirements(ROOT / "requirements-dev.lock")}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_pins_versions_and_names_no_index(lock: str) -> None:
    """Everybody installs the same versions from the index of their own choice."""
    for requirement in requirements(ROOT / lock):
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], str(requirement)
        assert requirement.url is None


def test_every_dependency_states_its_reason() -> None:
    """Beside each core dependency of `pyproject.toml` stands a comment that says why it is there."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    block = text.split("dependencies = [", 1)[1].split("\n]", 1)[0]
    without = [
        line.strip() for line in block.splitlines() if line.strip().startswith('"') and "#" not in line
    ]
    assert without == []


def test_the_package_and_the_project_have_one_version() -> None:
    """`fairlens_backend.__version__`, which the API shows, is the version that is installed."""
    assert PROJECT["version"] == fairlens_backend.__version__


def test_every_imported_package_is_declared() -> None:
    """What the package imports stands in `pyproject.toml`: what another package happens to bring may go tomorrow."""
    extras = [
        text for name, texts in PROJECT["optional-dependencies"].items() if name != "dev" for text in texts
    ]
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"] + extras}
    distributions = packages_distributions()
    found: dict[str, str] = {}
    for path in sorted((ROOT / "fairlens_backend").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules: list[str] = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                modules = [node.module]
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "files" and node.args:
                modules = [node.args[0].value] if isinstance(node.args[0], ast.Constant) else []
            found |= {module.split(".")[0]: path.name for module in modules}
    foreign = {
        name: where
        for name, where in found.items()
        if name not in sys.stdlib_module_names | {"fairlens_backend"}
    }
    missing = {
        name: where
        for name, where in foreign.items()
        if not {canonicalize_name(owner) for owner in distributions.get(name, [name])} & declared
    }
    assert missing == {}
