"""docker-compose.yml and the Dockerfile: what they start is what the application reads and offers."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fairlens_backend import config
from fairlens_backend.commands import COMMANDS
from tests.conftest import TEST_SECRETS

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).resolve().parent.parent
NAMES = {declared.name.upper() for declared in fields(config.Settings)}
OTHERS = {"WEB_CONCURRENCY"}  # gunicorn's


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services, aliases and merges resolved."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))[
        "services"
    ]
    return found


@pytest.mark.parametrize("name", ["app", "worker"])
def test_every_setting_of_the_env_file_reaches_the_server(services: dict[str, Any], name: str) -> None:
    """By `env_file`, so that a new setting need not be named here; what is named is a setting."""
    assert [one["path"] for one in services[name]["env_file"]] == [".env"]
    assert set(services[name]["environment"]) <= NAMES | OTHERS


@pytest.mark.parametrize("name", ["app", "worker"])
def test_what_is_set_starts_in_production(services: dict[str, Any], name: str, tmp_path: Path) -> None:
    """With good secrets every value is taken as it is; database and Redis are the services beside it."""
    environment = {
        key: TEST_SECRETS.get(key, "") or re.sub(r"\$\{POSTGRES_PASSWORD[^}]*\}", "pw", str(value))
        for key, value in services[name]["environment"].items()
        if not str(value).startswith("${") or key in TEST_SECRETS
    }
    ledger = {"LEDGER_KEY": TEST_SECRETS.get("LEDGER_KEY") or TEST_SECRETS["FERNET_KEY"]}
    settings = config.load_settings({**environment, **ledger})
    assert settings.production and settings.host == "0.0.0.0"
    assert settings.database_url == "postgresql+psycopg://fairlens:pw@database/fairlens"
    assert settings.redis_url == "redis://redis:6379/0" and {"database", "redis"} <= set(services)


def test_one_process_has_the_clock(services: dict[str, Any]) -> None:
    """The worker, which is a command that there is; the web workers have none."""
    assert services["app"]["environment"]["CLOCK_ENABLED"] == "false"
    assert services["worker"]["environment"]["CLOCK_ENABLED"] == "true"
    assert services["worker"]["command"][-1] in {command.NAME for command in COMMANDS}


def test_jobs_outlive_their_redis(services: dict[str, Any]) -> None:
    """Every change is written down into a volume, and what has no end of its own is never evicted."""
    command = services["redis"]["command"]
    given = dict(zip(command[1::2], command[2::2], strict=True))
    assert given["--appendonly"] == "yes" and given["--maxmemory-policy"].startswith("volatile-")
    assert services["redis"]["volumes"]


def test_the_image_has_what_the_services_need() -> None:
    """redis, at the version that the tests ran on, and the files that the build copies."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "-c requirements-dev.lock redis" in text
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for name in ("requirements.lock", "requirements-dev.lock", "gunicorn.conf.py"):
        assert f"!{name}" in let_in and (ROOT / name).exists()
    assert re.search(r"^redis==", (ROOT / "requirements-dev.lock").read_text(encoding="utf-8"), re.MULTILINE)
