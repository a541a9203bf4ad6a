"""A server that can be ended and started again where it was, a client beside it, and what was sent of a model."""

import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fairlens_sdk import FairLensClient
from fairlens_sdk._transport import Answer, HttpTransport
from fairlens_sdk._wire import Parcel, loaded

from fairlens_backend import config, count_keeper
from fairlens_backend.storage import session
from tests.conftest import PROJECT_ROOT
from tests.live_server import LiveServer, live_server

DECLARED: dict[str, Any] = {
    "columns": {"decision": "approved", "protected": ["sex"]},
    "favourable": {"decision": [1], "truth": [1]},
}
Counted = Counter[tuple[str, int, int | None]]
"""How many decisions by sex, decision and truth."""


class HastyClock:
    """The time of day is the real one; waits of the SDK, an hour of backoff too, are over at once."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def time_ns(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        happened = event.wait(min(timeout_s, 0.02))
        if not happened:
            self._ahead_s += timeout_s
        return happened


class Recorder(HttpTransport):
    """The SDK's own transport; remembers what was sent and answered."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(endpoint, 20.0)
        self.sent: list[tuple[str, Any, Mapping[str, str], Answer]] = []

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        answer = super().post(path, body, headers)
        self.sent.append((path, loaded(Parcel("events", 0, body)), headers, answer))
        return answer


class House:
    """A server with a folder and a port of its own, to be started again there; a model; what was sent of it."""

    def __init__(self, folder: Path, database_url: str | None) -> None:
        self.folder, self.port = folder, _stable_port()
        self._settings = {"DATABASE_URL": database_url or "", "INGEST_MAX_AHEAD_S": "600"}
        self.url, self.key = "", ""
        self.server: LiveServer | None = None

    @contextmanager
    def running(self, **settings: str) -> Iterator[LiveServer]:
        with live_server(self.folder, port=self.port, **self._settings, **settings) as server:
            if not self.key:
                self.url = server.url
                status, made = server.call(
                    "POST", "/api/admin/api_keys", {"name": "sdk", "scope": "ingest"}, token=server.login()
                )
                assert status == 201, made
                self.key = made["data"]["key"]
            self.server = server
            yield server

    def register(self, model: str) -> None:
        assert self.server is not None
        body = {"model_name": model, "version": "v1", **DECLARED}
        status, answer = self.server.call("POST", "/api/models/register", body, token=self.server.login())
        assert status == 201, answer

    def client(self, model: str, **settings: Any) -> FairLensClient:
        wanted = {
            "spool_dir": self.folder / "spool" / model,
            "clock": HastyClock(),
            "flush_interval_s": 0.05,
            **settings,
        }
        return FairLensClient(self.url, self.key, model, "v1", "lending", "default", **wanted)

    def counted(self, model: str) -> Counted:
        """What the server counted of a model, its counts being those of its rows."""
        assert self.server is not None
        config.use(self.server.settings)
        try:
            today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
            window = today - timedelta(days=2), today + timedelta(days=2)
            table = count_keeper.window_table("default", model, *window)
            for back in range(3):
                day = (today - timedelta(days=back - 1)).date()
                assert all(one["equal"] for one in count_keeper.check_counts("default", model, day))
        finally:
            session.dispose_engines()
        found: Counted = Counter()
        for groups, decision, truth, _bin, n, _units in table.to_dict()["rows"]:
            found[groups[0], decision, None if truth == 2 else truth] += n
        return found


def log(client: FairLensClient, n: int, seed: int, **more: Any) -> tuple[list[str], Counted]:
    """Report n decisions; their ids, and what they are to be counted as."""
    chance = random.Random(seed)
    ids, expected = [], Counted()
    for _ in range(n):
        sex, decision = chance.choice(("Female", "Male")), chance.randrange(2)
        ids.append(
            client.log_prediction(
                {"income": chance.randrange(90_000), "region": "nord"},
                {"label": decision, "score": chance.random(), "threshold": 0.5},
                demographic_tags={"sex": sex},
                **more,
            )
        )
        expected[sex, decision, more.get("ground_truth")] += 1
    return ids, expected


def assert_settled(client: FairLensClient, n: int) -> None:
    """Every accepted one was acknowledged, and the counters say so."""
    stats = client.stats()
    assert (stats.accepted, stats.sent, stats.rejected_by_server, stats.dropped) == (n, n, 0, {}), stats
    assert (stats.queued, stats.waiting, stats.lost) == (0, 0, 0)


def program(house: House, model: str, body: str, **settings: Any) -> list[str]:
    """A Python that logs and ends as `body` says; it prints the ids it was given."""
    more = "".join(f", {name}={value!r}" for name, value in settings.items())
    spool = str(house.folder / "spool" / model)
    text = f"""
import os, sys
sys.path.insert(0, {str(PROJECT_ROOT / "sdk")!r})
from fairlens_sdk import FairLensClient
client = FairLensClient({house.url!r}, {house.key!r}, {model!r}, "v1", spool_dir={spool!r}{more})
def log(n):
    for _ in range(n):
        print(client.log_prediction({{"income": 1}}, 1, demographic_tags={{"sex": "Female"}}), flush=True)
{body}
"""
    return [sys.executable, "-c", text]


def _stable_port() -> int:
    """A free port that no connection of a client is given while the server is away."""
    for port in random.Random(time.time_ns()).sample(range(20_000, 32_000), 100):
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
    raise AssertionError("no free port")
