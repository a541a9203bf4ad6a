"""The throw-away PostgreSQL that the suite's second run stands on."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from tests.postgres_server import start_postgres, why_absent


@pytest.mark.skipif(why_absent() is not None, reason=str(why_absent()))
def test_a_started_server_answers_and_is_gone_after_stop(tmp_path: Path) -> None:
    """A started server keeps rows; after stop() nothing listens at its address."""
    started = start_postgres(tmp_path)
    assert not isinstance(started, str)
    url, stop = started
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE seen (n integer)"))
            connection.execute(text("INSERT INTO seen VALUES (42)"))
            assert connection.execute(text("SELECT n FROM seen")).scalar() == 42
    finally:
        engine.dispose()
        stop()
    with pytest.raises(OperationalError), create_engine(url).connect():
        pass
