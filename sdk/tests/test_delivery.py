"""Whatever the server does: every accepted event arrives once in effect, the caller waits for nothing, counters add up."""

from __future__ import annotations

import json
import logging
import os
import random
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from scripted_server import HALF, KEPT, KEPT_THEN_RESET, RESET, Do, QuickClock, Request, closed_port, serving

from fairlens_sdk import Answer, HttpTransport, Stats, TransportError, _threads, _transport

Connect = Any
Server = Any

LOGIN_PAGE = Do(200, body=b"<html>please log in</html>", keep=False)
FAULTS: list[Any] = [
    RESET,
    KEPT_THEN_RESET,
    HALF,
    LOGIN_PAGE,
    Do(429, {"Retry-After": "3"}),
    Do(500),
    Do(502, keep=True),
    Do(503, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}),
    Do(401),
    Do(403),
    lambda request: Do(413) if len(request.event_ids) > 3 else Do(),
    Do(202, {"Connection": "close"}),
    Do(202, {"Content-Length": "9999"}, cut=20, keep=True),
]


def adds_up(stats: Stats) -> bool:
    return stats.accepted + stats.recovered == (
        stats.sent + stats.rejected_by_server + stats.lost + stats.queued + stats.waiting
    )


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("spool", [True, False])
def test_every_event_arrives_once_in_effect(server: Server, connect: Connect, seed: int, spool: bool) -> None:
    """Random faults, sizes and callers: what the server kept is what was accepted, and the counters say so."""
    rng = random.Random(seed)
    server.script = [rng.choice(FAULTS) if rng.random() < 0.7 else Do() for _ in range(60)]
    client = connect(
        server, batch_size=rng.choice([1, 7, 50, 500]), rng=rng, **({} if spool else {"spool_max_bytes": 0})
    )
    ids: list[list[str]] = [[], [], []]

    def caller(mine: list[str]) -> None:
        for i in range(400):
            features = {"age": i, **({"extra": 1} if i % 50 == 0 else {})}
            mine.append(client.log_prediction(features, i % 2, demographic_tags={"sex": "F"}))

    callers = [threading.Thread(target=caller, args=(mine,)) for mine in ids]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert client.flush(timeout_s=60)
    stats = client.stats()
    expected = {one for mine in ids for one in mine}
    assert server.kept == expected
    assert (stats.accepted, stats.sent, stats.lost) == (1_200, 1_200, 0)
    assert adds_up(stats)
    assert (stats.replayed > 0) <= spool


def test_what_the_server_warns_of_is_counted_and_logged_once(
    server: Server, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    """Labels that the model does not declare, of events and late ones; an answer of another make is no fault."""

    def answer(**data: Any) -> Do:
        return Do(202, body=json.dumps({"status": "success", "data": data}).encode())

    warned = answer(
        rejected=[], warnings=[{"field": "label", "n_events": 2, "message": "counted as unfavourable"}]
    )
    late = answer(joined=1, undeclared=3)
    odd = answer(warnings=["no", {"n_events": "2"}, {"n_events": -1}, {"n_events": True}], undeclared=None)
    server.script = [warned, warned, late, odd, answer(warnings={"n_events": 1}), answer(warnings=None)]
    client = connect(server)
    with caplog.at_level(logging.WARNING, "fairlens_sdk"):
        for _ in range(6):
            client.log_prediction({"age": 1}, "maybe")
            assert client.flush(timeout_s=60)
    assert (client.stats().sent, client.stats().warned) == (6, 2 + 2 + 3)
    assert [record.getMessage() for record in caplog.records] == [
        "fairlens: the server warns of 2 events: label: counted as unfavourable",
        "fairlens: the server warns of 3 events: label: not among those that the model declares, and not joined",
    ]


def test_a_dead_server_is_asked_seldom_and_its_return_is_noticed(connect: Connect) -> None:
    """The circuit opens; nothing is lost; when the server is back everything arrives."""
    port = closed_port()
    clock = QuickClock()
    client = connect(f"http://127.0.0.1:{port}", clock=clock, batch_size=10, rng=random.Random(1))
    ids = [client.log_prediction({"a": i}, 1) for i in range(200)]
    began = clock.now
    deadline = time.monotonic() + 20
    while clock.now < began + 600 and time.monotonic() < deadline:
        threading.Event().wait(0.005)
    stats = client.stats()
    attempts = stats.faults["connection"]
    assert stats.circuit == "open"
    # Four quick ones, then at least 30 s between two.
    assert attempts <= 5 + (clock.now - began) / 30
    assert (stats.waiting, stats.sent) == (200, 0)
    assert adds_up(stats)
    with serving(port) as server:
        assert client.flush(timeout_s=30)
        assert server.kept == set(ids)
    assert (client.stats().circuit, client.stats().replayed) == ("closed", 200)


def test_a_server_that_restarts_again_and_again_loses_nothing(connect: Connect) -> None:
    """Each life of the server is cut off in the middle of its connections."""
    port = closed_port()
    client = connect(f"http://127.0.0.1:{port}", batch_size=20, rng=random.Random(2))
    ids: set[str] = set()
    kept: set[str] = set()
    for life in range(6):
        ids |= {client.log_prediction({"a": i, "life": life}, 1) for i in range(150)}
        with serving(port) as server:
            assert server.wait_for(lambda: len(server.requests) >= 2)
        kept |= server.kept
    with serving(port) as server:
        assert client.flush(timeout_s=30)
    assert kept | server.kept == ids
    assert client.stats().sent == 900


def test_a_slow_server_fills_the_disk_and_not_the_queue(server: Server, connect: Connect) -> None:
    """One request hangs; meanwhile a hundred times the queue's size is taken without a refusal."""
    answer = threading.Event()
    server.script = [Do(gate=answer)]
    client = connect(server, queue_max_events=500, batch_size=100)
    ids = [client.log_prediction({"first": 1}, 1)]
    assert server.wait_for(lambda: len(server.requests) == 1)
    for _ in range(100):
        ids += [client.log_prediction({"a": i}, 1) for i in range(100)]
        deadline = time.monotonic() + 20
        while client.stats().queued and time.monotonic() < deadline:
            threading.Event().wait(0.001)
    stats = client.stats()
    assert (stats.accepted, stats.dropped) == (10_001, {})
    assert stats.spooled >= 9_000
    answer.set()
    assert client.flush(timeout_s=30)
    assert server.kept == set(ids)


def test_no_call_waits_for_a_server_that_hangs(server: Server, connect: Connect) -> None:
    """2,000 calls while a request hangs take less than one request's time-out."""
    answer = threading.Event()
    server.otherwise = Do(gate=answer)
    client = connect(server, clock=None, timeout_s=30)
    began = time.perf_counter()
    for i in range(2_000):
        client.log_prediction({"a": i}, 1)
        client.log_ground_truth("x", 1)
    assert time.perf_counter() - began < 5
    answer.set()


def test_retry_after_is_honoured(server: Server, connect: Connect) -> None:
    """The clock, not the patience of the test, says when the second attempt came."""
    clock = QuickClock()
    came: list[float] = []
    server.otherwise = lambda request: (
        came.append(clock.now) or (Do(429, {"Retry-After": "120"}) if len(came) == 1 else Do())
    )  # type: ignore[func-returns-value]
    client = connect(server, clock=clock)
    client.log_prediction({"a": 1}, 1)
    assert client.flush(timeout_s=20)
    assert 120 <= came[1] - came[0] <= 122
    assert client.stats().faults == {"429": 1}


def test_a_batch_too_large_is_cut_until_it_fits(server: Server, connect: Connect) -> None:
    """413 halves a batch; an event that alone is too large is rejected, the others arrive."""

    def limit(request: Request) -> Do:
        huge = any(len(str(value)) > 5_000 for value in json.dumps(request.body).split(","))
        return Do(413) if len(request.event_ids) > 30 or huge else Do()

    server.otherwise = limit
    client = connect(server)
    ids = [client.log_prediction({"a": i, "text": "x" * (9_000 if i == 77 else 1)}, 1) for i in range(400)]
    assert client.flush(timeout_s=30)
    assert server.kept == set(ids) - {ids[77]}
    stats = client.stats()
    assert (stats.sent, stats.rejected_by_server) == (399, 1)
    assert adds_up(stats)


def test_rejected_events_are_counted_and_kept_in_a_file(
    server: Server, connect: Connect, tmp_path: Path
) -> None:
    """Single ones of a batch, and whole batches by 422 and 400; none is sent again."""
    partly = {"status": "success", "data": {"rejected": [{"index": 2, "errors": ["label: unknown"]}]}}
    server.script = [
        Do(202, body=json.dumps(partly).encode()),
        Do(422, body=b'{"status": "error", "error": {"code": "invalid"}, "message": "no"}', keep=False),
        Do(400, body=b"what?"),
    ]
    client = connect(server, batch_size=5)
    ids = []
    for _ in range(3):
        ids += [client.log_prediction({"a": i}, 1) for i in range(5)]
        assert client.flush()
    assert len(server.requests) == 3
    stats = client.stats()
    assert (stats.sent, stats.rejected_by_server) == (4, 11)
    assert adds_up(stats)
    lines = [json.loads(line) for line in (tmp_path / "spool" / "rejected.jsonl").read_text().splitlines()]
    assert [line["errors"] for line in lines] == [["label: unknown"]] + [{"code": "invalid"}] * 5 + [
        "status 400"
    ] * 5
    assert [line["event"]["event_id"] for line in lines] == [[ids[2]], *([one] for one in ids[5:])]


def test_a_key_that_is_mended_later_loses_nothing(server: Server, connect: Connect) -> None:
    """401 keeps events, and asks again after half a minute and more."""
    clock = QuickClock()
    server.script = [Do(401), Do(403), Do(401)]
    client = connect(server, clock=clock)
    began = clock.now
    event_id = client.log_prediction({"a": 1}, 1)
    assert client.flush(timeout_s=20)
    assert server.kept == {event_id}
    assert clock.now - began >= 90


def test_a_batch_that_the_server_stumbles_over_does_not_hold_up_the_others(
    server: Server, connect: Connect
) -> None:
    """A 500 for one batch only: it goes behind the rest and is tried again and again."""
    poison = {"id": ""}
    server.otherwise = lambda request: Do(500 if poison["id"] in request.event_ids else 202)
    server.script = [Do(503)] * 4
    client = connect(server, batch_size=10)
    poison["id"] = client.log_prediction({"poison": 1}, 1)
    assert not client.flush(timeout_s=0.05)
    others = {client.log_prediction({"a": i}, 1) for i in range(100)}
    assert server.wait_for(lambda: others <= set(server.times_kept))
    assert client.stats().waiting >= 1
    poison["id"] = "healed"
    assert client.flush(timeout_s=20)


def test_memory_and_disk_stay_bounded_while_the_server_is_away(connect: Connect, tmp_path: Path) -> None:
    """Oldest first, on disk and, without one, in memory; the rest arrives."""
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    rng = random.Random(1)
    on_disk = connect(url, spool_max_bytes=100_000, batch_size=50)
    in_memory = connect(url, spool_max_bytes=0, memory_max_bytes=65_536, batch_size=5)
    ids: dict[Any, list[str]] = {on_disk: [], in_memory: []}
    for _ in range(60):
        for client, mine in ids.items():
            mine.append(client.log_prediction({"text": f"{rng.getrandbits(40_000):x}"}, 1))
            client.flush(timeout_s=0)
            deadline = time.monotonic() + 10
            while client.stats().queued and time.monotonic() < deadline:
                threading.Event().wait(0.001)
        assert sum(p.stat().st_size for p in tmp_path.rglob("*.seg")) <= 100_000
    assert on_disk.stats().dropped["spool_full"] > 0
    assert in_memory.stats().dropped["memory_full"] > 0
    with serving(port) as server:
        for client, mine in ids.items():
            assert client.flush(timeout_s=20)
            stats = client.stats()
            assert adds_up(stats)
            assert stats.sent == len(server.kept & set(mine))
            assert mine[-1] in server.kept


def test_a_disk_that_takes_nothing_leaves_memory(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The spool's folder is a file: events wait in memory and arrive; the fault is counted."""
    (tmp_path / "spool").write_text("not a folder")
    server.script = [Do(503)] * 3
    client = connect(server)
    event_id = client.log_prediction({"a": 1}, 1)
    assert client.flush(timeout_s=20)
    assert server.kept == {event_id}
    assert client.stats().faults["spool"] >= 1


def test_what_is_left_at_close_is_the_next_clients(connect: Connect) -> None:
    """A client closed while the server is away leaves its events; the next one sends them, once."""
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    first = connect(url)
    ids = {first.log_prediction({"a": i}, 1) for i in range(1_234)}
    first.close(timeout_s=1)
    assert (first.stats().waiting, first.stats().lost) == (1_234, 0)
    with serving(port) as server:
        second = connect(url)
        assert second.flush(timeout_s=20)
        assert server.kept == ids
        stats = second.stats()
        assert (stats.recovered, stats.replayed, stats.sent, stats.accepted) == (1_234, 1_234, 1_234, 0)
        assert adds_up(stats)


def test_close_ends_in_time_with_a_request_under_way(server: Server, connect: Connect) -> None:
    """The hanging request's events go to the disk too: it may never be answered."""
    answer = threading.Event()
    server.otherwise = Do(gate=answer, keep=False)
    client = connect(server, clock=None, timeout_s=60)
    client.log_prediction({"a": 1}, 1)
    assert not client.flush(timeout_s=0.05)
    assert server.wait_for(lambda: len(server.requests) == 1)
    began = time.monotonic()
    client.close(timeout_s=0.1)
    assert time.monotonic() - began < 5
    assert (client.stats().waiting, client.stats().spooled) == (1, 1)
    answer.set()
    server.otherwise = Do()
    successor = connect(server)
    assert successor.flush(timeout_s=20)
    assert len(server.kept) == 1


def test_durable_events_are_on_disk_when_the_call_returns(
    server: Server, connect: Connect, tmp_path: Path
) -> None:
    """And arrive from there, joined to batches."""
    answer = threading.Event()
    server.script = [Do(gate=answer)]
    client = connect(server, durable=True, fsync=True)
    ids = [client.log_prediction({"a": 1}, 1)]
    on_disk = b"".join(path.read_bytes() for path in tmp_path.rglob("*.seg"))
    assert ids[0].encode() in on_disk
    assert not client.flush(timeout_s=0.01)
    ids += [client.log_prediction({"a": i}, 1) for i in range(700)]
    client.log_ground_truth(ids[0], 1)
    answer.set()
    assert client.flush(timeout_s=20)
    assert server.kept == set(ids)
    stats = client.stats()
    assert (stats.spooled, stats.replayed, stats.lost) == (702, 702, 0)
    assert len(server.requests) <= 6


def test_a_transport_that_raises_anything_is_survived(connect: Connect) -> None:
    """A replaced transport may have bugs; its events are kept and tried again."""

    class Flaky:
        def __init__(self) -> None:
            self.errors: list[Exception] = [RuntimeError("bug"), TransportError("down"), KeyError("x")]
            self.bodies = 0

        def post(self, path: str, body: bytes, headers: Any) -> Answer:
            if self.errors:
                raise self.errors.pop(0)
            self.bodies += 1
            return Answer(202, {}, b'{"status": "success", "data": {}}')

        def abort(self) -> None: ...
        def forget(self) -> None: ...
        def close(self) -> None: ...

    flaky = Flaky()
    client = connect("http://unused", transport=flaky)
    client.log_prediction({"a": 1}, 1)
    assert client.flush(timeout_s=20)
    assert (flaky.bodies, client.stats().sent) == (1, 1)


def test_a_fault_of_our_own_keeps_the_batch(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong after the answer, the thread lives and the batch is tried again."""
    faults = [RuntimeError("bug"), MemoryError()]
    real = _threads.judge

    def judge(*arguments: Any) -> Any:
        if faults:
            raise faults.pop()
        return real(*arguments)

    monkeypatch.setattr(_threads, "judge", judge)
    for settings in ({}, {"spool_max_bytes": 0}):
        faults[:] = [RuntimeError("bug"), MemoryError()]
        client = connect(server, **settings)
        client.log_prediction({"a": 1}, 1)
        assert client.flush(timeout_s=20)
        assert (client.stats().sent, client.stats().retried) == (1, 2)
        assert adds_up(client.stats())


def test_one_connection_serves_many_batches_and_a_stale_one_is_replaced(
    server: Server, connect: Connect
) -> None:
    """Keep-alive; a server that closed the idle connection costs no failure."""
    client = connect(server, batch_size=1)
    for i in range(5):
        client.log_prediction({"a": i}, 1)
        assert client.flush()
    assert server.connections == 1
    server.script = [Do(cut=10**6)]  # answers, then closes without having said so
    for i in range(2):
        client.log_prediction({"a": i}, 1)
        assert client.flush()
    assert server.connections == 2
    assert client.stats().faults == {}


@pytest.mark.parametrize(
    "cut",
    [HALF, KEPT_THEN_RESET, Do(202, {"Content-Length": str(len(KEPT) + 5)}, KEPT, cut=10**6, keep=True)],
)
def test_an_answer_that_ends_early_is_no_answer(server: Server, connect: Connect, cut: Do) -> None:
    """Also when what came of it reads like a success: the same event is sent again, soon."""
    server.script = [cut]
    client = connect(server)
    event_id = client.log_prediction({"a": 1}, 1)
    assert client.flush(timeout_s=20)
    assert server.times_kept == {event_id: 2}
    assert (client.stats().faults, client.stats().retried) == ({"connection": 1}, 1)


def test_a_server_that_drips_cannot_hold_the_sender() -> None:
    """The time-out is for the whole exchange, not for each byte."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    while True:
                        connection.sendall(b"H")
                        stopped.wait(0.02)
                except OSError:
                    return

        stopped = threading.Event()
        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        with pytest.raises(TransportError):
            HttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}", 0.3).post("/x", b"{}", {})
        assert time.monotonic() - began < 3
        stopped.set()
        thread.join(5)


def test_no_key_and_no_value_reaches_the_log(
    server: Server, connect: Connect, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is logged says what happened, not to whom."""
    # Other libraries in the process may have configured logging, which switches off the loggers there were.
    monkeypatch.setattr(logging.getLogger("fairlens_sdk"), "disabled", False)
    monkeypatch.setattr(logging.getLogger("fairlens_sdk"), "propagate", True)
    caplog.set_level(logging.WARNING, logger="fairlens_sdk")
    server.script = [Do(500)] * 6 + [Do(422)]
    client = connect(server)
    client.log_prediction({"name": "Erika Mustermann"}, 1)
    assert client.flush(timeout_s=20)
    client.close()  # the event is settled before the line is written
    assert "rejected" in caplog.text
    assert "Erika" not in caplog.text
    assert "key-1" not in caplog.text
    assert os.path.sep + "v1" not in caplog.text


def test_a_connection_to_itself_is_given_up_and_leaves_the_port_free() -> None:
    """TCP may join a socket to itself while nobody listens; a server that starts again must get its port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        own = sock.getsockname()
        sock.connect(own)
        with pytest.raises(ConnectionRefusedError, match="itself"):
            _transport._refuse_itself(sock)
    with socket.create_server(own) as listener, socket.create_connection(own) as other:
        _transport._refuse_itself(other)  # nothing to give up
        assert listener.getsockname() == own


def test_a_server_that_closes_after_each_answer_is_understood() -> None:
    """HTTP/1.0, or a proxy without keep-alive: the body comes after the headers, and then the end of the connection."""
    body = b'{"status":"success","data":{"rejected":[]}}'

    def serve(listener: socket.socket) -> None:
        for head in (b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"):
            peer, _ = listener.accept()
            with peer:
                while not peer.recv(65_536).endswith(b"{}"):
                    pass
                peer.sendall(head)
                read.wait(0.2)  # so that the headers arrive alone
                peer.sendall(body)

    read = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        transport = HttpTransport(f"http://127.0.0.1:{listener.getsockname()[1]}", 5.0)
        for _ in range(2):
            assert transport.post("/x", b"{}", {}).body == body
        transport.close()
        thread.join()
