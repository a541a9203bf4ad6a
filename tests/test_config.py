"""What is read from the environment beside the settings of the table."""

from pathlib import Path

import pytest

from fairlens_backend import config
from fairlens_backend.errors import ConfigurationError


def test_the_number_of_workers_is_read_from_env_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two by default; the environment goes before `.env`; what is no number of workers stops the start with its name."""
    monkeypatch.setattr(config, "PROJECT_ROOT", tmp_path)
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    assert config.worker_processes() == 2
    (tmp_path / ".env").write_text("WEB_CONCURRENCY=3\n")
    assert config.worker_processes() == 3
    monkeypatch.setenv("WEB_CONCURRENCY", "4")
    assert config.worker_processes() == 4
    for wrong in ("many", "0"):
        monkeypatch.setenv("WEB_CONCURRENCY", wrong)
        with pytest.raises(ConfigurationError, match="WEB_CONCURRENCY"):
            config.worker_processes()
