"""Processes killed between an audit's record and the delivery of its alert: none is lost, a repetition has the same id."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from fairlens_backend import config
from fairlens_backend.alert_delivery import deliver_due
from fairlens_backend.storage import outbox
from fairlens_backend.storage.session import current_session, read_snapshot
from fairlens_backend.storage.tables import FairnessCheck
from tests.alert_kit import NOW, told
from tests.receiver import Receiver, ids, running_receiver

ROUNDS = int(os.environ.get("FAIRLENS_FAULT_ROUNDS") or 5)
SETTINGS = {"WEBHOOK_SECRET": "a secret shared with the receiver", "WEBHOOK_ALLOW_PRIVATE": "true"}
POINTS = ("before the commit", "after the commit", "at the receiver", "after the answer", "any time")

CHILD = """
import json, os, signal, sys, threading
from datetime import datetime
from fairlens_backend import alert_manager, audit_runner, config
from fairlens_backend.alert_delivery import _send, deliver_due
from fairlens_backend.audit_runner import Context, Subject
from fairlens_backend.core.counts import CountTable

given = json.loads(sys.argv[1])
config.use(config.load_settings(given["settings"]))
now = datetime.fromisoformat(given["now"])

def end_at(point):
    if given["point"] == point:
        os.kill(os.getpid(), signal.SIGKILL)

def send(*message):
    delivery = _send(*message)
    end_at("after the answer")
    return delivery

observed = alert_manager.observe
def observe(tenant, result, record_id, at):
    observed(tenant, result, record_id, at)
    if result["model"].endswith("_1"):
        end_at("before the commit")

alert_manager.observe = observe
if given["point"] == "any time":
    threading.Timer(given["after_s"], os.kill, (os.getpid(), signal.SIGKILL)).start()
table = CountTable.from_arrays({"sex": ["F"] * 1000 + ["M"] * 1000}, decision=[1] * 280 + [0] * 720 + [1] * 400 + [0] * 600)
for number in range(2):
    audit_runner.run(Subject("acme", f"m_{given['round']}_{number}", "1", {}), table, Context(), now)
end_at("after the commit")
deliver_due(now, send=send)
while given["point"] == "any time":
    threading.Event().wait(1)
"""


@pytest.fixture
def receiver(make_settings: Callable[..., config.Settings], database: None) -> Iterator[Receiver]:
    """A receiver that the settings name, and an empty database."""
    with running_receiver() as place:
        make_settings(WEBHOOK_URL=place.url, **SETTINGS)
        yield place


def pending(now: datetime) -> int:
    """Messages that nobody has yet."""
    with read_snapshot():
        return int(outbox.health(now)["pending"])


def test_a_killed_process_loses_no_alert(receiver: Receiver) -> None:
    """Killed before the commit, after it, at the receiver, after its answer, at any time: each record that was kept is told.

    FAIRLENS_FAULT_ROUNDS=100 for more rounds. A kill repeats at most the one message that was under way, under its id.
    """
    names = (
        "DATA_DIR",
        "DATABASE_URL",
        "JWT_SECRET",
        "FERNET_KEY",
        "ADMIN_PASSWORD",
        "WEBHOOK_URL",
        "LOG_LEVEL",
    )
    environment = {name: str(getattr(config.current(), name.lower())) for name in names}
    chance, child = random.Random(5), list[subprocess.Popen[bytes]]()
    for number in range(ROUNDS):
        point = POINTS[number % len(POINTS)]
        now = NOW + timedelta(hours=number)
        given = {"settings": {**environment, **SETTINGS}, "now": now.isoformat(), "point": point, "round": number, "after_s": chance.uniform(0, 0.3)}  # fmt: skip
        if point == "at the receiver":
            receiver.on_receive = lambda _request, _connection: os.kill(child[-1].pid, signal.SIGKILL)
        child.append(
            subprocess.Popen(
                [sys.executable, "-c", CHILD, json.dumps(given)],
                cwd=config.PROJECT_ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(config.PROJECT_ROOT)},
            )
        )
        assert child[-1].wait(120) == -signal.SIGKILL, point
        receiver.on_receive = None
    end = NOW + timedelta(hours=ROUNDS + 2)
    while pending(end):
        deliver_due(end)
        end += timedelta(minutes=1)
    with read_snapshot():
        kept = Counter(
            current_session().scalars(FairnessCheck.__table__.select().with_only_columns(FairnessCheck.model))
        )
    assert all(count == 1 for count in kept.values())
    bodies = {one.headers["x-fairlens-delivery"]: json.loads(one.body) for one in receiver.received}
    assert Counter(body["model"] for body in bodies.values()) == kept
    assert {one: body["record_id"] for one, body in bodies.items()} == {
        one["message_id"]: one["record_id"] for one in told()
    }
    # Each kill repeats at most what was under way, with the same words.
    repeats = Counter(ids(receiver.received))
    assert sum(repeats.values()) - len(repeats) <= ROUNDS
    assert len({(one.headers["x-fairlens-delivery"], one.body) for one in receiver.received}) == len(repeats)
    assert len(kept) >= 2 * ROUNDS * 3 // 5 - 1
