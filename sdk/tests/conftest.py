"""Fixtures: a scripted server, clients that are closed again, spools in the test's own folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_server import QuickClock, ScriptedServer, serving

from fairlens_sdk import FairLensClient


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving() as running:
        yield running


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., FairLensClient]]:
    """Makes clients of a server or URL, with a quick clock and a spool under tmp_path; all are closed at the end."""
    made: list[FairLensClient] = []

    def make(to: ScriptedServer | str, **settings: Any) -> FairLensClient:
        url = to if isinstance(to, str) else to.url
        wanted = {
            "spool_dir": tmp_path / "spool",
            "clock": QuickClock(),
            "flush_interval_s": 0.05,
            **settings,
        }
        client = FairLensClient(url, "key-1", "loan_model", "3", "lending", "bank", **wanted)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close(timeout_s=0)
