"""Senders that deliver events and labels to a real server as the SDK does: each body again until it is accepted.

What they send is known row by row, so that at the end the server's counts can be told from nothing but that.
"""

import http.client
import json
import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from fairlens_backend import config, count_keeper
from fairlens_backend.core.counts import CountTable
from tests.ingest_kit import DECLARED, brute_table
from tests.live_server import LiveServer

BANDS = {25: "UNDER_30", 41: "30_50", 60: "50_PLUS"}
PATIENCE_S = 120
Row = tuple[str, str | None, float | None, str, str]


def prepare(server: LiveServer) -> dict[str, str]:
    """Register the model `hiring` and make a key; gives the headers of senders."""
    token = server.login()
    model = {"model_name": "hiring", "version": "v1", **DECLARED}
    assert server.call("POST", "/api/models/register", model, token)[0] in (200, 201)
    made = server.call("POST", "/api/admin/api_keys", {"name": "faults", "scope": "ingest"}, token)
    return {"X-Api-Key": made[1]["data"]["key"], "Content-Type": "application/json"}


@dataclass
class Sender(threading.Thread):
    """Sends batches of 25 events and their labels until it is told to stop.

    Parameters
    ----------
    name_ : begins its ids
    now : the time around which events are made
    rows : what was accepted: decision, truth or None, score, sex, age band
    bodies : the accepted bodies of events
    seen : how often an answer was 200, 503, 429, or none at all; and "retry_after" for each 503 that had one
    """

    server: LiveServer
    headers: dict[str, str]
    name_: str
    seed: int
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    rows: list[Row] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.stop, self.accepted = threading.Event(), threading.Semaphore(0)
        self._pause = threading.Event()

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        """Whole batches only: after `stop` the one under way is delivered with its labels."""
        chance, number = random.Random(self.seed), 0
        try:
            while not self.stop.is_set():
                self._one_batch(chance, number)
                number += 1
        except (AssertionError, KeyError, ValueError) as error:
            self.faults.append(repr(error))
            self.accepted.release()

    def _one_batch(self, chance: random.Random, number: int) -> None:
        events, labels, rows = [], [], []
        for i in range(25):
            decision, sex, age = (
                chance.choice(("yes", "no")),
                chance.choice("FM"),
                chance.choice(sorted(BANDS)),
            )
            score = round(chance.random(), 3)
            truth = chance.choice(("good", "bad", None))
            one = f"{self.name_}-{number}-{i}"
            at = self.now - timedelta(minutes=chance.randrange(300))
            events.append({"event_id": one, "model_id": "hiring", "timestamp": at.isoformat()})
            events[-1] |= {
                "prediction": {"label": decision, "score": score},
                "demographic_tags": {"sex": sex, "age": age},
            }
            rows.append((decision, truth, score, sex, BANDS[age]))
            if truth is not None:
                labels.append({"event_id": one, "label": truth})
        body, truths = json.dumps(events).encode(), json.dumps({"labels": labels}).encode()
        early = number % 4 == 3
        if early:
            self._deliver("/v1/predictions/ground_truth", truths)
        said = self._deliver("/v1/predictions/ingest", body)
        if said["queued"] + said["duplicates"] != 25:
            self.faults.append(f"batch {number}: {said}")
        if not early:
            self._deliver("/v1/predictions/ground_truth", truths)
        self.rows += rows
        self.bodies.append(body)
        self.accepted.release()

    def _deliver(self, path: str, body: bytes) -> Any:
        """Send until it is accepted; an answer that never came may have been one."""
        deadline = datetime.now(UTC) + timedelta(seconds=PATIENCE_S)
        while datetime.now(UTC) < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
            try:
                connection.request("POST", path, body, self.headers)
                answer = connection.getresponse()
                read = answer.read()
                self.seen[str(answer.status)] += 1
                if answer.status == 200:
                    return json.loads(read)["data"]
                if answer.status not in (429, 503):
                    raise AssertionError(f"{path}: {answer.status} {read[:500]!r}")
                self.seen["retry_after"] += answer.getheader("Retry-After") is not None
            except (OSError, http.client.HTTPException):
                self.seen["no answer"] += 1
            finally:
                connection.close()
            self._pause.wait(0.05)  # as the SDK, which does not hammer a server that is down
        raise AssertionError(f"{path} was not accepted within {PATIENCE_S} s: {dict(self.seen)}")


def finish(senders: list[Sender]) -> Counter[str]:
    """Let them deliver what is under way; what answers they had."""
    for one in senders:
        one.stop.set()
    for one in senders:
        one.join(PATIENCE_S)
        assert not one.is_alive() and one.faults == []
    return sum((one.seen for one in senders), Counter())


def assert_all_is_there(server: LiveServer, senders: list[Sender]) -> CountTable:
    """Nothing lost, nothing doubled, cell by cell; labels right; counts are the raw rows'; sent again nothing is new."""
    expected = brute_table([row for one in senders for row in one.rows])
    config.use(server.settings)
    now = max(one.now for one in senders).replace(second=0, microsecond=0)
    window = now - timedelta(hours=30), now + timedelta(hours=2)
    table = count_keeper.window_table("default", "hiring", *window)
    assert table.total == expected.total
    assert table == expected
    for day in {(now - timedelta(hours=back)).date() for back in (0, 6, 24)}:
        assert all(one["equal"] for one in count_keeper.check_counts("default", "hiring", day))
    for one in senders:
        for body in one.bodies[-1:]:
            said = server.call("POST", "/v1/predictions/ingest", body, headers=one.headers)[1]["data"]
            assert (said["queued"], said["duplicates"]) == (0, 25)
    assert count_keeper.window_table("default", "hiring", *window) == expected
    return table
