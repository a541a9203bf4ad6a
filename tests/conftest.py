"""What every test shares: settings in an empty folder, a database, a served application, the folder of real data."""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fairlens_backend import config, credentials

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from tests.api import Caller, People
    from tests.postgres_server import Databases
    from tests.redis_server import RedisServer

PROJECT_ROOT = Path(__file__).resolve().parent.parent
TEST_SECRETS = {
    "JWT_SECRET": "k7Qe2vXz9LmN4tRb8WyC1uHd6FgJ3pSa5Zo0",
    "FERNET_KEY": "pZ0uVn3kq8m1Y7s5cR2xT9wB4hD6jL0fGaEiKoMyQ1U=",
    "LEDGER_KEY": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=",  # the first test vector of RFC 8032
    "ADMIN_PASSWORD": "Vq9-tree-Kite-river-42",
}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL only the tests that can meet it: the others show there what they show on SQLite, where all are run."""
    if os.environ.get("FAIRLENS_TEST_DATABASE") == "postgres":
        meets = {item: "postgres_url" in getattr(item, "fixturenames", ()) for item in items}
        config.hook.pytest_deselected(items=[item for item in items if not meets[item]])
        items[:] = [item for item in items if meets[item]]


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is there before the first test stays, so the collector need not look through it again and again, as in a worker."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session")
def test_data_dir() -> Path:
    """The folder of published data; tests that need it skip where it is missing."""
    folder = Path(os.environ.get("FAIRLENS_TEST_DATA") or PROJECT_ROOT.parent / "shared" / "data")
    if not (folder / "compas_two_years.csv").exists():
        pytest.skip(f"no published data sets in {folder} (set FAIRLENS_TEST_DATA)")
    return folder


@pytest.fixture
def make_settings(tmp_path: Path, postgres_database: str | None) -> Callable[..., config.Settings]:
    """Make and apply settings: `make_settings(LOGIN_MAX_FAILURES="2")`."""

    def make(**given: str) -> config.Settings:
        base = {
            "DATA_DIR": str(tmp_path / "data"),
            "MODELS_DIR": str(tmp_path / "models"),
            "CLOCK_ENABLED": "false",
            "LOG_LEVEL": "error",
        }
        made = config.load_settings(
            {**base, **TEST_SECRETS, "DATABASE_URL": postgres_database or "", **given}
        )
        config.use(made)
        return made

    return make


@pytest.fixture
def settings(make_settings: Callable[..., config.Settings]) -> Iterator[config.Settings]:
    """Settings of a development server in an empty folder, with fixed secrets."""
    yield make_settings()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with every table and no row, to be copied: a thirtieth of the time that making the tables takes."""
    from sqlalchemy import create_engine, text

    from fairlens_backend.storage import tables

    file = tmp_path_factory.mktemp("template") / "fairlens.db"
    made = create_engine(f"sqlite:///{file}")
    with made.connect() as connection:
        connection.execute(text("PRAGMA journal_mode=WAL"))
    tables.Base.metadata.create_all(made)
    made.dispose()
    return file


@pytest.fixture
def database(settings: config.Settings, sqlite_template: Path, postgres_url: str | None) -> Iterator[None]:
    """An empty database with every table."""
    from sqlalchemy.engine import make_url

    from fairlens_backend.storage import engines, session, tables

    url = make_url(settings.sqlalchemy_url)
    if url.get_backend_name() == "sqlite" and url.database:
        engines.make_sqlite_file(settings.sqlalchemy_url)
        shutil.copyfile(sqlite_template, url.database)
    elif postgres_url and not databases_of(postgres_url).has_tables(url.database):
        tables.Base.metadata.create_all(session.engine())
    yield
    session.dispose_engines()


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """A real PostgreSQL server for the session when FAIRLENS_TEST_DATABASE=postgres, else None."""
    if os.environ.get("FAIRLENS_TEST_DATABASE") != "postgres":
        yield None
        return
    from tests.postgres_server import start_postgres

    url, stop = start_postgres(tmp_path_factory.mktemp("postgres"))
    yield url
    databases_of.cache_clear()
    stop()


@cache
def databases_of(postgres_url: str) -> "Databases":
    """The databases of the session's server."""
    from tests.postgres_server import Databases

    return Databases(postgres_url)


@contextmanager
def empty_postgres_database(postgres_url: str | None, *, with_tables: bool = False) -> Iterator[str | None]:
    """A new database on the server, dropped afterwards; None without a server."""
    if postgres_url is None:
        yield None
        return
    from fairlens_backend.storage import session

    with databases_of(postgres_url).new(with_tables=with_tables) as url:
        yield url
        session.dispose_engines()


@pytest.fixture
def postgres_database(request: pytest.FixtureRequest, postgres_url: str | None) -> Iterator[str | None]:
    """A PostgreSQL database of this test's own, or None for SQLite. It has the tables where the test's signature asks for `database`."""
    wanted = "database" in request.fixturenames
    with empty_postgres_database(postgres_url, with_tables=wanted) as url:
        yield url


@pytest.fixture(scope="session")
def redis_server() -> Iterator["RedisServer"]:
    """A real Redis for the session; what needs it skips where it is not installed."""
    from tests.redis_server import start_redis

    started = start_redis()
    if isinstance(started, str):
        pytest.skip(started)
    server, end = started
    yield server
    end()


@pytest.fixture
def redis_url(redis_server: "RedisServer") -> Iterator[str]:
    """The address of a Redis that is empty and runs, whatever the test before did to it."""
    import redis

    from fairlens_backend.storage import redis_link

    if redis_server.process.poll() is not None:
        redis_server.start()
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    redis_link.forget()
    yield redis_server.url
    redis_link.forget()


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 at a thousandth of its cost; the tests of passwords themselves do without."""
    monkeypatch.setattr(credentials, "MEMORY_KIB", 64)


@pytest.fixture(scope="session")
def served(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str | None
) -> Iterator[tuple["Flask", config.Settings]]:
    """One application for all tests that need no settings of their own; each works in a tenant of its own."""
    from fairlens_backend.app import create_app

    folder = tmp_path_factory.mktemp("served")
    with empty_postgres_database(postgres_url) as url, pytest.MonkeyPatch.context() as patch:
        patch.setattr(credentials, "MEMORY_KIB", 64)
        given = {
            # Each test has a tenant of its own here, and its administrator brings the model along.
            "TENANT_ARTEFACTS": "true",
            "DATA_DIR": str(folder / "data"),
            "MODELS_DIR": str(folder / "models"),
            "DATABASE_URL": url or "",
        }
        quiet = {"CLOCK_ENABLED": "false", "LOG_LEVEL": "error", "RATE_LIMIT_DEFAULT": "100000 per minute"}
        made = config.load_settings(
            {**TEST_SECRETS, **given, **quiet, "RATE_LIMIT_LOGIN": "100000 per minute"}
        )
        app = create_app(made)
        patch.undo()
        yield app, made


@pytest.fixture
def app(served: tuple["Flask", config.Settings], cheap_passwords: None) -> Iterator["Flask"]:
    """The shared application, its settings in force."""
    before = list(config._current)
    config.use(served[1])
    yield served[0]
    config._current[:] = before


@pytest.fixture
def make_app(
    make_settings: Callable[..., config.Settings], cheap_passwords: None
) -> Iterator[Callable[..., "Flask"]]:
    """An application of this test's own: `make_app(MAX_JSON_BYTES="1000")`."""
    from fairlens_backend.app import create_app
    from fairlens_backend.storage import session

    yield lambda **given: create_app(make_settings(**given))
    session.dispose_engines()


@pytest.fixture
def client(app: "Flask") -> "FlaskClient":
    """A client of the shared application, without a token."""
    return app.test_client()


@pytest.fixture
def people(app: "Flask") -> "People":
    """A tenant of this test's own: monitor, auditor and admin."""
    from tests.api import new_people

    return new_people(app)


@pytest.fixture
def others(app: "Flask") -> "People":
    """A second tenant."""
    from tests.api import new_people

    return new_people(app)


@pytest.fixture
def operator(app: "Flask") -> "Caller":
    """The administrator of the tenant that runs the server."""
    from tests.api import log_in

    return log_in(app, "admin", TEST_SECRETS["ADMIN_PASSWORD"])


@pytest.fixture
def tokens(people: "People") -> dict[str, str]:
    """An access token of each role, of one tenant."""
    return {role: people.of(role).token or "" for role in ("monitor", "auditor", "admin")}


@pytest.fixture(scope="session")
def demo_model() -> tuple[bytes, dict[str, Any]]:
    """The loan model, trained once on few simulated loans: its artefact and what it declares."""
    from fairlens_backend.model_fitting import train
    from fairlens_backend.model_train import loan_task

    task = loan_task(800)
    declared = {
        "model_name": "loan_model",
        "version": "v1",
        "features": task.features,
        "favourable": {"decision": [1], "truth": [1]},
        "reference_groups": {"gender": "Male"},
        **task.declarations,
    }
    return train(task).content, declared


@pytest.fixture
def loan_model(people: "People", demo_model: tuple[bytes, dict[str, Any]]) -> dict[str, Any]:
    """The loan model, registered through the API in this test's tenant."""
    from tests.api import REGISTER, assert_envelope

    registered = people.admin.upload(REGISTER, demo_model[1], "artefact", demo_model[0])
    data: dict[str, Any] = assert_envelope(registered, 201)
    return data
