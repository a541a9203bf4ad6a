"""The SDK beside a model against the real server: what was accepted counts once, whatever becomes of either of them."""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.conftest import empty_postgres_database
from tests.sdk_kit import Counted, House, Recorder, assert_settled, log, program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes of POSIX")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, postgres_url: str | None) -> Iterator[House]:
    """A house whose server runs for all tests that leave it alone."""
    with empty_postgres_database(postgres_url) as url:
        made = House(tmp_path_factory.mktemp("house"), url)
        with made.running():
            yield made


@pytest.fixture
def shaky(tmp_path: Path, postgres_database: str | None) -> House:
    """A house of the test's own, whose server it starts and ends."""
    return House(tmp_path, postgres_database)


def test_three_lines_beside_a_model(house: House) -> None:
    """1,300 decisions are there once, in the counts that brute force gives; the counters say what became of them."""
    house.register("loans")
    with house.client("loans") as client:
        ids, expected = log(client, 1_300, seed=1)
        assert client.flush(60)
    assert_settled(client, 1_300)
    assert len(set(ids)) == 1_300
    assert house.counted("loans") == expected


def test_every_form_that_the_sdk_sends_is_one_that_the_server_takes(house: House) -> None:
    """Columns, compressed; rows of two shapes; one small event; a frame: all queued, none rejected."""
    house.register("forms")
    carrier = Recorder(house.url)
    client = house.client("forms", transport=carrier, flush_interval_s=3_600, clock=None)
    log(client, 400, seed=2)
    assert client.flush(30)
    client.log_prediction({"a": {"deep": [1, None, "x"]}}, 1, demographic_tags={"sex": "F"})
    client.log_prediction({"b": 2.5}, True, demographic_tags={"sex": None}, timestamp=time.time() - 60)
    assert client.flush(30)
    client.log_prediction({}, {"label": "1"}, demographic_tags={"sex": "M"})
    assert client.flush(30)
    decide = client.monitor(protected=["sex"], threshold=0.5)(lambda rows: [0.9] * len(rows))
    decide([{"sex": "F", "income": 3}, {"sex": "M", "income": 4}])
    assert client.flush(30)
    client.close()
    bodies = [body for _, body, _, _ in carrier.sent]
    assert [isinstance(body, list) for body in bodies] == [False, True, True, False]
    assert carrier.sent[0][2].get("Content-Encoding") == "gzip"
    assert [answer.status for *_, answer in carrier.sent] == [200] * 4
    answers = [json.loads(answer.body)["data"] for *_, answer in carrier.sent]
    assert [one["queued"] for one in answers] == [400, 2, 1, 2] and not any(
        one["rejected"] for one in answers
    )
    # What the server names is what the SDK gave out.
    assert answers[0]["event_ids"] == bodies[0]["event_id"]
    assert sum(house.counted("forms").values()) == 405


def test_truth_that_comes_with_before_and_after_its_decision(house: House) -> None:
    """A label moves its decision's count, in whatever order the two arrive; one of another client's event too."""
    house.register("truths")
    client = house.client("truths")
    _, expected = log(client, 60, seed=3, ground_truth=1)
    late, later = log(client, 60, seed=4)
    assert client.flush(60)
    # An id of an event that is sent afterwards: its label waits for it.
    early = house.client("truths", spool_dir=house.folder / "other")
    held = house.client("truths", spool_dir=house.folder / "held", flush_interval_s=3_600, clock=None)
    before, awaited = log(held, 60, seed=5)
    for one in (*late, *before):
        early.log_ground_truth(one, 0)
    assert early.flush(60)
    assert_settled(early, 120)
    assert held.flush(60)
    for one in (client, early, held):
        one.close()
    for (sex, decision, _), n in (later + awaited).items():
        expected[sex, decision, 0] += n
    assert house.counted("truths") == expected


def test_what_the_server_refuses_is_seen_on_both_sides(house: House) -> None:
    """The SDK counts it and keeps it aside, an administrator finds a dead letter with the field, mends it, and it counts."""
    house.register("refusals")
    client = house.client("refusals")
    _, expected = log(client, 20, seed=6)
    bad = client.log_prediction({}, {"label": 1, "score": 81.0}, demographic_tags={"sex": "F"})
    future = client.log_prediction({}, 1, None, {"sex": "M"}, datetime.now(UTC) + timedelta(days=2))
    assert client.flush(60)
    client.close()
    stats = client.stats()
    assert (stats.accepted, stats.sent, stats.rejected_by_server) == (22, 20, 2)
    aside = (house.folder / "spool" / "refusals" / "rejected.jsonl").read_text()
    assert bad in aside and future in aside
    assert house.counted("refusals") == expected
    assert house.server is not None
    admin = house.server.login()
    _, page = house.server.call("GET", "/v1/dead_letters?limit=100", token=admin)
    fields = {
        one["errors"][0]["field"]: one["id"] for one in page["data"]["items"] if one["model"] == "refusals"
    }
    assert set(fields) == {"prediction.score", "timestamp"}
    event = {"event_id": bad, "model_id": "refusals", "prediction": {"label": 1, "score": 0.81}}
    event["demographic_tags"] = {"sex": "Female"}
    place = f"/v1/dead_letters/{fields['prediction.score']}/replay"
    assert house.server.call("POST", place, {"event": event}, token=admin)[0] == 200
    expected["Female", 1, None] += 1
    assert house.counted("refusals") == expected


def test_a_model_that_is_registered_later_loses_nothing(house: House) -> None:
    """404 keeps the events; once the model is known they are counted."""
    client = house.client("tomorrow")
    _, expected = log(client, 30, seed=7)
    assert not client.flush(1.0)
    assert client.stats().faults.keys() == {"404"} and client.stats().lost == 0
    house.register("tomorrow")
    assert client.flush(60)
    client.close()
    assert_settled(client, 30)
    assert house.counted("tomorrow") == expected


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_workers_forked_from_one_client(house: House) -> None:
    """As gunicorn with --preload: parent and three children send their own, all of it once."""
    house.register("forked")
    client = house.client("forked", clock=None, flush_interval_s=3_600)
    _, expected = log(client, 50, seed=8)
    children = []
    for seed in (9, 10, 11):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                log(client, 40, seed=seed)
                status = 0 if client.flush(60) and client.stats().sent == 40 else 2
            finally:
                os._exit(status)
        children.append(child)
        expected += log(house.client("none", disabled=True), 40, seed=seed)[1]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    assert client.flush(60)
    client.close()
    assert_settled(client, 50)
    assert house.counted("forked") == expected


def test_the_end_of_the_interpreter_sends_what_was_accepted(house: House) -> None:
    """Without flush and close; an exception that nobody catches ends it too."""
    house.register("ending")
    for body in ("log(120)", "log(80); raise SystemExit(3)"):
        done = subprocess.run(program(house, "ending", body), capture_output=True, timeout=120, check=False)
        assert done.stderr == b""
    assert house.counted("ending") == Counter({("Female", 1, None): 200})


def test_a_process_that_is_killed_loses_nothing_when_durable(house: House) -> None:
    """kill -9 of three processes in the midst of logging; a fourth delivers what they left: each printed id counts once."""
    house.register("killed")
    printed: list[str] = []
    for _ in range(3):
        process = subprocess.Popen(
            program(house, "killed", "log(100_000)", durable=True), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        printed += [process.stdout.readline().strip() for _ in range(300)]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split("\n")
        printed += [one for one in rest[:-1] if one]  # the last one may be cut
        process.wait()
    heir = house.client("killed")
    assert heir.flush(120)
    heir.close()
    counted = sum(house.counted("killed").values())
    # Of each killed process the event under way may have been kept before its id was printed.
    assert len(printed) <= counted <= len(printed) + 2 * 3
    again = house.client("killed", spool_dir=house.folder / "again")
    assert house.server is not None
    body = [{"event_id": one, "model_id": "killed", "prediction": {"label": 1}} for one in printed[:500]]
    status, answer = house.server.call(
        "POST", "/v1/predictions/ingest", body, headers={"X-Api-Key": house.key}
    )
    assert (status, answer["data"]["queued"], answer["data"]["duplicates"]) == (200, 0, len(body))
    again.close()


def test_a_server_that_is_stopped_and_started_again(shaky: House) -> None:
    """While it is away events are on disk, those of a process that ends meanwhile too; then all of it counts once."""
    with shaky.running():
        shaky.register("loans")
        client = shaky.client("loans")
        _, expected = log(client, 200, seed=12)
        assert client.flush(60)
    expected += log(client, 700, seed=13)[1]
    assert not client.flush(0.5)
    assert client.stats().spooled > 0 and client.stats().faults.get("connection", 0) > 0
    done = subprocess.run(program(shaky, "loans", "log(50)"), capture_output=True, timeout=120, check=False)
    assert done.returncode == 0
    expected["Female", 1, None] += 50
    with shaky.running():
        expected += log(client, 100, seed=14)[1]
        assert client.flush(120)
        client.close()
        heir = shaky.client("loans")  # takes over what the ended process left
        assert heir.flush(60)
        heir.close()
        assert client.stats().recovered + heir.stats().recovered == 50
        assert shaky.counted("loans") == expected
    stats = client.stats()
    assert (stats.accepted, stats.lost, stats.rejected_by_server) == (1_000, 0, 0)


def test_a_server_that_is_killed_in_the_midst(shaky: House) -> None:
    """kill -9 of the server, five times while batches are under way: what it had answered and what it had not, once."""
    expected: Counted = Counter()
    client = None
    chance = random.Random(15)
    for round_ in range(5):
        with shaky.running() as server:
            if client is None:
                shaky.register("loans")
                client = shaky.client("loans", batch_size=20, timeout_s=2.0)
            expected += log(client, 600, seed=20 + round_)[1]
            client.flush(chance.uniform(0.02, 0.3))
            os.killpg(server.pid, signal.SIGKILL)
    assert client is not None
    with shaky.running():
        assert client.flush(120)
        client.close()
        stats = client.stats()
        assert (stats.accepted, stats.sent, stats.lost) == (3_000, 3_000, 0)
        assert shaky.counted("loans") == expected


def test_a_low_limit_slows_and_loses_nothing(shaky: House) -> None:
    """Two calls a second for a key: 429 says when to come again, and every event arrives."""
    with shaky.running(RATE_LIMIT_INGEST="2 per second"):
        shaky.register("loans")
        client = shaky.client("loans", batch_size=50)
        _, expected = log(client, 500, seed=16)
        assert client.flush(120)
        client.close()
        assert client.stats().faults.get("429", 0) > 0
        assert_settled(client, 500)
        assert shaky.counted("loans") == expected
