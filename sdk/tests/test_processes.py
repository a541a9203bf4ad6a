"""Forks, exits, kills and restarts: nothing that was accepted is lost but what is documented, nothing is sent twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Do, closed_port, serving

Connect = Any
Server = Any
SDK = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes of POSIX")
# Newer Pythons warn of every fork beside threads; that forking beside threads works is what is tested here.
forks = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


def program(url: str, spool: Path, body: str, **settings: Any) -> list[str]:
    """A Python that makes `client` and runs `body`."""
    more = "".join(f", {name}={value!r}" for name, value in settings.items())
    text = (
        f"import sys, os\nsys.path.insert(0, {str(SDK)!r})\nfrom fairlens_sdk import FairLensClient\n"
        f"client = FairLensClient({url!r}, 'k', 'm', '1', spool_dir={str(spool)!r}{more})\n"
    )
    return [sys.executable, "-c", text + textwrap.dedent(body)]


def run(*args: Any, **settings: Any) -> list[str]:
    """The words that the program wrote."""
    done = subprocess.run(program(*args, **settings), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr in (
        "",
        "fairlens: the server is away (ConnectionRefusedError: [Errno 111] Connection refused); events are kept\n",
    )
    return done.stdout.split()


@forks
def test_a_forked_child_sends_its_own_and_not_its_parents(server: Server, connect: Connect) -> None:
    """As gunicorn with --preload: the parent holds events while it forks, parent and children go on."""
    client = connect(server, clock=None, flush_interval_s=3_600)
    ids = {client.log_prediction({"who": "parent"}, 1) for _ in range(20)}
    children = []
    for _ in range(3):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                mine = [client.log_prediction({"who": "child"}, 1) for _ in range(30)]
                delivered = client.flush(timeout_s=20)
                stats = client.stats()
                status = 0 if (delivered, stats.accepted, stats.sent) == (True, 30, 30) else 2
                os.write(writer, json.dumps(mine).encode())
            finally:
                os._exit(status)
        os.close(writer)
        children.append((child, reader))
    for child, reader in children:
        with os.fdopen(reader) as pipe:
            ids |= set(json.loads(pipe.read()))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ids |= {client.log_prediction({"who": "parent"}, 1) for _ in range(20)}
    assert client.flush(timeout_s=20)
    assert len(ids) == 130
    assert server.kept == ids
    assert set(server.times_kept.values()) == {1}
    assert client.stats().sent == 40


@forks
def test_parent_and_children_draw_different_ids_at_one_instant(connect: Connect) -> None:
    """A copied generator would draw the same bits; the clock of this test stands still, so only they differ."""
    client = connect("http://127.0.0.1:9", disabled=True)
    reader, writer = os.pipe()
    for _ in range(3):
        child = os.fork()
        if child == 0:
            os.write(writer, client.log_prediction({}, 1).encode() + b"\n")
            os._exit(0)
        os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        ids = [*pipe.read().split(), client.log_prediction({}, 1)]
    assert len(set(ids)) == 4


@forks
def test_a_fork_while_other_threads_log_does_not_deadlock_the_child(server: Server, connect: Connect) -> None:
    """Locks that another thread held at the fork are new in the child."""
    client = connect(server, clock=None, flush_interval_s=0.01)
    going = threading.Event()
    going.set()

    def keep_logging() -> None:
        while going.is_set():
            client.log_prediction({"a": 1}, 1)

    threads = [threading.Thread(target=keep_logging) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                client.log_prediction({"a": 2}, 1)
                os._exit(0 if client.flush(timeout_s=15) and client.stats().sent == 1 else 1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        going.clear()
        for thread in threads:
            thread.join()


@forks
def test_a_child_does_not_unlock_or_send_its_parents_spool(connect: Connect, tmp_path: Path) -> None:
    """The parent's files stay the parent's, also when the child ends first and when it looks for orphans."""
    port = closed_port()
    client = connect(f"http://127.0.0.1:{port}", clock=None)
    ids = {client.log_prediction({"a": i}, 1) for i in range(600)}
    assert not client.flush(timeout_s=0.3)
    assert client.stats().waiting == 600
    with serving(port) as server:
        child = os.fork()
        if child == 0:
            delivered = client.flush(timeout_s=20)
            os._exit(0 if delivered and client.stats().recovered == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert server.kept <= ids
        assert client.flush(timeout_s=60)
        assert server.kept == ids
    assert client.stats().sent == 600


@pytest.mark.parametrize(
    "end",
    [
        "",
        "sys.exit(0)",
        "import threading; threading.Thread(target=lambda: print(client.log_prediction({}, 1))).start()",
    ],
    ids=["falls off", "sys.exit", "a thread logs last"],
)
def test_the_end_of_the_interpreter_delivers(server: Server, tmp_path: Path, end: str) -> None:
    """No flush, no close: atexit sends what is left."""
    body = "for i in range(750): print(client.log_prediction({'a': i}, 1))\n" + end
    ids = run(server.url, tmp_path, body, flush_interval_s=3600)
    assert len(ids) >= 750
    assert server.kept == set(ids)


def test_an_exception_that_ends_the_program_loses_nothing(server: Server, tmp_path: Path) -> None:
    """A traceback is an exit too."""
    body = "print(client.log_prediction({'a': 1}, 1), flush=True)\nraise RuntimeError('end')"
    done = subprocess.run(
        program(server.url, tmp_path, body), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert server.kept == {done.stdout.strip()}


def test_an_exit_while_the_server_is_away_leaves_the_events_to_the_next_process(tmp_path: Path) -> None:
    """A new process finds them, sends them and leaves an empty folder."""
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    ids: set[str] = set()
    for _ in range(3):
        ids |= set(run(url, tmp_path, "for i in range(1100): print(client.log_prediction({'a': i}, 1))"))
    with serving(port) as server:
        words = run(url, tmp_path, "print(client.flush(20), client.stats().recovered, client.stats().sent)")
        # The third process may have adopted the first one's: they count once in the end.
        assert words == ["True", "3300", "3300"]
        assert server.kept == ids
    assert list(tmp_path.iterdir()) == []


def test_an_exit_while_a_request_hangs_is_short_and_loses_nothing(server: Server, tmp_path: Path) -> None:
    """The request under way is given up after two seconds; its events are on disk."""
    answer = threading.Event()
    server.otherwise = Do(gate=answer, keep=False)
    ids = run(
        server.url, tmp_path, "for i in range(700): print(client.log_prediction({'a': i}, 1))", timeout_s=60
    )
    answer.set()
    server.otherwise = Do()
    assert run(server.url, tmp_path, "print(client.flush(20))") == ["True"]
    assert server.kept == set(ids)


def test_multiprocessing_children_deliver_at_their_end(server: Server, tmp_path: Path) -> None:
    """They end by os._exit, which runs no atexit."""
    body = """
        import multiprocessing
        def work(i):
            return client.log_prediction({'a': i}, 1)
        with multiprocessing.get_context('fork').Pool(2) as pool:
            print(*pool.map(work, range(40)))
            pool.close(); pool.join()
    """
    ids = run(server.url, tmp_path, body, flush_interval_s=3600)
    assert len(ids) == 40
    assert server.kept == set(ids)


def test_kill_9_loses_nothing_that_was_durable(tmp_path: Path) -> None:
    """Ten processes killed at random instants: every id that was printed is on disk and arrives."""
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    printed: set[str] = set()
    body = "while True: print(client.log_prediction({'a': 1}, 1), flush=True)"
    for lines in range(1, 600, 60):
        process = subprocess.Popen(
            program(url, tmp_path, body, durable=True),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        with process:
            for _ in range(lines):
                printed.add(process.stdout.readline().strip())
            process.kill()
            rest = process.stdout.read().splitlines(keepends=True)
            printed |= {line.strip() for line in rest if line.endswith("\n")}
    with serving(port) as server:
        assert run(url, tmp_path, "print(client.flush(30))") == ["True"]
        assert printed <= server.kept
        # A call may have been killed between the disk and the print: one event a process at most.
        assert len(server.kept - printed) <= 10
    assert list(tmp_path.glob("w-*")) == []


def test_kill_9_loses_only_what_was_in_memory(tmp_path: Path) -> None:
    """Without `durable`: what an interval old is on disk while the server is away."""
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    body = """
        for i in range(2000): print(client.log_prediction({'a': i}, 1))
        client.flush(0.5)
        assert client.stats().queued == 0
        print('written', flush=True)
        for i in range(100): client.log_prediction({'a': i}, 1)
        os.kill(os.getpid(), 9)
    """
    done = subprocess.run(
        program(url, tmp_path, body, flush_interval_s=0.2),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9
    *ids, last = done.stdout.split()
    assert (last, len(ids)) == ("written", 2000)
    with serving(port) as server:
        assert run(url, tmp_path, "print(client.flush(30))") == ["True"]
        assert set(ids) <= server.kept


def test_many_processes_share_one_spool_without_doubling(tmp_path: Path) -> None:
    """Four writers end while the server is away, four heirs start at once: each event is sent by one of them."""
    port = closed_port()
    url = f"http://127.0.0.1:{port}"
    write = "for i in range(1500): print(client.log_prediction({'a': i}, 1))"
    writers = [
        subprocess.Popen(
            program(url, tmp_path, write), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for _ in range(4)
    ]
    ids: set[str] = set()
    for process in writers:
        ids |= set(process.communicate(timeout=60)[0].split())
    with serving(port) as server:
        read = "assert client.flush(30); print(client.stats().recovered)"
        heirs = [
            subprocess.Popen(program(url, tmp_path, read), stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        recovered = [int(process.communicate(timeout=60)[0]) for process in heirs]
        assert [process.returncode for process in heirs] == [0] * 4
        assert server.kept == ids
        assert sum(recovered) == 6_000
        assert set(server.times_kept.values()) == {1}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
def test_memory_stays_under_64_mb_while_the_server_is_away(tmp_path: Path) -> None:
    """Two threads log as fast as they can; the peak above the bare interpreter, the import included."""
    text = f"""
        import sys, threading
        def mb(field):
            return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith(field)) / 1024
        base = mb('VmRSS')
        sys.path.insert(0, {str(SDK)!r})
        from fairlens_sdk import FairLensClient
        client = FairLensClient('http://127.0.0.1:{closed_port()}', 'k', 'm', '1', spool_dir={str(tmp_path)!r})
        def work():
            for i in range(40_000):
                client.log_prediction(dict((f'feature_{{j}}', f'{{i}} {{j}}') for j in range(12)), 1, None, {{'sex': 'F'}})
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        stats = client.stats()
        assert stats.accepted + stats.dropped.get('queue_full', 0) == 80_000
        client.close()
        print(mb('VmHWM') - base)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, timeout=60, check=True
    )
    assert float(done.stdout) < 64
