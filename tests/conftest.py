"""What every test shares: settings in an empty folder, a database, the folder of real data."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairlens_backend import config

PROJECT_ROOT = Path(__file__).resolve().parent.parent
TEST_SECRETS = {
    "JWT_SECRET": "k7Qe2vXz9LmN4tRb8WyC1uHd6FgJ3pSa5Zo0",
    "FERNET_KEY": "pZ0uVn3kq8m1Y7s5cR2xT9wB4hD6jL0fGaEiKoMyQ1U=",
    "ADMIN_PASSWORD": "Vq9-tree-Kite-river-42",
}


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
        base = {"DATA_DIR": str(tmp_path / "data"), "MODELS_DIR": str(tmp_path / "models"), "CLOCK_ENABLED": "false", "LOG_LEVEL": "error"}
        made = config.load_settings({**base, **TEST_SECRETS, "DATABASE_URL": postgres_database or "", **given})
        config.use(made)
        return made

    return make


@pytest.fixture
def settings(make_settings: Callable[..., config.Settings]) -> Iterator[config.Settings]:
    """Settings of a development server in an empty folder, with fixed secrets."""
    yield make_settings()


@pytest.fixture
def database(settings: config.Settings) -> Iterator[None]:
    """An empty database with every table."""
    from fairlens_backend.storage import session, tables

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
    stop()


@pytest.fixture
def postgres_database(postgres_url: str | None) -> Iterator[str | None]:
    """An empty PostgreSQL database of this test's own, or None for SQLite."""
    if postgres_url is None:
        yield None
        return
    import uuid

    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url

    from fairlens_backend.storage import session

    name = f"t_{uuid.uuid4().hex}"
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    session.dispose_engines()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
